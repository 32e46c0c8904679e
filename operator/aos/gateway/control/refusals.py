"""How often each Task was refused: an agent that is refused without end must not fill the store with it. No I/O."""

from collections import OrderedDict
from typing import Final

MAX_REFUSALS: Final = 10_000
"""Of one Task that one replica records; what it asks for after them is refused, and not recorded."""
MAX_TASKS: Final = 10_000
"""Tasks that are counted; of more, those that were refused last."""


class Refusals:
    """Counts by Task."""

    def __init__(self, most: int = MAX_REFUSALS, most_tasks: int = MAX_TASKS) -> None:
        self._most = most
        self._most_tasks = most_tasks
        self._counts: OrderedDict[str, int] = OrderedDict()

    def count(self, task_uid: str) -> bool:
        """Note a refusal; whether it is to be recorded."""
        count = self._counts.get(task_uid, 0)
        self._counts[task_uid] = min(count + 1, self._most)
        self._counts.move_to_end(task_uid)
        while len(self._counts) > self._most_tasks:
            self._counts.popitem(last=False)
        return count < self._most

    def are_too_many(self, task_uid: str) -> bool:
        """Whether the Task was refused so often that nothing more is let through for it."""
        return self._counts.get(task_uid, 0) >= self._most
