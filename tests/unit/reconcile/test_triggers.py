"""The runs that schedules start, as manifests, and what is told of them."""

from datetime import timedelta

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.workflow import Workflow
from aos.model.workflow_run import WorkflowRun
from aos.reconcile.triggers import triggers_of
from tests.unit.reconcile.flows import workflow
from tests.unit.reconcile.make import NOW

DUE = "2026-01-02T03:04:00Z"


def scheduled(next_due: str = DUE, **trigger: JsonValue) -> Workflow:
    one: JsonObject = {"name": "t", "schedule": {"cron": "* * * * *"}, "input": {"at": "${time}"}, **trigger}
    hook: JsonObject = {"name": "h", "webhook": {"secretRef": {"name": "s", "key": "k"}}}
    return workflow({"triggers": [one, hook]}, status={"triggers": [{"name": "t", "nextDue": next_due}]})


def test_a_run_is_named_by_the_time_that_it_is_due_so_that_nobody_starts_it_twice() -> None:
    found = triggers_of(scheduled(), NOW, is_held=False)
    again = triggers_of(scheduled(), NOW + timedelta(seconds=20), is_held=False)
    assert found.start == again.start
    (run,) = (WorkflowRun.parse(item) for item in found.start)
    assert run.spec.input == {"at": DUE}
    assert run.spec.requested_by == "aos:trigger/t"
    assert run.spec.trigger is not None
    assert (run.spec.trigger.name, run.spec.trigger.id) == ("t", DUE)
    other = triggers_of(scheduled("2026-01-02T03:03:00Z"), NOW - timedelta(minutes=1), is_held=False)
    assert other.start[0]["metadata"] != found.start[0]["metadata"]


def test_only_schedules_have_a_standing() -> None:
    found = triggers_of(scheduled(), NOW, is_held=False)
    assert [(item.name, item.last_due) for item in found.statuses] == [("t", DUE)]
    assert found.look_again_seconds == 55


def test_while_nothing_may_start_times_are_left_out_and_told() -> None:
    found = triggers_of(scheduled(), NOW, is_held=True)
    assert found.start == ()
    assert [event.reason.value for event in found.events] == ["RunsMissed"]


def test_an_input_that_can_not_be_computed_leaves_the_time_out() -> None:
    found = triggers_of(scheduled(input={"at": "${time + 1}"}), NOW, is_held=False)
    assert found.start == ()
    assert [event.reason.value for event in found.events] == ["TriggerFailed"]
    assert [(item.last_due, item.missed) for item in found.statuses] == [(DUE, 1)]


def test_a_schedule_that_can_not_be_read_stands_where_it_stood() -> None:
    broken = scheduled(schedule={"cron": "61 * * * *"})
    found = triggers_of(broken, NOW, is_held=True)
    assert found.statuses == broken.status.triggers
