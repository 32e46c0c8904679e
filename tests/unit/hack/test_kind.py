"""How kind is driven, with a stand-in for the program: no Docker engine is at hand where unit tests run."""

import os
from pathlib import Path

import pytest
import yaml

from hack.cluster import kind
from hack.cluster.errors import ClusterError, OwnershipError, PrerequisiteError
from hack.cluster.kind import KindCluster
from hack.cluster.paths import Paths

FAKE = """#!/bin/sh
echo "$@" >> {folder}/calls
case "$1 $2" in
  "get clusters") cat {folder}/clusters ;;
  "create cluster") echo aos >> {folder}/clusters; touch {folder}/state/kind/kubeconfig ;;
  "delete cluster") : > {folder}/clusters ;;
  "load image-archive") exit 0 ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in {
        "kind": FAKE.format(folder=tmp_path),
        "kubectl": '#!/bin/sh\necho \'{"serverVersion": {"gitVersion": "v1.37.0"}}\'\n',
        "docker": "#!/bin/sh\necho 'fc00::1 172.18.0.1 '\n",
    }.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tmp_path / "clusters").touch()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr("hack.cluster.images.archive", lambda *_: tmp_path / "probe.tar")
    return tmp_path


def cluster(machine: Path, name: str | None = None) -> KindCluster:
    return KindCluster(Paths(state=machine / "state", cache=machine / "cache"), name)


def calls(machine: Path, word: str) -> list[str]:
    return [line for line in (machine / "calls").read_text().splitlines() if line.startswith(word)]


def test_a_cluster_is_made_once_and_ended(machine: Path) -> None:
    cluster(machine).up()
    cluster(machine).up()
    (made,) = calls(machine, "create")
    assert "--name=aos" in made
    assert f"--kubeconfig={machine}/state/kind/kubeconfig" in made
    assert len(calls(machine, "load")) == 1
    assert cluster(machine).status().sentence == "up in Docker, Kubernetes v1.37.0"
    assert cluster(machine).handle().host_address == "172.18.0.1"
    cluster(machine).down()
    assert len(calls(machine, "delete")) == 1
    assert not cluster(machine).status().made
    assert not (machine / "state" / "kind").exists()


def test_a_cluster_of_the_same_name_that_somebody_else_made_is_left_alone(machine: Path) -> None:
    (machine / "clusters").write_text("aos\n")
    for act in (cluster(machine).up, cluster(machine).down):
        with pytest.raises(OwnershipError, match="--kind-name aos"):
            act()
    assert not calls(machine, "delete")
    cluster(machine, "aos").down()
    assert calls(machine, "delete") == [
        f"delete cluster --kubeconfig={machine}/state/kind/kubeconfig --name=aos"
    ]


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
