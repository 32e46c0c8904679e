"""What each open Task has used so far."""

from dataclasses import dataclass

from aos.model.task import TaskUsage


@dataclass(slots=True)
class _Counters:
    calls: int = 0
    denied: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Usage:
    """Counts by Task uid; a Task's counters are dropped when the Task ends."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Counters] = {}

    def add(
        self,
        task_uid: str,
        *,
        calls: int = 0,
        denied: int = 0,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
    ) -> None:
        """Add to the Task's counters."""
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

    def drop(self, task_uid: str) -> None:
        """Forget the Task."""
        self._tasks.pop(task_uid, None)
