"""HTTP/1.1 on one connection, within bounds: headers by size, count and time, connections by number, writes by time."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from aos.gateway.http import BODY_IS_HERE
from aos.gateway.joined import JoinedTransport
from aos.gateway.refusal import Refusal, RefusalCode

_HEADER_OVERHEAD_BYTES: Final = 4
"""Colon, space and line end."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a port's connections; see `aos.gateway.settings.GatewaySettings`."""

    max_header_bytes: int
    max_headers: int
    max_connections: int
    max_connections_per_address: int
    header_timeout_seconds: float
    write_timeout_seconds: float


@dataclass(slots=True)
class Connections:
    """How many connections a port has, and from where."""

    total: int = 0
    by_address: Counter[str] = field(default_factory=Counter)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the bounds that it lacks."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        limits: Limits,
        connections: Connections,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state={}, _loop=loop)
        self._limits = limits
        self._counted = connections
        self._address: str | None = None
        self._fed_bytes = 0
        self._in_headers = True
        self._refused = False
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        """Take a connection, or close it at once if there are too many."""
        super().connection_made(JoinedTransport(transport, self.loop))
        address = self.client[0] if self.client else ""
        counted = self._counted
        too_many = (
            counted.total >= self._limits.max_connections
            or counted.by_address[address] >= self._limits.max_connections_per_address
        )
        self._address = address
        counted.total += 1
        counted.by_address[address] += 1
        if too_many:
            _log.warning("too many connections; one from %s was closed", address)
            self._refused = True
            transport.abort()
        else:
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._address is not None:
            self._counted.total -= 1
            self._counted.by_address[self._address] -= 1
            if not self._counted.by_address[self._address]:
                del self._counted.by_address[self._address]
            self._address = None
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and stop a request whose headers have no end."""
        if self._refused:
            return
        if not self._in_headers:
            super().data_received(data)
            return
        self._fed_bytes += len(data)
        super().data_received(data)
        self._watch_headers()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one that comes after the body (a trailer) never becomes a header."""
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless its headers are out of bounds or its end is unclear."""
        self._in_headers = False
        self._fed_bytes = 0
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        if self._is_beyond_bounds():
            self._refuse_headers()
        elif self.parser.get_http_version() != "1.1":
            self._refuse(
                Refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, RefusalCode.BAD_REQUEST, "speak HTTP/1.1")
            )
        elif self.parser.should_upgrade() or not self.url.startswith(b"/"):
            self._refuse(
                Refusal(
                    HTTPStatus.BAD_REQUEST,
                    RefusalCode.BAD_REQUEST,
                    "the request target must be a path, and the protocol can't be changed",
                )
            )
        else:
            super().on_headers_complete()
            cycle = self.cycle
            cast("dict[str, object]", self.scope)[BODY_IS_HERE] = lambda: not cycle.more_body
            return
        raise _RefusedError

    def _is_beyond_bounds(self) -> bool:
        count = len(self.headers)
        header_bytes = len(self.url) + _HEADER_OVERHEAD_BYTES * count
        header_bytes += sum([len(name) + len(value) for name, value in self.headers])
        return count > self._limits.max_headers or header_bytes > self._limits.max_header_bytes

    def on_message_complete(self) -> None:
        """Finish a request's body; the next bytes are headers again."""
        self._in_headers = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP, unless it was answered already."""
        if not self._refused:
            self._refuse(Refusal(HTTPStatus.BAD_REQUEST, RefusalCode.BAD_REQUEST, msg))

    def pause_writing(self) -> None:
        """Give a client that does not read a time to do so."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self._limits.write_timeout_seconds, self._abort)

    def resume_writing(self) -> None:
        """Go on with a client that reads."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _watch_headers(self) -> None:
        """Bound headers that have begun and not ended."""
        if self._refused or not self._in_headers or not self._fed_bytes:
            return
        if self._fed_bytes > self._limits.max_header_bytes:
            self._refuse_headers()
        elif self._header_timer is None:
            self._await_headers()

    def _await_headers(self) -> None:
        self._header_timer = self.loop.call_later(self._limits.header_timeout_seconds, self._headers_late)

    def _headers_late(self) -> None:
        self._header_timer = None
        if not self._refused and not self.transport.is_closing():
            self._refuse(
                Refusal(
                    HTTPStatus.REQUEST_TIMEOUT,
                    RefusalCode.REQUEST_TIMEOUT,
                    f"the headers did not come within {self._limits.header_timeout_seconds:g} s",
                )
            )

    def _refuse_headers(self) -> None:
        self._refuse(
            Refusal(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                RefusalCode.HEADERS_TOO_LARGE,
                f"the request may have {self._limits.max_headers} headers"
                f" and {self._limits.max_header_bytes} bytes before its body",
            )
        )

    def _refuse(self, refusal: Refusal) -> None:
        """Answer outside the app and end the connection; where an answer is under way, just end it."""
        self._refused = True
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            self.transport.abort()
            return
        body = refusal.body()
        self.transport.write(
            b"%scontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (STATUS_LINE[refusal.status], len(body), body)
        )
        self.transport.close()

    def _abort(self) -> None:
        self._write_timer = None
        self.transport.abort()

    def _stop_timers(self) -> None:
        for timer in (self._header_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._header_timer = self._write_timer = None


class _RefusedError(httptools.HttpParserError):
    """Stops the parser after a refusal."""
