"""Lends a whole cluster to a test session."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hack.cluster import backends
from hack.cluster.backends import Backend
from hack.cluster.errors import PrerequisiteError
from hack.cluster.files import shared
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths


def choose_cluster(kubeconfig: Path | None = None) -> Backend:
    """Choose the cluster for a test session; nothing is started."""
    return backends.select(
        Paths.from_environment(), control_plane=False, kubeconfig=kubeconfig, kind_name=None
    )


def prepare(*, control_plane: bool, kubeconfig: Path | None = None) -> None:
    """Build or fetch what a session needs, before any test's time runs; what stands in the way, `up` will say again."""
    cluster = backends.select(
        Paths.from_environment(), control_plane=control_plane, kubeconfig=kubeconfig, kind_name=None
    )
    with suppress(PrerequisiteError):
        cluster.prepare()


@contextmanager
def borrowed(kubeconfig: Path | None = None, made: Path | None = None) -> Iterator[Handle]:
    """Bring a cluster up and give it back as it was: one that was there before stays, a new one is ended.

    Args:
        kubeconfig: of a cluster that somebody else keeps.
        made: a file by which the processes of one session tell each other that one of them made the cluster; the last ends it.

    Raises:
        PrerequisiteError: this machine can have none; nothing was started.
    """
    cluster = choose_cluster(kubeconfig)
    with shared(Paths.from_environment().state / "sessions.lock") as alone:
        is_new = not cluster.status().made
        if is_new and made is not None:
            made.touch()
        try:
            cluster.up()
            yield cluster.handle()
        finally:
            is_ours = is_new if made is None else made.exists()
            # Another session may have begun since, and works on this cluster.
            if is_ours and alone():
                cluster.down()
