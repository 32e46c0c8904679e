"""Where Kubernetes comes from on this machine: gathered as facts, then judged in one fixed order."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hack.cluster import build, recipes
from hack.cluster.paths import Paths

CONTROL_PLANE_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE_PROGRAMS = (*CONTROL_PLANE_PROGRAMS, "kube-scheduler", "kube-proxy", "kubelet")

_DOCKER_SECONDS = 10.0


class Source(StrEnum):
    """The ways to a Kubernetes, best first."""

    GIVEN = "the cluster of the kubeconfig that was given"
    KIND = "kind on a Docker engine"
    ASSETS = "the programs in KUBEBUILDER_ASSETS"
    CACHE = "programs built or downloaded before"
    RELEASE = "the official release"
    MODULES = "Go modules"


@dataclass(frozen=True)
class Facts:
    """All that the choice depends on."""

    control_plane: bool
    kubeconfig: Path | None = None
    kind: str | None = None
    docker_answers: bool = False
    assets: Path | None = None
    assets_missing: tuple[str, ...] = ()
    cached: bool = False
    etcd: str | None = None


@dataclass(frozen=True)
class Choice:
    """A source, and why those before it were passed over."""

    source: Source
    passed_over: tuple[str, ...]


def choose(facts: Facts) -> Choice:
    """Choose the first source that can serve; Go modules always can, or their build says what is missing."""
    passed_over: list[str] = []
    for source, obstacle in _obstacles(facts):
        if obstacle is None:
            return Choice(source, tuple(passed_over))
        passed_over.append(f"{source}: {obstacle}")
    return Choice(Source.MODULES, tuple(passed_over))


def _obstacles(facts: Facts) -> tuple[tuple[Source, str | None], ...]:
    return (
        (Source.GIVEN, None if facts.kubeconfig else "no --kubeconfig"),
        (Source.KIND, _against_kind(facts)),
        (Source.ASSETS, _against_assets(facts)),
        (Source.CACHE, None if facts.cached else "the cache is empty, or its pins have changed"),
        (Source.RELEASE, None if facts.etcd else "it has no etcd, and there is none on PATH"),
    )


def _against_kind(facts: Facts) -> str | None:
    if facts.control_plane:
        return "a control plane alone needs no Docker engine"
    if facts.kind is None:
        return "no kind on PATH"
    return None if facts.docker_answers else "no Docker engine answers"


def _against_assets(facts: Facts) -> str | None:
    if facts.assets is None:
        return "not set"
    if not facts.control_plane:
        return "they hold no node"
    if facts.assets_missing:
        return f"{facts.assets} lacks {', '.join(facts.assets_missing)}"
    return None


def gather(
    paths: Paths,
    *,
    control_plane: bool,
    kubeconfig: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Facts:
    """Look at the machine."""
    given = environment.get("KUBEBUILDER_ASSETS")
    assets = Path(given).absolute() if given else None
    kind = None if control_plane else shutil.which("kind")
    return Facts(
        control_plane=control_plane,
        kubeconfig=kubeconfig,
        kind=kind,
        docker_answers=kind is not None and docker_answers(),
        assets=assets,
        assets_missing=() if assets is None else absent_from(assets, CONTROL_PLANE_PROGRAMS),
        cached=build.built(paths.programs, recipes.kube()).is_dir(),
        etcd=shutil.which("etcd"),
    )


def absent_from(folder: Path, programs: tuple[str, ...]) -> tuple[str, ...]:
    """Give those programs that a folder does not hold."""
    return tuple(name for name in programs if not os.access(folder / name, os.X_OK))


def docker_answers() -> bool:
    """Tell whether a Docker engine is there, not only its client."""
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=_DOCKER_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0
