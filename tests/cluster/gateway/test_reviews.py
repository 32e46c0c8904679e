"""Reviews through a whole gateway before a real API server, and through one that is killed while calls are under way."""

import asyncio
from collections import Counter
from pathlib import Path

from aos.kube.client import Selection
from aos.kube.objects import child, text
from aos.kube.resources import APPROVAL_REQUESTS, POLICIES, TOOLS
from aos.model.approval_request import ApprovalRequest, RequestType
from aos.model.base import JsonObject
from aos.model.names import LABEL_AGENT
from hack.cluster.handle import Handle
from tests.bench.approvals_world import (
    POLICY,
    UPDATES,
    Agent,
    Crm,
    GatewayProcess,
    agent_at,
    serving_crm,
)
from tests.cluster.gateway.world import World, eventually

ROUNDS = 3
AT_ONCE = 4

REVIEWED: JsonObject = {
    **POLICY,
    "autonomy": {"ceiling": "Autonomous"},
    "approvals": [{"name": "look", "review": "After", "approvers": {"groups": ["sales-leads"]}}],
}


async def reviews(world: World) -> list[ApprovalRequest]:
    selection = Selection(namespace=world.namespace)
    return [ApprovalRequest.parse(raw) async for raw in world.client.list(APPROVAL_REQUESTS, selection)]


async def working(world: World, url: str) -> str:
    """Set an agent to work on the CRM at ``url``, whose calls are all reviewed; return its token."""
    spec: JsonObject = {"type": "MCP", "url": f"{url}/mcp", "actions": UPDATES}
    await world.create(TOOLS, "crm", spec=spec)
    await world.agent(autonomy="Autonomous")
    await world.create(POLICIES, "baseline", spec=REVIEWED)
    return await world.token(await world.worker(requestedBy="ana@example.com"))


async def test_a_call_that_is_reviewed_is_made_and_its_review_says_how_it_ended(world: World) -> None:
    crm = Crm()
    async with serving_crm(crm) as url:
        token = await working(world, url)
        async with agent_at(world.ports.agents.port, token) as agent:

            async def is_made() -> bool:
                await agent.update("7")
                return bool(crm.made)

            await eventually(is_made)

            async def is_told() -> bool:
                return any(review.status.outcome for review in await reviews(world))

            await eventually(is_told)
            found = await reviews(world)
    review = next(item for item in found if item.status.outcome == "Answered")
    assert review.spec.type is RequestType.REVIEW
    assert review.metadata.name == f"rev-{review.spec.call[:16]}"
    assert review.spec.summary.startswith("enricher was let through to ")
    assert review.metadata.labels[LABEL_AGENT] == "enricher"
    assert review.spec.quorums[0].approvers.groups == ("sales-leads",)
    raw = await world.client.get(APPROVAL_REQUESTS, review.metadata.name, world.namespace)
    assert text(child(raw, "status"), "state") in ("", "Pending")


async def test_whenever_the_gateway_is_killed_no_call_was_made_that_nobody_reviews(
    kinds: Handle, world: World, tmp_path: Path
) -> None:
    crm = Crm()
    async with serving_crm(crm) as url:
        token = await working(world, url)
        settings = {"AOS_MAX_REVIEW_BACKLOG": "1000"}
        gateway = GatewayProcess(kinds.kubeconfig, tmp_path, world.system, settings)
        try:
            await gateway.start()
            async with agent_at(gateway.port, token) as agent:
                for number in range(ROUNDS):
                    await _killed_meanwhile(gateway, agent, crm, number)
        finally:
            gateway.close()
    made = Counter(f"contact/{contact}" for contact, _ in crm.made)
    reviewed = Counter(review.spec.record for review in await reviews(world))
    assert len(made) >= ROUNDS
    assert {record: times for record, times in made.items() if reviewed[record] < times} == {}


async def _killed_meanwhile(gateway: GatewayProcess, agent: Agent, crm: Crm, number: int) -> None:
    """Make calls at once, kill the gateway when the first one arrives at the tool, and start it anew."""
    arrived = asyncio.Event()
    crm.arrived = lambda _: arrived.set()

    async def insist(contact: str) -> None:
        while not crm.times(contact):
            await agent.update(contact)
            await asyncio.sleep(0.05)

    calls = [asyncio.create_task(insist(f"{number}-{each}")) for each in range(AT_ONCE)]
    async with asyncio.timeout(120):
        await arrived.wait()
        await gateway.kill()
        await gateway.start()
        await asyncio.gather(*calls)
