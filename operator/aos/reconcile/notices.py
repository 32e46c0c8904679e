"""What people outside are to be told of an ApprovalRequest, and when: level-based, what is due and was not taken is due still. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from aos.model.approval_request import MAX_NOTICES, ApprovalRequest, Notice, Quorum, RequestState
from aos.model.conditions import ConditionType
from aos.model.meta import LabelSelector
from aos.policy.quorums import tally
from aos.reconcile.conditions import find

LATE_SECONDS: Final = 3600
"""An end that nobody was told the beginning of is news for so long: a webhook that is added hears no history."""


class NoticeEvent(StrEnum):
    """What is told."""

    ASKED = "Asked"
    """People are asked."""
    REMINDED = "Reminded"
    """They were, and have not decided."""
    ESCALATED = "Escalated"
    """Others are asked too."""
    DECIDED = "Decided"
    """It is approved or rejected."""
    EXPIRED = "Expired"
    """Nobody decided in time."""
    WITHDRAWN = "Withdrawn"
    """What was asked about does not hold any more."""


_ENDS: Final[Mapping[RequestState, tuple[NoticeEvent, ConditionType]]] = {
    RequestState.APPROVED: (NoticeEvent.DECIDED, ConditionType.APPROVED),
    RequestState.USED: (NoticeEvent.DECIDED, ConditionType.APPROVED),
    RequestState.REJECTED: (NoticeEvent.DECIDED, ConditionType.REJECTED),
    RequestState.EXPIRED: (NoticeEvent.EXPIRED, ConditionType.EXPIRED),
    RequestState.STALE: (NoticeEvent.WITHDRAWN, ConditionType.STALE),
}


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a webhook tells what.

    Attributes:
        webhook: its name.
        events: what it is told.
        namespaces: whose requests; empty for those that ``selector`` means.
        selector: whose requests, by the namespaces' labels; None for all.
    """

    webhook: str
    events: frozenset[NoticeEvent]
    namespaces: frozenset[str] = frozenset()
    selector: LabelSelector | None = None

    def includes(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether requests of the namespace are told."""
        if self.namespaces:
            return namespace in self.namespaces
        return self.selector is None or self.selector.matches(labels)


@dataclass(frozen=True, slots=True)
class DueNotice:
    """Something to tell.

    Attributes:
        event: what it is.
        mark: how it is kept in ``status.notices``; of several reminders each has its own.
    """

    event: NoticeEvent
    mark: str


def due(request: ApprovalRequest, audience: Audience, now: datetime) -> tuple[DueNotice, ...]:
    """Return what the webhook is to be told now, in order.

    Nothing before the operator has looked at the request, and nothing once it can keep no more notices.
    """
    status = request.status
    is_gone = request.metadata.deletion_timestamp is not None
    if status.observed_generation < 0 or len(status.notices) >= MAX_NOTICES or is_gone:
        return ()
    taken = {item.event for item in request.status.notices if item.webhook == audience.webhook}
    found = (
        _ending(request, now, was_told=bool(taken)) if not _is_open(request, now) else _asking(request, now)
    )
    return tuple(item for item in found if item.event in audience.events and item.mark not in taken)


def next_at(request: ApprovalRequest, now: datetime) -> datetime | None:
    """Return when time alone makes something due; None if it does not."""
    if not _is_open(request, now):
        return None
    return min((moment for _, moment in _times(request) if moment > now), default=None)


def with_notice(request: ApprovalRequest, webhook: str, mark: str, now: datetime) -> tuple[Notice, ...]:
    """Return the notices of the request with one that was taken now."""
    return (*request.status.notices, Notice(webhook=webhook, event=mark, time=now))


def notice_id(request: ApprovalRequest, webhook: str, mark: str) -> str:
    """Return what tells a notice from every other one; sent again, it is the same."""
    return f"{request.metadata.uid}.{webhook}.{mark}"


def _is_open(request: ApprovalRequest, now: datetime) -> bool:
    return request.status.state is RequestState.PENDING and now <= request.spec.expires_at


def _asking(request: ApprovalRequest, now: datetime) -> Iterator[DueNotice]:
    yield DueNotice(NoticeEvent.ASKED, NoticeEvent.ASKED.value)
    for event, moment in sorted(_times(request), key=lambda item: item[1]):
        if moment <= now:
            yield DueNotice(event, f"{event.value} {moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")


def _times(request: ApprovalRequest) -> set[tuple[NoticeEvent, datetime]]:
    """Return when those are told again that a quorum still waits for; several quorums share a notice."""
    progress = {item.rule: item for item in tally(request.spec, request.status.counted).quorums}
    found = set()
    for quorum in request.spec.quorums:
        if progress[quorum.rule].approved < quorum.required:
            found |= set(_times_of(quorum))
    return found


def _times_of(quorum: Quorum) -> Iterator[tuple[NoticeEvent, datetime]]:
    if quorum.remind_at is not None:
        yield NoticeEvent.REMINDED, quorum.remind_at
    if quorum.escalation is not None:
        yield NoticeEvent.ESCALATED, quorum.escalation.at


def _ending(request: ApprovalRequest, now: datetime, *, was_told: bool) -> Iterator[DueNotice]:
    known = _ENDS.get(request.status.state)
    if known is None:
        # Its time is over; the operator is about to say so.
        return
    event, condition = known
    told = find(request.status.conditions, condition)
    is_late = told is not None and now - told.last_transition_time > timedelta(seconds=LATE_SECONDS)
    if was_told or not is_late:
        yield DueNotice(event, event.value)
