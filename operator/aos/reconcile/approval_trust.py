"""Whether decisions on an ApprovalRequest can be trusted: only those that the admission policies let through are.

The state of the policies under which the operator last looked is kept with the request (``status.guard``), and so is the generation that
it saw. A request that changed since under another state of the policies, or while they are missing, may hold what nobody checked.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aos.reconcile.approval_step import ObservedRequest
from aos.reconcile.waiting import created_of

SETTLE_SECONDS: Final = 5
"""The API server takes up to about a second to heed an admission policy that was written: decisions of this time don't count."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What may be made of a request now.

    Attributes:
        problem: why no decision counts for now; empty if they do.
        broken: why the request can't be trusted any more, ever; empty if it can.
        guard: the state of the policies to keep with the request; empty for none.
        again_at: when time alone makes decisions count; None for never.
    """

    problem: str = ""
    broken: str = ""
    guard: str = ""
    again_at: datetime | None = None


def trust(observed: ObservedRequest, now: datetime) -> Trust:
    """Return whether decisions count, now and for this request."""
    status, guard = observed.request.status, observed.guard
    altered = _altered(observed)
    if altered:
        return Trust(broken=altered, guard=status.guard)
    has_news = _has_news(observed)
    if guard.problem:
        broken = f"it was decided on while admission policies were {guard.problem}" if has_news else ""
        return Trust(problem=guard.problem, broken=broken, guard=status.guard)
    if status.guard == guard.fingerprint or _made_under(observed):
        return Trust(guard=guard.fingerprint)
    if has_news:
        return Trust(
            problem=_CHANGED,
            broken="it was decided on while nobody saw that the admission policies were in place",
            guard=status.guard,
        )
    return _settling(observed, now)


_CHANGED: Final = f"the admission policies were changed; decisions count again after {SETTLE_SECONDS} s"


def _settling(observed: ObservedRequest, now: datetime) -> Trust:
    request, guard = observed.request, observed.guard
    if not request.status.guard and guard.changed_at is not None and created_of(request) < guard.changed_at:
        broken = "it was made before the admission policies were in place, so nobody can tell by whom"
        return Trust(problem=_CHANGED, broken=broken)
    settled_at = (guard.seen_at or now) + timedelta(seconds=SETTLE_SECONDS)
    if now >= settled_at:
        return Trust(guard=guard.fingerprint)
    return Trust(problem=_CHANGED, guard=request.status.guard, again_at=settled_at)


def _made_under(observed: ObservedRequest) -> bool:
    """Whether the policies were in place, as they are now, when the request was made."""
    request, changed_at = observed.request, observed.guard.changed_at
    if request.status.guard or changed_at is None:
        return False
    return created_of(request) >= changed_at + timedelta(seconds=SETTLE_SECONDS)


def _has_news(observed: ObservedRequest) -> bool:
    """Whether anything of the spec may be another than at the last look."""
    request = observed.request
    seen = max(request.status.observed_generation, 1)
    return request.metadata.generation > seen or len(request.spec.decisions) > len(request.status.counted)


def _altered(observed: ObservedRequest) -> str:
    """Return what shows that somebody changed decisions that had been seen; empty if nothing does."""
    request = observed.request
    said = [(item.approver, item.verdict) for item in request.spec.decisions]
    seen = [(item.approver, item.verdict) for item in request.status.counted]
    if said[: len(seen)] != seen:
        return "decisions that had been seen were changed"
    return ""
