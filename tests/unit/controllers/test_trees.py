"""How much room a run and all that belongs together with it have, by what is there and what is being created."""

import pytest
from pydantic import JsonValue

from aos.controllers.objects import Objects
from aos.controllers.trees import Branch, Member, Trees
from aos.model.base import JsonObject
from aos.model.task import AgentReference, StepOfRun, TaskSpec
from aos.model.workflow_run import RunParent, WorkflowReference, WorkflowRunSpec
from aos.workflow.actions import CancelRun, CreateRun, CreateTask
from aos.workflow.observed import Room
from tests.unit.controllers.make import TASK, raw
from tests.unit.controllers.test_executions import RUN, STEP

DONE, UNDOING = Branch("root", is_undoing=False), Branch("root", is_undoing=True)
TASK_ACTION = CreateTask(
    "t1",
    "enrich",
    TaskSpec(
        agent_ref=AgentReference(name="a"),
        run=StepOfRun(name="r1", uid="u", root_uid="root", workflow="w", step="enrich"),
    ),
)
RUN_ACTION = CreateRun(
    "r2",
    "inner",
    WorkflowRunSpec(
        workflow_ref=WorkflowReference(name="w"),
        parent=RunParent(run="r1", run_uid="u", root_uid="root", step="inner", depth=1, undoing=True),
    ),
)


def test_what_is_there_takes_room_until_it_is_gone() -> None:
    trees = Trees()
    trees.changed(None, Member(DONE, "t1"))
    trees.changed(None, Member(UNDOING, "t2"))
    trees.changed(Member(DONE, "t1"), Member(DONE, "t1"))
    assert trees.room("root", 5) == Room(5, 4, 4)
    assert trees.room("root", 0) == Room(0, 0, 0)
    assert trees.room("other", 5) == Room(5, 5, 5)
    trees.changed(Member(DONE, "t1"), None)
    assert trees.room("root", 5) == Room(5, 5, 4)


def test_what_is_being_created_takes_room_once_and_gives_it_back_where_it_was_not() -> None:
    trees = Trees()
    with trees.claiming([TASK_ACTION, RUN_ACTION, CancelRun("r0", "u")]):
        assert trees.room("root", 5) == Room(5, 4, 4)
        trees.changed(None, Member(DONE, "t1"))
        assert trees.room("root", 5) == Room(5, 4, 4)
    assert trees.room("root", 5) == Room(5, 4, 5)


def test_what_two_claim_stays_claimed_by_none_longer_than_it_is_made() -> None:
    trees = Trees()
    with pytest.raises(OSError, match="away"), trees.claiming([TASK_ACTION]):
        raise OSError("away")
    assert trees.room("root", 5) == Room(5, 5, 5)


def test_tasks_and_runs_below_are_counted_as_they_come_and_go() -> None:
    objects = Objects(lambda _: None)
    parent: JsonObject = {"run": "r1", "runUID": "r1-uid", "rootUID": "r1-uid", "step": "enrich", "depth": 1}
    objects.observe("WorkflowRun", raw("WorkflowRun", "r1", RUN))
    objects.observe("WorkflowRun", raw("WorkflowRun", "r2", {**RUN, "parent": parent}))
    objects.observe("WorkflowRun", raw("WorkflowRun", "r3", {**RUN, "parent": {**parent, "undoing": True}}))
    objects.observe("Task", raw("Task", "t1", {**TASK, "run": STEP}))
    objects.observe("Task", raw("Task", "t1", {**TASK, "run": STEP}, 2, status={"observedGeneration": 1}))
    objects.observe("Task", raw("Task", "t2", TASK))
    handed: list[JsonValue] = [{"agent": "a", "task": "t1", "taskUID": "t1-uid"}]
    objects.observe("Task", raw("Task", "t3", {**TASK, "run": STEP, "lineage": handed}))
    assert objects.trees.room("r1-uid", 9) == Room(9, 6, 8)
    objects.forget("Task", "sales", "t1", "t1-uid")
    objects.forget("WorkflowRun", "sales", "r2", "r2-uid")
    assert objects.trees.room("r1-uid", 9) == Room(9, 8, 8)
