"""Lends a whole cluster to a test session."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster import backends
from hack.cluster.backends import Backend
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths


def choose_cluster(kubeconfig: Path | None = None) -> Backend:
    """Choose the cluster for a test session; nothing is started."""
    return backends.select(
        Paths.from_environment(), control_plane=False, kubeconfig=kubeconfig, kind_name=None
    )


@contextmanager
def borrowed(kubeconfig: Path | None = None) -> Iterator[Handle]:
    """Bring a cluster up and give it back as it was: one that was there before stays, a new one is ended.

    Raises PrerequisiteError when this machine can have none, before anything is started.
    """
    cluster = choose_cluster(kubeconfig)
    made_before = cluster.status().made
    try:
        cluster.up()
        yield cluster.handle()
    finally:
        if not made_before:
            cluster.down()
