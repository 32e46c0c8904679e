"""Says by its exit code whether the helper answers; the kubelet runs it inside the helper's container."""

import socket
import sys
from typing import Final

from aos.model.names import HELPER_PORT

HEALTH_PATH: Final = "/healthz"
_TIMEOUT_SECONDS: Final = 2


def answers(port: int = HELPER_PORT) -> bool:
    """Return whether the helper on this machine's loopback says that it is well."""
    try:
        with socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS) as connection:
            connection.sendall(
                f"GET {HEALTH_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
            )
            return connection.recv(64).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not answers())
