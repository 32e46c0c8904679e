"""What a node leaves on the machine is recognised as ours, or as somebody else's."""

import subprocess
from pathlib import Path

import pytest

from hack.cluster import node_host
from hack.cluster.errors import ClusterError, OwnershipError, PrerequisiteError
from hack.cluster.node_host import Mount

MOUNTINFO = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:25 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
31 22 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
40 22 0:40 / /with\\040space rw - tmpfs tmpfs rw
41 22 0:41 / /box rw master:1 - overlay overlay rw,lowerdir=/a
42 41 8:2 / /box/volume rw - ext4 /dev/b rw
43 42 0:43 / /box/volume rw - overlay overlay rw
"""
MOUNTS = node_host.parse_mounts(MOUNTINFO)


def answer(monkeypatch: pytest.MonkeyPatch, returncode: int, stdout: str) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/sbin/{name}")
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda *_, **__: subprocess.CompletedProcess([], returncode, stdout, "RTNETLINK: no"),
    )


def test_mounts_are_read_with_their_type_and_escapes() -> None:
    assert MOUNTS[0] == Mount(Path("/"), "ext4")
    assert MOUNTS[3] == Mount(Path("/with space"), "tmpfs")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/x", "ext4"),
        ("/box/state", "overlay"),
        # Of two mounts on one point the later one is seen.
        ("/box/volume/state", "overlay"),
        ("/boxes", "ext4"),
    ],
)
def test_a_path_lies_on_the_nearest_mount_above_it(path: str, kind: str) -> None:
    found = node_host.mount_below(Path(path), MOUNTS)
    assert found is not None
    assert found.kind == kind


def test_a_path_below_no_mount_lies_on_none() -> None:
    assert node_host.mount_below(Path("/x"), ()) is None


def test_state_may_stand_on_a_real_file_system() -> None:
    node_host.check_state_folder(Path("/home/jane/.local/state"), MOUNTS)


@pytest.mark.parametrize("path", ["/var/lib/aos", "/etc/aos", "/run/user/1000/aos", "/var/log/x"])
def test_state_may_not_stand_where_the_node_mounts_its_own(path: str) -> None:
    with pytest.raises(PrerequisiteError, match="AOS_CLUSTER_HOME"):
        node_host.check_state_folder(Path(path), MOUNTS)


def test_state_may_not_stand_on_an_overlay() -> None:
    with pytest.raises(PrerequisiteError, match=r"overlay .* choose a directory on a volume"):
        node_host.check_state_folder(Path("/box/state"), MOUNTS)


def test_there_is_a_control_group_in_every_hierarchy() -> None:
    assert node_host.cgroup_roots(MOUNTS) == (
        Path("/sys/fs/cgroup/memory/aos-cluster"),
        Path("/sys/fs/cgroup/unified/aos-cluster"),
    )


def test_an_interface_names_the_state_it_belongs_to(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, 0, '[{"ifname": "aos0", "ifalias": "aos-cluster /s/node"}]')
    assert node_host.link_owner() == Path("/s/node")


def test_no_interface_has_no_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, 1, "")
    assert node_host.link_owner() is None


def test_a_machine_without_ip_has_no_interface_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert node_host.link_owner() is None


@pytest.mark.parametrize("alias", ['"ifalias": "mine"', '"mtu": 1500'])
def test_an_interface_of_somebody_else_is_left_alone(monkeypatch: pytest.MonkeyPatch, alias: str) -> None:
    answer(monkeypatch, 0, f'[{{"ifname": "aos0", {alias}}}]')
    with pytest.raises(OwnershipError, match="that this tool did not make"):
        node_host.link_owner()


def test_a_route_that_is_taken_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, 2, "")
    with pytest.raises(ClusterError, match=r"RTNETLINK: no.*a VPN's"):
        node_host.create_link(Path("/s/node"), 42)


def test_control_groups_go_from_the_leaves_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "aos-cluster"
    (root / "kubepods" / "pod1" / "container").mkdir(parents=True)
    (root / "kubepods" / "pod2").mkdir()
    monkeypatch.setattr(node_host, "cgroup_roots", lambda: (root,))
    node_host.delete_cgroups()
    assert not root.exists()


def test_a_control_group_that_stays_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "aos-cluster"
    root.mkdir()
    (root / "cgroup.procs").touch()
    monkeypatch.setattr(node_host, "cgroup_roots", lambda: (root,))
    monkeypatch.setattr(node_host, "_CLEAR_SECONDS", 0.0)
    with pytest.raises(ClusterError, match=r"still hold processes: look into their cgroup\.procs"):
        node_host.delete_cgroups()


def test_a_machine_that_forbids_control_groups_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_host, "cgroup_roots", lambda: (tmp_path / "missing" / "aos-cluster",))
    with pytest.raises(
        PrerequisiteError, match="needs root on a machine whose control groups may be written"
    ):
        node_host.create_cgroups()


@pytest.mark.parametrize(("file", "weight"), [("cpu.shares", "16384"), ("cpu.weight", "1600")])
def test_a_node_weighs_more_than_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, weight: str
) -> None:
    monkeypatch.setattr(node_host, "cgroup_roots", lambda: (tmp_path, tmp_path / "memory"))
    (tmp_path / file).touch()
    node_host.create_cgroups()
    assert (tmp_path / file).read_text() == weight
    assert list((tmp_path / "memory").iterdir()) == []
