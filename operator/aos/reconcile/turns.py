"""Whose turn it is where there is not room for every Task's pod: a function of who waits and what runs."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Waiter:
    """A Task that waits for a pod.

    Attributes:
        namespace: of the Task.
        name: of the Task.
        priority: higher ones come first within the namespace.
        created: older ones come first within a priority.
    """

    namespace: str
    name: str
    priority: int
    created: datetime

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Where it stands within its namespace: what is less comes first."""
        return -self.priority, self.created, self.name


class Shortage(StrEnum):
    """What there is too little of."""

    ROOM = "Room"
    """As many pods of Tasks run in the cluster as may."""
    QUOTA = "Quota"
    """The namespace's ResourceQuota is full."""


@dataclass(frozen=True, slots=True)
class Turn:
    """That it is not a Task's turn yet.

    Attributes:
        shortage: why not.
        ahead: Tasks whose turn comes before.
    """

    shortage: Shortage
    ahead: int


def in_turn(waiting: Mapping[str, Iterable[Waiter]], running: Mapping[str, int]) -> Iterator[Waiter]:
    """Yield who waits, first to last: each time one of the namespace in which the fewest run by then.

    Args:
        waiting: who waits, by namespace.
        running: pods of Tasks that run, by namespace.
    """
    lines = {namespace: sorted(waiters, key=lambda one: one.order) for namespace, waiters in waiting.items()}
    heap = [(running.get(name, 0), line[0].created, name, 0) for name, line in lines.items() if line]
    heapq.heapify(heap)
    while heap:
        count, _, namespace, at = heapq.heappop(heap)
        line = lines[namespace]
        yield line[at]
        if at + 1 < len(line):
            heapq.heappush(heap, (count + 1, line[at + 1].created, namespace, at + 1))


def place(ahead: int) -> str:
    """Return in words how many are ahead, so that what is told stays true while they go."""
    if ahead == 0:
        return "it is next"
    bound = 10
    while ahead >= bound:
        bound *= 10
    return f"fewer than {bound} Tasks are ahead of it"
