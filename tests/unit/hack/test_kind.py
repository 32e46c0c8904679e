"""How kind is driven, with a stand-in for the program: no Docker engine is at hand where unit tests run."""

import os
from pathlib import Path

import pytest
import yaml

from hack.cluster import kind
from hack.cluster.backends import select
from hack.cluster.errors import ClusterError, OwnershipError, PrerequisiteError
from hack.cluster.kind import KindCluster
from hack.cluster.paths import Paths

KIND = """#!/bin/sh
# A file for each cluster in clusters/, which holds the id of its node.
echo "$@" >> {folder}/calls
for argument in "$@"; do
  case $argument in
    --name=*) name=${{argument#--name=}} ;;
    --kubeconfig=*) kubeconfig=${{argument#--kubeconfig=}} ;;
  esac
done
case "$1 $2" in
  "get clusters") ls {folder}/clusters ;;
  "get kubeconfig") echo "of $name" ;;
  "create cluster")
    [ -e {folder}/clusters/$name ] && {{ echo "node(s) already exist" >&2; exit 1; }}
    date +%s%N > {folder}/clusters/$name; echo "of $name" > $kubeconfig ;;
  "delete cluster") rm {folder}/clusters/$name; rm -f $kubeconfig ;;
  "load image-archive") ;;
esac
"""
DOCKER = """#!/bin/sh
echo "docker $@" >> {folder}/calls
case "$1" in
  ps) cat {folder}/clusters/${{5##*=}} ;;
  start) [ -e {folder}/heals ] && rm -f {folder}/silent; true ;;
  network) echo 'fc00::1 172.18.0.1 ' ;;
esac
"""
KUBECTL = """#!/bin/sh
[ -e {folder}/silent ] && exit 1
echo '{{"serverVersion": {{"gitVersion": "v1.37.0"}}}}'
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in {"kind": KIND, "kubectl": KUBECTL, "docker": DOCKER}.items():
        (tools / name).write_text(text.format(folder=tmp_path))
        (tools / name).chmod(0o755)
    (tmp_path / "clusters").mkdir()
    (tmp_path / "calls").touch()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr("hack.cluster.images.archive", lambda *_: tmp_path / "probe.tar")
    monkeypatch.setattr(kind, "_PATIENCE_SECONDS", 0.0)
    return tmp_path


def paths(machine: Path) -> Paths:
    return Paths(state=machine / "state", cache=machine / "cache")


def cluster(machine: Path, name: str | None = None) -> KindCluster:
    return KindCluster(paths(machine), name)


def clusters(machine: Path) -> set[str]:
    return {path.name for path in (machine / "clusters").iterdir()}


def somebody_else_makes(machine: Path, *names: str) -> None:
    for name in names:
        (machine / "clusters" / name).write_text("a node of somebody else\n")


def calls(machine: Path, word: str) -> list[str]:
    return [line for line in (machine / "calls").read_text().splitlines() if line.startswith(word)]


def test_a_cluster_is_made_once_and_ended(machine: Path) -> None:
    cluster(machine).up()
    cluster(machine).up()
    (made,) = calls(machine, "create")
    assert "--name=aos" in made
    assert f"--kubeconfig={machine}/state/kind/aos/kubeconfig" in made
    assert len(calls(machine, "load")) == 1
    assert cluster(machine).status().sentence == "up in Docker, Kubernetes v1.37.0"
    assert cluster(machine).handle().host_address == "172.18.0.1"
    cluster(machine).down()
    assert clusters(machine) == set()
    assert not cluster(machine).status().made
    assert not (machine / "state" / "kind").exists()


def test_each_name_has_a_state_of_its_own(machine: Path) -> None:
    for name in (None, "mine"):
        cluster(machine, name).up()
    assert cluster(machine, "mine").handle().kubeconfig.read_text() == "of mine\n"
    assert cluster(machine).handle().kubeconfig.read_text() == "of aos\n"
    cluster(machine, "mine").down()
    assert clusters(machine) == {"aos"}
    assert cluster(machine).handle().kubeconfig.read_text() == "of aos\n"
    cluster(machine).down()
    assert clusters(machine) == set()


def test_a_cluster_of_the_same_name_that_somebody_else_made_is_left_alone(machine: Path) -> None:
    somebody_else_makes(machine, "aos", "other")
    cluster(machine, "mine").up()
    unnamed = cluster(machine)
    for act in (unnamed.up, unnamed.down, unnamed.status, unnamed.handle, lambda: unnamed.load(Path("x"))):
        with pytest.raises(OwnershipError, match="`kind delete cluster --name aos` deletes it"):
            act()
    for name in ("aos", "other"):
        with pytest.raises(OwnershipError, match=f"the kind cluster {name} is not deleted"):
            cluster(machine, name).down()
    assert clusters(machine) == {"aos", "other", "mine"}
    assert not calls(machine, "delete")


def test_one_that_was_made_anew_by_somebody_else_is_no_longer_ours(machine: Path) -> None:
    cluster(machine).up()
    somebody_else_makes(machine, "aos")
    with pytest.raises(OwnershipError, match="aos is in the way"):
        cluster(machine).down()
    assert clusters(machine) == {"aos"}


def test_somebody_elses_cluster_is_used_when_it_is_named_with_what_kind_says_of_it_now(machine: Path) -> None:
    somebody_else_makes(machine, "other")
    cluster(machine, "other").up()
    cluster(machine, "other").load(machine / "image.tar")
    assert cluster(machine, "other").status().is_up
    assert cluster(machine, "other").handle().kubeconfig.read_text() == "of other\n"
    assert len(calls(machine, "load")) == 1
    assert not calls(machine, "create")


def test_a_silent_cluster_that_somebody_else_made_is_not_made_anew(machine: Path) -> None:
    somebody_else_makes(machine, "other")
    (machine / "silent").touch()
    with pytest.raises(OwnershipError, match="other does not answer, but this tool did not make it"):
        cluster(machine, "other").up()
    assert cluster(machine, "other").status().sentence == "broken; this tool did not make it"
    assert not calls(machine, "delete")
    assert not calls(machine, "docker start")


def test_a_silent_cluster_of_ours_is_started_and_waited_for_before_it_is_made_anew(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster(machine).up()
    node = (machine / "clusters/aos").read_text().strip()
    (machine / "silent").touch()
    (machine / "heals").touch()
    assert cluster(machine).status().sentence == "broken; `up` starts it again, or makes it anew"
    cluster(machine).up()
    assert calls(machine, "docker start") == [f"docker start {node}"]
    assert not calls(machine, "delete")

    (machine / "heals").unlink()
    (machine / "silent").touch()
    cluster(machine).up()
    assert len(calls(machine, "delete")) == 1
    assert "making it anew, with nothing in it" in capsys.readouterr().err
    assert (machine / "clusters/aos").read_text().strip() != node
    cluster(machine).down()
    assert clusters(machine) == set()


def test_whoever_was_faster_with_the_name_keeps_the_cluster(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faster() -> tuple[str, ...]:
        somebody_else_makes(machine, "aos")
        return ()

    monkeypatch.setattr(kind, "_image", faster)
    with pytest.raises(ClusterError, match="already exist"):
        cluster(machine).up()
    with pytest.raises(OwnershipError):
        cluster(machine).down()


def test_what_an_interrupt_left_half_made_is_ours_to_end(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = kind._run

    def interrupted(program: str, *arguments: str) -> str:
        done = run(program, *arguments)
        if arguments[0] == "create":
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(kind, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cluster(machine).up()
    cluster(machine).down()
    assert clusters(machine) == set()


def test_a_named_cluster_is_not_what_a_command_without_a_name_means(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hack.cluster.source.docker_answers", lambda: False)

    def meant() -> object:
        return select(paths(machine), control_plane=False, kubeconfig=None, kind_name=None)

    cluster(machine, "mine").up()
    assert not isinstance(meant(), KindCluster)
    cluster(machine).up()
    assert isinstance(meant(), KindCluster)


@pytest.mark.parametrize("name", ["", "..", "a/b", "Mine", "-x"])
def test_a_name_that_no_cluster_can_have_is_refused(machine: Path, name: str) -> None:
    with pytest.raises(PrerequisiteError, match="is no name of a kind cluster"):
        cluster(machine, name)


def test_a_cluster_that_is_not_there_has_no_kubeconfig(machine: Path) -> None:
    with pytest.raises(ClusterError, match="there is no kind cluster mine: run `up` first"):
        cluster(machine, "mine").handle()


def test_another_release_is_chosen_by_its_node_image() -> None:
    assert kind._image({}) == ()
    assert kind._image({"AOS_KIND_IMAGE": "node:v1.35"}) == ("--image=node:v1.35",)


def test_what_kind_says_about_a_failure_is_passed_on(machine: Path) -> None:
    (machine / "bin" / "kind").write_text("#!/bin/sh\necho 'port is taken' >&2; exit 1\n")
    with pytest.raises(ClusterError, match="port is taken"):
        cluster(machine).up()


def test_a_cluster_of_kinds_without_kind_is_explained(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PrerequisiteError, match="kind is not on PATH"):
        cluster(machine).status()


def test_the_configuration_keeps_the_network_that_enforces_policies() -> None:
    content = yaml.safe_load(kind._CONFIG.read_text())
    assert content["kind"] == "Cluster"
    assert content["networking"]["disableDefaultCNI"] is False
