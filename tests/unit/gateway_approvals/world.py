"""A desk over a real store, ApprovalRequests in memory, and calls that need people."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aos.gateway.approvals.desk import ApprovalDesk, Hooks
from aos.gateway.approvals.held import HeldCall, Released
from aos.gateway.approvals.marks import Marks
from aos.gateway.approvals.trail import ApprovalTrail
from aos.gateway.caller import Caller
from aos.gateway.control.asked import Finished, Ticket
from aos.gateway.control.records import lease_request, record_name
from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import Refused
from aos.gateway.settings import GatewaySettings
from aos.model.approval import Approvers
from aos.model.base import JsonObject
from aos.model.policy import Policy
from aos.policy.approvals import BoundQuorum
from aos.policy.decision import DecisionReason
from aos.policy.effective import EffectivePolicy
from aos.store.interface import Store
from tests.unit.gateway_approvals.people import People
from tests.unit.gateway_control import make
from tests.unit.gateway_control.world import Held, controlled, opened
from tests.unit.gateway_mcp.make import ALLOW_ALL, NAMESPACE

DEFINITION = "sha256:" + "d" * 64
LEADS = Approvers(groups=("sales-leads",))
OUTBOUND = BoundQuorum("Policy baseline, approval outbound", 1, LEADS, timeout_seconds=3600)
DONE = Finished(CallOutcome.ANSWERED, DecisionReason.ALLOWED, 0.1)
QUICK = make.FAST.model_copy(update={"approval_wait_seconds": 0.05})
PATIENT = make.FAST.model_copy(update={"approval_wait_seconds": 20})
CALL: JsonObject = {"id": "7", "stage": "won"}


class Waits:
    """A client that waits as long as it is let."""

    async def until(self, decided: Awaitable[object], seconds: float) -> bool:
        found = asyncio.ensure_future(decided)
        try:
            done, _ = await asyncio.wait((found,), timeout=seconds)
            return bool(done)
        finally:
            found.cancel()


@dataclass
class Desk:
    """One gateway's desk."""

    desk: ApprovalDesk
    held: Held
    marks: Marks
    trail: ApprovalTrail
    people: People
    settings: GatewaySettings

    async def ask(self, call: HeldCall) -> Released | Refused:
        """Make a call, and wait for people as the settings say."""
        self.people.caller = self.people.caller or call.asked.caller
        return await self.desk.release(call, Waits())

    async def refused(self, call: HeldCall) -> Refused:
        """Make a call that is not let through."""
        found = await self.ask(call)
        assert isinstance(found, Refused)
        return found

    async def released(self, call: HeldCall) -> Released:
        """Make a call that people approved."""
        found = await self.ask(call)
        assert isinstance(found, Released), found
        return found

    async def admit(self, call: HeldCall, released: Released) -> Ticket | Refused:
        """Let a released call through the store, as the endpoint does."""
        admitted = await self.held.calls.admit_tool(released.call(call.asked))
        assert isinstance(admitted, Ticket | Refused)
        return admitted

    async def make(self, call: HeldCall, finished: Finished = DONE) -> Ticket:
        """Make an approved call to its end."""
        released = await self.released(call)
        ticket = await self.admit(call, released)
        assert isinstance(ticket, Ticket)
        assert await self.desk.confirm(call, released, ticket.call) is None
        self.held.calls.finish(ticket, finished)
        if not finished.released:
            self.desk.made(call, released, ticket.call)
        await self.held.settled()
        return ticket


@asynccontextmanager
async def desk(
    settings: GatewaySettings = QUICK,
    store: Store | None = None,
    people: People | None = None,
    hooks: Hooks | None = None,
) -> AsyncGenerator[Desk]:
    """Give a desk, with a store and requests of its own unless they are given."""
    async with opened(store) as used, controlled(used, settings) as held:
        api = people or People()
        trail, marks = ApprovalTrail(used, held.calls), Marks(api)
        made = ApprovalDesk(api, api, trail, marks, held.metrics, settings, hooks or Hooks())
        marking = asyncio.create_task(marks.run())
        try:
            yield Desk(made, held, marks, trail, api, settings)
        finally:
            marking.cancel()
            await asyncio.wait((marking,))


def effective(spec: JsonObject | None = None) -> EffectivePolicy:
    """Return the policy of an agent whose updates are of medium risk."""
    rules: JsonObject = {"agents": {}, "rules": [ALLOW_ALL], **(spec or {})}
    own = Policy.parse({"metadata": {"name": "baseline", "namespace": NAMESPACE}, "spec": rules})
    return make.effective(own, of=make.tool(risk="Medium"))


def caller(policy: EffectivePolicy | None = None) -> Caller:
    """Return an agent's pod at work on a Task that has just begun."""
    by = make.caller(policy or effective())
    metadata = by.task.metadata.model_copy(update={"creation_timestamp": datetime.now(UTC)})
    return replace(by, task=by.task.model_copy(update={"metadata": metadata}))


def call(
    arguments: JsonObject | None = None,
    *,
    by: Caller | None = None,
    action: str = "update_contact",
    quorums: tuple[BoundQuorum, ...] = (OUTBOUND,),
    definition: str = DEFINITION,
) -> HeldCall:
    """Return a held call as the gate makes it."""
    asked = make.asked(by or caller(), action, CALL if arguments is None else arguments)
    asked = replace(asked, quorums=tuple(quorum.rule for quorum in quorums))
    assert asked.declared is not None
    lease = lease_request(asked)
    return HeldCall(
        asked, asked.declared, definition, quorums, lease.record if lease else "", record_name(asked)
    )
