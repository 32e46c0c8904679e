"""The runtime's side of handoffs, against the gateway's."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from pydantic import JsonValue

from aos.agent.assignment import Assignment
from aos.agent.conversation import CallTool
from aos.agent.delegates import DelegateClient
from aos.agent.failure import TaskFailedError
from aos.agent.settings import AgentSettings
from aos.kube.objects import child, text
from aos.kube.resources import AGENTS
from aos.model.base import JsonObject
from tests.unit.agent.conftest import FAST, task
from tests.unit.gateway.make import raw_agent
from tests.unit.gateway_a2a.world import INPUT_SCHEMA, World, running

CALL = CallTool("delegate_to_writer", {"facts": "Ada likes trains"})
OUTPUT: JsonObject = {"draft": "Hello Ada"}
DONE: JsonObject = {"outcome": "Succeeded", "output": OUTPUT, "time": "2026-01-02T03:04:06Z"}


def client_of(
    http: httpx2.AsyncClient, url: str, *delegates: str, handoff_timeout_seconds: float = 20
) -> DelegateClient:
    bounds = replace(FAST, handoff_timeout_seconds=handoff_timeout_seconds)
    settings = AgentSettings(url, Path("token"), Path("ca"), f"{url}/v1", f"{url}/mcp", bounds=bounds)
    return DelegateClient(http, settings, Assignment.model_validate(task(delegates=[*delegates])))


@asynccontextmanager
async def delegates(
    *names: str, handoff_timeout_seconds: float = 20, **settings: JsonValue
) -> AsyncGenerator[tuple[DelegateClient, World]]:
    async with running(**settings) as world:
        trust = ssl.create_default_context(cadata=world.authority.certificate.decode())
        async with httpx2.AsyncClient(verify=trust, headers={"Authorization": "Bearer t1"}) as http:
            yield client_of(http, world.url, *names, handoff_timeout_seconds=handoff_timeout_seconds), world


async def child_of(world: World) -> str:
    await world.until(lambda: world.api.created)
    return text(child(world.api.created[0], "metadata"), "name")


async def test_delegates_are_offered_with_the_schema_of_their_card_and_strangers_are_not() -> None:
    async with delegates("writer", "stranger") as (client, _):
        (offer,) = await client.offers()
    assert (offer.name, offer.input_schema) == ("delegate_to_writer", INPUT_SCHEMA)
    assert "team revops" in offer.description


async def test_work_is_handed_over_and_its_output_comes_back() -> None:
    # The gateway's waits are far shorter than the work: the same message waits on for the same Task.
    async with delegates("writer", handoff_wait_seconds=0.05) as (client, world):
        calling = asyncio.create_task(client.call(CALL))
        name = await child_of(world)
        await asyncio.sleep(0.2)
        world.api.status(name, result=DONE)
        reply = await calling
    assert (json.loads(reply.text), reply.failed) == (OUTPUT, False)
    assert len(world.api.created) == 1


async def test_a_failure_of_the_other_agent_is_told_in_its_own_words() -> None:
    async with delegates("writer") as (client, world):
        calling = asyncio.create_task(client.call(CALL))
        failed: JsonObject = {**DONE, "outcome": "Failed", "reason": "ModelRefused", "message": "no"}
        world.api.status(await child_of(world), result=failed)
        reply = await calling
    assert reply.failed
    assert reply.text == "failed: agent writer: failed: ModelRefused: no"


async def test_what_policy_denies_is_shown_as_a_denial_with_its_reason() -> None:
    async with delegates("writer") as (client, world):
        await world.policy(data={"block": ["payment"]})
        reply = await client.call(CallTool("delegate_to_writer", {"facts": "pay with 4111 1111 1111 1111"}))
        misfit = await client.call(CallTool("delegate_to_writer", {"facts": 7}))
        unknown = await client.call(CallTool("delegate_to_nobody", {}))
    assert (reply.denied, reply.reason) == (True, "DataBlocked")
    assert reply.text.startswith("denied: ")
    assert misfit.reason == "ArgumentsInvalid"
    assert unknown.text == "failed: there is no delegate nobody"


async def test_an_agent_that_is_not_ready_may_be_asked_again_later() -> None:
    async with delegates("writer", "asleep") as (client, world):
        world.api.put(AGENTS, raw_agent("asleep"))
        await world.agent("lead", delegates=["writer", "asleep"])
        await world.until(lambda: world.registry.agent("sales", "asleep"))
        reply = await client.call(CallTool("delegate_to_asleep", {}))
    assert (reply.denied, reply.reason) == (False, "DelegateNotReady")


async def test_work_that_takes_too_long_is_given_up_and_cancelled() -> None:
    async with delegates("writer", handoff_timeout_seconds=0.5, handoff_wait_seconds=0.05) as (client, world):
        reply = await client.call(CALL)
        name = await child_of(world)
        await world.until(lambda: world.registry.task("sales", name) is None)
    assert reply.text.startswith("failed: agent writer gave no answer in 0.5 seconds: it is still submitted")


async def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_message() -> None:
    sent: list[JsonObject] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content)["params"]["message"])
        if len(sent) == 1:
            return httpx2.Response(502)
        state = "COMPLETED" if len(sent) > 2 else "WORKING"
        made = {"id": "t", "status": {"state": f"TASK_STATE_{state}"}}
        return httpx2.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": {"task": made}})

    client = client_of(
        httpx2.AsyncClient(transport=httpx2.MockTransport(respond)), "https://gateway", "writer"
    )
    reply = await client.call(CALL)
    assert (reply.text, reply.failed) == ("(no content)", False)
    assert len({json.dumps(item) for item in sent}) == 1


@pytest.mark.parametrize("content", [b"{}", b"[]", b"nonsense", b'{"result": {"task": {}}}'])
async def test_an_answer_that_is_none_is_a_failure_and_no_crash(content: bytes) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=content))
    client = client_of(httpx2.AsyncClient(transport=transport), "https://gateway", "writer")
    assert (await client.call(CALL)).failed


@pytest.mark.parametrize(("status", "content"), [(500, b""), (200, b"nonsense")])
async def test_a_card_that_can_not_be_had_ends_the_run(status: int, content: bytes) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=content))
    client = client_of(httpx2.AsyncClient(transport=transport), "https://gateway", "writer")
    with pytest.raises(TaskFailedError, match="card of agent writer"):
        await client.offers()
