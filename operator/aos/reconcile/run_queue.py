"""Whose turn it is among the open runs of a Workflow that bounds how many there may be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from aos.model.workflow import Concurrency, OnExcess

_NEVER = datetime.max.replace(tzinfo=UTC)


class Turn(Enum):
    """What a run may do."""

    GO = auto()
    """Start, or go on."""
    WAIT = auto()
    """Not start yet."""
    SKIP = auto()
    """Never start."""
    MAKE_WAY = auto()
    """End, since a newer run takes its place."""


@dataclass(frozen=True, slots=True)
class Contender:
    """An open run of the Workflow.

    Attributes:
        uid: which one.
        name: its name.
        priority: the highest of its Workflow and those that it is run for.
        created_at: when it was made; None where that is not known yet.
        has_started: whether it has, or is about to.
        is_held: whether it is suspended; one that has not started then takes nobody's place.
    """

    uid: str
    name: str
    priority: int
    created_at: datetime | None
    has_started: bool
    is_held: bool = False

    @property
    def age(self) -> tuple[datetime, str]:
        """The oldest first."""
        return self.created_at or _NEVER, self.name


def turns(contenders: Iterable[Contender], concurrency: Concurrency | None) -> Mapping[str, Turn]:
    """Return for each open run, by uid, whether it may go on.

    Of those that wait, the highest priority comes first, then the oldest. No run that has started gives up its place but to Replace.
    """
    all_of_them = tuple(contenders)
    if concurrency is None:
        return {item.uid: Turn.WAIT if _waits(item) else Turn.GO for item in all_of_them}
    counting = [item for item in all_of_them if not _waits(item)]
    found = {item.uid: Turn.WAIT for item in all_of_them if _waits(item)}
    if concurrency.on_excess is OnExcess.REPLACE:
        newest = sorted(counting, key=lambda item: item.age, reverse=True)[: concurrency.max_runs]
        return found | _replacing(counting, {item.uid for item in newest}, concurrency.max_runs)
    in_order = sorted(counting, key=lambda item: (not item.has_started, -item.priority, item.age))
    beyond = Turn.SKIP if concurrency.on_excess is OnExcess.SKIP else Turn.WAIT
    for place, item in enumerate(in_order):
        found[item.uid] = Turn.GO if item.has_started or place < concurrency.max_runs else beyond
    return found


def _waits(item: Contender) -> bool:
    return item.is_held and not item.has_started


def _replacing(counting: list[Contender], newest: set[str], max_runs: int) -> dict[str, Turn]:
    """Return the turns where newer runs take the places of older ones, which end first."""
    places = max_runs - sum(item.has_started for item in counting)
    found = {}
    for item in sorted(counting, key=lambda item: (not item.has_started, item.age)):
        if item.uid not in newest:
            found[item.uid] = Turn.MAKE_WAY
        elif item.has_started:
            found[item.uid] = Turn.GO
        else:
            found[item.uid] = Turn.GO if places > 0 else Turn.WAIT
            places -= 1
    return found
