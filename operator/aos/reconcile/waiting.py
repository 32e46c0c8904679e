"""How long a Task waits for people, and what that does to its deadline: the clock of a Task stands while they decide.

The time of waiting is what the ApprovalRequests of its calls cover together, each from when it was made until it was used or
ended, and while it is open until it expires at the latest. So the deadline changes only when a request does, and everybody who
reads the Task's status agrees on it. A Task that handed work over waits while a Task below it does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aos.model.approval_request import ApprovalRequest, RequestState, RequestType
from aos.model.conditions import ConditionType
from aos.model.duration import duration_seconds
from aos.model.task import Task
from aos.reconcile.conditions import find

MAX_WAIT_SECONDS: Final = 604_800
"""A Task's deadline moves by no more, however often it waits: seven days, the longest that one request stays open."""

_ENDS: Final = {
    RequestState.REJECTED: ConditionType.REJECTED,
    RequestState.EXPIRED: ConditionType.EXPIRED,
    RequestState.STALE: ConditionType.STALE,
}


@dataclass(frozen=True, slots=True)
class Wait:
    """The time that one call waits.

    Attributes:
        request: name of the ApprovalRequest.
        since: when it was made.
        until: when it was used or ended; while it is open, when it ends at the latest.
        is_over: whether it was used or ended.
    """

    request: str
    since: datetime
    until: datetime
    is_over: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a Task's status says of its waiting.

    Attributes:
        request: the open request that it has waited for longest; empty while it waits for none.
        waited_seconds: how long it waited for requests that are over.
        deadline: when its time is up now; None while it never waited.
    """

    request: str = ""
    waited_seconds: int = 0
    deadline: datetime | None = None


def created_of(request: ApprovalRequest) -> datetime:
    """Return when a request was made; one that the API server has not stamped yet waits for nothing."""
    return request.metadata.creation_timestamp or request.spec.expires_at


def wait_of(request: ApprovalRequest) -> Wait | None:
    """Return the time that a call waits; None for a call that was made and is to be reviewed, and for a gate."""
    if request.spec.type is not RequestType.CALL:
        return None
    since, latest = created_of(request), request.spec.expires_at
    end = _end_of(request)
    return Wait(
        request=request.metadata.name,
        since=since,
        until=max(since, min(end, latest)) if end is not None else max(since, latest),
        is_over=end is not None,
    )


def waiting(task: Task, waits: Sequence[Wait]) -> Waiting:
    """Return what ``waits``, of the Task's own calls and of those of the Tasks below it, do to it.

    What it waited once is never taken back, though a request or a Task below it be deleted.
    """
    over = _covered_seconds(item for item in waits if item.is_over)
    waited_seconds = max(int(over), task.status.waited_seconds)
    still_seconds = _covered_seconds(waits) - over
    total_seconds = min(waited_seconds + still_seconds, MAX_WAIT_SECONDS)
    open_now = min((item for item in waits if not item.is_over), key=_first, default=None)
    return Waiting(
        request=open_now.request if open_now is not None else "",
        waited_seconds=waited_seconds,
        deadline=_deadline(task, total_seconds) if total_seconds else None,
    )


def _first(item: Wait) -> tuple[datetime, str]:
    return item.since, item.request


def _deadline(task: Task, waited_seconds: float) -> datetime | None:
    created = task.metadata.creation_timestamp
    if created is None:
        return None
    due = created + timedelta(seconds=duration_seconds(task.spec.deadline) + waited_seconds)
    return due.replace(microsecond=0)


def _end_of(request: ApprovalRequest) -> datetime | None:
    """Return when a request was used or ended; None while it is open."""
    status = request.status
    if status.use is not None:
        return status.use.time
    if status.state not in _ENDS:
        return None
    found = find(status.conditions, _ENDS[status.state])
    return found.last_transition_time if found is not None else request.spec.expires_at


def _covered_seconds(waits: Iterable[Wait]) -> float:
    """Return how much time the waits cover together."""
    covered = timedelta()
    end: datetime | None = None
    for item in sorted(waits, key=_first):
        since = item.since if end is None else max(item.since, end)
        if item.until > since:
            covered += item.until - since
            end = item.until
    return covered.total_seconds()
