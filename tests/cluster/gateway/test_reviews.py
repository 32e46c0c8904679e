"""Reviews through a whole gateway before a real API server."""

from aos.kube.client import Selection
from aos.kube.objects import child, text
from aos.kube.resources import APPROVAL_REQUESTS, POLICIES, TOOLS
from aos.model.approval_request import ApprovalRequest, RequestType
from aos.model.base import JsonObject
from aos.model.names import LABEL_AGENT
from tests.bench.approvals_world import POLICY, UPDATES, Crm, agent_at, serving_crm
from tests.cluster.gateway.world import World, eventually

REVIEWED: JsonObject = {
    **POLICY,
    "autonomy": {"ceiling": "Autonomous"},
    "approvals": [{"name": "look", "review": "After", "approvers": {"groups": ["sales-leads"]}}],
}


async def reviews(world: World) -> list[ApprovalRequest]:
    selection = Selection(namespace=world.namespace)
    return [ApprovalRequest.parse(raw) async for raw in world.client.list(APPROVAL_REQUESTS, selection)]


async def test_a_call_that_is_reviewed_is_made_and_its_review_says_how_it_ended(world: World) -> None:
    crm = Crm()
    async with serving_crm(crm) as url:
        spec: JsonObject = {"type": "MCP", "url": f"{url}/mcp", "actions": UPDATES}
        await world.create(TOOLS, "crm", spec=spec)
        await world.agent(autonomy="Autonomous")
        await world.create(POLICIES, "baseline", spec=REVIEWED)
        worker = await world.worker(requestedBy="ana@example.com")
        async with agent_at(world.ports.agents.port, await world.token(worker)) as agent:

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
