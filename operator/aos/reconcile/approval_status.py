"""What an ApprovalRequest's status says: a verdict for each condition, and the whole status, written only where it changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from aos.model.approval_request import WRITTEN_BY_GATEWAY, ApprovalRequestStatus, RequestState
from aos.model.base import JsonObject
from aos.model.conditions import ConditionType, Reason
from aos.reconcile.approval_step import Count, Ending, ObservedRequest, progress
from aos.reconcile.approval_trust import Trust
from aos.reconcile.conditions import Verdict, conditions, no, unchanged, yes

_LEFT_OUT_WHEN_EMPTY: Final = ("guard", "counted", "notices", "tallied")

Verdicts = Mapping[ConditionType, Verdict]


def verdicts_while_open(trusted: Trust, count: Count, ending: Ending) -> Verdicts:
    """Return the verdict on each condition of a request that was open until now."""
    state = ending.state
    return {
        ConditionType.APPROVED: _approved(trusted, count, ending),
        ConditionType.REJECTED: yes(Reason.REJECTED)
        if state is RequestState.REJECTED
        else no(Reason.NOT_REJECTED),
        ConditionType.EXPIRED: yes(Reason.EXPIRED, ending.message)
        if state is RequestState.EXPIRED
        else no(Reason.NOT_EXPIRED),
        ConditionType.STALE: yes(ending.reason, ending.message)
        if state is RequestState.STALE and ending.reason is not None
        else no(Reason.CURRENT),
        ConditionType.USED: yes(Reason.USED, ending.message)
        if state is RequestState.USED
        else no(Reason.NOT_USED),
        ConditionType.ENFORCEMENT_ACTIVE: no(Reason.POLICY_MISSING, trusted.problem)
        if trusted.problem
        else yes(Reason.GUARDED),
    }


def verdicts_at_end(observed: ObservedRequest) -> Verdicts:
    """Return the verdicts that stand, with a use that was told after the end."""
    status = observed.request.status
    known = {
        ConditionType(item.type): Verdict(item.status, Reason(item.reason), item.message)
        for item in status.conditions
    }
    if status.use is not None:
        known[ConditionType.USED] = yes(Reason.USED, f"call {status.use.call}")
    return known


def status_after(
    observed: ObservedRequest,
    guard: str,
    count: Count,
    state: RequestState,
    verdicts: Verdicts,
    now: datetime,
) -> ApprovalRequestStatus:
    """Return the status that the request is to have, without what is the gateway's."""
    request = observed.request
    before, generation = request.status, request.metadata.generation
    has_counted = observed.agent is not None and observed.agent.has_counted
    return ApprovalRequestStatus(
        observed_generation=generation,
        conditions=conditions(before.conditions, verdicts, generation, now),
        state=state,
        need=count.tally.need,
        have=count.tally.have,
        quorums=count.tally.quorums,
        counted=count.counted,
        guard=guard,
        notices=before.notices,
        tallied=before.tallied or has_counted,
    )


def written(before: ApprovalRequestStatus, after: ApprovalRequestStatus) -> JsonObject | None:
    """Return the status to write; None if it stands there already."""
    others = ("conditions", *WRITTEN_BY_GATEWAY)
    ours = before.model_copy(update={name: getattr(after, name) for name in others})
    if unchanged(before.conditions, after.conditions) and ours == after:
        return None
    said = after.model_dump(mode="json", by_alias=True, exclude=set(WRITTEN_BY_GATEWAY))
    return {name: value for name, value in said.items() if value or name not in _LEFT_OUT_WHEN_EMPTY}


def _approved(trusted: Trust, count: Count, ending: Ending) -> Verdict:
    if ending.reason is not None:
        return no(ending.reason, ending.message)
    if ending.state is RequestState.USED:
        return yes(Reason.QUORUM_REACHED, progress(count.tally.quorums))
    if trusted.problem:
        return no(Reason.ENFORCEMENT_LAPSED, trusted.problem)
    if ending.state is RequestState.APPROVED:
        return yes(Reason.QUORUM_REACHED, progress(count.tally.quorums))
    return no(Reason.WAITING, progress(count.tally.quorums))
