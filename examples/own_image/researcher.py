"""An agent as a team writes it: the OpenAI Agents SDK behind an A2A server of the official SDK. It knows nothing of AOS.

Where the tools and the model are it reads from the environment, as these SDKs do anyway.
"""

import json
import os
from typing import Final

import httpx
import uvicorn
from a2a.helpers.proto_helpers import get_data_parts, new_data_part, new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from agents import Agent, OpenAIChatCompletionsModel, RunConfig, Runner
from agents.exceptions import AgentsException
from agents.mcp import MCPServerStreamableHttp
from openai import AsyncOpenAI, OpenAIError
from pydantic import BaseModel
from starlette.applications import Starlette

PORT: Final = 9000
MAX_TURNS: Final = 8
TOOL_SECONDS: Final = 120
"""A call may wait for people for a while."""


class Finding(BaseModel):
    """What the agent answers with."""

    summary: str
    contact: str


class Researcher(AgentExecutor):
    """Looks leads up."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Do the work of one message."""
        message = context.message
        if message is None:
            raise ValueError("there is no message")
        task = context.current_task or new_task_from_user_message(message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        try:
            finding = await research(json.dumps(get_data_parts(message.parts)[0]))
        except (AgentsException, OpenAIError, httpx.HTTPError) as error:
            await updater.failed(updater.new_agent_message([new_text_part(str(error))]))
            return
        await updater.add_artifact([new_data_part(finding.model_dump())])
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Say that the work was stopped; the server stops it."""
        if context.task_id and context.context_id:
            await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


async def research(lead: str) -> Finding:
    """Return what the tools and the model make of a lead, given as JSON."""
    tools, gateway = os.environ["AOS_MCP_URL"], os.environ["AOS_GATEWAY_URL"]
    async with (
        httpx.AsyncClient() as http,
        AsyncOpenAI() as client,
        MCPServerStreamableHttp(
            {"url": f"{tools}/crm", "timeout": TOOL_SECONDS}, client_session_timeout_seconds=TOOL_SECONDS
        ) as crm,
    ):
        # What the Agent in the cluster says it is told; a constant would do as well.
        told = (await http.get(f"{gateway}/v1/task")).raise_for_status().json()
        agent = Agent(
            name="researcher",
            instructions=told["instructions"],
            model=OpenAIChatCompletionsModel(model=told["model"], openai_client=client),
            mcp_servers=[crm],
            output_type=Finding,
        )
        # Traces would go to a service on the internet, which nothing in an agent's pod reaches.
        run = await Runner.run(agent, lead, max_turns=MAX_TURNS, run_config=RunConfig(tracing_disabled=True))
        return run.final_output_as(Finding)


def app(port: int = PORT) -> Starlette:
    """Return the A2A server."""
    url = f"http://127.0.0.1:{port}/"
    card = AgentCard(
        name="researcher",
        description="Looks up the contact of a lead.",
        version="1",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["application/json"],
        default_output_modes=["application/json"],
        skills=[AgentSkill(id="research", name="research", description="Looks leads up.", tags=["crm"])],
    )
    handler = DefaultRequestHandler(
        agent_executor=Researcher(), task_store=InMemoryTaskStore(), agent_card=card
    )
    return Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/")])


if __name__ == "__main__":
    uvicorn.run(app(), host="127.0.0.1", port=PORT, log_level="warning")
