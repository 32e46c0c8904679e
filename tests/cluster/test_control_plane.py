"""The tool that brings up a control plane, run for real beside the one that the other tests share."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster.control_plane import NAMES, ControlPlane
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.cluster.process import Table


def alive(cluster: ControlPlane) -> dict[str, int]:
    records = Table(cluster.folder / "processes.json").alive()
    return {name: record.pid for name, record in records.items()}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    one = ControlPlane(Paths.from_environment(state=tmp_path_factory.mktemp("own")))
    try:
        one.up()
        yield one
    finally:
        one.down()


def test_two_control_planes_stand_side_by_side(cluster: ControlPlane, control_plane: Handle) -> None:
    for handle in (cluster.handle(), control_plane):
        assert handle.kubectl("get", "serviceaccount/default", "--namespace=default").ok
    assert cluster.kubeconfig.read_text() != control_plane.kubeconfig.read_text()


def test_the_api_server_tells_the_version_that_the_modules_pin(control_plane: Handle) -> None:
    answer = json.loads(control_plane.kubectl("version", "--output=json").stdout)
    assert answer["serverVersion"]["gitVersion"] != "v0.0.0-master+$Format:%H$"


def test_a_second_up_changes_nothing_and_is_quick(cluster: ControlPlane) -> None:
    before = alive(cluster)
    started = time.monotonic()
    cluster.up()
    assert time.monotonic() - started < 1
    assert alive(cluster) == before


def test_a_minted_user_is_known_by_name_and_group_and_may_do_nothing(cluster: ControlPlane) -> None:
    handle = cluster.handle()
    theirs = f"--kubeconfig={handle.user('bob', 'dev', 'ops')}"
    asked = handle.kubectl(theirs, "auth", "whoami", "--output=json")
    who = json.loads(asked.stdout)["status"]["userInfo"]
    assert who["username"] == "bob"
    assert {"dev", "ops"} <= set(who["groups"])
    assert "forbidden" in handle.kubectl(theirs, "get", "secrets").stderr.lower()


def lose_programs(cluster: ControlPlane, folder: Path) -> None:
    """Let it have been started from a folder that lacks a program by now, as a cache that was deleted in part."""
    folder.mkdir()
    for name in ("etcd", "kube-apiserver", "kube-controller-manager"):
        (folder / name).symlink_to("/bin/false")
    config = cluster.folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"programs": str(folder)}))


def test_a_control_plane_whose_programs_are_gone_runs_on_and_has_others_for_what_comes(
    cluster: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = alive(cluster)
    lose_programs(cluster, tmp_path / "gone")
    cluster.up()
    assert "gone; choosing others" in capsys.readouterr().err
    assert alive(cluster) == before
    assert cluster.handle().kubectl("get", "namespaces").ok


@pytest.mark.parametrize("name", NAMES)
def test_up_repairs_a_control_plane_that_lost_a_program_and_keeps_its_data(
    cluster: ControlPlane, name: str
) -> None:
    handle = cluster.handle()
    assert handle.kubectl("create", "configmap", f"kept-{name}").ok
    before = alive(cluster)
    os.kill(before[name], signal.SIGKILL)
    while name in alive(cluster):
        time.sleep(0.01)
    assert not cluster.health().is_up
    cluster.up()
    after = alive(cluster)
    assert cluster.health().is_up
    assert after[name] != before[name]
    assert handle.kubectl("get", "configmap", f"kept-{name}").ok


def test_up_after_a_restart_of_the_machine_brings_everything_back_though_its_programs_are_gone(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    handle = cluster.handle()
    assert handle.kubectl("create", "configmap", "before-restart").ok
    table = Table(cluster.folder / "processes.json")
    table.end_all()
    # After a restart other processes may have the numbers of ours; this one stands for them.
    (cluster.folder / "processes.json").write_text(
        json.dumps({name: {"pid": os.getpid(), "start_ticks": 1, "boot_id": "another"} for name in NAMES})
    )
    lose_programs(cluster, tmp_path / "gone")
    assert cluster.health().dead == NAMES
    cluster.up()
    assert handle.kubectl("get", "configmap", "before-restart").ok


def test_down_leaves_no_process_and_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "where kubectl keeps what it knows"
    monkeypatch.setenv("KUBECACHEDIR", str(theirs))
    one = ControlPlane(Paths.from_environment(state=tmp_path))
    one.up()
    assert one.handle().kubectl("get", "namespaces").ok
    pids = alive(one).values()
    one.down()
    assert not one.folder.exists()
    assert not theirs.exists()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    one.down()
