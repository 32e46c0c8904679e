"""What is kept of Tasks in memory: facts for look-ups, what a run looks at of its Tasks, and no large content that nobody asks for."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import orjson

from aos.controllers.trees import Branch, branch_of
from aos.kube.objects import child
from aos.model.base import JsonObject
from aos.model.conditions import ConditionType
from aos.model.task import Task, TaskUsage
from aos.reconcile.conditions import find
from aos.reconcile.task_step import handed_in
from aos.workflow.facts import task_attempt
from aos.workflow.observed import Attempt

MAX_KEPT_OUTPUT_BYTES: Final = 4_096
"""Larger outputs of a run's Tasks are read from the API server when a run looks at them."""
EPOCH: Final = datetime.fromtimestamp(0, UTC)
"""Stands in for times that the API server has not stamped."""


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What a run looks at of a Task or run by which one of its steps is done.

    Attributes:
        attempt: the attempt that it is, without its output.
        output_bytes: how much it gave, as JSON; 0 for nothing.
        output: what it gave, as JSON; None if it gave nothing or more than is kept.
    """

    attempt: Attempt
    output_bytes: int = 0
    output: bytes | None = None

    @property
    def seen(self) -> "StepFacts":
        """The same but for which version it is of."""
        return replace(self, attempt=replace(self.attempt, resource_version=""))


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What look-ups need of a Task; it is open while calls may be made for it.

    ``revision`` is what its pod runs, ``pinned`` what it has to run, empty for the agent's current one.
    """

    agent: str
    revision: str
    pinned: str
    has_pod: bool
    ended_at: datetime | None
    parent: str
    is_open: bool
    has_result: bool = False
    priority: int = 0
    created_at: datetime = EPOCH
    run: str = ""
    run_uid: str = ""
    branch: Branch | None = None
    step: StepFacts | None = None
    usage: TaskUsage | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it has neither a pod nor an end."""
        return self.ended_at is None and not self.has_pod

    @property
    def order(self) -> tuple[int, datetime]:
        """Where it stands among Tasks that wait for the same: what is less comes first."""
        return -self.priority, self.created_at


def facts_of(task: Task) -> TaskFacts:
    """Return what look-ups need of a Task."""
    end = find(task.status.conditions, ConditionType.SUCCEEDED) if task.ended else None
    return TaskFacts(
        agent=task.spec.agent_ref.name,
        revision=task.status.revision,
        pinned=task.spec.revision or "",
        has_pod=task.status.pod is not None,
        ended_at=(task.status.completion_time or end.last_transition_time) if end else None,
        parent=task.parent.task if task.parent else "",
        is_open=task.open,
        has_result=task.status.result is not None,
        priority=task.spec.priority,
        created_at=task.metadata.creation_timestamp or EPOCH,
        run=task.spec.run.name if task.spec.run else "",
        run_uid=task.spec.run.uid if task.spec.run else "",
        branch=branch_of(task.spec.run.root_uid, undoing=task.spec.run.undoing) if task.spec.run else None,
        step=step_facts(task),
        usage=task.status.usage if task.spec.run else None,
    )


def step_facts(task: Task) -> StepFacts | None:
    """Return what a run looks at of a Task; None for one that is not done for a step itself.

    What was handed in is final, and so is the end that it makes: nobody waits until that is written, too.
    """
    attempt = task_attempt(task, EPOCH)
    if attempt is None:
        return None
    result, end = task.status.result, handed_in(task)
    if result is not None and end is not None and (attempt.is_open or attempt.reason == end.reason):
        # The same before and after the end is written: a run has no second look at it.
        attempt = replace(
            attempt,
            ended_at=result.time,
            succeeded=end.holds,
            reason=end.reason,
            message=end.message,
            waiting_for=(),
        )
    return without_output(attempt)


def without_output(attempt: Attempt | None) -> StepFacts | None:
    """Return what is kept of an attempt; None for none."""
    if attempt is None or attempt.output is None:
        return StepFacts(attempt) if attempt is not None else None
    content = orjson.dumps(attempt.output)
    is_kept = len(content) <= MAX_KEPT_OUTPUT_BYTES
    lean = replace(attempt, output=None)
    return StepFacts(lean, output_bytes=len(content), output=content if is_kept else None)


def total(used: Iterable[TaskUsage]) -> TaskUsage | None:
    """Return the sum of what was used; None of nothing."""
    parts = list(used)
    if len(parts) <= 1:
        return parts[0] if parts else None
    return TaskUsage(**{name: sum(getattr(item, name) for item in parts) for name in TaskUsage.model_fields})


def trim(raw: JsonObject) -> JsonObject:
    """Return a Task without what it gave, and, once it has a pod, without what it was given: nobody here asks for them."""
    lean: JsonObject = dict(raw)
    status = child(lean, "status")
    if status.get("result"):
        result = {name: value for name, value in child(status, "result").items() if name != "output"}
        lean["status"] = {**status, "result": result}
    if status.get("pod") or status.get("result"):
        lean["spec"] = {name: value for name, value in child(lean, "spec").items() if name != "input"}
    return lean
