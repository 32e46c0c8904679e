"""What the runtime says about itself: JSON lines on standard output, and the kubelet's termination message.

Names, reasons, counts and durations only: never arguments, prompts, results or tokens.
"""

import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, TextIO

from aos.agent.failure import shortened

MAX_TERMINATION_MESSAGE_BYTES: Final = 4096
"""What the kubelet keeps of a termination message."""


class Level(StrEnum):
    """How much a line matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Journal:
    """Writes one JSON object a line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def write(self, event: str, level: Level = Level.INFO, **fields: str | float | None) -> None:
        """Write ``event`` with its ``fields``; those that are None are left out."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level.value,
            "event": event,
            **{
                name: shortened(value) if isinstance(value, str) else value
                for name, value in fields.items()
                if value is not None
            },
        }
        # Looked up at each line: a test, or a supervisor, may have replaced standard output.
        print(json.dumps(line, ensure_ascii=False), file=self._stream or sys.stdout, flush=True)


def leave_termination_message(path: Path, message: str) -> None:
    """Write ``message`` where the kubelet reads a container's last words; a missing file is no error."""
    encoded = message.encode("utf-8", errors="replace")[:MAX_TERMINATION_MESSAGE_BYTES]
    try:
        path.write_bytes(encoded)
    except OSError:
        # Outside a pod there is no such file, and nobody would read it.
        return
