"""Requests over HTTP: credentials on, JSON in and out, refusals as errors. Knows no kinds."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import aiohttp
import orjson
from pydantic import JsonValue
from yarl import URL

import aos
from aos.kube.credentials import Credentials
from aos.kube.errors import ApiError, Target, Unauthorized, Unavailable, error_of, no_answer
from aos.kube.unreached import told
from aos.model.base import JsonObject

CONNECT_TIMEOUT_SECONDS: Final = 5.0
REQUEST_TIMEOUT_SECONDS: Final = 30.0
_READ_BUFFER_BYTES: Final = 256 * 1024
_MAX_QUOTED_ANSWER_LENGTH: Final = 200

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        target: what it is about, for messages.
        method: of HTTP.
        path: from the API server's root, already quoted.
        query: parameters, not yet quoted.
        body: sent as JSON; None for none.
        content_type: what the body means.
        headers: further ones.
    """

    target: Target
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, JsonValue] | None = None
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Transport:
    """Connections to one API server."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._session = aiohttp.ClientSession(
            # Every watch holds a connection, and there is one for each Secret that is referred to: no request may wait
            # for one of them to end. The API server bounds what it serves at once.
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Accept": f"{JSON}, */*;q=0.1", "User-Agent": f"aos/{aos.__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER_BYTES,
            trust_env=True,
        )

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def send(self, call: Call) -> JsonObject:
        """Send a request and return the object in its answer.

        Raises:
            ApiError: it was refused, or no answer came within `REQUEST_TIMEOUT_SECONDS`.
        """
        limits = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS, sock_connect=CONNECT_TIMEOUT_SECONDS)
        async with self._open(call, limits) as response:
            return _decoded(call.target, await response.read())

    @contextlib.asynccontextmanager
    async def stream(self, call: Call, idle_seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send a request and give its answer's bytes as they come.

        Raises:
            TimeoutError: nothing came for ``idle_seconds``.
            ApiError: the request was refused, or its connection broke.
        """
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=idle_seconds
        )
        async with self._open(call, limits) as response:
            yield response.content.iter_any()

    @contextlib.asynccontextmanager
    async def _open(self, call: Call, limits: aiohttp.ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with await self._answer(call, limits) as response:
                yield response
        except aiohttp.SocketTimeoutError:
            raise
        except (TimeoutError, aiohttp.ClientError) as error:
            why, reason = told(error), type(error).__name__
            raise no_answer(call.target, self._credentials.server, why, reason) from error

    async def _answer(self, call: Call, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        try:
            return await self._attempt(call, limits)
        except Unauthorized:
            await self._credentials.refresh()
        return await self._attempt(call, limits)

    async def _attempt(self, call: Call, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        response = await self._request(call, limits)
        if response.status < HTTPStatus.MULTIPLE_CHOICES:
            return response
        async with response:
            raise await _refusal(call.target, response)

    async def _request(self, call: Call, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        headers = {**call.headers, **await self._credentials.headers()}
        data = None
        if call.body is not None:
            data = orjson.dumps(call.body)
            headers["Content-Type"] = call.content_type
        return await self._session.request(
            call.method,
            URL(self._credentials.server + call.path, encoded=True).extend_query(call.query),
            data=data,
            headers=headers,
            timeout=limits,
            ssl=self._credentials.tls,
            server_hostname=self._credentials.server_hostname,
            proxy=self._credentials.proxy,
            allow_redirects=False,
        )


async def _refusal(target: Target, response: aiohttp.ClientResponse) -> ApiError:
    content = await response.read()
    retry_after_seconds = 0
    with contextlib.suppress(ValueError):
        retry_after_seconds = int(response.headers.get("Retry-After", "0"))
    body: JsonObject = {}
    with contextlib.suppress(orjson.JSONDecodeError):
        raw = orjson.loads(content)
        body = raw if isinstance(raw, dict) else {}
    if not body:
        said = content[:_MAX_QUOTED_ANSWER_LENGTH].decode(errors="replace").strip()
        body = {"message": said}
    return error_of(target, response.status, body, retry_after_seconds)


def _decoded(target: Target, content: bytes) -> JsonObject:
    try:
        raw: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Unavailable(target, 0, "BrokenAnswer", f"the answer is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise Unavailable(target, 0, "BrokenAnswer", "the answer is not a JSON object")
    return raw
