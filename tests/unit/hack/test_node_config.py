"""What is written for a node before it starts: configuration that parses, programs in an order that works."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from hack.cluster import node_config as config
from hack.cluster.node_config import Folders

FOLDERS = Folders(
    state=Path("/s/node"),
    kube=Path("/c/kube"),
    containerd=Path("/c/containerd"),
    runc=Path("/c/runc"),
    calico=Path("/c/calico"),
)
TEMPLATES = sorted(path.name for path in (Path(config.__file__).parent / "templates").iterdir())


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_is_filled_in_completely_and_parses(name: str) -> None:
    text = config.render(name, FOLDERS)
    assert "${" not in text
    if name.endswith(".toml"):
        assert tomllib.loads(text)
    else:
        # JSON is YAML too.
        assert all(yaml.safe_load_all(text))


def test_the_kubelet_stays_in_a_tree_of_control_groups_of_its_own() -> None:
    kubelet = yaml.safe_load(config.render("kubelet.yaml", FOLDERS))
    assert kubelet["cgroupRoot"] == f"/{config.CGROUP}"
    assert kubelet["clusterDNS"] == ["10.96.0.10"]
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}


def test_what_is_killed_again_and_again_is_not_kept_waiting() -> None:
    kubelet = yaml.safe_load(config.render("kubelet.yaml", FOLDERS))
    assert kubelet["crashLoopBackOff"] == {"maxContainerRestartPeriod": "1s"}


def test_containers_start_through_the_tools_that_were_built() -> None:
    containerd = tomllib.loads(config.render("containerd.toml", FOLDERS))
    runtime = containerd["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["cni"]["bin_dirs"] == ["/c/containerd", "/c/calico"]
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == "/c/runc/runc"


def test_pods_take_addresses_from_the_range_that_is_routed() -> None:
    plugins = json.loads(config.render("cni.json", FOLDERS))["plugins"]
    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": config.POD_RANGE}]]
    assert plugins[0]["policy"] == {"type": "k8s"}


def test_the_specification_survives_its_file() -> None:
    spec = config.spec(FOLDERS)
    read = json.loads(json.dumps(spec.to_json()))
    assert read["hostname"] == config.NAME
    assert [program["name"] for program in read["programs"]] == [program.name for program in spec.programs]
    assert {"GOGC", "GOMEMLIMIT"} <= set(read["environment"])
    assert read["environment"]["PATH"].startswith("/c/containerd:/c/runc:/c/calico:/c/kube:")


def test_nothing_starts_before_the_network_and_clients_wait_for_their_server() -> None:
    after = {program.name: set(program.after) for program in config.programs(FOLDERS)}
    assert all(config.NETWORK in markers for markers in after.values())
    clients = {name for name, markers in after.items() if config.API_READY in markers}
    assert clients == {"kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy"}
    assert config.POLICY_RESOURCES in after["calico-felix"]


def test_only_felix_gets_felixs_settings() -> None:
    for program in config.programs(FOLDERS):
        assert bool(program.environment) is (program.name == "calico-felix")
    felix = config.felix_environment(FOLDERS)
    assert felix["KUBECONFIG"] == "/s/node/users/calico.kubeconfig"
    assert felix["FELIX_FELIXHOSTNAME"] == config.NAME


def test_the_node_has_no_way_out_of_the_machine() -> None:
    assert not [command for command in config.network() if "default" in command]
