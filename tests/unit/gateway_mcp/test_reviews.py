"""Calls that people look at afterwards, and samples: real clients, a real tool and a real store; the API server in memory."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mcp.client import Client
from mcp.types import CallToolResult
from pydantic import JsonValue
from starlette.types import Send

from aos.audit.event import AuditEvent, Phase
from aos.gateway.approvals.held import identity_of
from aos.gateway.approvals.hooks import EVERY_CALL, Sampler
from aos.gateway.approvals.sampling import KeyedSampler, is_drawn
from aos.gateway.control.asked import AskedCall
from aos.gateway.journal import Subject, arguments_digest
from aos.gateway.settings import GatewaySettings
from aos.kube.errors import Target, Unavailable
from aos.model.approval_request import ApprovalRequest, Verdict
from aos.model.base import JsonObject
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.effective import PolicyInputs, effective_policy
from tests.unit.gateway_mcp.make import ALLOW_ALL, NAMESPACE, SETTINGS, agent, caller, definition
from tests.unit.gateway_mcp.world import Gateway, Seen, answer, gateway, respond, scripted

KEY = bytes(range(32))
RULE = "Policy baseline, approval spot-check"
OUTAGE = Unavailable(Target("create", "approvalrequests"), 0, "Timeout", "no answer")
SECRET_RESULT = "what the tool answered"


def keyed() -> KeyedSampler:
    sampler = KeyedSampler()
    sampler.use(KEY)
    return sampler


@dataclass
class World:
    """An agent in front of a CRM whose updates are sampled."""

    front: Gateway
    client: Client
    tool: Tool
    seen: Seen
    status: list[int]

    async def update(self, **arguments: JsonValue) -> CallToolResult:
        return await self.client.call_tool("crm.update_contact", {"id": "7", **arguments})

    async def reason(self, **arguments: JsonValue) -> str:
        """Make a call; return why it was refused, empty if it was not."""
        result = await self.update(**arguments)
        content = result.structured_content
        return str(content["reason"]) if result.is_error and isinstance(content, dict) else ""

    @property
    def calls(self) -> int:
        return len(self.seen.of("tools/call"))

    async def rows(self) -> list[AuditEvent]:
        return await self.front.held.rows()

    async def reviews(self) -> list[ApprovalRequest]:
        """Return the reviews, once all that is known of their calls was said."""
        control = self.front.held.control
        while control.reviews:  # noqa: ASYNC110 - it ends within a few turns of the event loop
            await asyncio.sleep(0.001)
        found = [ApprovalRequest.parse(raw) for raw in self.front.held.people.objects.values()]
        return [request for request in found if request.metadata.name.startswith("rev-")]

    def decide(self, request: ApprovalRequest) -> None:
        self.front.held.people.decide(
            request.metadata.name, "lena@example.com", verdict=Verdict.APPROVE, groups=("sales-leads",)
        )


@asynccontextmanager
async def world(
    rule: JsonObject, settings: GatewaySettings = SETTINGS, sampler: Sampler = EVERY_CALL
) -> AsyncGenerator[World]:
    status: list[int] = []

    async def on_call(_: str, message: JsonObject, send: Send) -> None:
        if status:
            await respond(send, status[0], b"")
            return
        await answer(send, message, {"content": [{"type": "text", "text": SECRET_RESULT}]})

    anything: JsonObject = {"id": {"type": "string"}, "mail": {"type": "string"}, "n": {"type": "integer"}}
    definitions = [definition("update_contact", anything)]
    async with scripted(definitions, on_call) as (url, _, seen), gateway(settings, sampler=sampler) as front:
        tool = _tool(url)
        await front.offer(tool)
        spec: JsonObject = {
            "agents": {},
            "rules": [ALLOW_ALL],
            "approvals": [{"name": "spot-check", **rule}],
            "loops": {"maxCallsPerTask": 10_000, "maxIdenticalCalls": 1_000},
        }
        policy = Policy.parse({"metadata": {"name": "baseline", "namespace": NAMESPACE}, "spec": spec})
        front.caller = caller(
            effective_policy(
                PolicyInputs(agent=agent(), namespace_labels={}, tools={"crm": tool}, policies=[policy])
            )
        )
        front.held.people.caller = front.caller
        async with front.client("2026-07-28") as client:
            yield World(front, client, tool, seen, status)


def _tool(url: str) -> Tool:
    update: JsonObject = {
        "name": "update_contact",
        "access": "Write",
        "risk": "Low",
        "record": "contact/${args.id}",
    }
    metadata: JsonObject = {"name": "crm", "namespace": NAMESPACE, "uid": "uid-crm", "generation": 1}
    return Tool.parse({"metadata": metadata, "spec": {"type": "MCP", "url": url, "actions": [update]}})


AFTER: JsonObject = {"review": "After", "approvers": {"groups": ["sales-leads"]}}


async def test_a_call_that_is_reviewed_is_made_at_once_and_people_are_asked_what_they_think_of_it() -> None:
    async with world(AFTER) as at:
        assert await at.reason(mail="mira@halden.example") == ""
        (review,) = await at.reviews()
        intent, outcome = await at.rows()
    spec = review.spec
    assert (spec.type, spec.call, review.metadata.name) == ("Review", intent.call, f"rev-{intent.call[:16]}")
    assert spec.summary == (
        "enricher was let through to update_contact contact/7 in crm: mail=[redacted:pii]"
    )
    assert [(quorum.rule, quorum.required, quorum.approvers.groups) for quorum in spec.quorums] == [
        (RULE, 1, ("sales-leads",))
    ]
    assert review.status.outcome == "Answered"
    assert review.status.use is None
    assert review.metadata.labels["aos.dev/task"] == "t1"
    assert (intent.phase, outcome.phase) == (Phase.INTENT, Phase.OUTCOME)
    for row in (intent, outcome):
        assert row.approvals == (review.metadata.name,)
        assert row.rules[-1] == RULE
    written = json.dumps(at.front.held.people.objects[review.key])
    assert SECRET_RESULT not in written
    assert "halden" not in written


async def test_a_failed_call_that_may_have_been_made_is_reviewed_with_how_it_failed() -> None:
    async with world(AFTER) as at:
        at.status.append(500)
        assert await at.reason() == "UpstreamUnreachable"
        (review,) = await at.reviews()
    assert review.status.outcome == "Failed: UpstreamUnreachable"


async def test_a_call_that_certainly_was_not_made_takes_its_review_with_it() -> None:
    async with world(AFTER) as at:
        at.status.append(401)
        assert await at.reason() == "UpstreamInvalid"
        assert await at.reviews() == []
        intent, _ = await at.rows()
    assert intent.approvals == (f"rev-{intent.call[:16]}",)


async def test_a_call_whose_review_can_not_be_written_down_is_not_made_and_takes_nothing() -> None:
    async with world(AFTER) as at:
        at.front.held.people.failure = OUTAGE
        assert await at.reason() == "Stale"
        assert at.calls == 0
        at.front.held.people.failure = None
        assert await at.reviews() == []
        intent, outcome = await at.rows()
        assert await at.reason() == ""
        assert len(await at.reviews()) == 1
    assert (intent.call, outcome.outcome) == (outcome.call, "Refused")


async def test_when_reviewers_fall_behind_calls_that_were_drawn_are_refused_before_they_are_made() -> None:
    async with world(AFTER, SETTINGS.model_copy(update={"max_review_backlog": 2})) as at:
        assert [await at.reason() for _ in range(3)] == ["", "", "ReviewBacklog"]
        result = await at.update()
        assert at.calls == 2
        first, _ = await at.reviews()
        at.decide(first)
        assert [await at.reason() for _ in range(2)] == ["", "ReviewBacklog"]
        refusals = [row for row in await at.rows() if row.reason == "ReviewBacklog"]
    assert isinstance(result.structured_content, dict)
    assert "2 reviews of agent enricher are open" in result.structured_content["message"]
    assert result.structured_content["retryAfterSeconds"] == 60
    assert [(row.phase, row.approvals, row.rules[-1]) for row in refusals] == [(Phase.REFUSAL, (), RULE)] * 3


async def test_which_calls_are_reviewed_is_drawn_and_can_be_repeated_from_the_trail() -> None:
    async with world({**AFTER, "samplePercent": 20}, _MANY, keyed()) as at:
        for number in range(30):
            assert await at.reason(n=number) == ""
        reviews = {review.spec.call for review in await at.reviews()}
        intents = [row for row in await at.rows() if row.phase is Phase.INTENT]
    drawn = {row.call for row in intents if is_drawn(KEY, row.call, 20)}
    assert reviews == drawn
    assert 0 < len(drawn) < 30
    assert {row.call for row in intents if row.rules[-1] == RULE} == drawn
    assert all(bool(row.approvals) == (row.call in drawn) for row in intents)


async def test_a_draw_that_was_refused_stays_due_so_repeating_the_call_does_not_escape_it() -> None:
    settings = _MANY.model_copy(update={"max_review_backlog": 1})
    async with world({**AFTER, "samplePercent": 20}, settings, keyed()) as at:
        while await at.reason() != "ReviewBacklog":
            pass
        assert [await at.reason() for _ in range(5)] == ["ReviewBacklog"] * 5
        (only,) = await at.reviews()
        at.decide(only)
        assert await at.reason() == ""
        assert len(await at.reviews()) == 2
        *_, intent, _ = await at.rows()
    assert intent.rules[-1] in (RULE, f"{RULE} (owed)")


async def test_a_sampled_quorum_holds_exactly_the_calls_that_are_drawn() -> None:
    settings = SETTINGS.model_copy(update={"approval_wait_seconds": 0.01, "max_pending_approvals": 1000})
    async with world({"samplePercent": 50}, settings, keyed()) as at:
        reasons = [await at.reason(id=str(number)) for number in range(16)]
        drawn = [is_drawn(KEY, _identity(at, {"id": str(number)}), 50) for number in range(16)]
        again = [await at.reason(id=str(number)) for number in range(16)]
        rows = [row for row in await at.rows() if row.phase is not Phase.OUTCOME]
    assert [reason == "ApprovalPending" for reason in reasons] == drawn
    assert again == reasons
    assert 0 < sum(drawn) < 16
    for row in rows:
        was_held = row.phase is Phase.REFUSAL
        assert is_drawn(KEY, row.identity, 50) is was_held
        assert (row.rules[-1] == RULE) is was_held


def _identity(at: World, arguments: JsonObject) -> str:
    listing = at.front.catalogue.listing(at.tool)
    assert listing is not None
    asked = AskedCall(
        at.front.caller,
        Subject.TOOL,
        "crm",
        "update_contact",
        arguments_digest=arguments_digest(arguments),
    )
    return identity_of(asked, listing.actions["update_contact"].digest)


_MANY = SETTINGS.model_copy(update={"max_review_backlog": 1000})
