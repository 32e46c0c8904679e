"""What is said about a control plane, and what its programs are told."""

from pathlib import Path

import pytest

from hack.cluster import flags
from hack.cluster.control_plane import NAMES, Config, ControlPlane, Health, Ports, free_ports
from hack.cluster.errors import ClusterError
from hack.cluster.paths import Paths

CONFIG = Config("/programs", Ports(api=1, etcd_client=2, etcd_peer=3))
ALL = frozenset(NAMES)


@pytest.mark.parametrize(
    ("health", "is_up", "words"),
    [
        (Health(None, frozenset(), ready=False), False, "not up"),
        (Health(CONFIG, ALL, ready=True), True, "up at https://127.0.0.1:1"),
        (Health(CONFIG, ALL, ready=False), False, "all programs run, but the API server is not ready"),
        (Health(CONFIG, ALL - {"etcd"}, ready=False), False, "broken: etcd ended"),
        # The API server may still answer while what lets namespaces work is gone.
        (
            Health(CONFIG, ALL - {"kube-controller-manager"}, ready=True),
            False,
            "kube-controller-manager ended",
        ),
    ],
)
def test_health_is_told_in_one_sentence(health: Health, *, is_up: bool, words: str) -> None:
    assert health.is_up is is_up
    assert words in health.describe()


def test_dead_programs_are_named_in_the_order_in_which_they_start() -> None:
    assert Health(CONFIG, frozenset(), ready=False).dead == NAMES


def test_ports_are_free_and_differ() -> None:
    ports = free_ports()
    assert len({ports.api, ports.etcd_client, ports.etcd_peer}) == 3


def test_looking_makes_nothing(tmp_path: Path) -> None:
    plane = ControlPlane(Paths(state=tmp_path / "state", cache=tmp_path / "cache"))
    assert plane.health().describe() == "not up"
    plane.down()
    with pytest.raises(ClusterError, match="run `up --control-plane` first"):
        plane.handle()
    assert not (tmp_path / "state").exists()


def test_the_api_server_authorises_by_node_and_role() -> None:
    given = flags.api_server(Path("/pki"), "http://127.0.0.1:2", "127.0.0.1", 1)
    assert {
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--client-ca-file=/pki/ca.crt",
        f"--service-account-issuer={flags.ISSUER}",
        "--bind-address=127.0.0.1",
        "--secure-port=1",
    } <= set(given)


def test_nothing_listens_without_authentication() -> None:
    assert "--secure-port=0" in flags.controller_manager(Path("/pki"), Path("/k"))
    listening = [
        flag for flag in flags.etcd(Path("/d"), "http://127.0.0.1:2", "http://127.0.0.1:3") if "http" in flag
    ]
    assert all("http://127.0.0.1:" in flag for flag in listening)
