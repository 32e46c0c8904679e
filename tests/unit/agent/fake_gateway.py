"""A gateway small enough to read: it hands out one task, forwards to a real CRM and a real model, denies by name.

It checks the agent's token and puts each system's own in its place; everything else is the real gateway's business.
"""

import asyncio
import fnmatch
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import jsonschema_rs
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import Server, ServerRequestContext
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from aos.model.base import JsonObject


@dataclass
class FakeGateway:
    """What the gateway is told and what it saw.

    Attributes:
        not_yet: Answers of 503 that the task's endpoint gives first.
        unwilling: Answers of 503 that results get first.
        queue: Tasks of a Service, the one at hand first; each goes with its result. None where there is the one task alone.
        awaited: Set when a task is asked for that is not there yet.
        asked: Set when the model is asked for the first time.
        on_call: What happens before a tool call is judged.
        held: Refusals, by the name of the tool, that its calls get first.
        arguments: What each call had.
    """

    token_file: Path
    crm_url: str
    model_url: str
    crm_token: str
    model_token: str
    task: JsonObject
    denied: tuple[str, ...] = ("crm.export_*", "crm.delete_*")
    not_yet: int = 0
    unwilling: int = 0
    queue: list[JsonObject] | None = None
    awaited: asyncio.Event = field(default_factory=asyncio.Event)
    said: list[str] = field(default_factory=list)
    ended: bool = False
    on_call: Callable[[str], None] = lambda _: None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    tokens: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    held: dict[str, list[str]] = field(default_factory=dict)
    arguments: list[tuple[str, JsonObject]] = field(default_factory=list)
    chats: list[JsonObject] = field(default_factory=list)
    results: list[JsonObject] = field(default_factory=list)
    handoffs: list[JsonObject] = field(default_factory=list)

    def app(self) -> ASGIApp:
        """Return the application."""
        mcp = self._mcp_server().streamable_http_app(stateless_http=True, json_response=True)
        mcp.routes.extend(
            (
                Route("/v1/task", self._task),
                Route("/v1/task/result", self._result, methods=["POST"]),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/a2a/sales/{agent}/.well-known/agent-card.json", self._card),
                Route("/a2a/sales/{agent}", self._handoff, methods=["POST"]),
            )
        )
        return _TokenCheck(mcp, self)

    async def _task(self, _: Request) -> Response:
        if self.not_yet > 0:
            self.not_yet -= 1
            return _error(503, "PodNotRecorded", "the pod is not on the Task yet", {"Retry-After": "0"})
        if self.queue is not None:
            if not self.queue:
                self.awaited.set()
                await asyncio.sleep(0.02)
                return Response(status_code=204)
            self.task = self.queue[0]
        return JSONResponse(self.task)

    async def _result(self, request: Request) -> Response:
        if self.unwilling > 0:
            self.unwilling -= 1
            return _error(503, "Internal", "the result could not be written", {"Retry-After": "1"})
        self.said.append(request.headers.get("AOS-Task", ""))
        if self.ended:
            return _error(409, "TaskEnded", "the task has ended")
        result: JsonObject = await request.json()
        problems = self._problems(result.get("output"))
        if problems:
            return JSONResponse(
                {
                    "error": {
                        "code": "OutputInvalid",
                        "message": "the output does not fit",
                        "details": problems,
                    }
                },
                422,
            )
        self.results.append(result)
        if self.queue:
            del self.queue[0]
        return Response(status_code=204)

    async def _card(self, request: Request) -> Response:
        return JSONResponse({"name": request.path_params["agent"], "description": "Writes."})

    async def _handoff(self, request: Request) -> Response:
        asked = await request.json()
        self.handoffs.append(asked["params"]["message"])
        status: JsonObject = {"state": "TASK_STATE_COMPLETED"}
        parts: list[JsonValue] = [{"data": {"draft": "Dear Halden"}}]
        made: JsonObject = {"id": "t2", "status": status, "artifacts": [{"parts": parts}]}
        return JSONResponse({"jsonrpc": "2.0", "id": asked["id"], "result": {"task": made}})

    def _problems(self, output: JsonValue) -> list[JsonValue]:
        schema = self.task.get("outputSchema")
        if output is None or not isinstance(schema, dict):
            return []
        validator = jsonschema_rs.Draft202012Validator(schema)
        return [
            {"path": "/".join(map(str, error.instance_path)), "message": error.message}
            for error in validator.iter_errors(output)
        ]

    async def _chat(self, request: Request) -> Response:
        self.chats.append(await request.json())
        self.asked.set()
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {self.model_token}"}) as http:
            answer = await http.post(
                f"{self.model_url}/v1/chat/completions",
                json={**self.chats[-1], "model": "scripted-1"},
                timeout=30,
            )
        return Response(answer.content, answer.status_code, {"Content-Type": answer.headers["Content-Type"]})

    def _mcp_server(self) -> Server:
        async def list_tools(_: ServerRequestContext, __: PaginatedRequestParams | None) -> ListToolsResult:
            async with self._crm() as crm:
                tools = (await crm.list_tools()).tools
            return ListToolsResult(
                tools=[_renamed(tool) for tool in tools if not self._denies(f"crm.{tool.name}")]
            )

        async def call_tool(_: ServerRequestContext, params: CallToolRequestParams) -> CallToolResult:
            self.calls.append(params.name)
            self.arguments.append((params.name, params.arguments or {}))
            self.on_call(params.name)
            if self.held.get(params.name):
                return _refusal(self.held[params.name].pop(0))
            if self._denies(params.name):
                return _denial(params.name)
            async with self._crm() as crm:
                return await crm.call_tool(params.name.removeprefix("crm."), params.arguments)

        return Server("fake-gateway", on_list_tools=list_tools, on_call_tool=call_tool)

    def _denies(self, name: str) -> bool:
        return not name.startswith("crm.") or any(fnmatch.fnmatch(name, pattern) for pattern in self.denied)

    @asynccontextmanager
    async def _crm(self) -> AsyncGenerator[Client]:
        headers = {"Authorization": f"Bearer {self.crm_token}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(f"{self.crm_url}/mcp", http_client=http)) as client,
        ):
            yield client


class _TokenCheck:
    def __init__(self, app: ASGIApp, gateway: FakeGateway) -> None:
        self._app = app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            presented = Request(scope).headers.get("authorization", "").removeprefix("Bearer ")
            self._gateway.tokens.append(presented)
            if presented != self._gateway.token_file.read_text().strip():
                await _error(401, "TokenInvalid", "the token is not the pod's")(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _renamed(tool: Tool) -> Tool:
    return tool.model_copy(update={"name": f"crm.{tool.name}"})


def _denial(name: str) -> CallToolResult:
    message = f"no rule allows {name}"
    return CallToolResult(
        content=[TextContent(type="text", text=f"denied: PolicyDenied: {message}")],
        structured_content={"decision": "Deny", "reason": "PolicyDenied", "message": message},
        is_error=True,
    )


def _refusal(reason: str) -> CallToolResult:
    """Return what the real gateway says of a call that people have not approved."""
    structured = {
        "decision": "Hold" if reason == "ApprovalPending" else "Deny",
        "reason": reason,
        "message": f"people say {reason}",
        "approval": "apr-0123456789abcdef",
        "retryAfterSeconds": 0,
    }
    if reason != "ApprovalPending":
        del structured["retryAfterSeconds"]
    return CallToolResult(
        _meta={"aos.dev/refused": reason},
        content=[TextContent(type="text", text=f"denied: people say {reason}")],
        structured_content=structured,
        is_error=True,
    )


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
