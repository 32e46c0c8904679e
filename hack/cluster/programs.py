"""Gives the folder that holds the Kubernetes programs, whatever source they come from."""

import shutil
from pathlib import Path

from hack.cluster import build, recipes, release
from hack.cluster.errors import BuildError
from hack.cluster.paths import Paths
from hack.cluster.progress import say
from hack.cluster.source import CONTROL_PLANE_PROGRAMS, NODE_PROGRAMS, Choice, Facts, Source


def kubernetes(paths: Paths, facts: Facts, choice: Choice) -> Path:
    """Give a folder with every program that the kind of cluster needs."""
    if choice.source is Source.ASSETS and facts.assets is not None:
        return facts.assets
    if choice.source is Source.RELEASE and facts.etcd is not None:
        try:
            return _released(paths, facts.etcd, control_plane=facts.control_plane)
        except BuildError as problem:
            say(f"{problem}; building from Go modules instead")
    if choice.source in {Source.RELEASE, Source.MODULES}:
        say("building Kubernetes from Go modules; this takes about ten minutes, once")
    return build.ensure(paths.programs, recipes.kube())


def _released(paths: Paths, etcd: str, *, control_plane: bool) -> Path:
    wanted = CONTROL_PLANE_PROGRAMS if control_plane else NODE_PROGRAMS
    names = tuple(name for name in wanted if name != "etcd")
    folder = release.ensure(paths.programs, recipes.kubernetes_version(), names)
    link = folder / "etcd"
    link.unlink(missing_ok=True)
    link.symlink_to(etcd)
    return folder


def tool(paths: Paths, name: str) -> Path:
    """Find `kubectl` or `helm`, or build it."""
    if name == "helm":
        on_path = shutil.which("helm")
        return Path(on_path) if on_path else build.ensure(paths.programs, recipes.helm()) / "helm"
    cached = build.built(paths.programs, recipes.kube())
    if cached.is_dir():
        return cached / "kubectl"
    try:
        return release.ensure(paths.programs, recipes.kubernetes_version(), ("kubectl",)) / "kubectl"
    except BuildError as problem:
        say(f"{problem}; building from Go modules instead")
    return build.ensure(paths.programs, recipes.kube()) / "kubectl"
