"""What people are told of an ApprovalRequest. Who decided is told on the request alone, and no arguments anywhere."""

from aos.model.approval_request import (
    ApprovalRequestStatus,
    CountedDecision,
    RequestRun,
    RequestState,
    RequestType,
    Verdict,
)
from aos.model.conditions import ConditionType
from aos.model.meta import ConditionStatus
from aos.reconcile.approval_step import Count, Ending, ObservedRequest, progress
from aos.reconcile.conditions import find
from aos.reconcile.events import EventReason, Happening, happenings


def events_of(
    observed: ObservedRequest, count: Count, ending: Ending, after: ApprovalRequestStatus
) -> tuple[Happening, ...]:
    """Return the events about the request itself."""
    return happenings(
        Happening(EventReason.APPROVAL_ASKED, f"{_what(observed)}: {progress(count.tally.quorums)}")
        if observed.is_first_look
        else None,
        _unguarded(observed, after),
        *(_decided(item, count) for item in count.news),
        _ended(observed, ending),
    )


def told_of(observed: ObservedRequest, ending: Ending) -> tuple[Happening, ...]:
    """Return the events about the request's Agent and Task, or about the run that waits."""
    about = f"ApprovalRequest {observed.request.metadata.name}, {_what(observed)}"
    ended = _ended(observed, ending)
    return happenings(
        Happening(EventReason.APPROVAL_ASKED, about) if observed.is_first_look else None,
        _verdict(observed, ending, about),
        Happening(ended.reason, f"{about}: {ended.note}") if ended is not None else None,
    )


def used_late(observed: ObservedRequest) -> Happening:
    """Return the event of a use that was told after the request's end."""
    use = observed.request.status.use
    return Happening(
        EventReason.APPROVAL_USED, f"call {use.call if use else ''}, told after the request ended"
    )


def _what(observed: ObservedRequest) -> str:
    spec = observed.request.spec
    subject = spec.subject
    if isinstance(subject, RequestRun):
        return f"to approve that run {subject.name} goes on after step {subject.step}"
    asked = "to review" if spec.type is RequestType.REVIEW else "to approve"
    return f"{asked} {subject.title} of {subject.agent.name}, risk {subject.risk}"


def _decided(item: CountedDecision, count: Count) -> Happening:
    said = "approved" if item.verdict is Verdict.APPROVE else "rejected"
    if not item.rules:
        return Happening(
            EventReason.APPROVAL_REFUSED,
            f"{item.approver} {said}, and counts for no quorum (any more, or yet): {progress(count.tally.quorums)}",
        )
    return Happening(
        EventReason.APPROVAL_DECIDED,
        f"{item.approver} {said}, for {', '.join(item.rules)}: {count.tally.have} of {count.tally.need}",
    )


def _verdict(observed: ObservedRequest, ending: Ending, about: str) -> Happening | None:
    if observed.request.status.state is ending.state:
        return None
    if ending.state is RequestState.APPROVED:
        return Happening(EventReason.APPROVAL_DECIDED, f"{about}: approved")
    if ending.state is RequestState.REJECTED:
        return Happening(EventReason.APPROVAL_DECIDED, f"{about}: rejected")
    return None


def _ended(observed: ObservedRequest, ending: Ending) -> Happening | None:
    if observed.request.status.state is ending.state:
        return None
    match ending.state:
        case RequestState.EXPIRED:
            return Happening(EventReason.APPROVAL_EXPIRED, ending.message)
        case RequestState.STALE:
            return Happening(EventReason.APPROVAL_STALE, f"{ending.reason}: {ending.message}")
        case RequestState.USED:
            return Happening(EventReason.APPROVAL_USED, ending.message)
    return None


def _unguarded(observed: ObservedRequest, after: ApprovalRequestStatus) -> Happening | None:
    before = find(observed.request.status.conditions, ConditionType.ENFORCEMENT_ACTIVE)
    now = find(after.conditions, ConditionType.ENFORCEMENT_ACTIVE)
    if now is None or now.status is ConditionStatus.TRUE:
        return None
    if before is not None and before.status is ConditionStatus.FALSE:
        return None
    return Happening(EventReason.UNGUARDED, f"no decision counts: {now.message}")
