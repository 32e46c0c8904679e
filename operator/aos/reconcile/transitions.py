"""Which changes of conditions are worth an event."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aos.model.conditions import ConditionType, Reason
from aos.model.meta import Condition, ConditionStatus
from aos.reconcile.conditions import find
from aos.reconcile.events import EventReason, Happening


@dataclass(frozen=True, slots=True)
class Told:
    """Events of one condition.

    Attributes:
        holds: told when it begins to hold after it did not; None for nothing.
        fails: told when it does not hold, or for another reason than before; None for nothing.
        at_first: whether the first verdict is told too, if it is that it does not hold.
        quiet: reasons for not holding that come and go in the course of things.
    """

    holds: EventReason | None
    fails: EventReason | None
    at_first: bool = True
    quiet: frozenset[Reason] = frozenset()


AGENT: Final[Mapping[ConditionType, Told]] = {
    ConditionType.ACCEPTED: Told(EventReason.ACCEPTED, EventReason.NOT_ACCEPTED),
    ConditionType.ADMISSION_GUARDED: Told(None, EventReason.UNGUARDED),
    ConditionType.POLICY_ENFORCED: Told(
        EventReason.POLICY_ENFORCED,
        EventReason.POLICY_NOT_ENFORCED,
        quiet=frozenset({Reason.GATEWAY_BEHIND, Reason.NOT_ACCEPTED}),
    ),
    ConditionType.SUSPENDED: Told(EventReason.SUSPENDED, EventReason.RESUMED, at_first=False),
    ConditionType.READY: Told(
        EventReason.READY,
        EventReason.NOT_READY,
        at_first=False,
        quiet=frozenset({Reason.NOT_ENFORCED, Reason.SUSPENDED}),
    ),
}
ACCEPTING: Final[Mapping[ConditionType, Told]] = {ConditionType.ACCEPTED: AGENT[ConditionType.ACCEPTED]}


def transitions(
    before: Iterable[Condition], after: Iterable[Condition], told: Mapping[ConditionType, Told]
) -> tuple[Happening, ...]:
    """Return the events that the step from one set of conditions to the next is worth."""
    known = tuple(before)
    news = (
        _news(find(known, ConditionType(item.type)), item, told[ConditionType(item.type)])
        for item in after
        if item.type in told
    )
    return tuple(item for item in news if item is not None)


def _news(before: Condition | None, after: Condition, told: Told) -> Happening | None:
    if after.status is ConditionStatus.TRUE:
        if told.holds is None or before is None or before.status is ConditionStatus.TRUE:
            return None
        return Happening(told.holds, after.message or f"{after.type} is True")
    if told.fails is None or after.reason in told.quiet:
        return None
    if before is None and not told.at_first:
        return None
    if before is not None and (before.status, before.reason) == (after.status, after.reason):
        return None
    return Happening(told.fails, f"{after.reason}: {after.message}" if after.message else after.reason)
