"""What each open Task has used so far."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from aos.model.task import TaskUsage

MAX_ENDED_TASKS: Final = 10_000
"""Ended Tasks that are remembered, so that a call which ends after its Task is not counted, with nobody to drop that again."""


class Recorded(Protocol):
    """Knows what Tasks used; `aos.gateway.control.control.CallControl` does."""

    async def used_by(self, task_uid: str) -> TaskUsage | None:
        """Return what a Task has used, denials aside; None if that can't be said now."""


@dataclass(slots=True)
class _Counters:
    calls: int = 0
    denied: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Usage:
    """Counts by Task uid; a Task's counters are dropped when the Task ends."""

    def __init__(self, recorded: Recorded | None = None) -> None:
        """``recorded`` knows what all replicas counted; without it only this one's calls are known."""
        self._tasks: dict[str, _Counters] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._recorded = recorded

    def __len__(self) -> int:
        """Return how many Tasks are counted for."""
        return len(self._tasks)

    def add(
        self,
        task_uid: str,
        *,
        calls: int = 0,
        denied: int = 0,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
    ) -> None:
        """Add to the Task's counters; nothing once it has ended."""
        if task_uid in self._ended:
            return
        counters = self._tasks.get(task_uid)
        if counters is None:
            counters = self._tasks[task_uid] = _Counters()
        counters.calls += calls
        counters.denied += denied
        counters.prompt_tokens += prompt_tokens
        counters.completion_tokens += completion_tokens

    def of(self, task_uid: str) -> TaskUsage:
        """Return the Task's counters."""
        counters = self._tasks.get(task_uid) or _Counters()
        return TaskUsage(
            calls=counters.calls,
            denied=counters.denied,
            prompt_tokens=counters.prompt_tokens,
            completion_tokens=counters.completion_tokens,
        )

    async def total(self, task_uid: str) -> TaskUsage:
        """Return what the Task used over all replicas; denials, and all while the store is away, as this replica saw them."""
        own = self.of(task_uid)
        recorded = await self._recorded.used_by(task_uid) if self._recorded else None
        return own if recorded is None else recorded.model_copy(update={"denied": own.denied})

    def drop(self, task_uid: str) -> None:
        """Forget the Task, which has ended."""
        self._tasks.pop(task_uid, None)
        self._ended[task_uid] = None
        while len(self._ended) > MAX_ENDED_TASKS:
            self._ended.popitem(last=False)
