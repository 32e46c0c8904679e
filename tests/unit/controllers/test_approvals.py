"""What is observed of an ApprovalRequest; how it goes on is tested with the pure part, and by a real API server."""

from types import SimpleNamespace
from typing import cast

import pytest

from aos.controllers.approvals import gather
from aos.controllers.objects import Objects
from aos.controllers.world import World
from aos.model.approval_request import ApprovalRequest, RequestTask
from aos.model.base import JsonObject
from aos.reconcile.guard import Guard
from tests.unit.controllers.make import AGENT, TASK, TOOL, raw
from tests.unit.controllers.test_requests import RUN, gate, request


def world(*items: JsonObject) -> World:
    """Return what of the operator's world is looked at."""
    objects = Objects(lambda _: None)
    for item in items:
        objects.observe(str(item["kind"]), item)
    return cast("World", SimpleNamespace(objects=objects, state=SimpleNamespace(guard=Guard())))


def test_what_a_request_is_about_is_observed() -> None:
    agent, tool, task = raw("Agent", "enricher", AGENT), raw("Tool", "crm", TOOL), raw("Task", "t1", TASK)
    found = gather(world(agent, tool, task), ApprovalRequest.parse(request()))
    assert found.task is not None
    assert found.task.is_open
    assert found.agent is not None
    assert found.action is not None


@pytest.mark.parametrize("task", [{"name": "t1", "uid": "another-uid"}, {"name": "t9", "uid": "t1-uid"}])
def test_a_task_of_the_same_name_or_uid_alone_is_another_task(task: JsonObject) -> None:
    asked = ApprovalRequest.parse(request())
    spec = asked.spec.model_copy(update={"task": RequestTask.model_validate(task)})
    found = gather(world(raw("Task", "t1", TASK)), asked.model_copy(update={"spec": spec}))
    assert found.task is None
    assert found.agent is None
    assert found.action is None


def test_at_a_gate_the_run_is_observed_and_nothing_of_a_call() -> None:
    found = gather(world(raw("WorkflowRun", "r1", RUN)), ApprovalRequest.parse(gate()))
    assert found.run is not None
    assert found.run.over == ""
    assert (found.agent, found.action, found.task) == (None, None, None)
    cancelled = gather(
        world(raw("WorkflowRun", "r1", {**RUN, "cancel": True})), ApprovalRequest.parse(gate())
    )
    assert cancelled.run is not None
    assert cancelled.run.over == "was cancelled"


def test_attack_20_a_run_of_the_same_name_is_another_run() -> None:
    other = raw("WorkflowRun", "r1", RUN)
    metadata = other["metadata"]
    assert isinstance(metadata, dict)
    found = gather(
        world({**other, "metadata": {**metadata, "uid": "another"}}), ApprovalRequest.parse(gate())
    )
    assert found.run is None


def test_a_run_of_another_version_is_there() -> None:
    found = gather(world(raw("WorkflowRun", "r1", {"unknown": True})), ApprovalRequest.parse(gate()))
    assert found.run is not None
    assert found.run.over == ""
