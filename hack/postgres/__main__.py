"""``python -m hack.postgres``: run a private PostgreSQL until interrupted; prints its URL."""

import contextlib
import signal
import sys

from hack.cluster.errors import PrerequisiteError
from hack.postgres.server import running


def main() -> int:
    """Run a server; return the exit code."""
    try:
        with running(durable=True) as server:
            print(server.url(), flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
    except PrerequisiteError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
