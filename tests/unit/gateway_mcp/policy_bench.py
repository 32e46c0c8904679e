"""What makes the calls of a case of `policy_cases`, and finds out whether the field holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import pytest

from aos.gateway.caller import Caller
from aos.model.agent import Agent
from aos.model.approval_request import ApprovalRequest
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.approvals import BoundQuorum
from aos.policy.effective import PolicyInputs, effective_policy
from tests.unit.gateway_mcp.make import ALLOW_ALL, NAMESPACE, SETTINGS, agent, caller, task
from tests.unit.gateway_mcp.policy_cases import CASES, Case, Made
from tests.unit.gateway_mcp.world import Gateway

_NEEDING_ALL = ("agents.", "namespaces.", "data.projections[].tools[]", "approvals[].samplePercent")
"""Fields of which one case alone comes to the same whatever they say."""
HASTY = SETTINGS.model_copy(update={"approval_wait_seconds": 0.05})


def of(case: Case, made: Made, target: Tool) -> Caller:
    """Return who makes the call, under the policies of the case."""
    own = Policy.parse(
        {
            "metadata": {"name": "baseline", "namespace": NAMESPACE},
            "spec": {"agents": {}, "rules": [ALLOW_ALL], **case.parts},
        }
    )
    above = [
        ClusterPolicy.parse(
            {"metadata": {"name": "ceiling"}, "spec": {"namespaces": {}, "rules": [ALLOW_ALL], **parts}}
        )
        for parts in ([case.cluster] if case.cluster is not None else [])
    ]
    named = agent(autonomy="Autonomous")
    metadata = named.metadata.model_copy(update={"name": made.by})
    who: Agent = named.model_copy(update={"metadata": metadata})
    inputs = PolicyInputs(
        agent=who,
        namespace_labels={"tier": "one"},
        tools={"crm": target},
        policies=[own],
        cluster_policies=above,
    )
    return caller(effective_policy(inputs), task(made.task, f"{made.task}-{made.by}", made.run))


class Halves:
    """Draws every call for a sample of more than half of them, and none for a smaller one."""

    def draws(self, subject: str, quorum: BoundQuorum) -> bool:
        del subject
        return quorum.sample_percent > 50


@dataclass(frozen=True)
class Answered:
    """What an agent is answered.

    Attributes:
        reason: of a refusal; empty if it is none.
        said: all of it, as text.
        retry_after_seconds: when a refusal says that it may be tried again.
    """

    reason: str
    said: str
    retry_after_seconds: int | None = None


class Bench(Protocol):
    """A gateway before one system."""

    @property
    def front(self) -> Gateway:
        """The gateway."""

    @property
    def sent(self) -> int:
        """How many calls reached the system."""

    async def call(self, case: Case, made: Made) -> Answered:
        """Make a call of the case."""


async def check(bench: Bench, path: str, case: Case) -> None:
    """Make the calls of a case, and find out whether its field holds them."""
    answered = Answered("", "")
    for made in case.calls:
        answered = await bench.call(case, made)
        assert answered.reason == made.reason, f"{path}: {answered.said}"
    assert case.says in answered.said
    if case.window_seconds is not None:
        frees = answered.retry_after_seconds
        assert frees is not None
        assert case.window_seconds - 60 <= frees <= case.window_seconds * 1.05
    assert not case.hides or case.hides not in answered.said
    for name, expected in case.asked.items():
        found = asked_of(bench.front)[name]
        assert found == (pytest.approx(expected, abs=60) if name.endswith("At") else expected), name
    expected_sent = sum(not made.reason for made in case.calls) if case.sent is None else case.sent
    assert bench.sent == expected_sent


def telling() -> Mapping[str, Sequence[Case]]:
    """Return as few cases of each field as tell it: for most the first that something is refused, withheld or asked in."""
    return {path: cases if path.startswith(_NEEDING_ALL) else _one(cases) for path, cases in CASES.items()}


def _one(cases: Sequence[Case]) -> Sequence[Case]:
    return [next((case for case in cases if _tells(case)), cases[0])]


def _tells(case: Case) -> bool:
    is_refused = any(made.reason for made in case.calls)
    return bool(is_refused or case.hides or case.asked or case.sent is not None)


def asked_of(front: Gateway) -> JsonObject:
    """Return what people were asked by: the one request's first quorum, times as seconds from now."""
    (request,) = [ApprovalRequest.parse(raw) for raw in front.held.people.objects.values()]
    quorum = request.spec.quorums[0]
    found: JsonObject = quorum.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    found["expiresAt"] = _seconds_to(request.spec.expires_at)
    if quorum.remind_at is not None:
        found["remindAt"] = _seconds_to(quorum.remind_at)
    if quorum.escalation is not None:
        found["escalatedAt"] = _seconds_to(quorum.escalation.at)
        found["escalated"] = quorum.escalation.approvers.model_dump(
            mode="json", by_alias=True, exclude_defaults=True
        )
    return found


def _seconds_to(moment: datetime) -> int:
    return round((moment - datetime.now(UTC)).total_seconds())
