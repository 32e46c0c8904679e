"""What a handed-over Task is made of, and who it belongs to."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from aos.gateway.a2a.children import child_manifest, child_name, is_child
from aos.gateway.caller import Caller
from aos.kube.objects import child
from aos.model.base import JsonObject
from aos.model.task import Task
from tests.unit.gateway.make import POD_UID, policy, raw_task

CREATED = 1_767_323_045.0
"""When the Tasks of these tests were created."""


def caller(**spec: JsonValue) -> Caller:
    task = Task.parse(raw_task(**spec))  # type: ignore[arg-type] # parts of a spec
    return Caller("sales", "enricher", task, "t1-pod", POD_UID, "r", policy())


@pytest.mark.parametrize(("elapsed", "expected"), [(0, "600s"), (0.4, "599s"), (598.9, "1s")])
def test_a_handed_over_task_ends_no_later_than_the_one_it_comes_from(elapsed: float, expected: str) -> None:
    made = child_manifest(caller(), "writer", "m", {}, CREATED + elapsed)
    assert made is not None
    assert child(made, "spec")["deadline"] == expected


def test_a_caller_that_waited_for_people_asks_for_no_more_time_than_a_task_may_have() -> None:
    waiting = caller()
    status = waiting.task.status.model_copy(
        update={"deadline": datetime.fromtimestamp(CREATED + 400_000, UTC)}
    )
    moved = replace(waiting, task=waiting.task.model_copy(update={"status": status}))
    made = child_manifest(moved, "writer", "m", {}, CREATED)
    assert made is not None
    assert child(made, "spec")["deadline"] == "86400s"


@pytest.mark.parametrize("elapsed", [599.1, 600, 10_000])
def test_without_time_left_nothing_is_handed_over(elapsed: float) -> None:
    assert child_manifest(caller(), "writer", "m", {}, CREATED + elapsed) is None


def test_the_lineage_grows_at_its_end_and_the_requester_stays() -> None:
    before: JsonValue = [{"agent": "lead", "task": "t0", "taskUID": "u0"}]
    made = child_manifest(caller(lineage=before, requestedBy="ada"), "writer", "m", {"a": 1}, CREATED)
    assert made is not None
    spec = child(made, "spec")
    assert spec["lineage"] == [*before, {"agent": "enricher", "task": "t1", "taskUID": "task-uid"}]  # type: ignore[misc] # a list
    assert (spec["requestedBy"], spec["input"]) == ("ada", {"a": 1})
    Task.parse(made)


def test_who_asked_for_nothing_asks_for_nothing_of_others() -> None:
    made = child_manifest(caller(), "writer", "m", {}, CREATED)
    assert made is not None
    assert "requestedBy" not in child(made, "spec")


def test_a_child_is_told_by_its_lineage_and_its_agent() -> None:
    made = child_manifest(caller(), "writer", "m", {}, CREATED)
    assert made is not None
    task = Task.parse(made)
    assert is_child(caller(), "writer", task)
    assert not is_child(caller(), "other", task)
    assert not is_child(caller(), "enricher", Task.parse(raw_task()))
    assert task.metadata.name == child_name(caller(), "writer", "m")


STEP: JsonObject = {
    "name": "r1",
    "uid": "r1-uid",
    "rootUID": "root-uid",
    "place": f"sha256:{'a' * 64}",
    "undoing": True,
    "workflow": "outreach",
    "step": "draft",
    "item": 0,
    "attempt": 2,
    "budgets": [{"runUID": "r1-uid", "workflow": "outreach", "tokens": 100}],
}


def test_what_is_handed_over_is_for_the_same_step_of_the_same_run_and_as_urgent() -> None:
    by = caller(run=STEP, priority=7)
    made = child_manifest(by, "writer", "m", {}, CREATED)
    assert made is not None
    assert child(made, "spec")["run"] == STEP
    task = Task.parse(made)
    assert task.spec.run == by.task.spec.run
    assert task.spec.priority == 7
    assert "run" not in child(child_manifest(caller(), "writer", "m", {}, CREATED) or {}, "spec")


def test_a_pinned_revision_is_of_one_agent_and_is_not_handed_over() -> None:
    made = child_manifest(caller(run=STEP, revision="enricher-1"), "writer", "m", {}, CREATED)
    assert made is not None
    assert "revision" not in child(made, "spec")
