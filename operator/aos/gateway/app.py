"""The agents' port: routes each request to its endpoint once it is known who calls, and turns refusals into answers."""

import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aos.gateway.caller import Caller
from aos.gateway.handlers import AgentHandler, McpHandler, MemoryHandler, ModelHandler, TaskHandler
from aos.gateway.http import (
    ClientDisconnected,
    HttpRequest,
    Message,
    Receive,
    Scope,
    Send,
    send_bytes,
    send_refusal,
)
from aos.gateway.identity import Identity, Unassigned
from aos.gateway.journal import Journal
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.settings import GatewaySettings
from aos.model.names import MAX_NAME_LENGTH, TASK_HEADER, gateway_host

TASK_PATH: Final = "/v1/task"
RESULT_PATH: Final = "/v1/task/result"
_TASK_HEADER: Final = TASK_HEADER.lower().encode()
_MCP: Final = "/mcp"
_MCP_TOOL: Final = "/mcp/"
_MEMORY: Final = "/v1/memory/"
_MODEL: Final = "/v1/models/"
A2A_PREFIX: Final = "/a2a/"
_CLOSE: Final = ((b"connection", b"close"),)

_log = logging.getLogger(__name__)

Handle = Callable[[HttpRequest, Caller, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What answers requests whose caller is known."""

    mcp: McpHandler
    models: ModelHandler
    tasks: TaskHandler
    agents: AgentHandler
    memory: MemoryHandler


class AgentApp:
    """The ASGI application of the agents' port."""

    def __init__(
        self, identity: Identity, endpoints: Endpoints, settings: GatewaySettings, journal: Journal
    ) -> None:
        self._identity = identity
        self._endpoints = endpoints
        self._settings = settings
        self._journal = journal
        self._hosts = HostCheck(settings)
        self._calls: dict[tuple[str, str], int] = {}
        self._routes: dict[str, Handle] = {
            _MCP: self._handle_mcp,
            "/v1/chat/completions": endpoints.models.handle,
            "/v1/models": endpoints.models.handle,
            TASK_PATH: endpoints.tasks.handle,
            RESULT_PATH: endpoints.tasks.handle,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer = _Answer(send)
        request: HttpRequest | None = None
        try:
            request = HttpRequest(
                scope,
                receive,
                max_body_bytes=self._settings.max_request_bytes,
                timeout_seconds=self._settings.request_timeout_seconds,
            )
            await self._answer(request, scope, answer)
        except ClientDisconnected:
            return
        except Exception as error:  # noqa: BLE001 - whatever one request brings, it is answered
            refusal = error if isinstance(error, Refusal) else _failure(error)
            if answer.started:
                raise BrokenAnswerError(refusal.code) from None
            await self._refuse(refusal, request, scope, send)

    async def _answer(self, request: HttpRequest, scope: Scope, send: Send) -> None:
        self._hosts.check(request, scope)
        handle = self._routes.get(request.path) or self._route_below(request.path)
        caller = await self._caller(request)
        if caller is None:
            await send_bytes(send, b"", HTTPStatus.NO_CONTENT)
            return
        request.drop_credentials()
        # Who waits for other agents' work would hold up the agent's other Tasks: handoffs count for their Task alone.
        is_handoff = request.path.startswith(A2A_PREFIX)
        key = (caller.namespace, caller.task.metadata.uid if is_handoff else caller.agent)
        calls = self._calls.get(key, 0)
        if calls >= self._settings.max_concurrent_calls_per_agent:
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                RefusalCode.TOO_MANY_CALLS,
                f"agent {caller.agent} has {calls} requests under way, which is its bound",
                retry_after_seconds=1,
            )
        self._calls[key] = calls + 1
        try:
            await handle(request, caller, send)
        finally:
            self._release(key)

    async def _caller(self, request: HttpRequest) -> Caller | None:
        """Return who calls; None for a pod that asked for a Task, and that no Task names in time."""
        identity, is_result = self._identity, request.path == RESULT_PATH
        try:
            return await identity.authenticate(request, must_be_open=not is_result)
        except Unassigned as unassigned:
            # Who names a Task asks for that one, and not for the next.
            if request.path != TASK_PATH or request.method != "GET" or request.header(_TASK_HEADER):
                raise
            return await self._endpoints.tasks.until_assigned(
                request, unassigned, lambda: identity.authenticate(request)
            )

    def _release(self, key: tuple[str, str]) -> None:
        left = self._calls[key] - 1
        if left:
            self._calls[key] = left
        else:
            del self._calls[key]

    async def _handle_mcp(self, request: HttpRequest, caller: Caller, send: Send) -> None:
        await self._endpoints.mcp.handle(request, caller, send, None)

    def _route_below(self, path: str) -> Handle:
        if path.startswith(_MODEL) and len(path) > len(_MODEL):
            return self._endpoints.models.handle
        if path.startswith(A2A_PREFIX):
            return self._endpoints.agents.handle
        prefix = _MEMORY if path.startswith(_MEMORY) else _MCP_TOOL
        tool = path[len(prefix) :]
        if not path.startswith(prefix) or not 0 < len(tool) <= MAX_NAME_LENGTH or "/" in tool:
            raise not_found(path)
        endpoint = self._endpoints.memory if prefix == _MEMORY else self._endpoints.mcp

        async def handle(request: HttpRequest, caller: Caller, send: Send) -> None:
            await endpoint.handle(request, caller, send, tool)

        return handle

    async def _refuse(self, refusal: Refusal, request: HttpRequest | None, scope: Scope, send: Send) -> None:
        client = scope.get("client")
        address = str(client[0]) if isinstance(client, tuple) and client else ""
        self._journal.refused(refusal, address)
        whole = request is not None and await request.discard()
        await send_refusal(send, refusal, () if whole else _CLOSE)


class BrokenAnswerError(Exception):
    """An answer that had begun could not be ended; the server cuts the connection."""


class HostCheck:
    """Refuses requests that a browser was tricked into, by Host and Origin."""

    def __init__(self, settings: GatewaySettings) -> None:
        service = gateway_host(settings.namespace)
        parts = service.split(".")
        names = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
        names |= {f"{service}.cluster.local", *settings.allowed_hosts}
        self._names = frozenset(name.lower().encode() for name in names)

    def check(self, request: HttpRequest, scope: Scope) -> None:
        """Check the request's Host and Origin.

        Raises:
            Refusal: it is meant for another host (421), or comes from a web page (403).
        """
        if request.header(b"origin"):
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                RefusalCode.ORIGIN_NOT_ALLOWED,
                "requests from web pages (with an Origin header) are not answered",
            )
        host = _without_port(request.header(b"host").lower())
        if host not in self._names and host != _own_address(scope):
            raise Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                RefusalCode.HOST_NOT_ALLOWED,
                "the Host header is not one of the gateway's names (AOS_ALLOWED_HOSTS adds to them)",
            )


def not_found(path: str) -> Refusal:
    """Return the answer to a request for a path that is not there."""
    return Refusal(HTTPStatus.NOT_FOUND, RefusalCode.NOT_FOUND, f"there is nothing at {path[:128]}")


def _failure(error: Exception) -> Refusal:
    # Only where it failed, never what it said: messages of errors quote the data that they are about.
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("a request failed with %s:\n%s", type(error).__name__, where)
    return Refusal(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        RefusalCode.INTERNAL,
        "the gateway failed on this request; its log says where",
    )


class _Answer:
    """Passes messages on, and remembers whether an answer was begun."""

    __slots__ = ("_send", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    def __call__(self, message: Message) -> Awaitable[None]:
        self.started = True
        return self._send(message)


def _without_port(host: bytes) -> bytes:
    if host.startswith(b"["):
        return host[1:].partition(b"]")[0]
    return host.partition(b":")[0]


def _own_address(scope: Scope) -> bytes:
    server = scope.get("server")
    return str(server[0]).encode() if isinstance(server, tuple | list) and server else b""
