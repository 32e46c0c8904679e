"""HTTP to tools and models: one shared client, no redirects, cookies or proxies, and answers read within bounds."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Final

import aiohttp
import orjson
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import JsonValue
from yarl import URL

from aos import __version__
from aos.gateway.refusal import RefusalCode
from aos.gateway.registry import Registry
from aos.gateway.settings import GatewaySettings
from aos.model.model import Model
from aos.model.tool import Tool

USER_AGENT: Final = f"aos-gateway/{__version__}"

_KEEP_ALIVE_SECONDS: Final = 4
"""Below the five seconds after which common servers close an idle connection, so that no call races that."""
_DNS_SECONDS: Final = 10
_MAX_CONNECTIONS: Final = 1024


class UpstreamError(Exception):
    """A tool or model gave no usable answer.

    Attributes:
        code: why.
        message: for the agent and for people; it tells nothing of addresses, credentials or what the other side said.
        maybe_done: whether the request may have been carried out all the same.
        status: of the HTTP response; 0 where there was none.
    """

    def __init__(self, code: RefusalCode, message: str, *, maybe_done: bool, status: int = 0) -> None:
        super().__init__(code.value, message)
        self.code = code
        self.message = message
        self.maybe_done = maybe_done
        self.status = status


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, and with which credential.

    Attributes:
        uid: of the Tool or Model.
        url: as its spec gives it.
        credential: a bearer token, printable ASCII; None where the spec asks for none.
    """

    uid: str
    url: str
    credential: str | None = field(default=None, repr=False)

    def authorization(self) -> dict[str, str]:
        """Return the header that shows the credential; none where there is none to show."""
        return {} if self.credential is None else {"Authorization": f"Bearer {self.credential}"}

    def gives_away(self, content: bytes) -> bool:
        """Whether ``content``, JSON as orjson writes it, holds the credential."""
        return self.credential is not None and orjson.dumps(self.credential)[1:-1] in content


def target_of(registry: Registry, there: Tool | Model) -> Target:
    """Return where ``there`` is reached, with its credential as it is now.

    Raises:
        UpstreamError: its credential is missing, or can't stand in a header.
    """
    auth = there.spec.auth
    if auth is None:
        return Target(uid=there.metadata.uid, url=there.spec.url)
    credential = (registry.credential(there.metadata.namespace, auth.secret_ref) or "").strip()
    if not credential or not credential.isascii() or not credential.isprintable():
        raise UpstreamError(
            RefusalCode.CREDENTIALS_MISSING,
            f"the gateway has no credential that it could show {there.kind} {there.metadata.name}",
            maybe_done=False,
        )
    return Target(uid=there.metadata.uid, url=there.spec.url, credential=credential)


def open_client(settings: GatewaySettings) -> aiohttp.ClientSession:
    """Return the client that all requests to tools and models share; the caller closes it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=_MAX_CONNECTIONS,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            ttl_dns_cache=_DNS_SECONDS,
            ssl=ssl.create_default_context(),
        ),
        # What one agent's call leaves behind must not ride on another's.
        cookie_jar=aiohttp.DummyCookieJar(),
        # A small compressed answer could be a large one; none is asked for and none is unpacked.
        auto_decompress=False,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        # A proxy or netrc of the environment would be another route, and another credential.
        trust_env=False,
        timeout=aiohttp.ClientTimeout(
            total=settings.upstream_timeout_seconds, connect=settings.connect_timeout_seconds
        ),
    )


@lru_cache(maxsize=4096)
def parsed_url(url: str) -> URL:
    """Return ``url`` parsed, and not re-encoded: it is used as its object spells it."""
    return URL(url, encoded=True)


class _Failures:
    """Turns what the HTTP client raises into `UpstreamError`, whose message tells nothing of the other side."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise the failure that ``error`` stands for."""
        if isinstance(error, Exception):
            failure = _failure_of(error)
            if failure is not None:
                raise failure from None


failures: Final = _Failures()
"""Around each use of the HTTP client, and around nothing else: the caller's connection fails in the same words."""


def _failure_of(error: Exception) -> UpstreamError | None:
    match error:
        case aiohttp.ConnectionTimeoutError():
            code, message, maybe_done = RefusalCode.UPSTREAM_TIMEOUT, "no connection was made in time", False
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            code, message, maybe_done = RefusalCode.UPSTREAM_UNREACHABLE, "no connection was made", False
        case TimeoutError():
            code, message, maybe_done = RefusalCode.UPSTREAM_TIMEOUT, "no whole answer came in time", True
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError() | HttpProcessingError():
            code, message, maybe_done = RefusalCode.UPSTREAM_INVALID, "the answer was no sound HTTP", True
        case aiohttp.ClientError() | OSError():
            code, message, maybe_done = RefusalCode.UPSTREAM_UNREACHABLE, "the connection was lost", True
        case _:
            return None
    return UpstreamError(code, message, maybe_done=maybe_done)


def check_encoding(response: aiohttp.ClientResponse) -> None:
    """Refuse a compressed answer.

    Raises:
        UpstreamError: it is compressed although none was asked for.
    """
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UpstreamError(
            RefusalCode.UPSTREAM_INVALID, "the answer is compressed, which was not asked for", maybe_done=True
        )


def media_type(response: aiohttp.ClientResponse) -> str:
    """Return the answer's type without parameters, in lower case; empty where it has none."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def chunks(response: aiohttp.ClientResponse, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the answer's body as it comes.

    Raises:
        UpstreamError: it has more than ``max_bytes``, or did not come whole.
    """
    received = 0
    while chunk := await _next(response):
        received += len(chunk)
        if received > max_bytes:
            raise too_large(max_bytes)
        yield chunk


async def _next(response: aiohttp.ClientResponse) -> bytes:
    with failures:
        return await response.content.readany()


async def read_all(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the answer's whole body.

    Raises:
        UpstreamError: it has more than ``max_bytes``, or did not come whole.
    """
    if (response.content_length or 0) > max_bytes:
        raise too_large(max_bytes)
    first = await _next(response)
    if response.content.at_eof() and len(first) <= max_bytes:
        return first
    content = bytearray(first)
    while len(content) <= max_bytes:
        chunk = await _next(response)
        if not chunk:
            return bytes(content)
        content += chunk
    raise too_large(max_bytes)


def decoded(content: bytes) -> JsonValue:
    """Return the JSON that ``content`` is.

    Raises:
        UpstreamError: it is none.
    """
    try:
        value: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise UpstreamError(RefusalCode.UPSTREAM_INVALID, "the answer is not JSON", maybe_done=True) from None
    return value


def encoded(value: JsonValue) -> bytes:
    """Return ``value``, which came from the other side, as JSON.

    Raises:
        UpstreamError: it is nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        raise UpstreamError(
            RefusalCode.UPSTREAM_INVALID, "the answer is nested too deeply", maybe_done=True
        ) from None


def too_large(max_bytes: int) -> UpstreamError:
    """Return the failure of an answer with more than ``max_bytes``."""
    return UpstreamError(
        RefusalCode.RESPONSE_TOO_LARGE, f"the answer has more than {max_bytes} bytes", maybe_done=True
    )
