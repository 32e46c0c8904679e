"""A handed-over Task as A2A shows it, in both spellings. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.a2a.protocol import A2aError, Dialect, RequestId, State
from aos.model.base import JsonObject
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import Condition
from aos.model.task import Outcome, Task
from aos.reconcile.conditions import find

OUTPUT_ID: Final = "output"

_ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
_DOMAIN: Final = "aos.dev"
_ENDS: Final = {Reason.INPUT_INVALID.value: State.REJECTED, Reason.PARENT_ENDED.value: State.CANCELED}


@dataclass(frozen=True, slots=True)
class TaskView:
    """What the agent that handed a Task over sees of it.

    Attributes:
        id: the Task's name.
        context: uid of the Task that handed it over: all that one Task hands over is one conversation.
        state: where it is.
        time: when it got there, as far as that is known.
        message: why it ended without an output; empty otherwise.
        output: what the receiver handed in; None without.
    """

    id: str
    context: str
    state: State
    time: datetime | None
    message: str = ""
    output: JsonObject | None = None

    def without_output(self, why: str) -> "TaskView":
        """Return the view of a Task whose output, or whose own words, are withheld."""
        return replace(self, state=State.FAILED, message=why, output=None)


def view_of(task: Task) -> TaskView:
    """Return what is seen of ``task``, before anybody has looked at the data that it carries."""
    parent, result = task.parent, task.status.result
    end = find(task.status.conditions, ConditionType.SUCCEEDED) if task.ended else None
    seen = TaskView(
        id=task.metadata.name,
        context=parent.task_uid if parent else "",
        state=_state(task, end),
        time=result.time if result else _since(task, end),
    )
    if result is not None:
        failed = result.outcome is Outcome.FAILED
        told = ": ".join(part for part in (result.reason, result.message) if part)
        return replace(seen, message=told if failed else "", output=None if failed else result.output)
    return replace(seen, message=f"{end.reason}: {end.message}") if end else seen


def cancelled(view: TaskView) -> TaskView:
    """Return the view of a Task that was deleted."""
    return replace(view, state=State.CANCELED, message="", output=None)


def shown(view: TaskView, dialect: Dialect, *, output: bool = True) -> JsonObject:
    """Return the A2A Task; without its artifacts if ``output`` is false."""
    status: JsonObject = {"state": view.state.spelled(dialect)}
    if view.time is not None:
        status["timestamp"] = (
            view.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )
    if view.message:
        status["message"] = _words(view, dialect)
    made: JsonObject = {"id": view.id, "contextId": view.context, "status": status}
    if view.output is not None and output:
        made["artifacts"] = [
            {"artifactId": OUTPUT_ID, "name": OUTPUT_ID, "parts": [_data(view.output, dialect)]}
        ]
    return made if dialect is Dialect.CURRENT else {"kind": "task", **made}


def page(views: Sequence[TaskView], total: int, size: int, dialect: Dialect, *, output: bool) -> JsonObject:
    """Return the answer to a list: one page, and where the next one begins."""
    tasks: list[JsonValue] = [shown(view, dialect, output=output) for view in views]
    is_last = len(views) < size or not views
    return {
        "tasks": tasks,
        "totalSize": total,
        "pageSize": size,
        "nextPageToken": "" if is_last else views[-1].id,
    }


def changes(before: TaskView | None, after: TaskView, dialect: Dialect) -> tuple[JsonObject, ...]:
    """Return what a stream says of a Task: first all of it, then its output and where it is now."""
    if before is None:
        whole = shown(after, dialect)
        return (whole if dialect is Dialect.LEGACY else {"task": whole},)
    if before == after:
        return ()
    whole = shown(after, dialect)
    about: JsonObject = {"taskId": after.id, "contextId": after.context}
    artifacts = whole.get("artifacts")
    made: list[JsonObject] = []
    if isinstance(artifacts, list):
        found: JsonObject = {**about, "artifact": artifacts[0], "lastChunk": True}
        made.append(
            {"kind": "artifact-update", **found} if dialect is Dialect.LEGACY else {"artifactUpdate": found}
        )
    now: JsonObject = {**about, "status": whole["status"]}
    if dialect is Dialect.LEGACY:
        made.append({"kind": "status-update", **now, "final": after.state.is_final})
    else:
        made.append({"statusUpdate": now})
    return tuple(made)


def event(identifier: RequestId, result: JsonObject) -> bytes:
    """Return one event of a stream."""
    return b"data: " + answer(identifier, result) + b"\n\n"


def answer(identifier: RequestId, result: JsonObject) -> bytes:
    """Return the JSON-RPC answer with ``result``."""
    return orjson.dumps({"jsonrpc": "2.0", "id": identifier, "result": result})


def error(identifier: RequestId | None, failed: A2aError) -> bytes:
    """Return the JSON-RPC answer with an error; what is for programs stands in its data as in A2A's own errors."""
    said: JsonObject = {"code": failed.code, "message": failed.message}
    if failed.reason:
        metadata = {
            name: value if isinstance(value, str) else _text(value) for name, value in failed.facts.items()
        }
        said["data"] = [
            {"@type": _ERROR_INFO, "reason": failed.reason, "domain": _DOMAIN, "metadata": {**metadata}}
        ]
    return orjson.dumps({"jsonrpc": "2.0", "id": identifier, "error": said})


def _state(task: Task, end: Condition | None) -> State:
    result = task.status.result
    if result is not None:
        return State.COMPLETED if result.outcome is Outcome.SUCCEEDED else State.FAILED
    if end is not None:
        return _ENDS.get(end.reason, State.FAILED)
    if task.metadata.deletion_timestamp is not None:
        return State.CANCELED
    return State.WORKING if task.status.pod else State.SUBMITTED


def _since(task: Task, end: Condition | None) -> datetime | None:
    if end is not None:
        return end.last_transition_time
    return task.status.start_time or task.metadata.creation_timestamp


def _words(view: TaskView, dialect: Dialect) -> JsonObject:
    made: JsonObject = {"messageId": f"{view.id}-end", "contextId": view.context, "taskId": view.id}
    if dialect is Dialect.CURRENT:
        return {**made, "role": "ROLE_AGENT", "parts": [{"text": view.message}]}
    return {
        **made,
        "kind": "message",
        "role": "agent",
        "parts": [{"kind": "text", "text": view.message}],
    }


def _data(output: JsonObject, dialect: Dialect) -> JsonObject:
    if dialect is Dialect.CURRENT:
        return {"data": output, "mediaType": "application/json"}
    return {"kind": "data", "data": output}


def _text(value: JsonValue) -> str:
    return orjson.dumps(value).decode()
