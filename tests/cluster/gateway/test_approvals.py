"""Held calls through a whole gateway before a real API server, and through one that is killed; a tool keeps count of what was done."""

from pathlib import Path

import pytest

from aos.kube.errors import Invalid
from aos.kube.objects import child, children, text, uid_of
from aos.kube.resources import APPROVAL_REQUESTS, POLICIES, TASKS, TOOLS
from aos.model.approval_request import ApprovalRequest, Verdict
from aos.model.base import JsonObject
from hack.cluster.handle import Handle
from tests.bench.approvals_crash import Crashes, Point
from tests.bench.approvals_people import People, deciding
from tests.bench.approvals_world import (
    POLICY,
    UPDATES,
    Agent,
    Crm,
    GatewayProcess,
    Said,
    agent_at,
    serving_crm,
)
from tests.cluster.gateway.world import Worker, World, eventually

ROUNDS = 3


async def working(world: World, url: str) -> tuple[Worker, str]:
    """An agent at work on the CRM at ``url``, and its token."""
    spec: JsonObject = {"type": "MCP", "url": f"{url}/mcp", "actions": UPDATES}
    await world.create(TOOLS, "crm", spec=spec)
    await world.agent()
    await world.create(POLICIES, "baseline", spec=POLICY)
    worker = await world.worker(requestedBy="ana@example.com")
    return worker, await world.token(worker)


async def approving(contact: str) -> Verdict | None:
    return Verdict.REJECT if contact.startswith("reject") else Verdict.APPROVE


async def settled(agent: Agent, contact: str = "7", *, waits: bool = True) -> Said:
    """Make the identical call until the gateway knows the agent and its tool, and people have decided if they are waited for."""
    found = Said("")

    async def is_settled() -> bool:
        nonlocal found
        said = await agent.update(contact)
        found = said or Said("NoAnswer")
        is_pending = found.reason == "ApprovalPending"
        return found == Said("") or (found.reason.startswith("Approval") and not (waits and is_pending))

    await eventually(is_settled)
    return found


async def request_of(world: World, name: str) -> ApprovalRequest:
    return ApprovalRequest.parse(await world.client.get(APPROVAL_REQUESTS, name, world.namespace))


async def test_an_approved_call_is_made_once_and_its_request_says_so(world: World) -> None:
    crm = Crm()
    async with serving_crm(crm) as url:
        _, token = await working(world, url)
        async with (
            agent_at(world.ports.agents.port, token) as agent,
            deciding(world.client, world.namespace, approving),
        ):
            assert await settled(agent) == Said("")
            again = await agent.update("7")
            assert again is not None
            assert again.reason == "ApprovalUsed"
            assert not again.unknown
            assert crm.times("7") == 1

            async def is_marked() -> bool:
                return (await request_of(world, again.approval)).status.use is not None

            await eventually(is_marked)
            raw = await world.client.get(APPROVAL_REQUESTS, again.approval, world.namespace)
    (owner,) = children(child(raw, "metadata"), "ownerReferences")
    assert (owner["kind"], owner["name"]) == ("Task", "t1")
    assert uid_of(await world.client.get(TASKS, "t1", world.namespace)) == text(owner, "uid")
    assert child(raw, "status")["state"] == "Approved"


async def test_a_rejected_call_is_never_made(world: World) -> None:
    crm = Crm()
    async with serving_crm(crm) as url:
        _, token = await working(world, url)
        async with (
            agent_at(world.ports.agents.port, token) as agent,
            deciding(world.client, world.namespace, approving),
        ):
            assert (await settled(agent, "reject-7")).reason == "ApprovalRejected"
    assert crm.made == []


async def test_attack_20_what_people_were_shown_can_not_be_changed_under_their_decision(world: World) -> None:
    async with serving_crm(Crm()) as url:
        _, token = await working(world, url)
        async with agent_at(world.ports.agents.port, token) as agent:
            said = await settled(agent, waits=False)
            digest = "sha256:" + "0" * 64
            with pytest.raises(Invalid, match="can be changed but its decisions"):
                await world.client.merge_patch(
                    APPROVAL_REQUESTS,
                    said.approval,
                    {"spec": {"argumentsDigest": digest}},
                    namespace=world.namespace,
                )


async def test_a_status_that_nobody_decided_for_lets_nothing_through(world: World) -> None:
    crm = Crm()
    async with serving_crm(crm) as url:
        _, token = await working(world, url)
        async with agent_at(world.ports.agents.port, token) as agent:
            said = await settled(agent, waits=False)
            request = await request_of(world, said.approval)
            guarded: JsonObject = {
                "type": "EnforcementActive",
                "status": "True",
                "reason": "Guarded",
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            }
            await world.client.merge_patch(
                APPROVAL_REQUESTS,
                request.metadata.name,
                {"status": {"state": "Approved", "conditions": [guarded]}},
                namespace=world.namespace,
                subresource="status",
            )

            async def is_stale() -> bool:
                found = await agent.update("7")
                return found is not None and found.reason == "ApprovalStale"

            await eventually(is_stale)
    assert crm.made == []


async def test_a_gateway_that_is_killed_loses_doubles_and_forges_nothing(
    kinds: Handle, world: World, tmp_path: Path
) -> None:
    crm = Crm()
    async with serving_crm(crm) as url:
        _, token = await working(world, url)
        settings = {"AOS_APPROVAL_WAIT_SECONDS": "1"}
        gateway = GatewayProcess(kinds.kubeconfig, tmp_path, world.system, settings)
        try:
            await gateway.start()
            async with agent_at(gateway.port, token) as agent:
                crashes = Crashes(gateway, agent, crm)
                async with deciding(world.client, world.namespace, crashes.choose, crashes.asked) as people:
                    await rounds(crashes, people)
        finally:
            gateway.close()
    assert crashes.tally.wrong == []
    assert crashes.tally.rounds == ROUNDS


async def rounds(crashes: Crashes, people: People) -> None:
    for point in (Point.DECIDED, Point.FORWARDED, Point.MADE):
        await crashes.round(people, point)
