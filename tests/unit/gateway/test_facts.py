"""What the gateway keeps of objects."""

from aos.gateway.facts import parse_task
from aos.model.base import JsonObject
from tests.unit.gateway.make import raw_task

INPUT: JsonObject = {"lead": "Ada"}
RESULT: JsonObject = {
    "result": {"outcome": "Succeeded", "output": {"large": "x"}, "time": "2026-01-01T00:00:01Z"}
}
LINEAGE: JsonObject = {"agent": "asker", "task": "t0", "taskUID": "t0-uid"}


def test_a_task_that_is_open_keeps_what_it_was_given() -> None:
    assert parse_task(raw_task(input=INPUT)).spec.input == INPUT


def test_of_a_task_that_has_ended_neither_what_it_was_given_nor_what_it_gave_is_kept() -> None:
    task = parse_task(raw_task(input=INPUT, status=RESULT))
    assert task.spec.input == {}
    assert task.status.result is not None
    assert task.status.result.output is None
    assert not task.open
    assert task.spec.agent_ref.name == "enricher"


def test_who_handed_a_task_over_may_ask_for_what_came_of_it() -> None:
    task = parse_task(raw_task(input=INPUT, lineage=[LINEAGE], status=RESULT))
    assert task.spec.input == INPUT
    assert task.status.result is not None
    assert task.status.result.output == {"large": "x"}
