"""The node's own life: what breaks it is repaired, and what ends it leaves nothing. Runs last, for it takes the node away."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from hack.cluster import node_config, node_host
from hack.cluster.backends import LocalNode
from hack.cluster.handle import Handle
from hack.cluster.kubectl import wait_until
from hack.cluster.paths import Paths
from hack.cluster.process import Table, children
from hack.cluster.session import choose_cluster
from tests.e2e.api import Api
from tests.e2e.installation import at


@pytest.fixture(scope="module")
def bare(api: Api, cluster: LocalNode) -> LocalNode:
    """The node without what earlier tests ran on it: each repair would have to start all of that, and no test looks at it."""
    for kind in ("deployment", "pod"):
        for one in api.items(f"{kind}s"):
            namespace, name = str(at(one, "metadata.namespace")), str(at(one, "metadata.name"))
            if namespace != "kube-system":
                api.delete(kind, name, namespace, grace_seconds=0)
    return cluster


@pytest.fixture(scope="module")
def cluster(node: Handle, *, node_was_there: bool) -> LocalNode:
    if node_was_there and os.environ.get("CI") != "true":
        pytest.skip(
            "a cluster stood before these tests and is not theirs to break: run `hack.cluster down` first"
        )
    found = choose_cluster()
    assert isinstance(found, LocalNode)
    return found


def init_pid() -> int:
    return Table(Paths.from_environment().node / "processes.json").read()["init"].pid


def test_a_second_up_changes_nothing(node: Handle) -> None:
    table = Paths.from_environment().node / "processes.json"
    before = table.read_bytes()
    choose_cluster().up()
    assert table.read_bytes() == before


def pid_of(name: str) -> int | None:
    for child in children(init_pid()):
        with suppress(OSError):  # it has ended meanwhile
            if Path(Path(f"/proc/{child.pid}/cmdline").read_text().split("\0")[0]).name == name:
                return child.pid
    return None


@pytest.mark.parametrize("name", ["kube-apiserver", "containerd"])
def test_a_program_that_ends_is_started_again_by_itself(cluster: LocalNode, node: Handle, name: str) -> None:
    pid = pid_of(name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: pid_of(name) not in {None, pid}, 10, 0.2)
    assert wait_until(lambda: cluster.status().is_up, 60, 0.2), cluster.status().sentence


def test_up_repairs_a_node_whose_first_process_was_killed_and_keeps_its_objects(
    bare: LocalNode, node: Handle
) -> None:
    cluster = bare
    node.kubectl("delete", "configmap", "kept", "--namespace=default", "--ignore-not-found")
    assert node.kubectl("create", "configmap", "kept", "--namespace=default").ok
    os.kill(init_pid(), signal.SIGKILL)
    # All that ran below it ends first, which takes a moment on a busy machine.
    assert wait_until(lambda: "first process is gone" in cluster.status().sentence, 60, 0.2)
    cluster.up()
    assert cluster.status().is_up
    assert node.kubectl("delete", "configmap", "kept", "--namespace=default").ok


def test_down_leaves_no_process_mount_interface_group_or_file(
    cluster: LocalNode, *, node_was_there: bool
) -> None:
    init = init_pid()
    namespace = Path(f"/proc/{init}/ns/pid").readlink()
    cluster.down()
    assert cluster.status().sentence == "not up"
    assert namespace not in {
        link.readlink() for link in Path("/proc").glob("[0-9]*/ns/pid") if link.is_symlink()
    }
    assert node_host.link_owner() is None
    assert str(Paths.from_environment().state) not in Path("/proc/self/mountinfo").read_text()
    assert not [root for root in node_host.cgroup_roots() if root.exists()]
    assert node_config.NODE_ADDRESS not in Path("/proc/net/fib_trie").read_text()
    assert not Paths.from_environment().node.exists()
    cluster.down()
    assert cluster.status().sentence == "not up"
    if node_was_there:
        cluster.up()
