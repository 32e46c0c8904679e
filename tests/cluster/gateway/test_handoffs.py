"""Handoffs through a whole gateway before a real API server, by the official client as it comes."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator

import httpx
import pytest
from a2a.client import ClientConfig, create_client
from a2a.client.client import Client
from a2a.client.errors import A2AClientError
from a2a.helpers import get_data_parts, new_data_message
from a2a.types import Role, SendMessageRequest, Task, TaskState
from pydantic import JsonValue

from aos.kube.client import Selection
from aos.kube.errors import NotFound
from aos.kube.objects import child, children, text, uid_of
from aos.kube.resources import AGENTS, TASKS, TOOLS
from aos.model.base import JsonObject
from aos.model.names import FIELD_MANAGER_OPERATOR
from tests.cluster.gateway.world import LOOPBACK, Worker, World, eventually

READY: JsonObject = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-02T03:04:05Z",
}
COLLECTED_SECONDS = 120
"""The garbage collector takes a while to hear of kinds that are new to the cluster."""
FACTS: JsonObject = {"facts": "Ada likes trains"}
TOOL: JsonObject = {
    "type": "MCP",
    "url": "http://127.0.0.1:9/mcp",
    "actions": [{"name": "get_contact", "access": "Read", "risk": "Low"}],
}


async def ready_agent(world: World, name: str, *delegates: str, **spec: JsonValue) -> None:
    """An agent that takes Tasks, as the operator says."""
    await world.agent(name, delegates=[*delegates], **spec)
    await world.client.apply_status(
        AGENTS,
        {
            "apiVersion": AGENTS.api_version,
            "kind": AGENTS.kind,
            "metadata": {"name": name, "namespace": world.namespace},
            "status": {"observedGeneration": 1, "conditions": [READY]},
        },
        field_manager=FIELD_MANAGER_OPERATOR,
    )


async def token_of(world: World, worker: Worker) -> str:
    """The token of a pod, once the gateway answers it."""
    token = await world.token(worker)
    await world.ask_until(200, "GET", "/v1/task", token)
    return token


@contextlib.asynccontextmanager
async def client_of(world: World, token: str, agent: str, *, waits: bool = True) -> AsyncGenerator[Client]:
    trust = ssl.create_default_context(cadata=world.authority.certificate.decode())
    headers = {"Authorization": f"Bearer {token}"}
    url = f"https://{LOOPBACK}:{world.ports.agents.port}/a2a/{world.namespace}/{agent}"
    async with httpx.AsyncClient(verify=trust, headers=headers, timeout=30) as http:
        config = ClientConfig(httpx_client=http, streaming=waits, polling=not waits)
        yield await create_client(url, client_config=config)


async def hand_over(client: Client, content: JsonObject = FACTS) -> Task:
    """Hand work over and come back at once."""
    request = SendMessageRequest(message=new_data_message(content, role=Role.ROLE_USER))
    (said,) = [item async for item in client.send_message(request)]
    return said.task


async def worker_of(world: World, name: str, agent: str) -> Worker:
    """The pod of a Task that was handed over."""
    task = await world.client.get(TASKS, name, world.namespace)
    worker = await world.pod(task, agent=agent)
    await world.record(worker)
    return worker


async def only_child(world: World) -> str:
    """The name of the one Task that was handed over, once it is there."""
    found: list[str] = []

    async def is_there() -> bool:
        items = [item async for item in world.client.list(TASKS, Selection(namespace=world.namespace))]
        handed_over = [item for item in items if children(child(item, "spec"), "lineage")]
        found.extend(text(child(item, "metadata"), "name") for item in handed_over)
        return bool(found)

    await eventually(is_there)
    return found[0]


async def test_work_goes_from_agent_to_agent_and_its_output_comes_back(world: World) -> None:
    await world.policy()
    await ready_agent(world, "enricher", "writer")
    await ready_agent(world, "writer")
    parent = await world.worker(requestedBy="ada")
    async with client_of(world, await token_of(world, parent), "writer") as client:
        request = SendMessageRequest(message=new_data_message(FACTS, role=Role.ROLE_USER))

        async def follow() -> list[str]:
            states = []
            async for item in client.send_message(request):
                seen = item.task if item.HasField("task") else item.status_update
                if item.HasField("artifact_update"):
                    assert get_data_parts(item.artifact_update.artifact.parts) == [{"score": 0.7}]
                else:
                    states.append(TaskState.Name(seen.status.state))
            return states

        following = asyncio.create_task(follow())
        name = await only_child(world)
        worker = await worker_of(world, name, "writer")
        token = await token_of(world, worker)
        task = (await world.ask("GET", "/v1/task", token)).json
        assert (task["agent"], task["input"]) == ("writer", FACTS)
        kept = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": 0.7}})
        assert kept.status == 204
        states = await following
    assert states[0] == "TASK_STATE_SUBMITTED"
    assert states[-1] == "TASK_STATE_COMPLETED"
    spec = child(await world.client.get(TASKS, name, world.namespace), "spec")
    assert spec["requestedBy"] == "ada"


async def test_attack_19_an_agent_has_no_more_rights_in_the_hands_of_another(world: World) -> None:
    await world.create(TOOLS, "crm", spec=TOOL)
    await world.policy()
    await ready_agent(world, "enricher", "writer", tools=[])
    await ready_agent(world, "writer")
    call: JsonObject = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "crm.get_contact", "arguments": {}},
    }

    async def reason(worker: Worker) -> str:
        answer = await world.ask("POST", "/mcp", await token_of(world, worker), json=call)
        return text(child(child(answer.json, "result"), "structuredContent"), "reason")

    own = await world.worker("own", "writer")

    # By itself it may: the call fails only because nothing listens there.
    async def may_call() -> bool:
        return await reason(own) == "UpstreamUnreachable"

    await eventually(may_call)
    parent = await world.worker()
    async with client_of(world, await token_of(world, parent), "writer", waits=False) as client:
        name = (await hand_over(client)).id
    handed_over = await worker_of(world, name, "writer")
    assert await reason(handed_over) in ("NotRequested", "ToolUnknown")


async def test_attack_22_two_agents_that_hand_work_to_each_other_end_at_the_bound(world: World) -> None:
    await world.policy()
    names = ["enricher", "writer"]
    await ready_agent(world, "enricher", "writer")
    await ready_agent(world, "writer", "enricher")
    worker = await world.worker()
    for turn in range(1, 4):
        receiver = names[turn % 2]
        async with client_of(world, await token_of(world, worker), receiver, waits=False) as client:
            task = await hand_over(client)
        worker = await worker_of(world, task.id, receiver)
    async with client_of(world, await token_of(world, worker), "enricher", waits=False) as client:
        with pytest.raises(A2AClientError, match="enricher > writer > enricher > writer > enricher"):
            await hand_over(client)


async def is_there(world: World, task: str) -> bool:
    try:
        await world.client.get(TASKS, task, world.namespace)
    except NotFound:
        return False
    return True


async def test_what_was_handed_over_goes_with_the_task_that_it_came_from(world: World) -> None:
    await world.policy()
    await ready_agent(world, "enricher", "writer")
    await ready_agent(world, "writer")
    parent = await world.worker()
    async with client_of(world, await token_of(world, parent), "writer", waits=False) as client:
        name = (await hand_over(client)).id
    token = await token_of(world, await worker_of(world, name, "writer"))
    await world.client.delete(TASKS, "t1", namespace=world.namespace)
    answer = await world.ask_until(403, "GET", "/v1/task", token)
    assert answer.code in ("TaskEnded", "TaskUnknown", "PodEnded")

    async with asyncio.timeout(COLLECTED_SECONDS):
        while await is_there(world, name):  # noqa: ASYNC110 - a cluster sets no event of ours
            await asyncio.sleep(0.2)


async def test_a_message_that_is_sent_to_many_at_once_makes_one_task(world: World) -> None:
    await world.policy()
    await ready_agent(world, "enricher", "writer")
    await ready_agent(world, "writer")
    parent = await world.worker()
    request = SendMessageRequest(message=new_data_message(FACTS, role=Role.ROLE_USER))
    async with client_of(world, await token_of(world, parent), "writer", waits=False) as client:

        async def send() -> str:
            (said,) = [item async for item in client.send_message(request)]
            return said.task.id

        found = await asyncio.gather(*(send() for _ in range(8)))
    assert len(set(found)) == 1
    made = await world.client.get(TASKS, found[0], world.namespace)
    (owner,) = children(child(made, "metadata"), "ownerReferences")
    assert owner["uid"] == uid_of(await world.client.get(TASKS, "t1", world.namespace))
