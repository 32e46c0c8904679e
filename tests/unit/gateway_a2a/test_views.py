from datetime import UTC, datetime

import orjson
import pytest
from pydantic import JsonValue

from aos.gateway.a2a.protocol import REFUSED, A2aError, Dialect, State
from aos.gateway.a2a.views import TaskView, answer, cancelled, changes, error, page, shown, view_of
from aos.kube.objects import child, children
from aos.model.base import JsonObject
from aos.model.task import Task
from tests.unit.gateway.make import raw_task

TIME = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
LINEAGE: JsonValue = [{"agent": "lead", "task": "t0", "taskUID": "t0-uid"}]
DONE = TaskView("t1", "t0-uid", State.COMPLETED, TIME, output={"draft": "x"})


def task(**status: object) -> Task:
    return Task.parse({**raw_task(lineage=LINEAGE), "status": status})


def end(reason: str, status: str = "False") -> JsonObject:
    return {
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": "why",
        "lastTransitionTime": "2026-01-02T03:04:06Z",
    }


def result(outcome: str, **more: str) -> JsonObject:
    return {"outcome": outcome, "time": "2026-01-02T03:04:06Z", **more}


@pytest.mark.parametrize(
    ("status", "state", "message"),
    [
        ({}, State.SUBMITTED, ""),
        ({"pod": {"name": "p", "uid": "u"}}, State.WORKING, ""),
        ({"result": {**result("Succeeded"), "output": {}}}, State.COMPLETED, ""),
        ({"result": result("Failed", reason="R", message="m")}, State.FAILED, "R: m"),
        ({"conditions": [end("Pending", "Unknown")]}, State.SUBMITTED, ""),
        ({"conditions": [end("InputInvalid")]}, State.REJECTED, "InputInvalid: why"),
        ({"conditions": [end("ParentEnded")]}, State.CANCELED, "ParentEnded: why"),
        ({"conditions": [end("NodeLost")]}, State.FAILED, "NodeLost: why"),
    ],
)
def test_where_a_task_is(status: JsonObject, state: State, message: str) -> None:
    view = view_of(task(**status))
    assert (view.state, view.message, view.context) == (state, message, "t0-uid")


def test_a_task_that_is_being_deleted_is_cancelled() -> None:
    item = task()
    gone = item.metadata.model_copy(update={"deletion_timestamp": TIME})
    assert view_of(item.model_copy(update={"metadata": gone})).state is State.CANCELED
    assert cancelled(DONE).output is None


@pytest.mark.parametrize("state", State)
def test_each_state_has_a_name_in_both_dialects(state: State) -> None:
    assert state.spelled(Dialect.CURRENT) == f"TASK_STATE_{state.name}"
    assert state.spelled(Dialect.LEGACY) == state.value
    assert state.is_final == (state not in (State.SUBMITTED, State.WORKING))


def test_a_task_is_shown_in_both_dialects() -> None:
    new, old = shown(DONE, Dialect.CURRENT), shown(DONE, Dialect.LEGACY)
    assert new["status"] == {"state": "TASK_STATE_COMPLETED", "timestamp": "2026-01-02T03:04:06.000Z"}
    assert children(children(new, "artifacts")[0], "parts") == (
        {"data": {"draft": "x"}, "mediaType": "application/json"},
    )
    assert (old["kind"], child(old, "status")["state"]) == ("task", "completed")
    assert children(children(old, "artifacts")[0], "parts") == ({"kind": "data", "data": {"draft": "x"}},)
    assert "artifacts" not in shown(DONE, Dialect.CURRENT, output=False)


def test_what_is_withheld_is_a_failure_that_says_why() -> None:
    view = DONE.without_output("DataBlocked: it holds secrets")
    said = shown(view, Dialect.LEGACY)
    assert "artifacts" not in said
    message = child(child(said, "status"), "message")
    assert (message["kind"], message["role"]) == ("message", "agent")
    assert child(child(shown(view, Dialect.CURRENT), "status"), "message")["role"] == "ROLE_AGENT"


def test_a_stream_says_all_of_a_task_first_and_then_what_changes() -> None:
    before = TaskView("t1", "t0-uid", State.WORKING, TIME)
    assert changes(None, before, Dialect.CURRENT) == ({"task": shown(before, Dialect.CURRENT)},)
    assert changes(before, before, Dialect.CURRENT) == ()
    artifact, status = changes(before, DONE, Dialect.CURRENT)
    assert set(artifact) == {"artifactUpdate"}
    assert child(child(status, "statusUpdate"), "status")["state"] == "TASK_STATE_COMPLETED"
    old_artifact, old_status = changes(before, DONE, Dialect.LEGACY)
    assert (old_artifact["kind"], old_status["kind"]) == ("artifact-update", "status-update")
    assert old_status["final"] is True


def test_a_page_says_where_the_next_one_begins() -> None:
    full = page([DONE], 3, 1, Dialect.CURRENT, output=False)
    assert (full["nextPageToken"], full["totalSize"]) == ("t1", 3)
    assert page([DONE], 1, 2, Dialect.CURRENT, output=False)["nextPageToken"] == ""
    assert page([], 0, 2, Dialect.CURRENT, output=False)["tasks"] == []


def test_answers_and_errors_are_json_rpc() -> None:
    assert orjson.loads(answer(7, {"a": 1})) == {"jsonrpc": "2.0", "id": 7, "result": {"a": 1}}
    refused = A2aError(REFUSED, "no", "TooDeep", {"retryAfterSeconds": 1.5, "bound": "x"})
    said = orjson.loads(error("a", refused))["error"]
    assert (said["code"], said["message"]) == (REFUSED, "no")
    (detail,) = said["data"]
    assert (detail["reason"], detail["metadata"]) == ("TooDeep", {"retryAfterSeconds": "1.5", "bound": "x"})
    assert "data" not in orjson.loads(error(None, A2aError(-32601, "no")))["error"]
