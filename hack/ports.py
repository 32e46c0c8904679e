"""Ports of loopback that nobody listens on, for servers that are about to start."""

import random
import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"
LOWEST: Final = 20_000
HIGHEST: Final = 29_999
"""Above stand node ports, and those that the kernel takes for outgoing connections."""

_ATTEMPTS: Final = 1_000


def free_port() -> int:
    """Return a port that nobody listens on now; drawn by lot, so that processes that ask at once get different ones.

    Raises:
        OSError: none was found.
    """
    lot = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        port = lot.randint(LOWEST, HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port of {LOOPBACK} between {LOWEST} and {HIGHEST} was found")
