"""A transport that joins small writes: the head of an answer and its body leave with one system call."""

import asyncio
from typing import Final

MAX_JOINED_BYTES: Final = 65_536
"""Held back at most, so that the transport below still tells when a client does not read."""


class JoinedTransport(asyncio.Transport):
    """Holds what is written back until the event loop's next turn; all else goes to the transport below at once."""

    def __init__(self, below: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._below = below
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write soon."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(bytes(data))
        self._held_bytes += len(data)
        if self._held_bytes > MAX_JOINED_BYTES:
            self._flush()

    def close(self) -> None:
        """Close once everything is written."""
        self._flush()
        self._below.close()

    def abort(self) -> None:
        """Close at once; what was held back is lost."""
        self._held.clear()
        self._held_bytes = 0
        self._below.abort()

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._below.is_closing()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return what the transport below says."""
        return self._below.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Take nothing in for now."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Take in again."""
        self._below.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what comes in to another protocol."""
        self._below.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return who gets what comes in."""
        return self._below.get_protocol()

    def _flush(self) -> None:
        if self._held:
            content = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held.clear()
            self._held_bytes = 0
            self._below.write(content)
