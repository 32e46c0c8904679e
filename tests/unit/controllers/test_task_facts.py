"""What is kept of Tasks in memory."""

import orjson
import pytest
from pydantic import JsonValue

from aos.controllers.objects import Objects
from aos.controllers.task_facts import MAX_KEPT_OUTPUT_BYTES, step_facts, total, trim
from aos.model.base import JsonObject
from aos.model.task import Task, TaskUsage
from tests.unit.controllers.make import TASK, raw

STEP: JsonObject = {"name": "r1", "uid": "r1-uid", "rootUID": "r1-uid", "workflow": "w", "step": "enrich"}
POD: JsonObject = {"name": "p", "uid": "u"}


def task(output: JsonValue = None, outcome: str = "Succeeded", **spec: JsonValue) -> JsonObject:
    result: JsonObject = {"outcome": outcome, "time": "2026-01-01T00:00:00Z"}
    if output is not None:
        result["output"] = output
    made: JsonObject = {**TASK, "run": STEP, "input": {"lead": "Ada"}, **spec}
    return raw("Task", "t1", made, status={"pod": POD, "result": result})


def test_what_was_handed_in_is_the_end_of_an_attempt_before_anybody_wrote_so() -> None:
    found = step_facts(Task.parse(trim_managed(task({"a": 1}))))
    assert found is not None
    assert found.attempt.ended_at is not None
    assert (found.attempt.succeeded, found.attempt.reason) == (True, "Completed")
    failed = step_facts(Task.parse(trim_managed(task(outcome="Failed"))))
    assert failed is not None
    assert (failed.attempt.succeeded, failed.attempt.reason, bool(failed.output_bytes)) == (
        False,
        "AgentFailed",
        False,
    )


def trim_managed(made: JsonObject) -> JsonObject:
    metadata = made["metadata"]
    assert isinstance(metadata, dict)
    return {**made, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}


@pytest.mark.parametrize(("size", "is_kept"), [(10, True), (MAX_KEPT_OUTPUT_BYTES, False)])
def test_small_outputs_are_kept_and_large_ones_are_not(size: int, *, is_kept: bool) -> None:
    objects = Objects(lambda _: None)
    objects.observe("Task", task({"a": "x" * size}))
    ((step, _),) = objects.attempts_of("sales", "r1-uid")
    assert step.output_bytes
    assert (step.output is not None) is is_kept
    assert step.attempt.output is None
    entry = objects.tasks.entry("sales", "t1")
    assert entry is not None
    assert b"xxx" not in entry.content


def test_what_a_task_was_given_is_kept_until_it_has_a_pod() -> None:
    waiting = {name: value for name, value in task().items() if name != "status"}
    assert b"Ada" in orjson.dumps(trim(waiting))
    assert b"Ada" not in orjson.dumps(trim({**waiting, "status": {"pod": POD}}))


def test_a_task_that_was_handed_over_is_no_attempt_of_a_step() -> None:
    lineage: list[JsonValue] = [{"agent": "enricher", "task": "t0", "taskUID": "u"}]
    assert step_facts(Task.parse(trim_managed(task(lineage=lineage)))) is None


def test_usage_adds_up() -> None:
    assert total([]) is None
    assert total([TaskUsage(calls=1, cost_micro_usd=5), TaskUsage(calls=2, denied=1)]) == TaskUsage(
        calls=3, denied=1, cost_micro_usd=5
    )
