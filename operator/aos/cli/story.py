"""What a watched Task tells a person: objects and events in, lines out, each thing once. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aos.cli.approval_news import changes_of
from aos.cli.approval_view import command
from aos.cli.approvals import is_open
from aos.cli.output import joined, one_line
from aos.kube.objects import child, number, text
from aos.model.approval_request import ApprovalRequest, RequestState, RequestType
from aos.model.base import JsonObject
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import Condition, ConditionStatus
from aos.model.task import Outcome, Task
from aos.reconcile.events import EventReason

_TOLD_BY_TASK: Final = frozenset(
    {
        EventReason.POD_CREATED,
        EventReason.WAITING,
        EventReason.STARTED,
        EventReason.COMPLETED,
        EventReason.FAILED,
    }
)
"""Events of what stands in the Task's status too, which is watched as well."""


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """An event about the Task, as far as people read it."""

    uid: str
    reason: str
    note: str
    count: int

    @classmethod
    def parse(cls, raw: JsonObject) -> "TaskEvent":
        """Return what an events.k8s.io/v1 Event says."""
        return cls(
            uid=text(child(raw, "metadata"), "uid"),
            reason=text(raw, "reason"),
            note=text(raw, "note"),
            count=max(1, number(child(raw, "series"), "count")),
        )


class Story:
    """Remembers what was told.

    Attributes:
        waiting_for: why the Task is not further, as a phrase; empty once it has ended.
    """

    def __init__(self) -> None:
        self.waiting_for = self._without_people = "the operator has not looked at it yet"
        self._told: set[tuple[str, str, str]] = set()
        self._reasons: dict[str, str] = {}
        self._events: set[str] = set()
        self._pod = ""
        self._image = ""
        self._result = False
        self._requests: dict[str, ApprovalRequest] = {}

    def task(self, task: Task) -> list[str]:
        """Return what is new about the Task."""
        lines = list(self._news(task))
        ended = condition_of(task, ConditionType.SUCCEEDED)
        started = condition_of(task, ConditionType.STARTED)
        if task.ended:
            self.waiting_for = ""
        elif task.status.result:
            self.waiting_for = "the result is in; the pod is being ended"
        elif told := started or ended:
            self.waiting_for = joined((told.reason, told.message))
        self._without_people = self.waiting_for
        self._wait_for_people()
        return lines

    def request(self, request: ApprovalRequest, now: datetime) -> list[str]:
        """Return what is new about a call that waits for people."""
        old = self._requests.get(request.metadata.name)
        self._requests[request.metadata.name] = request
        self._wait_for_people()
        if old is not None and old.metadata.uid == request.metadata.uid:
            return [f"{request.metadata.name}: {item.said}" for item in changes_of(old, request, now)]
        if not _holds(request) or not is_open(request, now):
            return []
        told = f"waits for people ({request.spec.asked_call.risk.value}): {one_line(request.spec.summary)}"
        # Who asked for the Task, as this caller did, may not decide.
        decide = f"somebody else decides, by `{command('approve', request)}`"
        return [told, f"`{command('show', request)}` tells more; {decide}"]

    def _wait_for_people(self) -> None:
        held = [item for item in self._requests.values() if _holds(item)]
        self.waiting_for = (
            f"people: `{command('approve', held[-1])}`"
            + (f" and {len(held) - 1} more" if len(held) > 1 else "")
            if held and self._without_people
            else self._without_people
        )

    def event(self, event: TaskEvent) -> list[str]:
        """Return the event's line, unless the Task tells it itself; a series is told once."""
        if event.uid in self._events or event.reason in _TOLD_BY_TASK:
            return []
        self._events.add(event.uid)
        if any(reason == event.reason and note == event.note for _, reason, note in self._told):
            return []
        if any(event.note.startswith(f"ApprovalRequest {name},") for name in self._requests):
            # The request itself tells more.
            return []
        return [joined((event.reason, event.note))]

    def _news(self, task: Task) -> Iterator[str]:
        if task.status.pod and task.status.pod.name != self._pod:
            self._pod = task.status.pod.name
            yield f"pod {self._pod}" + (f", revision {task.status.revision}" if task.status.revision else "")
        if task.status.image_id and task.status.image_id != self._image:
            self._image = task.status.image_id
            yield f"image {self._image}"
        for condition in task.status.conditions:
            said = (condition.type, condition.reason, condition.message)
            if said not in self._told and not self._adds_nothing(condition):
                yield from _said(condition)
            self._told.add(said)
            self._reasons[condition.type] = condition.reason
        if task.status.result and not self._result:
            self._result = True
            verb = (
                "handed in its output"
                if task.status.result.outcome is Outcome.SUCCEEDED
                else "reported a failure"
            )
            yield f"the agent {verb}"

    def _adds_nothing(self, condition: Condition) -> bool:
        """Whether the condition only drops the message that was told with its reason."""
        return not condition.message and self._reasons.get(condition.type) == condition.reason


def _holds(request: ApprovalRequest) -> bool:
    return request.spec.type is RequestType.CALL and request.status.state is RequestState.PENDING


def _said(condition: Condition) -> Iterator[str]:
    # Succeeded repeats Started for as long as the Task is open, and its end is told by the last line.
    if condition.type == ConditionType.STARTED and condition.reason != Reason.PENDING:
        yield joined((condition.reason, condition.message))


def condition_of(task: Task, kind: ConditionType) -> Condition | None:
    """Return the Task's condition of that type, if it is set."""
    return next((item for item in task.status.conditions if item.type == kind), None)


def succeeded(task: Task) -> bool:
    """Whether the Task has ended well."""
    condition = condition_of(task, ConditionType.SUCCEEDED)
    return condition is not None and condition.status is ConditionStatus.TRUE


def ending(task: Task) -> str:
    """Return how an ended Task ended, and what it used, as one line."""
    condition = condition_of(task, ConditionType.SUCCEEDED)
    said = joined((condition.reason, condition.message)) if condition else ""
    verb = "succeeded" if succeeded(task) else "failed"
    usage = task.status.usage
    if usage is None:
        return joined((verb, said))
    tokens = usage.prompt_tokens + usage.completion_tokens
    used = f"{usage.calls} calls, {usage.denied} denied, {tokens} tokens"
    return f"{joined((verb, said))} ({used})"
