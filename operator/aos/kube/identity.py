"""What a replica calls itself in a Lease. One that died and is started again in its pod finds the lease its own, and leads at once."""

import fcntl
import logging
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from aos.kube.lease import unique_identity

FOLDER: Final = Path(tempfile.gettempdir())
"""In a pod a volume of its own, which outlives its containers."""

_log = logging.getLogger(__name__)


@contextmanager
def identity_in_pod(pod_uid: str, folder: Path = FOLDER) -> Iterator[str]:
    """Lend a name that no other living process has.

    It is the pod's own, as a kubelet starts a container again only once the one before it has ended, and as the kernel lets go of a
    file's lock when a process ends, however it does: whoever else begins in the pod meanwhile gets a made-up name, and stands by.

    Args:
        pod_uid: of the pod that the process runs in; empty outside of one.
        folder: which all processes of the pod share, and nobody else.
    """
    with ExitStack() as held:
        yield f"{socket.gethostname()}_{pod_uid}" if _is_alone(pod_uid, folder, held) else unique_identity()


def _is_alone(pod_uid: str, folder: Path, held: ExitStack) -> bool:
    """Return whether the pod's lock could be had; ``held`` then keeps it."""
    if not pod_uid:
        return False
    try:
        file = held.enter_context((folder / f"aos-lease-{pod_uid}").open("w"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        _log.warning("this process does not lead in its pod's name: %s", error)
        return False
    return True
