"""The node's traces outside its namespaces: one interface with two routes, and a tree of control groups."""

import json
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import flags
from hack.cluster.errors import ClusterError, OwnershipError, PrerequisiteError
from hack.cluster.node_config import CGROUP, HOST_ADDRESS, LINK, NODE_ADDRESS, POD_RANGE, PREFIX_BITS

_ALIAS = "aos-cluster "
_MOUNTS = Path("/proc/self/mountinfo")
_CGROUP_TYPES = ("cgroup", "cgroup2")
_WEIGHTS = {"cpu.shares": "16384", "cpu.weight": "1600"}
"""Of the processor's time, for control groups v1 and v2: by default all of a node together gets as much as one process."""
_OVERLAY = "overlay"
_CLEAR_SECONDS = 10.0
_RETRY_SECONDS = 0.1


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo: where it is mounted and what file system it is (proc_pid_mountinfo(5))."""

    point: Path
    kind: str


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Read the text of /proc/self/mountinfo."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        found.append(Mount(Path(point), after.split()[0]))
    return tuple(found)


def mount_below(path: Path, mounts: tuple[Mount, ...]) -> Mount | None:
    """Give the mount that a path lies on."""
    holding = [mount for mount in mounts if path.is_relative_to(mount.point)]
    # Of several mounts on one point the last one is seen.
    return (
        max(enumerate(holding), key=lambda item: (len(item[1].point.parts), item[0]))[1] if holding else None
    )


def check_state_folder(folder: Path, mounts: tuple[Mount, ...] | None = None) -> None:
    """Raise when a node cannot keep its state in a folder."""
    for hidden in (
        Path("/etc"),
        Path("/var/lib"),
        Path("/var/log"),
        Path("/run"),
        Path("/proc"),
        Path("/sys"),
    ):
        if folder.is_relative_to(hidden):
            raise PrerequisiteError(
                f"the state directory {folder} lies below {hidden}, which the node covers with a mount of its own: "
                "choose another one with --state or AOS_CLUSTER_HOME"
            )
    below = mount_below(folder, parse_mounts(_MOUNTS.read_text()) if mounts is None else mounts)
    if below is not None and below.kind == _OVERLAY:
        raise PrerequisiteError(
            f"the state directory {folder} lies on an overlay file system (a container's own layer), "
            "which cannot hold another overlay: choose a directory on a volume with --state or AOS_CLUSTER_HOME"
        )


def link_owner() -> Path | None:
    """Tell whose state directory the interface on this machine names; None when there is no interface."""
    if shutil.which("ip") is None:
        return None
    shown = subprocess.run(["ip", "-json", "link", "show", LINK], capture_output=True, text=True, check=False)
    if shown.returncode != 0:
        return None
    alias = str(json.loads(shown.stdout)[0].get("ifalias", ""))
    if not alias.startswith(_ALIAS):
        raise OwnershipError(
            f"an interface named {LINK} exists that this tool did not make: remove it (`ip link delete {LINK}`), "
            "or use kind, or a cluster of your own with --kubeconfig"
        )
    return Path(alias.removeprefix(_ALIAS))


def create_link(state: Path, pid: int) -> None:
    """Join this machine and the node's network namespace by a pair of interfaces, and route to pods and services."""
    _ip("link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    _ip("link", "set", LINK, "alias", f"{_ALIAS}{state}")
    _ip("address", "add", f"{HOST_ADDRESS}/{PREFIX_BITS}", "dev", LINK)
    _ip("link", "set", LINK, "up")
    for network in (flags.SERVICE_RANGE, POD_RANGE):
        _ip("route", "add", network, "via", NODE_ADDRESS, "dev", LINK)


def delete_link() -> None:
    """Remove the interface; its other end, addresses and routes go with it."""
    subprocess.run(["ip", "link", "delete", LINK], capture_output=True, check=False)


def cgroup_roots(mounts: tuple[Mount, ...] | None = None) -> tuple[Path, ...]:
    """Name the node's control group in every hierarchy of this machine."""
    found = parse_mounts(_MOUNTS.read_text()) if mounts is None else mounts
    return tuple(mount.point / CGROUP for mount in found if mount.kind in _CGROUP_TYPES)


def create_cgroups() -> None:
    """Make the control groups that the kubelet asks for before it starts."""
    for root in cgroup_roots():
        try:
            root.mkdir(exist_ok=True)
        except OSError as problem:
            raise PrerequisiteError(
                f"the control group {root} cannot be made ({problem.strerror}): a node needs root on a machine "
                "whose control groups may be written; in a container that takes its privileged mode"
            ) from problem
        weigh(root)


def weigh(root: Path) -> None:
    """Let a node get as much of a busy machine as its many programs would get by themselves."""
    for name, weight in _WEIGHTS.items():
        # Only the hierarchy of the processor has such a file; where it can't be written, the node is slower and nothing else.
        if (root / name).exists():
            with suppress(OSError):
                (root / name).write_text(weight)


def delete_cgroups() -> None:
    """Remove the node's control groups; the kernel lets go of ended processes' groups a little later."""
    deadline = time.monotonic() + _CLEAR_SECONDS
    while left := [root for root in cgroup_roots() if root.is_dir()]:
        for root in left:
            _remove_tree(root)
        if time.monotonic() > deadline:
            raise ClusterError(
                f"the control groups {', '.join(map(str, left))} still hold processes: "
                "look into their cgroup.procs, end those, and run `down` again"
            )
        time.sleep(_RETRY_SECONDS)


def _remove_tree(root: Path) -> None:
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        _remove(folder)
    _remove(root)


def _remove(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        # Busy for now, or gone; the caller looks again.
        return


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(
            f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}. "
            f"The node uses {HOST_ADDRESS}/{PREFIX_BITS}, {POD_RANGE} and {flags.SERVICE_RANGE}: "
            "if another route of this machine (a VPN's, say) has them, end that first or use kind"
        )
