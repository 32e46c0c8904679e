"""What becomes of ApprovalRequests: an operator, people with their own names, and the admission policies of a real API server."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from aos.kube.errors import ApiError, Forbidden, NotFound
from aos.kube.objects import child, children, metadata_of, number, text, texts, uid_of
from aos.kube.resources import (
    AGENTS,
    APPROVAL_REQUESTS,
    EVENTS,
    LEASES,
    POLICIES,
    TASKS,
    TOOLS,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from aos.model.base import JsonObject
from aos.model.names import OPERATOR_LEASE
from aos.reconcile.admission.approval_decisions import APPROVAL_DECISIONS
from aos.reconcile.admission.policies import admission_policies
from aos.reconcile.approval import LAG_SECONDS
from tests.cluster.operator.approvals import LEADS, Desk, approve
from tests.cluster.operator.conftest import operating
from tests.cluster.operator.fake_gateway import FakeGateway
from tests.cluster.operator.rig import GATEWAY, HOME, OPERATOR, Rig
from tests.cluster.operator.test_process import process

ONE: Sequence[JsonValue] = [{"rule": "outbound", "required": 1, "approvers": {"groups": [LEADS]}}]
USE: JsonObject = {"call": "c1", "time": "2026-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Office:
    """Requests about calls of the agent ``enricher``, which is ready, and of its Task ``t1``, which runs.

    Attributes:
        rig: the cluster.
        desk: the people.
    """

    rig: Rig
    desk: Desk

    async def open(self) -> None:
        """Make agent and Task, and wait until people's decisions count."""
        await self.rig.sales()
        await self.rig.ready_agent()
        await self.rig.task("t1")
        await self.rig.pod_of("t1")

    async def ask(self, name: str = "apr-1", quorums: Sequence[JsonValue] = ONE, **spec: JsonValue) -> None:
        """Ask about a call as it would be made now."""
        status = child(await self.rig.get(AGENTS, "enricher"), "status")
        current: JsonObject = {
            "agent": {"name": "enricher", "revision": text(status, "revision")},
            "policyDigest": text(child(status, "policy"), "digest"),
            "action": "get_contact",
            "quorums": list(quorums),
        }
        await self.desk.ask(name, **(current | spec))

    async def counted(self, name: str = "apr-1") -> None:
        """Wait until decisions count for a request."""
        await self.rig.until(APPROVAL_REQUESTS, name, "EnforcementActive", "True", "Guarded")

    async def decide(self, who: str, name: str = "apr-1", verdict: str = "Approve") -> None:
        """Let one of the leads decide."""
        await self.desk.decide(await self.desk.lead(who), approve(who, LEADS, verdict=verdict), name)

    async def status(self, name: str = "apr-1") -> JsonObject:
        """Return a request's status."""
        return child(await self.rig.get(APPROVAL_REQUESTS, name), "status")

    async def policy_digest(self) -> str:
        """Return the digest on the agent's status."""
        return text(child(child(await self.rig.get(AGENTS, "enricher"), "status"), "policy"), "digest")

    async def change_policy(self, spec: JsonObject) -> None:
        """Change a part of the Policy's spec."""
        await self.rig.admin.merge_patch(POLICIES, "baseline", {"spec": spec}, namespace=self.rig.namespace)

    async def gateway_says(self, name: str = "apr-1", **parts: JsonValue) -> None:
        """Write the gateway's part of a status."""
        await self.rig.gateway.apply_status(
            APPROVAL_REQUESTS,
            self.rig.manifest(APPROVAL_REQUESTS, name, status=parts),
            field_manager="aos-gateway",
        )

    async def becomes(self, state: str, name: str = "apr-1") -> JsonObject:
        """Wait until a request has a state, and return its status."""

        async def is_so() -> bool:
            return text(await self.status(name), "state") == state

        await self.rig.eventually(is_so)
        return await self.status(name)

    async def told(self, kind: str, *expected: str) -> None:
        """Wait until these reasons were told of approvals about objects of a kind, and no more."""

        async def is_so() -> bool:
            found = [
                text(item, "reason")
                for item in await self.rig.all(EVENTS)
                if text(child(item, "regarding"), "kind") == kind
                and text(item, "reason").startswith("Approval")
            ]
            return sorted(found) == sorted(expected)

        await self.rig.eventually(is_so)


@pytest.fixture
async def office(running: Rig, desk: Desk) -> Office:
    one = Office(running, desk)
    await one.open()
    return one


async def test_people_approve_the_gateway_uses_and_everybody_is_told_once(office: Office) -> None:
    await office.ask(quorums=[{"rule": "risk Medium", "required": 2}])
    await office.counted()
    await office.decide("grace")
    await office.decide("linus")
    status = await office.becomes("Approved")
    assert (number(status, "need"), number(status, "have")) == (2, 2)
    assert [text(item, "approver") for item in children(status, "counted")] == ["grace", "linus"]
    await office.gateway_says(use=USE)
    await office.becomes("Used")
    await office.told(
        "ApprovalRequest", "ApprovalAsked", "ApprovalDecided", "ApprovalDecided", "ApprovalUsed"
    )
    for kind in ("Agent", "Task"):
        await office.told(kind, "ApprovalAsked", "ApprovalDecided", "ApprovalUsed")

    async def is_counted() -> bool:
        return bool((await office.status()).get("tallied"))

    await office.rig.eventually(is_counted)
    agent = child(await office.rig.get(AGENTS, "enricher"), "status")
    reliability = child(agent, "reliability")
    assert children(reliability, "risks") == (
        {"risk": "Medium", "approved": 1, "rejected": 0, "confirmed": 0, "overturned": 0},
    )
    assert texts(reliability, "recent") == (uid_of(await office.rig.get(APPROVAL_REQUESTS, "apr-1")),)
    assert text(agent, "autonomy") == "Supervised"
    await office.rig.settled()
    writes = await office.rig.metric("aos_operator_api_writes_total")
    await office.rig.admin.merge_patch(
        APPROVAL_REQUESTS, "apr-1", {"metadata": {"labels": {"seen": "yes"}}}, namespace=office.rig.namespace
    )
    await office.rig.settled()
    assert await office.rig.metric("aos_operator_api_writes_total") == writes
    assert await office.rig.metric("aos_operator_approvals_enforced") == 1
    assert await office.rig.metric("aos_operator_approval_decision_seconds_count") == 1


async def test_one_rejection_is_final(office: Office) -> None:
    await office.ask(quorums=[{"rule": "risk High", "required": 2}])
    await office.counted()
    await office.decide("grace", verdict="Reject")
    await office.becomes("Rejected")
    with pytest.raises(Forbidden):
        await office.decide("linus")


async def test_a_task_waits_for_people_and_goes_on_with_the_time_that_it_had(office: Office) -> None:
    rig = office.rig
    await office.ask(expiresAt=_in(hours=2))
    await office.counted()

    async def waits() -> bool:
        return text(child(await rig.get(TASKS, "t1"), "status"), "waitingFor") == "apr-1"

    await rig.eventually(waits)
    task = await rig.get(TASKS, "t1")
    created = datetime.fromisoformat(text(metadata_of(task), "creationTimestamp"))
    waiting = datetime.fromisoformat(text(child(task, "status"), "deadline"))
    assert waiting - created > timedelta(hours=2)
    await office.decide("grace", verdict="Reject")

    async def goes_on() -> bool:
        status = child(await rig.get(TASKS, "t1"), "status")
        if text(status, "waitingFor"):
            return False
        # Whole seconds count: who decides at once holds nothing up.
        due = text(status, "deadline") or _moment(created + timedelta(minutes=5))
        waited = timedelta(seconds=number(status, "waitedSeconds"))
        return datetime.fromisoformat(due) == created + timedelta(minutes=5) + waited

    await rig.eventually(goes_on)


async def test_what_changes_meanwhile_makes_requests_stale_and_what_nobody_decides_expires(
    office: Office,
) -> None:
    rig = office.rig
    await office.ask("apr-record")
    await office.ask("apr-time", expiresAt=_in(seconds=8))
    await office.ask("apr-policy")
    await office.ask("apr-review", type="Review", call="c9")
    await office.gateway_says("apr-record", overtaken=USE)
    await rig.until(APPROVAL_REQUESTS, "apr-record", "Stale", "True", "RecordChanged")
    await rig.until(APPROVAL_REQUESTS, "apr-time", "Expired", "True", "Expired")
    await office.change_policy({"limits": [{"name": "l", "calls": 9, "per": "1m"}]})
    await rig.until(APPROVAL_REQUESTS, "apr-policy", "Stale", "True", "PolicyChanged")
    await office.ask("apr-tool")
    await rig.admin.delete(TOOLS, "crm", namespace=rig.namespace)
    await rig.until(APPROVAL_REQUESTS, "apr-tool", "Stale", "True", "ToolChanged")
    await rig.hand_in("t1")
    await rig.until(TASKS, "t1", "Succeeded", "True", "Completed")
    await office.counted("apr-review")
    await office.decide("grace", "apr-review")
    await office.becomes("Approved", "apr-review")


async def test_a_request_that_knows_of_a_newer_policy_than_the_agents_status_is_not_stale(
    rig: Rig, gateway: FakeGateway, desk: Desk
) -> None:
    assert not gateway.paused
    office = Office(rig, desk)
    tighter: JsonObject = {"limits": [{"name": "l", "calls": 9, "per": "1m"}]}
    async with operating(rig.settings):
        await office.open()
        before = await office.policy_digest()
        await office.change_policy(tighter)

        async def is_another() -> bool:
            return await office.policy_digest() != before

        await rig.eventually(is_another)
        newer = await office.policy_digest()
        await office.change_policy({"limits": None})

        async def is_back() -> bool:
            return await office.policy_digest() == before

        await rig.eventually(is_back)
    await office.change_policy(tighter)
    await office.ask("apr-new", policyDigest=newer)
    await office.ask("apr-old", policyDigest=before)
    # The operator's own lag is no excuse any more once it looks at them.
    await asyncio.sleep(LAG_SECONDS)
    async with operating(rig.settings):
        await office.counted("apr-new")
        await rig.until(APPROVAL_REQUESTS, "apr-old", "Stale", "True", "PolicyChanged")
        await rig.settled()
        assert await office.policy_digest() == newer
        assert text(await office.status("apr-new"), "state") == "Pending"


async def test_requests_end_with_their_task_and_go_with_it(office: Office) -> None:
    rig = office.rig
    await office.ask()
    await office.counted()
    await rig.hand_in("t1")
    await rig.until(APPROVAL_REQUESTS, "apr-1", "Stale", "True", "TaskEnded")
    await rig.admin.delete(TASKS, "t1", namespace=rig.namespace)

    async def is_gone() -> bool:
        return not await rig.get(APPROVAL_REQUESTS, "apr-1")

    await rig.eventually(is_gone)


@contextlib.asynccontextmanager
async def unguarded(rig: Rig) -> AsyncIterator[None]:
    """Take away what holds decisions to who makes them; put it back at the end."""
    binding = next(
        item
        for item in admission_policies(OPERATOR, GATEWAY)
        if item["kind"] == VALIDATING_ADMISSION_POLICY_BINDINGS.kind
        and text(metadata_of(item), "name") == APPROVAL_DECISIONS
    )
    await rig.admin.delete(VALIDATING_ADMISSION_POLICY_BINDINGS, APPROVAL_DECISIONS)
    try:
        yield
    finally:
        await rig.admin.apply(VALIDATING_ADMISSION_POLICY_BINDINGS, binding, field_manager="test")


async def forge(office: Office, name: str) -> None:
    """Decide in somebody else's name, once the API server lets it through."""

    async def is_forged() -> bool:
        with contextlib.suppress(Forbidden):
            await office.desk.decide(office.rig.admin, approve("grace", LEADS), name)
            return True
        return False

    await office.rig.eventually(is_forged)


@pytest.mark.last(2)
async def test_attack_21_a_decision_from_a_gap_in_the_admission_policies_never_counts(office: Office) -> None:
    rig = office.rig
    for name in ("apr-1", "apr-2", "apr-3"):
        await office.ask(name, quorums=[{"rule": "risk High", "required": 2}])
        await office.counted(name)
    await office.decide("linus", "apr-3")
    async with unguarded(rig):
        await rig.until(APPROVAL_REQUESTS, "apr-2", "EnforcementActive", "False", "PolicyMissing")
        await rig.until(APPROVAL_REQUESTS, "apr-2", "Approved", "False", "EnforcementLapsed")
        await forge(office, "apr-1")
        await rig.until(APPROVAL_REQUESTS, "apr-1", "Stale", "True", "EnforcementLapsed")
    status = await office.status("apr-1")
    assert (text(status, "state"), children(status, "counted")) == ("Stale", ())
    # What was decided before still counts, and what is decided once the policies are heeded.
    await office.counted("apr-3")
    await office.decide("grace", "apr-3")
    await office.becomes("Approved", "apr-3")
    assert text(await office.status("apr-2"), "state") == "Pending"


@pytest.mark.last(2)
async def test_attack_21_nor_does_one_from_a_gap_that_no_operator_saw(
    rig: Rig, gateway: FakeGateway, desk: Desk
) -> None:
    assert not gateway.paused
    office = Office(rig, desk)
    async with operating(rig.settings):
        await office.open()
        for name in ("apr-1", "apr-2"):
            await office.ask(name)
            await office.counted(name)
    async with unguarded(rig):
        await forge(office, "apr-1")
        await office.ask("apr-3")
        await forge(office, "apr-3")
    async with operating(rig.settings):
        for name in ("apr-1", "apr-3"):
            await rig.until(APPROVAL_REQUESTS, name, "Stale", "True", "EnforcementLapsed")
        await office.counted("apr-2")
        await office.decide("grace", "apr-2")
        await office.becomes("Approved", "apr-2")
    assert [text(await office.status(name), "state") for name in ("apr-1", "apr-3")] == ["Stale", "Stale"]


ROUNDS = 3
REQUESTS = 18


async def test_killed_while_people_decide_every_request_ends_right_and_counts_once(
    rig: Rig, gateway: FakeGateway, desk: Desk
) -> None:
    assert not gateway.paused
    office = Office(rig, desk)
    dice = random.Random(7)  # noqa: S311 - which moment is hit does not matter, that it is another one each time does
    async with process(rig.settings):
        await office.open()
    names = [f"apr-{item}" for item in range(REQUESTS)]
    for name in names:
        await office.ask(name)
    done: list[str] = []
    people = asyncio.create_task(_decide_all(office, names, done))
    for number_of_round in range(ROUNDS):
        least = (number_of_round + 1) * REQUESTS // (ROUNDS + 1)

        async def have_decided(least: int = least) -> bool:
            return len(done) >= least

        async with process(rig.settings) as one:
            await rig.eventually(have_decided)
            await asyncio.sleep(dice.uniform(0, 0.3))
            os.kill(one.pid, signal.SIGKILL)
            await one.wait()
        # The next one shall not wait for the end of its lease.
        with contextlib.suppress(NotFound):
            await rig.admin.delete(LEASES, OPERATOR_LEASE, namespace=HOME)
    async with process(rig.settings):
        await people
        for item, name in enumerate(names):
            status = await office.becomes("Rejected" if item % 3 == 0 else "Approved", name)
            assert len(children(status, "counted")) == 1

        async def all_counted() -> bool:
            return all([(await office.status(name)).get("tallied") for name in names])

        await rig.eventually(all_counted)
    risks = children(child(child(await rig.get(AGENTS, "enricher"), "status"), "reliability"), "risks")
    assert [(item["approved"], item["rejected"]) for item in risks] == [(12, 6)]


async def _decide_all(office: Office, names: Sequence[str], done: list[str]) -> None:
    grace = await office.desk.lead("grace")
    for item, name in enumerate(names):
        await office.counted(name)
        verdict = "Reject" if item % 3 == 0 else "Approve"
        while True:
            try:
                await office.desk.decide(grace, approve("grace", LEADS, verdict=verdict), name)
            except ApiError:
                await asyncio.sleep(0.05)
            else:
                done.append(name)
                break


def _in(**parts: float) -> str:
    """Return the time so far from now, as the API server writes it."""
    return _moment(datetime.now(UTC) + timedelta(**parts))


def _moment(time: datetime) -> str:
    return time.replace(microsecond=0).isoformat().replace("+00:00", "Z")
