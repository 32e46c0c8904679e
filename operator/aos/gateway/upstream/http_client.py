"""The HTTP client for tools and models: lean, because each call pays for it; connections are kept and shared."""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import aiohappyeyeballs
from aiohttp import AsyncResolver

from aos import __version__
from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.http_connection import HttpConnection
from aos.gateway.upstream.upstream_error import UpstreamError, invalid

USER_AGENT: Final = f"aos-gateway/{__version__}"
KEEP_ALIVE_SECONDS: Final = 4.0
"""Below the five seconds after which common servers close an idle connection, so that no call races that."""
MAX_CONNECTIONS: Final = 1024
_NEXT_ADDRESS_SECONDS: Final = 0.25
"""How long an address has before the next one of the same name is tried too: RFC 8305, section 5."""

_PORTS: Final = {"http": 80, "https": 443}
_PATH: Final = re.compile(r"/[!$-~]*")
"""A path and query as they stand in a request line: visible ASCII, without quotation mark and number sign."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The other end of connections that can be shared."""

    host: str
    port: int
    is_tls: bool


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go: an origin, and the head that all requests to one URL begin with, less the method.

    Attributes:
        head: with the URL's path.
        after_path: what of it comes after the path.
    """

    origin: Origin
    head: str
    after_path: str


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a request may take.

    Attributes:
        whole_seconds: from sending it to the end of its answer.
        next_byte_seconds: for each further part of the answer; None for no such bound.
    """

    whole_seconds: float
    next_byte_seconds: float | None = None


class Response:
    """An answer whose head has come. Whoever has it releases it.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
    """

    __slots__ = ("_connection", "_release", "headers", "status")

    def __init__(self, connection: HttpConnection, release: Callable[[HttpConnection], None]) -> None:
        self.status = connection.status
        self.headers = connection.headers
        self._connection: HttpConnection | None = connection
        self._release = release

    @property
    def at_end(self) -> bool:
        """Whether the whole body has come and was read."""
        return self._connection is None or self._connection.at_end

    async def read(self) -> bytes:
        """Return the next part of the body; nothing at its end.

        Raises:
            UpstreamError: the rest did not come, or not as HTTP.
        """
        return b"" if self._connection is None else await self._connection.read()

    def release(self) -> None:
        """Give the connection back, or close it if the answer was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._release(connection)


class HttpClient:
    """Sends requests. Made within a running event loop."""

    def __init__(
        self,
        connect_timeout_seconds: float,
        max_connections: int = MAX_CONNECTIONS,
        trust: ssl.SSLContext | None = None,
        names: AsyncResolver | None = None,
    ) -> None:
        """Make a client without connections.

        Args:
            connect_timeout_seconds: wait for a new connection, with its name and its TLS.
            max_connections: open at once.
            trust: for TLS; None for the machine's authorities.
            names: finds the addresses of hosts; None for the machine's own name servers. Closed with the client.
        """
        self._loop = asyncio.get_running_loop()
        self._connect_timeout_seconds = connect_timeout_seconds
        self._max_connections = max_connections
        self._trust = trust or ssl.create_default_context()
        # The event loop's own lookups share four threads, and so does each connection: names that nobody answers for would hold up all.
        self._names = names or AsyncResolver()
        self._open: set[HttpConnection] = set()
        self._idle: dict[Origin, list[tuple[float, HttpConnection]]] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, waits: Waits, path: str = ""
    ) -> Response:
        """Send a request and return its answer, once the head of it has come.

        Args:
            method: in capitals.
            url: absolute, http or https, without user information, query and fragment.
            headers: besides Host, User-Agent, Accept-Encoding and Content-Length.
            body: whole.
            waits: bounds.
            path: what is asked for there instead of the URL's own path, with its query, encoded as it is sent.

        Raises:
            UpstreamError: no connection, no answer, or none that is HTTP.
        """
        address = parse_address(url)
        message = _head(method, _at(address, path) if path else address.head, headers, len(body)) + body
        connection = self._kept(address.origin) or await self._connect(address.origin)
        connection.send(message, waits.whole_seconds, waits.next_byte_seconds)
        try:
            await connection.head()
        except BaseException:
            # Even one that could serve again: it may have come to its end just as the call was given up.
            connection.finish()
            connection.close()
            raise
        return Response(connection, lambda used: self._give_back(address.origin, used))

    async def close(self) -> None:
        """Close all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._open):
            connection.close()
        self._idle.clear()
        await self._names.close()
        # Transports close in the loop's next round.
        await asyncio.sleep(0)

    def _kept(self, origin: Origin) -> HttpConnection | None:
        kept = self._idle.get(origin)
        oldest = time.monotonic() - KEEP_ALIVE_SECONDS
        while kept:
            since, connection = kept.pop()
            if connection.is_open and since > oldest and connection.is_quiet():
                return connection
            connection.close()
        return None

    def _give_back(self, origin: Origin, connection: HttpConnection) -> None:
        if not connection.finish():
            return
        self._idle.setdefault(origin, []).append((time.monotonic(), connection))
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(KEEP_ALIVE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        oldest = time.monotonic() - KEEP_ALIVE_SECONDS
        for origin, kept in tuple(self._idle.items()):
            still = [(since, item) for since, item in kept if item.is_open and since > oldest]
            for since, item in kept:
                if since <= oldest:
                    item.close()
            if still:
                self._idle[origin] = still
            else:
                del self._idle[origin]
        self._sweeper = self._loop.call_later(KEEP_ALIVE_SECONDS, self._sweep) if self._idle else None

    async def _connect(self, origin: Origin) -> HttpConnection:
        if len(self._open) >= self._max_connections:
            raise _unreachable("the gateway has too many connections open")
        try:
            async with asyncio.timeout(self._connect_timeout_seconds):
                _, connection = await self._loop.create_connection(
                    lambda: HttpConnection(self._loop, self._open.discard),
                    sock=await self._reach(origin),
                    ssl=self._trust if origin.is_tls else None,
                    server_hostname=origin.host if origin.is_tls else None,
                )
        except TimeoutError:
            raise UpstreamError(
                RefusalCode.UPSTREAM_TIMEOUT, "no connection was made in time", maybe_done=False
            ) from None
        except ssl.SSLError:
            raise invalid("its certificate or TLS was not accepted", maybe_done=False) from None
        except (OSError, UnicodeError):
            raise _unreachable("no connection was made") from None
        if not connection.is_open:
            raise _unreachable("the connection was closed at once")
        self._open.add(connection)
        return connection

    async def _reach(self, origin: Origin) -> socket.socket:
        found = await self._names.resolve(origin.host, origin.port, socket.AF_UNSPEC)
        return await aiohappyeyeballs.start_connection(
            [
                (each["family"], socket.SOCK_STREAM, each["proto"], "", (each["host"], each["port"]))
                for each in found
            ],
            happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS,
            interleave=1,
            loop=self._loop,
        )


@lru_cache(maxsize=4096)
def parse_address(url: str) -> Address:
    """Return where ``url`` leads.

    Raises:
        UpstreamError: it is no URL that the gateway uses.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise _unreachable("its URL can't be used") from None
    host, path = parts.hostname, parts.path or "/"
    if not host or not port or parts.username is not None or parts.query or parts.fragment:
        raise _unreachable("its URL can't be used")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise _unreachable("its URL can't be used")
    after_path = (
        f" HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: {USER_AGENT}\r\nAccept-Encoding: identity\r\n"
    )
    return Address(
        origin=Origin(host, port, parts.scheme == "https"),
        head=f" {path}{after_path}",
        after_path=after_path,
    )


def _at(address: Address, path: str) -> str:
    if not _PATH.fullmatch(path):
        # Every part was encoded where it came from; a blank or line end more would be another request.
        raise _unreachable("a path can't be sent")
    return f" {path}{address.after_path}"


def _head(method: str, head: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = [method, head]
    for name, value in headers.items():
        if "\n" in value or "\r" in value or "\0" in value:
            # Every value was checked where it came from; one line more would be another header.
            raise _unreachable("a header can't be sent")
        lines += (name, ": ", value, "\r\n")
    lines.append(f"Content-Length: {length}\r\n\r\n")
    return "".join(lines).encode("ascii")


def _unreachable(message: str) -> UpstreamError:
    return UpstreamError(RefusalCode.UPSTREAM_UNREACHABLE, message, maybe_done=False)
