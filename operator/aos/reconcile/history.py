"""How many ended Tasks of an agent are kept."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from aos.reconcile.plan import Deletion


@dataclass(frozen=True, slots=True)
class EndedTask:
    """A Task that has ended."""

    name: str
    uid: str
    ended_at: datetime


def expired_tasks(ended: Iterable[EndedTask], limit: int) -> tuple[Deletion, ...]:
    """Return the ended Tasks of one agent beyond the newest ``limit``, oldest first."""
    newest_first = sorted(ended, key=lambda task: (task.ended_at, task.name), reverse=True)
    return tuple(Deletion("Task", task.name, task.uid) for task in reversed(newest_first[limit:]))
