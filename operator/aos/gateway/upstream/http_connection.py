"""One HTTP/1.1 connection to a tool or model: one request at a time, its answer parsed by llhttp, within bounds.

It follows no redirects, unpacks no encodings, keeps no cookies and repeats nothing: each request is what its caller
wrote, sent once.
"""

import asyncio
import select
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, cast

import httptools

from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.upstream_error import UpstreamError, invalid

MAX_SILENT_BYTES: Final = 65_536
"""Bytes that may come without any of them being body: a head, with the interim ones before it, or trailers."""
MAX_UNREAD_BYTES: Final = 262_144
"""Body that is kept before the other side is made to wait."""


class HttpConnection(asyncio.Protocol):
    """A connection. Between `send` and `finish` it belongs to one request.

    Attributes:
        is_open: whether it can still be used.
        status: of the answer, once `head` has returned.
        headers: of the answer, names in lower case; of repeated ones the last.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_can_stay",
        "_failure",
        "_has_head",
        "_is_busy",
        "_is_complete",
        "_is_overrun",
        "_is_paused",
        "_loop",
        "_next_byte_seconds",
        "_on_lost",
        "_parser",
        "_silent_bytes",
        "_timer",
        "_transport",
        "_waiter",
        "headers",
        "is_open",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: Callable[["HttpConnection"], None]) -> None:
        """Make a connection for `asyncio.loop.create_connection`.

        Args:
            loop: that runs it.
            on_lost: told when the connection is gone.
        """
        self._loop = loop
        self._on_lost = on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_byte_seconds: float | None = None
        self._is_busy = False
        self.is_open = False
        self._begin()

    def _begin(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._silent_bytes = 0
        self._has_head = self._is_complete = self._can_stay = self._is_overrun = self._is_paused = False
        self._failure: UpstreamError | None = None

    def send(self, request: bytes, whole_seconds: float, next_byte_seconds: float | None) -> None:
        """Send a whole request.

        Args:
            request: head and body.
            whole_seconds: wait for the whole answer.
            next_byte_seconds: wait for each further part of it; None for no such bound.
        """
        assert self._transport is not None  # noqa: S101 - a connection is handed out once it is made
        self._begin()
        self._is_busy = True
        self._next_byte_seconds = next_byte_seconds
        self._timer = self._loop.call_later(whole_seconds, self._expire)
        self._transport.write(request)

    async def head(self) -> None:
        """Wait for status and headers.

        Raises:
            UpstreamError: they did not come, or not as HTTP.
        """
        while not self._has_head:
            await self._more()

    async def read(self) -> bytes:
        """Return the next part of the body; nothing at its end.

        Raises:
            UpstreamError: the rest did not come, or not as HTTP.
        """
        while not self._body:
            if self._is_complete:
                return b""
            await self._more()
        part = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body, self._body_bytes = [], 0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return part

    @property
    def at_end(self) -> bool:
        """Whether the whole answer has come and was read."""
        return self._is_complete and not self._body

    def finish(self) -> bool:
        """End the request; return whether the connection can serve another one. If not, it is closed."""
        self._is_busy = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reusable = self.is_open and self.at_end and self._can_stay and not self._is_overrun
        if not reusable:
            self.close()
        return reusable

    def is_quiet(self) -> bool:
        """Whether nothing has come since the last answer, not even what the event loop has not read yet."""
        if self._transport is None:
            return False
        # Read after the next request was sent, it would be taken for that one's answer.
        waiting = select.poll()
        waiting.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not waiting.poll(0)

    def close(self) -> None:
        """Close the connection at once."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport."""
        # uvloop's transports are this in everything but name.
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if not self._is_busy:
            # Nobody asked: whoever came next would take it for its own answer.
            self.close()
            return
        before = self._body_bytes
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(invalid("the answer was no sound HTTP"))
            return
        if self._body_bytes != before:
            self._silent_bytes = 0
            if self._body_bytes > MAX_UNREAD_BYTES and not self._is_paused and self._transport is not None:
                self._is_paused = True
                self._transport.pause_reading()
        else:
            self._silent_bytes += len(data)
            if self._silent_bytes > MAX_SILENT_BYTES and not self._is_complete:
                self._fail(invalid("the head of the answer is too large"))
                return
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is gone; for an answer without a length that is its end."""
        self.is_open = False
        if self._is_busy and not self._is_complete:
            if self._has_head and exc is None and not self._has_length():
                self._is_complete = True
            elif self._failure is None:
                self._failure = UpstreamError(
                    RefusalCode.UPSTREAM_UNREACHABLE, "the connection was lost", maybe_done=True
                )
            self._wake()
        self._on_lost(self)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if self._is_complete:
            self._is_overrun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for trailers too; those are of no interest."""
        if not self._has_head:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if not self._is_complete:
            self.status = self._parser.get_status_code()
            self._has_head = self.status >= HTTPStatus.OK

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        if not self._is_complete:
            self._body.append(body)
            self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """Called by the parser, after interim answers too."""
        if self._has_head:
            self._is_complete = True
            # The parser knows it here and, about to read another answer, nowhere else.
            self._can_stay = self._parser.should_keep_alive()
        else:
            self.headers = {}

    def _has_length(self) -> bool:
        return "content-length" in self.headers or "transfer-encoding" in self.headers

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        waiter = self._waiter = self._loop.create_future()
        idle = (
            None
            if self._next_byte_seconds is None
            else self._loop.call_later(self._next_byte_seconds, self._expire)
        )
        try:
            await waiter
        finally:
            self._waiter = None
            if idle is not None:
                idle.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, failure: UpstreamError) -> None:
        if self._failure is None:
            self._failure = failure
        self.close()
        self._wake()

    def _expire(self) -> None:
        self._fail(
            UpstreamError(RefusalCode.UPSTREAM_TIMEOUT, "no whole answer came in time", maybe_done=True)
        )
