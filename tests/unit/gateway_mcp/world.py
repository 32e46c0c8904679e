"""The endpoint behind a real server, with real tools behind the endpoint, on loopback."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aos.gateway.approvals.hooks import EVERY_CALL, Sampler
from aos.gateway.caller import Caller
from aos.gateway.http import HttpRequest, send_refusal
from aos.gateway.mcp.catalogue import Catalogue
from aos.gateway.mcp.endpoint import McpEndpoint
from aos.gateway.mcp.mcp_system import McpSystem
from aos.gateway.mcp.system import Systems
from aos.gateway.mcp.upstream import Upstream
from aos.gateway.memory.endpoint import MemoryEndpoint
from aos.gateway.memory.system import MemorySystem
from aos.gateway.openapi.system import OpenApiSystem
from aos.gateway.refusal import Refusal
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.outbound import open_client
from aos.model.base import JsonObject
from aos.model.tool import Tool, ToolType
from aos.store.interface import Store
from tests.unit.agent.serving import serve
from tests.unit.gateway_control.world import Held, controlled, opened
from tests.unit.gateway_mcp.make import (
    ALLOW_ALL,
    SETTINGS,
    KeptJournal,
    KeptReports,
    StubRegistry,
    caller,
    merged,
)


class Documents(dict[tuple[str, str], dict[str, str]]):
    """Labelled ConfigMaps, by namespace and name."""

    def openapi_documents(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return self.get((namespace, name))


@dataclass
class Gateway:
    """An endpoint with everything that it needs, for one caller at a time."""

    registry: StubRegistry
    journal: KeptJournal
    reports: KeptReports
    catalogue: Catalogue
    systems: Systems
    documents: "Documents"
    endpoint: McpEndpoint
    memory: MemoryEndpoint
    settings: GatewaySettings
    held: Held
    url: str = ""
    caller: Caller = field(default_factory=lambda: caller(merged([])))

    async def offer(self, *tools: Tool, rules: Sequence[JsonObject] = (ALLOW_ALL,)) -> None:
        """Make the caller's agent one that asks for ``tools`` under ``rules``, and read their definitions."""
        self.caller = self.held.people.caller = caller(merged(tools, *rules))
        for tool in tools:
            self.registry.tool_objects[tool.metadata.name] = tool
            await self.catalogue.refresh(tool.key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as the gateway's app does, without its checks of who calls."""
        if scope["type"] != "http":
            return
        try:
            request = HttpRequest(
                scope, receive, max_body_bytes=self.settings.max_request_bytes, timeout_seconds=10
            )
            if request.path.startswith("/v1/memory/"):
                named = request.path.removeprefix("/v1/memory/")
                await self.memory.handle(request, self.caller, send, named)
                return
            tool = request.path.removeprefix("/mcp").removeprefix("/") or None
            await self.endpoint.handle(request, self.caller, send, tool)
        except Refusal as refusal:
            await send_refusal(send, refusal)

    @asynccontextmanager
    async def client(self, mode: str, tool: str = "") -> AsyncGenerator[Client]:
        """Connect an official client, as an agent's pod would, with headers that must go no further."""
        headers = {"Authorization": "Bearer the-agents-own", "Cookie": "agent=1", "X-Agent": "1"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(
                streamable_http_client(f"{self.url}/mcp{'/' if tool else ''}{tool}", http_client=http),
                mode=mode,
            ) as client,
        ):
            yield client


@asynccontextmanager
async def gateway(
    settings: GatewaySettings = SETTINGS, store: Store | None = None, sampler: Sampler = EVERY_CALL
) -> AsyncGenerator[Gateway]:
    """Serve an endpoint, with a store of its own unless one is given."""
    registry, journal, reports = StubRegistry(), KeptJournal(), KeptReports()
    async with (
        open_client(settings) as http,
        opened(store) as used,
        controlled(used, settings, sampler) as control,
    ):
        upstream = Upstream(http, settings)
        documents = Documents()
        systems: Systems = {
            ToolType.MCP: McpSystem(upstream, settings),
            ToolType.OPENAPI: OpenApiSystem(http, documents, settings),
            ToolType.MEMORY: MemorySystem(used),
        }
        catalogue = Catalogue(registry, systems, reports, settings)
        endpoint = McpEndpoint(registry, catalogue, systems, journal, control.control, settings)
        memory = MemoryEndpoint(endpoint.calls, settings)
        made = Gateway(
            registry, journal, reports, catalogue, systems, documents, endpoint, memory, settings, control
        )
        async with serve(made) as url:
            made.url = url
            yield made
        await upstream.close()


@dataclass
class Seen:
    """Requests that reached a tool: headers by lower-case name, and the decoded body."""

    requests: list[tuple[str, dict[str, str], JsonObject]] = field(default_factory=list)

    def of(self, method: str) -> list[tuple[dict[str, str], JsonObject]]:
        """Return headers and body of each message with this JSON-RPC method."""
        return [(headers, body) for _, headers, body in self.requests if body.get("method") == method]

    def http(self, method: str) -> list[dict[str, str]]:
        """Return the headers of each request with this HTTP method."""
        return [headers for verb, headers, _ in self.requests if verb == method]


class Watched:
    """A tool whose requests are kept; without ``modern`` it knows no version later than 2025-11-25."""

    def __init__(self, app: ASGIApp, *, modern: bool = True) -> None:
        self.seen = Seen()
        self._app = app
        self._modern = modern

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        content = b""
        while True:
            message = await receive()
            content += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.seen.requests.append((scope["method"], headers, json.loads(content) if content else {}))
        if not self._modern and headers.get("mcp-protocol-version", "") > "2026":
            await respond(
                send, 400, {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "version"}}
            )
            return
        replayed = False

        async def again() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": content, "more_body": False}

        await self._app(scope, again, send)


@asynccontextmanager
async def crm(
    *, modern: bool = True, json_response: bool = True, stateless: bool = False
) -> AsyncGenerator[tuple[str, Watched]]:
    """Serve a real MCP server of the official SDK; yield its URL and what it saw."""
    server: MCPServer[None] = MCPServer(name="crm", log_level="ERROR")

    @server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True, title="Liar"))
    async def get_contact(id: str) -> str:  # noqa: A002 - what the tool calls it
        """Read one contact."""
        return f"contact {id}"

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def update_contact(id: str, stage: str = "new") -> dict[str, str]:  # noqa: A002
        """Change one contact."""
        return {"id": id, "stage": stage}

    @server.tool()
    async def undeclared() -> str:
        """Nobody declared this one."""
        return "undeclared"

    app = server.streamable_http_app(
        json_response=json_response,
        stateless_http=stateless,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    watched = Watched(app, modern=modern)
    async with serve(watched) as url:
        yield f"{url}/mcp", watched


Script = Callable[[str, JsonObject, Send], Awaitable[None]]
"""Answers one message: its method, the whole message, and where to send."""


class Scripted:
    """A tool that lists what it is given, and answers calls as a test says."""

    def __init__(self, definitions: Sequence[JsonObject], on_call: Script | None = None) -> None:
        self.definitions = list(definitions)
        self.on_call = on_call
        self.on_list: Script | None = None
        self.gate: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = json.loads((await receive()).get("body", b"{}"))
        method = body.get("method", "")
        if method == "tools/call" and self.on_call is not None:
            await self.on_call(method, body, send)
        elif method == "tools/list" and self.on_list is not None:
            await self.on_list(method, body, send)
        else:
            await answer(send, body, self._result(method))

    def _result(self, method: str) -> JsonObject:
        match method:
            case "server/discover":
                return {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
            case "tools/list":
                return {"tools": list(self.definitions)}
            case _:
                return {"content": [{"type": "text", "text": "done"}]}


@asynccontextmanager
async def scripted(
    definitions: Sequence[JsonObject], on_call: Script | None = None
) -> AsyncGenerator[tuple[str, Scripted, Seen]]:
    """Serve a scripted tool of the stateless era."""
    tool = Scripted(definitions, on_call)
    watched = Watched(tool)
    async with serve(watched) as url:
        yield f"{url}/mcp", tool, watched.seen


async def answer(send: Send, request: JsonObject, result: JsonObject) -> None:
    """Answer ``request`` with ``result``."""
    await respond(send, 200, {"jsonrpc": "2.0", "id": request.get("id"), "result": result})


async def respond(
    send: Send,
    status: int,
    body: JsonObject | bytes,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer with JSON, or with bytes of the type that the headers say."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {"content-type": "application/json", **(headers or {})}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in said.items()],
        }
    )
    await send({"type": "http.response.body", "body": content})
