"""Which cluster a command means, and that nobody else's is touched."""

from pathlib import Path

import pytest

from hack.cluster import source
from hack.cluster.backends import Given, LocalControlPlane, LocalNode, select
from hack.cluster.errors import ClusterError, OwnershipError, PrerequisiteError
from hack.cluster.handle import Handle
from hack.cluster.kind import KindCluster
from hack.cluster.paths import Paths
from hack.cluster.pki import Subject


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(state=tmp_path / "state", cache=tmp_path / "cache")


def machine(monkeypatch: pytest.MonkeyPatch, *, docker: bool) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(source, "docker_answers", lambda: docker)


def chosen(
    paths: Paths, *, control_plane: bool = False, kubeconfig: Path | None = None, kind_name: str | None = None
) -> type[object]:
    return type(select(paths, control_plane=control_plane, kubeconfig=kubeconfig, kind_name=kind_name))


def test_a_fresh_machine_with_docker_gets_kind_and_one_without_a_node(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, docker=True)
    assert chosen(paths) is KindCluster
    machine(monkeypatch, docker=False)
    assert chosen(paths) is LocalNode


def test_what_was_made_before_stays_what_it_is(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, docker=True)
    paths.node.mkdir(parents=True)
    assert chosen(paths) is LocalNode
    paths.kind_record().parent.mkdir(parents=True)
    paths.kind_record().touch()
    machine(monkeypatch, docker=False)
    assert chosen(paths) is KindCluster


def test_a_person_may_say_which(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").touch()
    assert chosen(paths, control_plane=True) is LocalControlPlane
    assert chosen(paths, kind_name="mine") is KindCluster
    assert chosen(paths, kubeconfig=tmp_path / "kubeconfig") is Given


def test_a_kubeconfig_that_is_not_there_is_an_error(paths: Paths) -> None:
    with pytest.raises(PrerequisiteError, match="there is no kubeconfig at /no/such"):
        chosen(paths, kubeconfig=Path("/no/such"))


def test_a_given_cluster_is_asked_and_never_changed(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho \'{{"serverVersion": {{"gitVersion": "v1"}}}}\'\n'
    )
    kubectl.chmod(0o755)
    monkeypatch.setattr("hack.cluster.programs.tool", lambda *_: kubectl)
    (tmp_path / "kubeconfig").touch()
    given = Given(paths, tmp_path / "kubeconfig")
    given.prepare()
    given.up()
    given.down()
    assert given.status().sentence == "up, Kubernetes v1"
    with pytest.raises(OwnershipError, match="push the image to a registry"):
        given.load(tmp_path / "image.tar")
    with pytest.raises(OwnershipError, match="no certificate for jane"):
        given.handle().user("jane")
    assert "left as it is" in capsys.readouterr().err
    assert all(" version " in line for line in (tmp_path / "asked").read_text().splitlines())


def test_a_given_cluster_that_does_not_answer_is_not_started(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hack.cluster.programs.tool", lambda *_: Path("/bin/false"))
    (tmp_path / "kubeconfig").touch()
    with pytest.raises(ClusterError, match="not answering; this tool never starts it"):
        Given(paths, tmp_path / "kubeconfig").up()


def test_no_image_goes_into_a_control_plane(paths: Paths) -> None:
    with pytest.raises(PrerequisiteError, match="has no node"):
        LocalControlPlane(paths).load(Path("image.tar"))


def test_a_handle_runs_kubectl_as_the_administrator(tmp_path: Path) -> None:
    minted: list[Subject] = []

    def issue(subject: Subject) -> Path:
        minted.append(subject)
        return tmp_path

    handle = Handle(Path("/k"), Path("/bin/echo"), issue)
    assert handle.kubectl("get", "pods").stdout == "--kubeconfig=/k get pods\n"
    keeping = Handle(Path("/k"), Path("/bin/echo"), cache=Path("/c"))
    assert keeping.kubectl("get", "pods").stdout == "--kubeconfig=/k --cache-dir=/c get pods\n"
    assert not Handle(Path("/k"), Path("/bin/false")).kubectl("get").ok
    assert handle.user("jane", "dev") == tmp_path
    assert minted == [Subject("jane", ("dev",))]


def test_a_dead_engine_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not source.docker_answers()
    docker = tmp_path / "docker"
    for code, expected in ((1, False), (0, True)):
        docker.write_text(f"#!/bin/sh\nexit {code}\n")
        docker.chmod(0o755)
        assert source.docker_answers() is expected
