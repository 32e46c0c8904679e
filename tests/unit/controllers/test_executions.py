"""Which work a change of a Workflow, a run, a Task of a run or an Agent makes."""

import pytest
from pydantic import JsonValue

from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Objects
from aos.model.base import JsonObject
from aos.reconcile.run_queue import Turn
from tests.unit.controllers.make import AGENT, TASK, raw

WORKFLOW: JsonObject = {"steps": [{"name": "enrich", "agent": "enricher"}]}
RUN: JsonObject = {"workflowRef": {"name": "outreach"}}
STEP: JsonObject = {
    "name": "r1",
    "uid": "r1-uid",
    "rootUID": "r1-uid",
    "workflow": "outreach",
    "step": "enrich",
}
STARTED: JsonObject = {
    "revision": "workflow-outreach-1",
    "agents": [{"agent": "enricher", "revision": "enricher-1"}],
}


def ended(status: str = "True") -> list[JsonValue]:
    return [
        {
            "type": "Succeeded",
            "status": status,
            "reason": "Completed",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]


class Heard:
    """Objects, and the keys that they asked for."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self.objects = Objects(self._keys.append, lambda _: {})

    def take(self) -> set[str]:
        """Return what was asked for since the last call."""
        found = {f"{key.subject}/{key.name}" for key in self._keys}
        self._keys.clear()
        return found

    def see(self, kind: str, name: str, spec: JsonObject, version: int = 1, **parts: JsonValue) -> set[str]:
        """Take an object as the API server has it, and return what that asked for."""
        status, uid, generation = parts.get("status"), parts.get("uid"), parts.get("generation")
        made = raw(
            kind,
            name,
            spec,
            version,
            status=status if isinstance(status, dict) else None,
            uid=str(uid or ""),
            generation=int(str(generation or 1)),
        )
        self.objects.observe(kind, made)
        return self.take()


@pytest.fixture
def heard() -> Heard:
    one = Heard()
    one.see("Agent", "enricher", AGENT)
    one.see("Workflow", "outreach", WORKFLOW)
    one.see("Workflow", "outer", {"steps": [{"name": "research", "workflow": "outreach"}]})
    return one


def test_a_new_run_concerns_itself_and_its_workflow(heard: Heard) -> None:
    assert heard.see("WorkflowRun", "r1", RUN) == {"WorkflowRun/r1", "Workflow/outreach"}


def test_what_becomes_of_a_task_concerns_its_run_but_not_where_it_runs(heard: Heard) -> None:
    heard.see("WorkflowRun", "r1", RUN, status=STARTED)
    spec: JsonObject = {**TASK, "run": STEP}
    assert "WorkflowRun/r1" in heard.see("Task", "t1", spec)
    on_its_way: JsonObject = {"pod": {"name": "p", "uid": "u"}}
    assert heard.see("Task", "t1", spec, 2, status=on_its_way) == {"Task/t1"}
    result: JsonObject = {"outcome": "Succeeded", "output": {"a": 1}, "time": "2026-01-01T00:00:00Z"}
    assert "WorkflowRun/r1" in heard.see("Task", "t1", spec, 3, status={**on_its_way, "result": result})
    heard.objects.forget("Task", "sales", "t1", "t1-uid")
    assert "WorkflowRun/r1" in heard.take()


def test_what_a_task_below_a_step_used_counts_for_the_step(heard: Heard) -> None:
    spec: JsonObject = {**TASK, "run": STEP}
    heard.see("Task", "t1", spec, status={"usage": {"calls": 2}})
    handed_over: JsonObject = {
        **spec,
        "lineage": [{"agent": "enricher", "task": "t1", "taskUID": "t1-uid"}],
    }
    assert "WorkflowRun/r1" in heard.see("Task", "t2", handed_over, status={"usage": {"calls": 3}})
    ((step, used),) = heard.objects.attempts_of("sales", "r1-uid")
    assert step.attempt.name == "t1"
    assert used is not None
    assert used.calls == 5


def test_another_agent_concerns_the_workflows_that_could_mean_it_and_those_above(heard: Heard) -> None:
    changed = heard.see("Agent", "enricher", {**AGENT, "capabilities": ["research"]}, 2, generation=2)
    assert {"Workflow/outreach", "Workflow/outer"} <= changed
    heard.see("Workflow", "capable", {"steps": [{"name": "a", "capability": "research"}]})
    assert "Workflow/capable" in heard.see("Agent", "other", {**AGENT, "capabilities": ["research"]})
    # What merely became of it does not.
    assert "Workflow/outreach" not in heard.see(
        "Agent",
        "enricher",
        {**AGENT, "capabilities": ["research"]},
        3,
        generation=2,
        status={"revision": "r"},
    )


def test_runs_that_wait_for_an_agent_hear_when_it_is_ready(heard: Heard) -> None:
    heard.see("WorkflowRun", "waiting", RUN)
    heard.see("WorkflowRun", "started", RUN, status=STARTED)
    found = heard.see("Agent", "enricher", AGENT, 2, status={"revision": "enricher-1"})
    assert "WorkflowRun/waiting" in found
    assert "WorkflowRun/started" not in found


def test_another_workflow_concerns_its_open_runs_and_the_workflows_above(heard: Heard) -> None:
    heard.see("WorkflowRun", "r1", RUN, status=STARTED)
    heard.see("WorkflowRun", "over", RUN, status={**STARTED, "conditions": ended()})
    found = heard.see("Workflow", "outreach", {**WORKFLOW, "suspend": True}, 2, generation=2)
    assert found == {"Workflow/outreach", "Workflow/outer", "WorkflowRun/r1"}


def test_the_end_of_a_run_concerns_the_one_above_those_below_and_who_waits_for_its_place(
    heard: Heard,
) -> None:
    heard.see("Workflow", "outreach", {**WORKFLOW, "concurrency": {"maxRuns": 1}}, 2, generation=2)
    parent: JsonObject = {
        "run": "above",
        "runUID": "above-uid",
        "rootUID": "above-uid",
        "step": "a",
        "depth": 1,
    }
    spec: JsonObject = {**RUN, "parent": parent}
    heard.see("WorkflowRun", "r1", spec, status=STARTED)
    heard.see("WorkflowRun", "next", RUN)
    child: JsonObject = {**parent, "run": "r1", "runUID": "r1-uid", "depth": 2}
    heard.see("WorkflowRun", "below", {"workflowRef": {"name": "outer"}, "parent": child})
    found = heard.see("WorkflowRun", "r1", spec, 2, status={**STARTED, "conditions": ended()})
    assert {"WorkflowRun/above", "WorkflowRun/below", "WorkflowRun/next", "Workflow/outreach"} <= found
    # The revision of its agent was kept for it.
    assert "Agent/enricher" in found


def test_a_run_that_is_about_to_start_has_its_place_already(heard: Heard) -> None:
    heard.see("Workflow", "outreach", {**WORKFLOW, "concurrency": {"maxRuns": 1}}, 2, generation=2)
    heard.see("WorkflowRun", "a", RUN)
    heard.see("WorkflowRun", "b", RUN)
    executions = heard.objects.executions
    assert executions.turns("sales", "outreach") == {"a-uid": Turn.GO, "b-uid": Turn.WAIT}
    executions.claims.add("b-uid")
    assert executions.turns("sales", "outreach") == {"b-uid": Turn.GO, "a-uid": Turn.WAIT}


def test_a_run_below_comes_in_the_order_of_the_highest_priority_above_it(heard: Heard) -> None:
    heard.see("Workflow", "outreach", {**WORKFLOW, "concurrency": {"maxRuns": 1}}, 2, generation=2)
    heard.see("Workflow", "urgent", {**WORKFLOW, "priority": 9})
    heard.see("WorkflowRun", "above", {"workflowRef": {"name": "urgent"}})
    heard.see("WorkflowRun", "a", RUN)
    parent: JsonObject = {
        "run": "above",
        "runUID": "above-uid",
        "rootUID": "above-uid",
        "step": "a",
        "depth": 1,
    }
    heard.see("WorkflowRun", "b", {**RUN, "parent": parent})
    assert heard.objects.executions.turns("sales", "outreach")["b-uid"] is Turn.GO


def test_open_runs_keep_the_revisions_that_they_pinned(heard: Heard) -> None:
    heard.see("WorkflowRun", "r1", RUN, status=STARTED)
    executions = heard.objects.executions
    assert executions.pinned("sales", "enricher") == {"enricher-1"}
    heard.see("WorkflowRun", "r1", RUN, 2, status={**STARTED, "conditions": ended()})
    assert executions.pinned("sales", "enricher") == set()


def test_a_revision_that_is_gone_concerns_who_goes_by_it(heard: Heard) -> None:
    heard.see("WorkflowRun", "r1", RUN, status=STARTED)
    heard.see("Task", "t1", {**TASK, "revision": "enricher-1", "run": STEP})
    heard.objects.revision_gone(Key(Subject.WORKFLOW, "sales", "outreach"), "workflow-outreach-1")
    assert heard.take() == {"WorkflowRun/r1"}
    heard.objects.revision_gone(Key(Subject.AGENT, "sales", "enricher"), "enricher-1")
    assert heard.take() == {"Task/t1"}


def test_a_workflow_is_told_with_those_that_its_steps_run(heard: Heard) -> None:
    executions = heard.objects.executions
    outer = executions.workflows.get("sales", "outer")
    assert outer is not None
    found = executions.with_those_below(outer)
    assert {item.metadata.name for item in found} == {"outer", "outreach"}


def test_a_run_goes_with_its_workflow_once_that_is_known(heard: Heard) -> None:
    heard.see("WorkflowRun", "r1", RUN)
    heard.see("WorkflowRun", "lost", {"workflowRef": {"name": "nowhere"}})
    executions = heard.objects.executions
    found = executions.runs.get("sales", "r1"), executions.runs.get("sales", "lost")
    assert found[0] is not None
    assert found[1] is not None
    reference = executions.reference("sales", found[0])
    assert reference is not None
    assert (reference["kind"], reference["uid"], reference["controller"]) == (
        "Workflow",
        "outreach-uid",
        False,
    )
    assert executions.reference("sales", found[1]) is None


def test_runs_are_counted_by_where_they_stand(heard: Heard) -> None:
    heard.see("WorkflowRun", "a", RUN)
    heard.see("WorkflowRun", "b", RUN, status=STARTED)
    heard.see("WorkflowRun", "c", RUN, status={**STARTED, "conditions": ended()})
    heard.see("WorkflowRun", "d", RUN, status={**STARTED, "conditions": ended("False")})
    found = heard.objects.executions.states()
    assert found == {"Pending": 1, "Running": 1, "Succeeded": 1, "Failed": 1}


def test_another_run_of_the_same_name_has_to_be_read_anew(heard: Heard) -> None:
    heard.see("WorkflowRun", "r1", RUN)
    executions = heard.objects.executions
    executions.confirmed.add("r1-uid")
    heard.see("WorkflowRun", "r1", RUN, 2, status=STARTED)
    assert executions.confirmed == {"r1-uid"}
    heard.see("WorkflowRun", "r1", RUN, 3, uid="another")
    assert executions.confirmed == set()


def test_only_replacing_makes_a_run_that_has_started_end(heard: Heard) -> None:
    executions = heard.objects.executions
    for version, on_excess in enumerate(("Queue", "Skip", "Replace"), 2):
        bounds: JsonObject = {"maxRuns": 1, "onExcess": on_excess}
        heard.see("Workflow", "outreach", {**WORKFLOW, "concurrency": bounds}, version, generation=version)
        heard.see("WorkflowRun", "a", RUN, version, status=STARTED)
        heard.see("WorkflowRun", "b", RUN, version)
        run = executions.runs.get("sales", "a")
        assert run is not None
        assert executions.must_make_way("sales", run) is (on_excess == "Replace")


def test_what_a_run_made_itself_asks_for_the_work_of_the_task_alone(heard: Heard) -> None:
    made = raw("Task", "t1", {**TASK, "run": STEP})
    heard.objects.observe("Task", made, by=Key(Subject.WORKFLOW_RUN, "sales", "r1"))
    assert heard.take() == {"Task/t1"}


def test_the_end_of_a_task_concerns_its_run_once_when_the_result_is_there(heard: Heard) -> None:
    task: JsonObject = {**TASK, "run": STEP}
    handed_in: JsonObject = {"outcome": "Succeeded", "time": "2026-01-01T00:00:00Z"}
    heard.see("Task", "t1", task)
    assert "WorkflowRun/r1" in heard.see("Task", "t1", task, 2, status={"result": handed_in})
    end: JsonObject = {
        "result": handed_in,
        "conditions": ended(),
        "completionTime": "2026-01-01T00:00:09Z",
    }
    assert "WorkflowRun/r1" not in heard.see("Task", "t1", task, 3, status=end)
