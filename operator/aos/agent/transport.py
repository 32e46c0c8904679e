"""HTTP to the gateway: the pod's token on each request, its certificate authority, and bounds."""

import json
import ssl
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Final

import httpx2

from aos.agent.settings import AgentSettings
from aos.model.names import TASK_HEADER

GATEWAY_UNREACHABLE: Final = -32010
"""JSON-RPC code, from the range that MCP leaves to implementations, of a request that got no usable response."""
CUT_WHILE_HELD: Final = -32011
"""The same, of a request whose response broke off after the gateway had said that the call waits for people."""
_WAITS: Final = b": waiting for people"
"""How the gateway's stream of events begins for a call that waits."""


class TokenFileAuth(httpx2.Auth):
    """Sends the projected token, read anew for each request because the kubelet replaces it."""

    def __init__(self, token_file: Path) -> None:
        self._token_file = token_file

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Put the token into ``request``, in place of any credential that it came with."""
        request.headers["Authorization"] = f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"
        yield request


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Makes each request end by itself: in a response within bounds, or in one that says what went wrong.

    The MCP client runs all requests of a session in one task group, which an exception of the transport would
    tear down. As an HTTP response with a JSON-RPC error it fails the one call that it belongs to.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, max_response_bytes: int) -> None:
        self._inner = inner
        self._max_response_bytes = max_response_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request`` and read the whole response, unless it is a stream of events without an end."""
        body = bytearray()
        try:
            response = await self._inner.handle_async_request(request)
            return response if _is_endless(request) else await self._whole(request, response, body)
        except httpx2.TransportError as error:
            code = CUT_WHILE_HELD if body.startswith(_WAITS) else GATEWAY_UNREACHABLE
            return _unusable(request, f"the gateway can't be reached ({type(error).__name__})", code)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def _whole(
        self, request: httpx2.Request, response: httpx2.Response, body: bytearray
    ) -> httpx2.Response:
        async for chunk in _raw(response):
            body += chunk
            if len(body) > self._max_response_bytes:
                await response.aclose()
                return _unusable(request, f"the response has more than {self._max_response_bytes} bytes")
        await response.aclose()
        return httpx2.Response(
            response.status_code, headers=response.headers, content=bytes(body), request=request
        )


def _is_endless(request: httpx2.Request) -> bool:
    return request.method == "GET" and request.headers.get("Accept") == "text/event-stream"


async def _raw(response: httpx2.Response) -> AsyncGenerator[bytes]:
    if not isinstance(
        response.stream, httpx2.AsyncByteStream
    ):  # pragma: no cover - transports are asynchronous
        raise TypeError("the transport is not asynchronous")
    async for chunk in response.stream:
        yield chunk


def _unusable(request: httpx2.Request, message: str, code: int = GATEWAY_UNREACHABLE) -> httpx2.Response:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return httpx2.Response(
        502, headers={"Content-Type": "application/json"}, content=json.dumps(error).encode(), request=request
    )


def gateway_client(settings: AgentSettings, task_uid: str = "") -> httpx2.AsyncClient:
    """Return a client through which everything goes; each user of it sets timeouts of its own.

    Args:
        settings: of the runtime.
        task_uid: the Task that all its requests are for; without one they are for whichever the pod has.
    """
    bounds = settings.bounds
    connections = httpx2.AsyncHTTPTransport(
        verify=_trust(settings), retries=bounds.connect_retries, trust_env=False
    )
    return httpx2.AsyncClient(
        auth=TokenFileAuth(settings.token_file),
        headers={TASK_HEADER: task_uid} if task_uid else None,
        transport=BoundedTransport(connections, bounds.max_response_bytes),
        timeout=httpx2.Timeout(bounds.model_timeout_seconds, connect=bounds.connect_timeout_seconds),
        # A proxy from the environment would be a second route out of the pod.
        trust_env=False,
        follow_redirects=False,
    )


def _trust(settings: AgentSettings) -> ssl.SSLContext:
    """Trust the gateway's authority and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=str(settings.ca_file))
    return context
