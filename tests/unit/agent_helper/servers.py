"""Agents as teams write them: A2A servers of the official SDK, as it comes, and one that answers by hand."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import CoroutineType
from typing import Any

from a2a.helpers.proto_helpers import get_data_parts, new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aos.model.base import JsonObject
from tests.unit.agent.serving import serve

Work = Callable[[JsonObject, TaskUpdater], Awaitable[None]]


@dataclass
class Agent(AgentExecutor):
    """Does what a test says, and keeps what it was given."""

    work: Work
    given: list[JsonObject] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        message = context.message
        assert message is not None
        [data] = get_data_parts(message.parts)
        assert isinstance(data, dict)
        self.given.append(data)
        self.messages.append(message.message_id)
        task = context.current_task or new_task_from_user_message(message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        await self.work(data, updater)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None
        assert context.context_id is not None
        self.cancelled.append(context.task_id)
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def card(version: str = "1.0") -> AgentCard:
    """A card that leads elsewhere, as one does that was written for another place."""
    url = "http://elsewhere.example/rpc"
    return AgentCard(
        name="researcher",
        description="Looks things up.",
        version="1",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version=version)],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["application/json"],
        default_output_modes=["application/json"],
        skills=[AgentSkill(id="s", name="s", description="s", tags=["s"])],
    )


@asynccontextmanager
async def official(work: Work, path: str = "/", version: str = "1.0") -> AsyncGenerator[tuple[int, Agent]]:
    """Serve an agent with the SDK; yield its port, and what it saw."""
    agent, described = Agent(work), card(version)
    handler = DefaultRequestHandler(
        agent_executor=agent, task_store=InMemoryTaskStore(), agent_card=described
    )
    routes = [
        *create_agent_card_routes(described),
        *create_jsonrpc_routes(handler, path, enable_v0_3_compat=version == "0.3"),
    ]
    try:
        async with serve(Starlette(routes=routes)) as url:
            yield int(url.rpartition(":")[2]), agent
    finally:
        await _end_work()


async def _end_work() -> None:
    """End what the SDK's server still does once nobody serves it: a process would end here."""
    left = [task for task in asyncio.all_tasks() if "/a2a/server/" in _file_of(task)]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _file_of(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return coroutine.cr_code.co_filename if isinstance(coroutine, CoroutineType) else ""


CARD: JsonObject = {"name": "n", "supportedInterfaces": [{"protocolVersion": "1.0"}]}


@dataclass
class ByHand:
    """A server whose answers a test writes."""

    answers: list[JsonObject | Response]
    methods: list[str] = field(default_factory=list)
    card: JsonObject | None = field(default_factory=CARD.copy)

    async def rpc(self, request: Request) -> Response:
        """Answer in turn; the last answer stays."""
        body: dict[str, Any] = json.loads(await request.body())
        self.methods.append(body["method"])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Response):
            return answer
        return JSONResponse({"jsonrpc": "2.0", "id": body["id"], **answer})

    async def describe(self, _: Request) -> Response:
        """Give the card, or none yet."""
        return Response(status_code=404) if self.card is None else JSONResponse(self.card)

    @asynccontextmanager
    async def served(self) -> AsyncGenerator[int]:
        """Serve it; yield its port."""
        routes = [
            Route("/", self.rpc, methods=["POST"]),
            Route("/.well-known/agent-card.json", self.describe),
        ]
        async with serve(Starlette(routes=routes)) as url:
            yield int(url.rpartition(":")[2])


async def never() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()
