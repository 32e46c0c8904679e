"""Servers that the helper sends requests to: the gateway over TLS, and the image's own on the pod's loopback."""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import h11

from aos.agent.helper.settings import Bounds
from aos.agent.helper.wire import READ_BYTES, Headers, Wire

FAULTS: Final = (OSError, TimeoutError, h11.ProtocolError, ssl.SSLError)
"""What becomes of a connection that broke."""


class UnreachableError(OSError):
    """No connection could be made; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes


class Origin:
    """A server, and the connections to it that wait for another request."""

    def __init__(self, host: str, port: int, bounds: Bounds, trust: "Trust | None" = None) -> None:
        """Name a server; nothing is connected yet.

        Args:
            host: its name or address, which its certificate must be for.
            port: its port.
            bounds: of the helper.
            trust: whose certificates count; None for plain HTTP.
        """
        self._host = host
        self._port = port
        self._bounds = bounds
        self._trust = trust
        self._idle: deque[tuple[Wire, float]] = deque()

    @property
    def authority(self) -> bytes:
        """The server's name as a Host header has it."""
        return f"{self._host}:{self._port}".encode()

    @asynccontextmanager
    async def connection(self, patience_seconds: float = 0.0) -> AsyncGenerator[Wire]:
        """Give a connection for one request; afterwards it is kept if it can be.

        Raises:
            UnreachableError: there is none, after trying again for ``patience_seconds``.
        """
        wire = self._kept() or await self._connected(patience_seconds)
        is_sound = False
        try:
            yield wire
            is_sound = wire.next_message()
        finally:
            if is_sound and len(self._idle) < self._bounds.max_idle_connections:
                self._idle.append((wire, time.monotonic()))
            else:
                wire.abort()

    async def ask(
        self, method: bytes, target: bytes, headers: Headers, body: bytes = b"", patience_seconds: float = 0.0
    ) -> Answer:
        """Send a request and return the whole answer.

        Raises:
            UnreachableError: there is no connection.
            OSError: it broke, or the answer is too large.
            h11.ProtocolError: what came is no HTTP.
        """
        async with self.connection(patience_seconds) as wire:
            length = (b"Content-Length", b"%d" % len(body))
            head = h11.Request(
                method=method, target=target, headers=[(b"Host", self.authority), *headers, length]
            )
            await wire.send(head, h11.Data(data=body), h11.EndOfMessage())
            status = await response_of(wire, self._bounds)
            content = bytearray()
            async for chunk in wire.body():
                content += chunk
                if len(content) > self._bounds.max_answer_bytes:
                    raise OSError(f"the answer has more than {self._bounds.max_answer_bytes} bytes")
            return Answer(status.status_code, bytes(content))

    def close(self) -> None:
        """End the connections that are kept."""
        while self._idle:
            self._idle.pop()[0].abort()

    def _kept(self) -> Wire | None:
        while self._idle:
            wire, since = self._idle.pop()
            if not wire.has_ended and time.monotonic() - since < self._bounds.reuse_seconds:
                return wire
            wire.abort()
        return None

    async def _connected(self, patience_seconds: float) -> Wire:
        pause = self._bounds.retry_pause_seconds
        until = time.monotonic() + patience_seconds
        while True:
            try:
                async with asyncio.timeout(self._bounds.connect_timeout_seconds):
                    reader, writer = await asyncio.open_connection(
                        self._host,
                        self._port,
                        limit=READ_BYTES,
                        ssl=self._trust.context() if self._trust else None,
                    )
                return Wire(reader, writer, h11.CLIENT, self._bounds)
            except (OSError, ssl.SSLError) as error:
                if time.monotonic() + pause > until:
                    raise UnreachableError(type(error).__name__) from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._bounds.max_retry_pause_seconds)


async def response_of(wire: Wire, bounds: Bounds) -> h11.Response:
    """Return the head of the answer; interim ones are passed over.

    Raises:
        h11.ProtocolError: the connection ended without one.
    """
    while True:
        event = await wire.event(bounds.max_silence_seconds)
        if isinstance(event, h11.Response):
            return event
        if not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("the connection ended without an answer")


class Trust:
    """The gateway's certificate authority, and no other; it is read again when the kubelet replaces it."""

    def __init__(self, ca_file: Path) -> None:
        self._ca_file = ca_file
        self._edition: tuple[int, int] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return what connections are checked by.

        Raises:
            OSError: the file can't be read, or holds no certificate.
        """
        stat = self._ca_file.stat()
        edition = (stat.st_ino, stat.st_mtime_ns)
        if self._context is None or edition != self._edition:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_verify_locations(cafile=str(self._ca_file))
            self._context, self._edition = context, edition
        return self._context
