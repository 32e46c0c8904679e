"""What is said about a node, for every way in which it can be broken."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hack.cluster import node_host
from hack.cluster.errors import ClusterError, NotReadyError, OwnershipError, PrerequisiteError
from hack.cluster.node import Health, Node
from hack.cluster.node_config import Folders
from hack.cluster.node_steps import INIT, Steps, says_ready
from hack.cluster.paths import Paths
from hack.cluster.process import Table, identify

UP = Health(made=True, alive=True, linked=True, complete=True, api_ready=True, node_ready=True)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(state=tmp_path / "state", cache=tmp_path / "cache")


def folders(state: Path) -> Folders:
    return Folders(state=state, kube=Path("/k"), containerd=Path("/c"), runc=Path("/r"), calico=Path("/f"))


@pytest.mark.parametrize(
    ("health", "is_up", "words"),
    [
        (Health(made=False, alive=False), False, "not up"),
        (UP, True, "up at https://198.51.100.2:6443"),
        (Health(made=True, alive=False), False, "its first process is gone"),
        (Health(made=True, alive=True), False, "its interface aos0 on this machine is gone"),
        (Health(made=True, alive=True, linked=True), False, "an earlier `up` did not come to its end"),
        (Health(made=True, alive=True, linked=True, complete=True), False, "the API server does not answer"),
        (
            Health(made=True, alive=True, linked=True, complete=True, api_ready=True),
            False,
            "the node is not Ready; `up` repairs it",
        ),
    ],
)
def test_health_is_told_in_one_sentence(health: Health, *, is_up: bool, words: str) -> None:
    assert health.is_up is is_up
    assert words in health.describe()


@pytest.mark.parametrize(
    ("status", "beat", "since", "expected"),
    [
        ("True", "2026-01-01T10:00:00Z", None, True),
        ("False", "2026-01-01T10:00:00Z", None, False),
        ("Unknown", "2026-01-01T10:00:00Z", None, False),
        # A word from before the node was started again says nothing,
        ("True", "2026-01-01T10:00:00Z", datetime(2026, 1, 1, 10, 0, 1, tzinfo=UTC), False),
        # and times are whole seconds.
        ("True", "2026-01-01T10:00:01Z", datetime(2026, 1, 1, 10, 0, 1, 900000, tzinfo=UTC), True),
    ],
)
def test_only_a_word_from_this_life_counts(
    status: str, beat: str, since: datetime | None, *, expected: bool
) -> None:
    assert says_ready(json.dumps({"status": status, "lastHeartbeatTime": beat}), since) is expected


def test_a_node_that_was_never_made_is_not_up_and_says_how_to_get_one(paths: Paths) -> None:
    node = Node(paths)
    assert not node.health().made
    with pytest.raises(ClusterError, match="run `up` first"):
        node.handle()
    assert not paths.state.exists()


def test_without_root_every_other_way_is_named(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(PrerequisiteError, match=r"run as root, use kind .*--kubeconfig.*--control-plane"):
        Node(paths).up(lambda: pytest.fail("nothing may be built before the machine is checked"))


def test_a_living_node_of_another_state_directory_is_left_alone(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "node"
    this_process = identify(1)
    assert this_process is not None
    Table(other / "processes.json").write({INIT: this_process})
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("hack.cluster.packages.ensure_packages", lambda *_, **__: None)
    monkeypatch.setattr(node_host, "check_state_folder", lambda _: None)
    monkeypatch.setattr(node_host, "link_owner", lambda: other)
    monkeypatch.setattr(node_host, "delete_link", lambda: pytest.fail("not ours"))
    monkeypatch.setattr(node_host, "delete_cgroups", lambda: pytest.fail("not ours"))
    with pytest.raises(OwnershipError, match=f"run `--state {other.parent} down` first"):
        Node(paths).up(lambda: pytest.fail("nothing may be built"))
    Node(paths).down()


def test_an_interface_that_a_dead_node_left_is_removed(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = []
    monkeypatch.setattr(node_host, "link_owner", lambda: Path("/gone/node"))
    monkeypatch.setattr(node_host, "delete_link", lambda: removed.append("link"))
    monkeypatch.setattr(node_host, "delete_cgroups", lambda: removed.append("groups"))
    Node(paths).down()
    assert removed == ["link", "groups"]


def test_a_first_process_that_ended_is_explained_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "init.log").write_text("first\n" * 50 + "mount failed\n")
    with pytest.raises(
        NotReadyError, match=r"(?s)first process ended.*mount failed.*`down` and then `up`"
    ) as raised:
        Steps(folders(tmp_path), Table(tmp_path / "processes.json")).init()
    assert str(raised.value).count("first\n") < 15


def test_files_are_written_once_more_without_changing_keys_or_users(tmp_path: Path) -> None:
    steps = Steps(folders(tmp_path), Table(tmp_path / "processes.json"))
    steps.write_files()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    steps.write_files()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert {path.stem for path in (tmp_path / "users").iterdir()} >= {"admin", "kubelet", "kube-proxy"}
    assert not list((tmp_path / "cni").iterdir())
