"""Requests and answers over raw ASGI: bounded reading, no header with two meanings, JSON and streams out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.strict_json import StrictJsonError, read_json

Scope = Mapping[str, object]
Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON_TYPE: Final = (b"content-type", b"application/json")
NO_STORE: Final = (b"cache-control", b"no-store")
"""Answers differ by caller, so no cache on the way may keep them."""

_SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"last-event-id",
        b"origin",
        b"transfer-encoding",
        b"upgrade",
    }
)
_SINGLE_PREFIX: Final = b"mcp-"
_CREDENTIALS: Final = (b"authorization", b"proxy-authorization", b"cookie")
BODY_IS_HERE: Final = "aos.body_is_here"
"""Where a scope has a function that says whether the whole body has come, so that reading it waits for nothing."""
DISCARD_SECONDS: Final = 2.0
"""How long the rest of a body is read and thrown away, so that a refusal reaches a client that is still sending."""


class ClientDisconnected(Exception):  # noqa: N818 - an event, not a fault of the program
    """The client went away; there is nobody to answer."""


class HttpRequest:
    """One request. Its body is read once, within bounds.

    Attributes:
        method: in capitals.
        path: decoded, without the query.
        headers: names in lower case; repeated ones joined by ``, ``, but none with two meanings among them.
        client_address: IP address of the other end of the connection.
    """

    __slots__ = (
        "_body",
        "_is_here",
        "_max_body_bytes",
        "_receive",
        "_timeout_seconds",
        "client_address",
        "headers",
        "method",
        "path",
    )

    def __init__(
        self, scope: Scope, receive: Receive, *, max_body_bytes: int, timeout_seconds: float
    ) -> None:
        """Take a request over from the server.

        Raises:
            Refusal: a header that must be single is repeated (400 ``DuplicateHeader``).
        """
        client = scope.get("client")
        raw_headers = scope["headers"]
        self.method = str(scope["method"])
        self.path = str(scope["path"])
        self.headers = _single(raw_headers if isinstance(raw_headers, list) else [])
        self.client_address = str(client[0]) if isinstance(client, tuple | list) and client else ""
        is_here = scope.get(BODY_IS_HERE)
        self._is_here = is_here if callable(is_here) else None
        self._receive = receive
        self._max_body_bytes = max_body_bytes
        self._timeout_seconds = timeout_seconds
        self._body: bytes | None = None

    def header(self, name: bytes) -> bytes:
        """Return the value of the header ``name`` (lower case); empty if it is not there."""
        return self.headers.get(name, b"")

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            Refusal: it is too large (413) or did not come in time (408).
            ClientDisconnected: the client went away before its end.
        """
        if self._body is None:
            declared = self.headers.get(b"content-length", b"0")
            if not declared.isdigit() or int(declared) > self._max_body_bytes:
                raise self._too_large()
            if self._is_here is not None and self._is_here():
                # Nothing is waited for, and a timer that never fires is a good part of what reading costs.
                self._body = await self._read()
                return self._body
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    self._body = await self._read()
            except TimeoutError:
                raise Refusal(
                    HTTPStatus.REQUEST_TIMEOUT,
                    RefusalCode.REQUEST_TIMEOUT,
                    f"the body did not come within {self._timeout_seconds:g} s",
                ) from None
        return self._body

    async def json(self, max_depth: int) -> JsonValue:
        """Return the body as strict JSON.

        Raises:
            Refusal: as `body`; the type is not JSON (415), or the content is not strict JSON (400 ``InvalidJson``).
            ClientDisconnected: the client went away before its end.
        """
        kind = self.headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
        if kind != b"application/json":
            raise Refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                RefusalCode.UNSUPPORTED_MEDIA_TYPE,
                "send the body as application/json",
            )
        if b"content-encoding" in self.headers:
            raise Refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                RefusalCode.UNSUPPORTED_MEDIA_TYPE,
                "send the body without a content encoding",
            )
        content = await self.body()
        try:
            return read_json(content, max_depth)
        except StrictJsonError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, RefusalCode.INVALID_JSON, str(error)) from None

    def drop_credentials(self) -> None:
        """Forget what the caller proved itself with, so that nothing downstream can pass it on."""
        for name in _CREDENTIALS:
            self.headers.pop(name, None)

    async def discard(self) -> bool:
        """Read the rest of a body that nobody wants, for a short time; return whether its end was reached."""
        if self._body is not None:
            return True
        try:
            async with asyncio.timeout(DISCARD_SECONDS):
                while (message := await self._receive()).get("more_body"):
                    pass
        except TimeoutError:
            return False
        return message["type"] != "http.disconnect"

    async def disconnected(self) -> None:
        """Return when the client has gone away; call it only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _read(self) -> bytes:
        message = await self._receive()
        first = _part(message)
        if not message.get("more_body"):
            if len(first) > self._max_body_bytes:
                raise self._too_large()
            return first
        content = bytearray(first)
        while message.get("more_body"):
            message = await self._receive()
            content += _part(message)
            if len(content) > self._max_body_bytes:
                raise self._too_large()
        return bytes(content)

    def _too_large(self) -> Refusal:
        return Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            RefusalCode.REQUEST_TOO_LARGE,
            f"the body must be at most {self._max_body_bytes} bytes",
        )


async def send_json(
    send: Send,
    content: bytes | JsonValue,
    status: int = HTTPStatus.OK,
    headers: Sequence[Header] = (),
) -> None:
    """Answer with JSON; bytes are taken for encoded JSON and sent as they are."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    await send_bytes(send, body, status, (JSON_TYPE, *headers))


async def send_bytes(send: Send, body: bytes, status: int, headers: Sequence[Header] = ()) -> None:
    """Answer with ``body``, whose type is among the headers; an empty body has no type."""
    await send(
        {
            "type": "http.response.start",
            "status": int(status),
            "headers": [(b"content-length", b"%d" % len(body)), NO_STORE, *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_stream(
    send: Send, chunks: AsyncIterator[bytes], status: int = HTTPStatus.OK, headers: Sequence[Header] = ()
) -> None:
    """Answer with chunks as they come. What ``chunks`` raises goes to the caller, and the answer stays unended."""
    await send({"type": "http.response.start", "status": int(status), "headers": [NO_STORE, *headers]})
    async for chunk in chunks:
        if chunk:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def send_refusal(send: Send, refusal: Refusal, headers: Sequence[Header] = ()) -> None:
    """Answer with a refusal."""
    await send_bytes(send, refusal.body(), refusal.status, (JSON_TYPE, *refusal.headers(), *headers))


def _single(raw: list[Header]) -> dict[bytes, bytes]:
    headers = dict(raw)
    if len(headers) == len(raw):
        return headers
    headers = {}
    for name, value in raw:
        if name not in headers:
            headers[name] = value
        elif name in _SINGLE or name.startswith(_SINGLE_PREFIX):
            raise Refusal(
                HTTPStatus.BAD_REQUEST,
                RefusalCode.DUPLICATE_HEADER,
                f"the header {name.decode('latin-1')} may be sent once only",
            )
        else:
            headers[name] += b", " + value
    return headers


def _part(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientDisconnected
    body = message.get("body", b"")
    return body if isinstance(body, bytes) else b""
