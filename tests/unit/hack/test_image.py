"""What an image is made from, and how the machine's own way to package indexes gets into a build."""

import hashlib
import shutil
from pathlib import Path

import pytest

from hack.cluster.errors import BuildError
from hack.cluster.paths import Paths
from hack.image import base, builders, cli, inputs, network
from hack.image.builders import Request

SECURITY = "Debian|Debian-Security|http://security.example/debian-security"
MAIN = "Debian|Debian|http://mirror.example/debian/"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "operator").mkdir()
    (tmp_path / "operator" / "code.py").write_text("x = 1\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def test_the_digest_names_content_and_not_times(tree: Path) -> None:
    before = inputs.digest("base", tree)
    (tree / "operator" / "code.py").touch()
    assert inputs.digest("base", tree) == before


@pytest.mark.parametrize("file", ["operator/code.py", "Dockerfile", "operator/new.py", "requirements.lock"])
def test_any_changed_input_changes_the_digest(tree: Path, file: str) -> None:
    before = inputs.digest("base", tree)
    (tree / file).write_text("changed\n")
    assert inputs.digest("base", tree) != before


def test_another_base_changes_the_digest(tree: Path) -> None:
    assert inputs.digest("one", tree) != inputs.digest("two", tree)


@pytest.mark.parametrize("file", ["operator/__pycache__/code.pyc", "tests/test_x.py", "docs/x.md"])
def test_what_is_not_in_the_image_does_not_rebuild_it(tree: Path, file: str) -> None:
    before = inputs.digest("base", tree)
    (tree / file).parent.mkdir(parents=True)
    (tree / file).write_text("x")
    assert inputs.digest("base", tree) == before


def test_an_image_of_a_folder_is_built_anew_for_what_stands_there_alone(tree: Path) -> None:
    (tree / "examples" / "own").mkdir(parents=True)
    before = inputs.digest("base", tree, "examples/own/Dockerfile")
    (tree / "operator" / "code.py").write_text("changed\n")
    assert inputs.digest("base", tree, "examples/own/Dockerfile") == before
    (tree / "examples" / "own" / "agent.py").write_text("x = 1\n")
    assert inputs.digest("base", tree, "examples/own/Dockerfile") != before


def test_every_input_is_let_into_the_build() -> None:
    allowed = (inputs.REPOSITORY / ".dockerignore").read_text().splitlines()
    for source in inputs._SOURCES:
        assert source == ".dockerignore" or f"!{source}" in allowed


def test_pips_settings_are_passed_on_and_the_environment_wins(tmp_path: Path) -> None:
    authorities = tmp_path / "ca.crt"
    authorities.touch()
    listed = (
        ":env:.index-url='https://env.example/simple'\n"
        "global.index-url='https://file.example/simple'\n"
        f"global.cert='{authorities}'\n"
        "global.timeout='180'\n"
        "global.find-links='/opt/wheels'\n"
        "install.user='true'\n"
    )
    settings = network.settings_from(listed, {})
    assert settings.authorities == authorities
    assert settings.config == (
        "[global]\nindex-url = https://env.example/simple\ntimeout = 180\ncert = /run/secrets/ca.crt\n"
    )


def test_authorities_are_found_in_the_environment_too(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").touch()
    settings = network.settings_from("", {"SSL_CERT_FILE": str(tmp_path / "ca.crt")})
    assert settings.authorities == tmp_path / "ca.crt"


@pytest.mark.parametrize("environment", [{}, {"SSL_CERT_FILE": "/no/such"}])
def test_a_machine_without_settings_passes_none_on(environment: dict[str, str]) -> None:
    assert network.settings_from("", environment) == network.PipSettings("[global]\n", None)


def test_the_mirrors_of_a_debian_machine_are_used() -> None:
    assert network.sources_from(f"Other|Other|http://other.example\n{MAIN}\n{SECURITY}\n", "trixie") == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb http://security.example/debian-security trixie-security main",
    ]


def test_a_machine_of_another_kind_names_no_mirror() -> None:
    assert network.sources_from("Ubuntu|Ubuntu|http://mirror.example/ubuntu\n", "trixie") == []


def test_only_what_leads_out_is_kept_of_apts_settings() -> None:
    dumped = (
        'Acquire::http::Proxy "http://proxy.example:3128";\n'
        'Acquire::https::CaInfo "/etc/ca.crt";\n'
        'Acquire::Languages "none";\n'
        'Acquire::ftp::Proxy "";\n'
    )
    assert network.options_from(dumped) == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::https::CaInfo "/etc/ca.crt";',
    ]


def test_the_base_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("apt-get", "apt-config"):
        (tools / name).symlink_to("/bin/true")
    (tools / "mmdebstrap").write_text(
        '#!/bin/sh\nfor last; do case "$last" in *.tar) echo tar >> "$last";; esac; done\n'
    )
    (tools / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    target = base.ensure(tmp_path / "images")
    assert base.ensure(tmp_path / "images") == target
    assert target.read_text() == "tar\n"
    (tools / "mmdebstrap").write_text("#!/bin/sh\necho 'E: no route' >&2; exit 1\n")
    target.unlink()
    with pytest.raises(BuildError, match=r"(?s)E: no route.*Check that apt reaches"):
        base.ensure(tmp_path / "images")


def test_without_mirrors_the_tool_takes_its_own(tmp_path: Path) -> None:
    command = base.command(tmp_path / "x.tar", [], ['Acquire::http::Proxy "p";'])
    assert command[-2:] == ["trixie", str(tmp_path / "x.tar")]
    assert '--aptopt=Acquire::http::Proxy "p";' in command


def fake_digest(seed: str, dockerfile: str = inputs.DOCKERFILE) -> str:
    return hashlib.sha256(f"{seed} {dockerfile}".encode()).hexdigest()[:16]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with stand-ins for docker and buildah, which write down how they are called."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in {
        "docker": 'case "$1 $2" in "image inspect") cat "$STORE/label" 2>/dev/null;; "build --quiet") ;; esac',
        "buildah": 'for last; do case "$last" in oci:*) d=${last#oci:}; d=${d%:image}; mkdir -p $d/blobs/sha256; '
        'echo "{}" > $d/oci-layout; echo \'{"manifests": [{}]}\' > $d/index.json;; esac; done',
    }.items():
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $@" >> "$STORE/calls"\n{text}\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("STORE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setattr("hack.cluster.packages.ensure_packages", lambda *_, **__: None)
    monkeypatch.setattr(base, "ensure", lambda _: tmp_path / "base.tar")
    # The repository itself may change while its tests run.
    monkeypatch.setattr(inputs, "digest", fake_digest)
    return tmp_path


def builds(machine: Path, program: str) -> int:
    calls = (machine / "calls").read_text().splitlines()
    return len([call for call in calls if call.startswith(program) and " build " in call])


def test_without_docker_an_archive_is_kept_under_the_images_name(machine: Path) -> None:
    paths = Paths(state=machine / "state", cache=machine / "cache")
    first = builders.without_docker(Request("localhost/aos:dev", machine / "out.tar"), paths)
    again = builders.without_docker(Request("localhost/aos:dev", None), paths)
    other = builders.without_docker(Request("localhost/aos:other", None), paths)
    assert first == again
    assert builds(machine, "buildah") == 2
    assert paths.named_image("localhost/aos:dev").resolve() == first
    assert paths.named_image("localhost/aos:other").resolve() == other
    assert (machine / "out.tar").read_bytes() == first.read_bytes()


def test_another_dockerfile_of_the_repository_makes_another_image(machine: Path) -> None:
    paths = Paths(state=machine / "state", cache=machine / "cache")
    own = Request("localhost/own:dev", None, "examples/own_image/Dockerfile")
    assert builders.without_docker(own, paths) != builders.without_docker(
        Request("localhost/own:dev", None), paths
    )
    builders.with_docker(own, paths)
    calls = [call for call in (machine / "calls").read_text().splitlines() if " build " in call]
    files = [part for call in calls for part in call.split() if part.startswith("--file=")]
    assert files == [
        f"--file={inputs.REPOSITORY / 'examples/own_image/Dockerfile'}",
        f"--file={inputs.REPOSITORY / 'Dockerfile'}",
        f"--file={inputs.REPOSITORY / 'examples/own_image/Dockerfile'}",
    ]
    assert (inputs.REPOSITORY / own.dockerfile).is_file()


def test_an_archive_that_no_name_leads_to_is_removed(machine: Path) -> None:
    paths = Paths(state=machine / "state", cache=machine / "cache")
    old = paths.images / "aos-0000.tar"
    old.parent.mkdir(parents=True)
    old.touch()
    builders.without_docker(Request("localhost/aos:dev", None), paths)
    assert not old.exists()


def test_docker_builds_only_what_has_changed(machine: Path) -> None:
    paths = Paths(state=machine / "state", cache=machine / "cache")
    stale = paths.named_image("localhost/aos:dev")
    stale.parent.mkdir(parents=True)
    stale.touch()
    builders.with_docker(Request("localhost/aos:dev", None), paths)
    assert builds(machine, "docker") == 1
    assert not stale.exists()
    (machine / "label").write_text(inputs.digest("docker") + "\n")
    builders.with_docker(Request("localhost/aos:dev", machine / "out.tar"), paths)
    assert builds(machine, "docker") == 1
    assert f"docker save --output={machine}/out.tar localhost/aos:dev" in (machine / "calls").read_text()


def test_a_failed_build_ends_with_what_the_builder_said(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine / "bin" / "docker").write_text(
        "#!/bin/sh\n[ $1 = build ] && { echo 'pip: no match' >&2; exit 1; }\nexit 0\n"
    )
    assert cli.main(["build"]) == 1
    assert "pip: no match" in capsys.readouterr().err


def test_a_machine_whose_buildah_cannot_store_is_explained(machine: Path) -> None:
    shutil.copy("/bin/false", machine / "bin" / "buildah")
    with pytest.raises(BuildError, match="with any of overlay, vfs"):
        builders._buildah(machine)
