"""The image's way to the gateway: plain HTTP on the pod's loopback in, the same over TLS with the pod's token out."""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import h11

from aos.agent.helper.origin import FAULTS, Origin, UnreachableError, response_of
from aos.agent.helper.probe import HEALTH_PATH
from aos.agent.helper.settings import Bounds
from aos.agent.helper.wire import Headers, Wire
from aos.agent.journal import Journal, Level
from aos.model.names import TASK_HEADER

CARD_SUFFIX: Final = b"/.well-known/agent-card.json"
METHODS: Final = (b"GET", b"POST", b"PUT", b"DELETE")
_LOOPBACK: Final = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
"""What a request may call this server; a web page that had its own name led here says another."""
_PREFIXES: Final = (b"/mcp", b"/v1/", b"/a2a/")
_TASK: Final = TASK_HEADER.lower().encode()
_OF_THE_CONNECTION: Final = frozenset(
    {
        b"connection",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that are about one connection, and not about the message."""
_CREDENTIALS: Final = frozenset({b"authorization", b"cookie", b"host", b"proxy-authorization"})
"""What the image may not say in the pod's name."""


class RefusedError(Exception):
    """An answer of the helper's own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.body = json.dumps({"error": {"code": code, "message": message}}).encode()


class Proxy:
    """Takes the image's connections.

    Attributes:
        task_uid: the Task that requests are for, where the helper knows it; empty to leave that to the image.
    """

    def __init__(self, gateway: Origin, token_file: Path, bounds: Bounds, journal: Journal) -> None:
        self._gateway = gateway
        self._token_file = token_file
        self._bounds = bounds
        self._journal = journal
        self._tasks: set[asyncio.Task[None]] = set()
        self.task_uid = ""

    async def listen(self, port: int) -> asyncio.Server:
        """Accept connections on the loopback; nobody outside the pod can make one.

        Raises:
            OSError: the port is taken.
        """
        return await asyncio.start_server(
            self._accept, "127.0.0.1", port, family=socket.AF_INET, limit=self._bounds.max_head_bytes * 2
        )

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def token(self) -> bytes:
        """Return the pod's token as it is now.

        Raises:
            OSError: the kubelet has not written it.
        """
        return self._token_file.read_bytes().strip()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= self._bounds.max_connections:
            self._journal.write("too many connections", Level.WARNING, count=len(self._tasks))
            writer.transport.abort()
            return
        task = asyncio.ensure_future(self._serve(Wire(reader, writer, h11.SERVER, self._bounds)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, wire: Wire) -> None:
        try:
            while isinstance(request := await wire.first_event(), h11.Request):
                await self._answer(wire, request)
                if not wire.next_message():
                    break
            wire.close()
        except h11.RemoteProtocolError as error:
            with contextlib.suppress(*FAULTS):
                await _refuse(
                    wire, RefusedError(error.error_status_hint, "BadRequest", "this is no HTTP/1.1")
                )
            wire.close()
        except (*FAULTS, _BrokenError, asyncio.CancelledError):
            wire.abort()

    async def _answer(self, wire: Wire, request: h11.Request) -> None:
        if request.target == HEALTH_PATH.encode():
            await wire.send(*_message(200, b""))
            return
        try:
            self._check(request)
            async with self._gateway.connection(self._bounds.connect_patience_seconds) as upstream:
                await upstream.send(self._passed_on(request))
                await self._exchange(wire, upstream, request)
        except RefusedError as refused:
            await _refuse(wire, refused)
        except UnreachableError as error:
            await _refuse(wire, _unreachable(f"no connection ({error})"))

    def _check(self, request: h11.Request) -> None:
        path = request.target.partition(b"?")[0]
        if not path.startswith(_PREFIXES):
            raise RefusedError(404, "NotFound", "the helper passes on /mcp, /v1/ and /a2a/ alone")
        if request.method not in METHODS:
            raise RefusedError(405, "MethodNotAllowed", "use GET, POST, PUT or DELETE")
        if not _LOOPBACK.fullmatch(_header(request.headers, b"host")):
            raise RefusedError(
                421, "HostNotAllowed", "ask for 127.0.0.1 or localhost, as AOS_GATEWAY_URL says"
            )
        if int(_header(request.headers, b"content-length") or 0) > self._bounds.max_request_bytes:
            raise _too_large(self._bounds)

    def _passed_on(self, request: h11.Request) -> h11.Request:
        dropped = _CREDENTIALS | ({_TASK} if self.task_uid else set())
        try:
            token = self.token()
        except OSError as error:
            raise RefusedError(
                503, "NoToken", f"the pod's token can't be read: {type(error).__name__}"
            ) from error
        headers: Headers = [
            (b"host", self._gateway.authority),
            (b"authorization", b"Bearer " + token),
            *_about_the_message(request.headers, dropped),
        ]
        if self.task_uid:
            headers.append((_TASK, self.task_uid.encode()))
        if _header(request.headers, b"transfer-encoding"):
            headers.append((b"transfer-encoding", b"chunked"))
        return h11.Request(method=request.method, target=request.target, headers=headers)

    async def _exchange(self, wire: Wire, upstream: Wire, request: h11.Request) -> None:
        """Pass the body on and the answer back, both as they come; end both where either side has gone."""
        sending = asyncio.ensure_future(self._send_body(wire, upstream))
        answering = asyncio.ensure_future(self._pass_back(wire, upstream, request))
        try:
            await asyncio.wait((sending, answering), return_when=asyncio.FIRST_COMPLETED)
            # An answer may come before the body was read: what refuses it is the answer then.
            await (answering if answering.done() else sending)
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    async def _send_body(self, wire: Wire, upstream: Wire) -> None:
        """Pass the body on, then watch for the image's going away; it never ends by itself."""
        sent_bytes = 0
        # A gateway that ends the connection may have answered before: whether it has is seen where answers are read.
        with contextlib.suppress(_GoneError):
            async for chunk in wire.body():
                sent_bytes += len(chunk)
                if sent_bytes > self._bounds.max_request_bytes:
                    raise _too_large(self._bounds)
                await _send_on(upstream, h11.Data(data=chunk))
            await _send_on(upstream, h11.EndOfMessage())
        await wire.until_gone()
        raise _BrokenError

    async def _pass_back(self, wire: Wire, upstream: Wire, request: h11.Request) -> None:
        try:
            head = await response_of(upstream, self._bounds)
        except FAULTS as error:
            raise _unreachable(f"the connection broke ({type(error).__name__})") from error
        headers = _about_the_message(head.headers, frozenset())
        try:
            if head.status_code == 200 and request.target.partition(b"?")[0].endswith(CARD_SUFFIX):  # noqa: PLR2004 - OK
                await self._pass_card_back(wire, upstream, headers, _header(request.headers, b"host"))
                return
            await wire.send(h11.Response(status_code=head.status_code, headers=headers))
            async for chunk in upstream.body():
                await wire.send(h11.Data(data=chunk))
            await wire.send(h11.EndOfMessage())
        except FAULTS as error:
            # The answer had begun: that it has no end says that it broke.
            raise _BrokenError from error

    async def _pass_card_back(self, wire: Wire, upstream: Wire, headers: Headers, host: bytes) -> None:
        """Pass an agent card on with the addresses by which the image reaches the gateway: here."""
        content = b""
        async for chunk in upstream.body():
            content += chunk
            if len(content) > self._bounds.max_answer_bytes:
                raise OSError("the agent card is too large")
        content = content.replace(b"https://" + self._gateway.authority + b"/", b"http://" + host + b"/")
        kept = [item for item in headers if item[0] != b"content-length"]
        await wire.send(*_message(200, content, kept))


class _BrokenError(Exception):
    """A connection of the image is to be cut."""


class _GoneError(Exception):
    """The gateway takes no more of a request."""


async def _send_on(upstream: Wire, event: h11.Event) -> None:
    try:
        await upstream.send(event)
    except FAULTS as error:
        raise _GoneError from error


async def _refuse(wire: Wire, refused: RefusedError) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await wire.send(*_message(refused.status, refused.body, headers))


def _message(status: int, body: bytes, headers: Headers | None = None) -> tuple[h11.Event, ...]:
    length = (b"content-length", b"%d" % len(body))
    head = h11.Response(status_code=status, headers=[*(headers or ()), length])
    return head, h11.Data(data=body), h11.EndOfMessage()


def _about_the_message(
    headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes] | set[bytes]
) -> Headers:
    headers = list(headers)
    named = {
        part.strip().lower() for name, value in headers if name == b"connection" for part in value.split(b",")
    }
    gone = _OF_THE_CONNECTION | named | dropped
    return [(name, value) for name, value in headers if name not in gone]


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    return next((value for found, value in headers if found == name), b"")


def _unreachable(why: str) -> RefusedError:
    return RefusedError(502, "GatewayUnreachable", f"the gateway gives no answer: {why}; try again")


def _too_large(bounds: Bounds) -> RefusedError:
    return RefusedError(413, "RequestTooLarge", f"the body must be at most {bounds.max_request_bytes} bytes")
