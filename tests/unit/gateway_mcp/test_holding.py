"""Held calls through the endpoint: a real client, a real tool that counts, a real store, and people who decide."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import pytest
from mcp.types import CallToolResult
from pydantic import JsonValue
from starlette.types import Send

from aos.audit.event import Phase
from aos.gateway.approvals.held import HeldCall
from aos.gateway.approvals.trail import ApprovalTrail, History
from aos.gateway.caller import Caller
from aos.gateway.control.refusals import Refusals
from aos.gateway.settings import GatewaySettings
from aos.model.approval_request import ApprovalRequest, Verdict
from aos.model.base import JsonObject
from aos.model.tool import Tool
from tests.unit.gateway_approvals.people import People
from tests.unit.gateway_control.make import caller, effective, policy, task, tool
from tests.unit.gateway_mcp.make import SETTINGS, definition
from tests.unit.gateway_mcp.world import Gateway, Scripted, Seen, gateway, respond, scripted

SCHEMA: JsonObject = {"id": {"type": "string"}, "note": {"type": "string"}}
BOTH = [definition("get_contact", SCHEMA), definition("update_contact", SCHEMA)]
QUICK = SETTINGS.model_copy(update={"approval_wait_seconds": 0.05})
PATIENT = SETTINGS.model_copy(update={"approval_wait_seconds": 20})
MAIL = "mira.solberg@example.org"


@dataclass
class Crm:
    """A gateway before a CRM whose updates wait for people."""

    front: Gateway
    tool: Tool
    server: Scripted
    seen: Seen

    @property
    def people(self) -> People:
        return self.front.held.people

    @property
    def sent(self) -> int:
        return len(self.seen.of("tools/call"))

    def work(self, by: Caller) -> None:
        self.front.caller = self.people.caller = by

    async def call(self, action: str = "update_contact", **arguments: str) -> CallToolResult:
        async with self.front.client("2026-07-28") as client:
            return await client.call_tool(f"crm.{action}", arguments or {"id": "7"})

    async def held(self, **arguments: str) -> ApprovalRequest:
        """Make a call that waits; return what people are asked."""
        result = await self.call(**arguments)
        assert said(result)["reason"] == "ApprovalPending"
        return (await self.people.asked())[-1]

    def approve(self, request: ApprovalRequest, *approvers: str) -> None:
        self.people.decide(request.metadata.name, *(approvers or ("lena@example.com",)))


def said(result: CallToolResult) -> JsonObject:
    assert isinstance(result.structured_content, dict)
    return result.structured_content


@asynccontextmanager
async def crm(
    settings: GatewaySettings = QUICK, spec: JsonObject | None = None, **update: JsonValue
) -> AsyncIterator[Crm]:
    async with scripted(BOTH) as (url, server, seen), gateway(settings) as front:
        target = tool(url, risk="Medium", **update) if "risk" not in update else tool(url, **update)
        made = Crm(front, target, server, seen)
        rules = policy() if spec is None else policy(**spec)  # type: ignore[arg-type] # parts of a spec
        made.work(caller(effective(rules, of=target)))
        front.registry.tool_objects["crm"] = target
        await front.catalogue.refresh(target.key)
        yield made


async def test_an_approved_call_reaches_the_tool_once_and_is_on_record_with_its_approval() -> None:
    async with crm() as at:
        request = await at.held()
        assert at.sent == 0
        at.approve(request)
        result = await at.call()
        assert not result.is_error
        assert at.sent == 1
        again = await at.call()
        assert said(again)["reason"] == "ApprovalUsed"
        assert "outcomeUnknown" not in said(again)
        assert at.sent == 1
        rows = await at.front.held.rows()
        marked = await at.people.marked(request.metadata.name, "use")
    name = request.metadata.name
    assert [(row.phase, row.effect, row.reason, row.approvals) for row in rows] == [
        (Phase.REFUSAL, "Hold", "ApprovalPending", (name,)),
        (Phase.INTENT, "Allow", "Allowed", (name,)),
        (Phase.OUTCOME, "Allow", "Allowed", (name,)),
        (Phase.REFUSAL, "Deny", "ApprovalUsed", (name,)),
    ]
    assert marked["call"] == rows[1].call
    effects = [(entry.effect.value, entry.approvals) for entry in at.front.journal.entries]
    assert effects == [("Hold", ()), ("Allow", (name,)), ("Deny", ())]


async def test_the_agent_is_told_what_to_do_and_programs_when() -> None:
    async with crm() as at:
        result = await at.call()
    told = said(result)
    assert (told["decision"], told["reason"]) == ("Hold", "ApprovalPending")
    assert told["namespace"] == "sales"
    assert told["retryAfterSeconds"] == 10
    assert {"approval", "expiresAt"} <= told.keys()
    assert result.content[0].type == "text"
    assert "exactly the same arguments" in result.content[0].text


async def test_a_call_that_waits_is_made_as_soon_as_people_approve_it() -> None:
    async with crm(PATIENT) as at:
        waiting = asyncio.create_task(at.call())
        (request,) = await at.people.asked()
        at.approve(request)
        result = await waiting
        assert not result.is_error
        assert at.sent == 1


async def test_a_rejected_call_never_reaches_the_tool() -> None:
    async with crm(PATIENT) as at:
        waiting = asyncio.create_task(at.call())
        (request,) = await at.people.asked()
        at.people.decide(request.metadata.name, "lena@example.com", verdict=Verdict.REJECT, comment="not now")
        assert "lena@example.com: not now" in str(said(await waiting)["message"])
        assert at.sent == 0
        rows = await at.front.held.rows()
    assert [(row.reason, row.approvers) for row in rows] == [
        ("ApprovalPending", ()),
        ("ApprovalRejected", ("lena@example.com Reject",)),
    ]


async def test_a_call_of_high_risk_waits_for_two_different_people() -> None:
    async with crm(risk="High") as at:
        request = await at.held()
        at.approve(request)
        assert said(await at.call())["reason"] == "ApprovalPending"
        at.people.decide(request.metadata.name, "lena@example.com")
        assert said(await at.call())["reason"] == "ApprovalPending"
        at.people.decide(request.metadata.name, "max@example.com")
        assert not (await at.call()).is_error
        assert at.sent == 1
        rows = await at.front.held.rows()
    both = ("lena@example.com Approve", "max@example.com Approve")
    assert [row.approvers for row in rows] == [(), both, both]


async def test_a_definition_that_changes_while_people_decide_is_not_what_they_approved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with crm(PATIENT) as at:
        waiting = asyncio.create_task(at.call())
        (request,) = await at.people.asked()
        at.server.definitions = [
            definition("get_contact", SCHEMA),
            {**definition("update_contact", SCHEMA), "description": "Delete one contact."},
        ]
        monkeypatch.setattr(at.front.catalogue, "_clock", lambda: time.monotonic() + 3600)
        await at.front.catalogue.refresh(at.tool.key)
        at.approve(request)
        refused = said(await waiting)
        assert refused["reason"] == "ApprovalStale"
        assert at.sent == 0


async def test_people_are_not_asked_about_a_call_that_could_not_be_made() -> None:
    async with crm(record="contact/${args.number}") as at:
        assert said(await at.call())["reason"] == "RecordUnknown"
        assert at.people.objects == {}
    async with crm(spec={"data": {"block": ["pii"]}}) as at:
        assert said(await at.call(id="7", note=MAIL))["reason"] == "DataBlocked"
        assert at.people.objects == {}


async def test_people_are_shown_no_personal_data_and_the_tool_gets_it() -> None:
    async with crm() as at:
        request = await at.held(id="7", note=MAIL)
        assert MAIL not in request.model_dump_json()
        at.approve(request)
        await at.call(id="7", note=MAIL)
        ((_, message),) = at.seen.of("tools/call")
    assert message["params"]["arguments"] == {"id": "7", "note": MAIL}  # type: ignore[index,call-overload] # JSON


async def test_a_tool_that_was_not_reached_leaves_the_approval_as_it_was() -> None:
    async with crm() as at:

        async def busy(_: str, message: JsonObject, send: Send) -> None:
            del message
            await respond(send, 429, {"error": "later"})

        request = await at.held()
        at.approve(request)
        at.server.on_call = busy
        assert "outcomeUnknown" not in said(await at.call())
        assert request.status.use is None
        at.server.on_call = None
        assert not (await at.call()).is_error
        assert said(await at.call())["reason"] == "ApprovalUsed"


async def test_a_write_whose_answer_was_lost_is_reported_and_never_made_again() -> None:
    async with crm() as at:

        async def breaks(_: str, message: JsonObject, send: Send) -> None:
            del message
            await respond(send, 200, b"no json at all")

        at.server.on_call = breaks
        request = await at.held()
        at.approve(request)
        lost = said(await at.call())
        assert (lost["reason"], lost["outcomeUnknown"]) == ("UpstreamInvalid", True)
        again = said(await at.call())
        assert (again["reason"], again["outcomeUnknown"]) == ("ApprovalUsed", True)
        assert at.sent == 1


async def test_a_record_that_changes_in_the_last_moment_gives_everything_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def sees_nothing(_: ApprovalTrail, held: HeldCall, created_at: datetime) -> History:
        del held
        return History(created_at.isoformat())

    limits: JsonObject = {"limits": [{"name": "calls", "calls": 2, "per": "1h"}]}
    async with crm(spec=limits) as at:
        first = await at.held()
        second = await at.held(id="7", note="other")
        at.approve(first)
        at.approve(second)
        await at.call()
        monkeypatch.setattr(ApprovalTrail, "history", sees_nothing)
        refused = said(await at.call(id="7", note="other"))
        assert refused["reason"] == "ApprovalStale"
        assert at.sent == 1
        *_, intent, outcome = await at.front.held.rows()
        assert (intent.phase, outcome.phase, outcome.outcome) == (Phase.INTENT, Phase.OUTCOME, "Refused")
        assert (intent.effect, outcome.effect, outcome.reason) == ("Allow", "Deny", "ApprovalStale")
        monkeypatch.undo()
        await at.people.marked(second.metadata.name, "overtaken")
        assert not (await at.call("get_contact")).is_error
        assert said(await at.call("get_contact"))["reason"] == "LimitExceeded"


async def test_calls_that_are_made_at_once_share_one_approval_and_one_of_them_is_made() -> None:
    async with crm(PATIENT) as at:
        waiting = [asyncio.create_task(at.call()) for _ in range(4)]
        (request,) = await at.people.asked()
        await asyncio.sleep(0.05)
        at.approve(request)
        found = await asyncio.gather(*waiting)
        assert sum(not result.is_error for result in found) == 1
        others = [said(result) for result in found if result.is_error]
        assert {other["reason"] for other in others} == {"ApprovalUsed"}
        made = next(row for row in await at.front.held.rows() if row.phase is Phase.INTENT)
        assert {other["call"] for other in others} == {made.call}
        assert at.sent == 1


async def test_attack_21_an_approval_of_one_task_or_agent_is_of_no_use_to_another() -> None:
    async with crm() as at:
        request = await at.held()
        at.approve(request)
        at.work(replace(at.front.caller, task=task("t2")))
        assert said(await at.call())["approval"] != request.metadata.name
        at.work(caller(effective(agent="other", of=at.tool), task(agent="other")))
        assert said(await at.call())["approval"] != request.metadata.name
        assert at.sent == 0


async def test_people_are_not_asked_for_a_task_that_was_refused_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with crm() as at:
        monkeypatch.setattr(at.front.held.calls, "_refusals", Refusals(most=1))
        assert said(await at.call("no_such_action"))["decision"] == "Deny"
        assert said(await at.call())["reason"] == "TooManyTaskCalls"
        assert at.people.objects == {}


async def test_a_call_whose_record_was_changed_is_asked_about_anew_and_made() -> None:
    async with crm() as at:
        first = await at.held()
        other = await at.held(id="7", note="other")
        at.approve(other)
        assert not (await at.call(id="7", note="other")).is_error
        assert said(await at.call())["reason"] == "ApprovalStale"
        await at.people.marked(first.metadata.name, "overtaken")
        again = said(await at.call())
        assert again["reason"] == "ApprovalPending"
        assert again["approval"] != first.metadata.name
        at.people.decide(str(again["approval"]), "lena@example.com")
        assert not (await at.call()).is_error
        assert at.sent == 2
