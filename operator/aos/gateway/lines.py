"""Writes lines to a file descriptor, all of one turn of the event loop with one system call."""

import asyncio
import os
from collections.abc import Callable
from typing import Final

STANDARD_OUTPUT: Final = 1


class LineWriter:
    """Collects lines until the event loop's next turn."""

    def __init__(self, descriptor: int = STANDARD_OUTPUT, failed: Callable[[], None] | None = None) -> None:
        """Make a writer.

        Args:
            descriptor: where lines go; it is not closed.
            failed: called for each batch that could not be written.
        """
        self._descriptor = descriptor
        self._failed = failed
        self._lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        """Write ``line``, which ends in a line feed, soon."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write what was collected, now."""
        content = memoryview(b"".join(self._lines))
        self._lines.clear()
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
        except OSError:
            if self._failed:
                self._failed()
