"""How an ApprovalRequest stands for the one call that asks for it: decided again from what the API server holds. Pure."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from pydantic import JsonValue

from aos.audit.event import decided
from aos.gateway.approvals.asking import covers
from aos.gateway.approvals.held import HeldCall
from aos.gateway.refusal import RefusalCode, Refused
from aos.model.approval_request import ApprovalRequest, RequestState, RequestType, Verdict
from aos.model.conditions import ConditionType
from aos.model.meta import ConditionStatus
from aos.policy.decision import Effect
from aos.policy.quorums import counts_for, tally

RETRY_SECONDS: Final = 10.0
"""When a call that waits for people is to be made again, which then waits for them itself."""

UNREACHABLE_SECONDS: Final = 5.0


class Standing(StrEnum):
    """What a request that did not come to its end means for its call."""

    WAITING = "Waiting"
    APPROVED = "Approved"
    USED = "Used"
    """The call was let through, or is being made."""


def standing(request: ApprovalRequest, held: HeldCall, now: datetime) -> Standing | Refused:
    """Return how ``request`` stands for ``held`` at ``now``; a refusal where it can't let the call through any more.

    Nothing of the status is believed alone: the call must be the very one that people were asked about, and enough of
    them must have said yes by the decisions themselves.
    """
    status = request.status
    if not is_about(request, held):
        return stale(held, "it was made for another call than this one")
    if status.use is not None or status.state is RequestState.USED:
        return Standing.USED
    refused = _refused(request, held, now)
    if refused is not None:
        return refused
    if status.state is not RequestState.APPROVED or not _is_trusted(request):
        return Standing.WAITING
    if not tally(request.spec, status.counted).reached:
        return stale(held, "its decisions are not enough, whatever its status says")
    return Standing.APPROVED


def _refused(request: ApprovalRequest, held: HeldCall, now: datetime) -> Refused | None:
    state, status = request.status.state, request.status
    if status.overtaken is not None:
        return stale(held, f"{held.record_name or 'the record'} was changed by another call since")
    if state is RequestState.STALE:
        return stale(held, _said(request, ConditionType.STALE))
    if state is RequestState.REJECTED or tally(request.spec, status.counted).rejected_by:
        return rejected(held, request)
    if state is RequestState.EXPIRED or now >= request.spec.expires_at:
        return expired(held, request)
    return None


def is_about(request: ApprovalRequest, held: HeldCall) -> bool:
    """Whether people were asked about this call, exactly, and as many of them as it takes now."""
    spec, asked = request.spec, held.asked
    if spec.type is not RequestType.CALL:
        return False
    call, caller = spec.asked_call, asked.caller
    return (
        (request.metadata.namespace, request.metadata.name) == (held.namespace, held.name)
        and request.metadata.deletion_timestamp is None
        and (call.agent.name, call.agent.revision) == (caller.agent, caller.revision)
        and (call.task.name, call.task.uid) == (caller.task.metadata.name, caller.task.metadata.uid)
        and spec.requested_by == caller.task.spec.requested_by
        and (call.tool, call.action) == (asked.name, asked.action)
        and (call.access, call.risk) == (held.declared.access, held.declared.risk)
        and spec.arguments_digest == asked.arguments_digest
        and call.definition_digest == held.definition_digest
        and call.policy_digest == caller.policy.digest
        and covers(spec.quorums, held.quorums)
    )


def deciders(request: ApprovalRequest) -> tuple[str, ...]:
    """Return whose decisions count, and what they said, as audit rows have it.

    As for letting a call through, neither the decisions nor the operator's count of them is believed alone.
    """
    said = {(decision.approver, decision.verdict): decision for decision in request.spec.decisions}
    return tuple(
        sorted(
            {
                decided(item.approver, item.verdict)
                for item in request.status.counted
                if (decision := said.get((item.approver, item.verdict))) is not None
                and not set(item.rules).isdisjoint(counts_for(request.spec, decision, item.time))
            }
        )
    )


def pending(held: HeldCall, request: ApprovalRequest) -> Refused:
    """Return the answer to a call that waits for people; the operator tells people of it, and of how it ends."""
    lapsed = _condition(request, ConditionType.ENFORCEMENT_ACTIVE, ConditionStatus.FALSE)
    why = (
        " (no decision counts while the platform's admission policies are missing or altered)"
        if lapsed
        else ""
    )
    return Refused(
        Effect.HOLD,
        RefusalCode.APPROVAL_PENDING,
        f"{_call(held)} waits for people to approve it, until {_time(request.spec.expires_at)}{why}: call again with exactly"
        " the same arguments, and it is made as soon as they do; other arguments would be another request",
        held.asked.rules,
        retry_after_seconds=RETRY_SECONDS,
        facts=facts(held, request.spec.expires_at),
    )


def rejected(held: HeldCall, request: ApprovalRequest) -> Refused:
    """Return the refusal of a call that somebody said no to, with what they said."""
    said = "; ".join(
        f"{decision.approver}: {decision.comment}" if decision.comment else decision.approver
        for decision in request.spec.decisions
        if decision.verdict is Verdict.REJECT
    )
    return Refused(
        Effect.DENY,
        RefusalCode.APPROVAL_REJECTED,
        f"{_call(held)} was rejected by {said or 'somebody who may decide'}; do something else, or end the task",
        held.asked.rules,
        facts=facts(held),
        approvers=deciders(request),
    )


def expired(held: HeldCall, request: ApprovalRequest) -> Refused:
    """Return the refusal of a call that nobody decided, or made, in time."""
    return Refused(
        Effect.DENY,
        RefusalCode.APPROVAL_EXPIRED,
        f"{_call(held)} was not approved and made by {_time(request.spec.expires_at)}; do something else, or end the task",
        held.asked.rules,
        facts=facts(held, request.spec.expires_at),
    )


def stale(held: HeldCall, why: str) -> Refused:
    """Return the refusal of a call whose request does not hold any more."""
    return Refused(
        Effect.DENY,
        RefusalCode.APPROVAL_STALE,
        f"what people were asked about {_call(held)} does not hold any more: {why}; find out how things stand, and make the"
        " call that is right now",
        held.asked.rules,
        facts=facts(held),
        note=f"an approval of {_call(held)} does not hold any more: ApprovalRequest {held.name}",
    )


def used(held: HeldCall, call: str, *, known: bool) -> Refused:
    """Return the refusal of a call that was let through already.

    Args:
        held: the call.
        call: by the audit trail's identifier; empty where it is not known.
        known: whether it is known what came of it.
    """
    came = "and was answered" if known else "and it is not known what came of it: check what is there"
    return Refused(
        Effect.DENY,
        RefusalCode.APPROVAL_USED,
        f"{_call(held)} was approved once, was made {came}; it is not made again",
        held.asked.rules,
        outcome_unknown=not known and held.writes,
        facts={**facts(held), "call": call} if call else facts(held),
        note=f"a call of {held.asked.name}.{held.asked.action} was made already: ApprovalRequest {held.name}",
    )


def too_many(held: HeldCall, most: int) -> Refused:
    """Return the refusal of a call that nobody is asked about."""
    agent = held.asked.caller.agent
    return Refused(
        Effect.DENY,
        RefusalCode.TOO_MANY_APPROVALS,
        f"{_call(held)} needs people to approve it, and {most} calls of agent {agent} wait for them already; wait for those,"
        " or do something else",
        held.asked.rules,
        retry_after_seconds=RETRY_SECONDS,
        note=f"{most} calls wait for people already, and no more may",
    )


def unreachable(held: HeldCall) -> Refused:
    """Return the refusal of a call that nobody can be asked about now."""
    return Refused(
        Effect.DENY,
        RefusalCode.STALE,
        f"{_call(held)} was not made: it needs people to approve it, and the API server, which knows of that, can't be asked"
        " or does not take the request; try again later",
        held.asked.rules,
        retry_after_seconds=UNREACHABLE_SECONDS,
        facts=facts(held),
        note="calls that need people to approve them are refused: the API server can't be asked",
    )


def facts(held: HeldCall, expires_at: datetime | None = None) -> dict[str, JsonValue]:
    """Return what programs need to know of a held call's request."""
    found: dict[str, JsonValue] = {"approval": held.name, "namespace": held.namespace}
    if expires_at is not None:
        found["expiresAt"] = _time(expires_at)
    return found


def _is_trusted(request: ApprovalRequest) -> bool:
    return _condition(request, ConditionType.ENFORCEMENT_ACTIVE, ConditionStatus.TRUE)


def _condition(request: ApprovalRequest, kind: ConditionType, status: ConditionStatus) -> bool:
    return any(item.type == kind and item.status is status for item in request.status.conditions)


def _said(request: ApprovalRequest, kind: ConditionType) -> str:
    found = next((item for item in request.status.conditions if item.type == kind), None)
    return found.message.rstrip(".") if found is not None and found.message else "something changed since"


def _call(held: HeldCall) -> str:
    return f"{held.asked.name}.{held.asked.action}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
