"""A downloaded program is kept only when its checksum is right; folders stand in for the server."""

import hashlib
from pathlib import Path

import pytest

from hack.cluster import release
from hack.cluster.errors import BuildError
from hack.cluster.paths import Paths
from hack.cluster.programs import kubernetes, tool
from hack.cluster.recipes import kube, kubernetes_version
from hack.cluster.source import Facts, choose


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(release, "_BASE", (tmp_path / "server").as_uri())
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    folder = tmp_path / "server" / kubernetes_version() / "bin" / "linux" / "amd64"
    folder.mkdir(parents=True)
    return folder


def publish(folder: Path, name: str, *, checksum: str | None = None) -> None:
    content = f"program {name}".encode()
    (folder / name).write_bytes(content)
    (folder / f"{name}.sha512").write_text(checksum or hashlib.sha512(content).hexdigest() + "\n")


def test_a_right_program_is_kept_and_can_be_run(server: Path, tmp_path: Path) -> None:
    publish(server, "kubectl")
    folder = release.ensure(tmp_path / "programs", kubernetes_version(), ("kubectl",))
    assert (folder / "kubectl").read_text() == "program kubectl"
    assert (folder / "kubectl").stat().st_mode & 0o777 == 0o755
    # The second time nothing is asked.
    (server / "kubectl").unlink()
    release.ensure(tmp_path / "programs", kubernetes_version(), ("kubectl",))


def test_a_wrong_checksum_throws_the_program_away(server: Path, tmp_path: Path) -> None:
    publish(server, "kubectl", checksum="0" * 128)
    with pytest.raises(BuildError, match=r"but 000.* was announced: it was thrown away"):
        release.ensure(tmp_path / "programs", kubernetes_version(), ("kubectl",))
    assert not list((tmp_path / "programs").rglob("*kubectl*"))


def test_a_server_that_cannot_be_reached_is_an_error_of_one_line(server: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="cannot be fetched"):
        release.ensure(tmp_path / "programs", kubernetes_version(), ("kubectl",))


def test_a_machine_without_a_release_is_told_to_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(BuildError, match="no official release for riscv64"):
        release.ensure(tmp_path, "v1", ("kubectl",))


def test_with_etcd_on_path_a_control_plane_comes_from_the_release(server: Path, tmp_path: Path) -> None:
    for name in ("kube-apiserver", "kube-controller-manager", "kubectl"):
        publish(server, name)
    paths = Paths(state=tmp_path / "state", cache=tmp_path / "cache")
    facts = Facts(control_plane=True, etcd="/bin/true")
    folder = kubernetes(paths, facts, choose(facts))
    assert (folder / "etcd").readlink() == Path("/bin/true")
    assert (folder / "kube-apiserver").exists()


def test_without_the_release_it_is_built(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hack.cluster.build.ensure", lambda *_: tmp_path / "built")
    paths = Paths(state=tmp_path / "state", cache=tmp_path / "cache")
    facts = Facts(control_plane=True, etcd="/bin/true")
    assert kubernetes(paths, facts, choose(facts)) == tmp_path / "built"
    assert tool(paths, "kubectl") == tmp_path / "built" / "kubectl"
    assert capsys.readouterr().err.count("building from Go modules instead") == 2


def test_assets_and_the_cache_are_used_as_they_are(tmp_path: Path) -> None:
    paths = Paths(state=tmp_path / "state", cache=tmp_path / "cache")
    facts = Facts(control_plane=True, assets=tmp_path)
    assert kubernetes(paths, facts, choose(facts)) == tmp_path
    cached = paths.programs / f"kube-{kube().key}"
    cached.mkdir(parents=True)
    facts = Facts(control_plane=True, cached=True)
    assert kubernetes(paths, facts, choose(facts)) == cached
    assert tool(paths, "kubectl") == cached / "kubectl"


def test_helm_on_path_is_good_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helm").touch()
    (tmp_path / "helm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tool(Paths(state=tmp_path, cache=tmp_path), "helm") == tmp_path / "helm"
