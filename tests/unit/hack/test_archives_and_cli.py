"""What a person types, and what is made of it."""

import re
from pathlib import Path

import pytest

from hack.cluster import cli
from hack.cluster.archives import archive_of
from hack.cluster.errors import PrerequisiteError
from hack.cluster.paths import Paths


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AOS_CLUSTER_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("hack.cluster.archives.docker_answers", lambda: False)
    monkeypatch.setattr("hack.cluster.source.docker_answers", lambda: False)
    return tmp_path


def script(home: Path, name: str, text: str) -> None:
    (home / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
    (home / "bin" / name).chmod(0o755)


def test_a_file_is_its_own_archive(home: Path) -> None:
    (home / "image.tar").touch()
    with archive_of(str(home / "image.tar")) as archive:
        assert archive == home / "image.tar"


def test_what_was_built_here_is_found_by_name(home: Path) -> None:
    built = Paths.from_environment().named_image("localhost/aos:dev")
    built.parent.mkdir(parents=True)
    built.touch()
    with archive_of("localhost/aos:dev") as archive:
        assert archive == built


def test_a_name_is_exported_and_the_export_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hack.cluster.archives.docker_answers", lambda: True)
    script(home, "docker", 'echo "$4" > "$3"')
    with archive_of("x:1") as archive:
        assert archive.read_text() == "x:1\n"
    assert not archive.exists()


def test_a_name_that_nobody_knows_is_explained(home: Path) -> None:
    script(home, "buildah", "echo 'no such image' >&2; exit 1")
    with (
        pytest.raises(
            PrerequisiteError, match=r"Docker is not there; buildah says: no such image.*hack\.image build"
        ),
        archive_of("x:1"),
    ):
        pytest.fail("there is no such archive")


def test_status_of_nothing_exits_with_1(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"]) == 1
    assert cli.main(["status", "--control-plane"]) == 1
    assert capsys.readouterr().out == "not up\nnot up\n"


def test_down_says_whether_there_was_anything_to_end(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["down"]) == 0
    assert capsys.readouterr().err == "the cluster is not up, so there was nothing to end\n"
    assert cli.main(["down", "--control-plane"]) == 0
    assert capsys.readouterr().err == "the control plane is not up, so there was nothing to end\n"


def test_whoever_forgets_the_flag_is_told_of_the_control_plane(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plane = Paths.from_environment().control_plane
    plane.mkdir(parents=True)
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().out == (
        "not up; there is a control plane without a node: `status --control-plane` tells how it is\n"
    )
    assert cli.main(["down"]) == 0
    assert capsys.readouterr().err.endswith("`down --control-plane` ends it\n")
    assert plane.exists()
    assert cli.main(["down", "--control-plane"]) == 0
    assert capsys.readouterr().err == "the control plane is ended\n"
    assert not plane.exists()


def test_every_command_of_the_page_is_one(home: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/local-cluster.md").read_text(encoding="utf-8")
    said = set(re.findall(r"`python -m hack\.cluster (\w+)", page))
    assert said == {"up", "down", "status", "kubeconfig", "load", "tool", "prepare"}
    for command in said:
        with pytest.raises(SystemExit) as caught:
            cli.parser().parse_args([command, "--help"])
        assert caught.value.code == 0


def test_an_error_is_one_sentence_on_standard_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--kubeconfig", "/no/such"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: there is no kubeconfig at /no/such")


def test_an_interrupt_says_how_to_go_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hack.cluster.backends.select", interrupted)
    assert cli.main(["up"]) == 130
    assert "run the same command again to go on" in capsys.readouterr().err


def test_the_ways_to_name_a_cluster_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["up", "--control-plane", "--kubeconfig", "x"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_kubeconfig_for_nothing_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kubeconfig", "--control-plane", "--user", "jane", "--group", "dev"]) == 1
    assert "run `up --control-plane` first" in capsys.readouterr().err
