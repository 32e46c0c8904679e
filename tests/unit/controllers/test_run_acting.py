"""What comes of what a run asks to be created."""

from types import SimpleNamespace
from typing import cast

import pytest

from aos.controllers.objects import Objects
from aos.controllers.run_acting import do
from aos.controllers.world import World
from aos.model.base import JsonObject
from aos.model.task import AgentReference, StepOfRun, TaskSpec
from aos.model.workflow_run import WorkflowRun
from aos.reconcile.run_children import step_manifest
from aos.workflow.actions import CreateTask
from tests.unit.controllers.make import raw

RUN = WorkflowRun.parse(raw("WorkflowRun", "r1", {"workflowRef": {"name": "outreach"}}))
STEP = StepOfRun(name="r1", uid="r1-uid", root_uid="r1-uid", workflow="outreach", step="enrich")
TASK = CreateTask("t1", "enrich", TaskSpec(agent_ref=AgentReference(name="enricher"), run=STEP))


class Server:
    """Answers that a Task was created, or was there."""

    def __init__(self, answer: JsonObject | str | None) -> None:
        self._answer = answer

    async def create(self, manifest: JsonObject) -> JsonObject | str:
        if self._answer is not None:
            return self._answer
        metadata = manifest["metadata"]
        assert isinstance(metadata, dict)
        return {**manifest, "metadata": {**metadata, "uid": "t1-uid", "resourceVersion": "1"}}


async def create(answer: JsonObject | str | None) -> tuple[dict[str, str], bool]:
    """Return what was refused, and whether the Task is known."""
    objects = Objects(lambda _: None)
    world = cast("World", SimpleNamespace(objects=objects, actor=Server(answer)))
    refused = await do(world, RUN, [TASK])
    return refused, objects.tasks.entry("sales", "t1") is not None


async def test_what_was_created_is_known_at_once() -> None:
    assert await create(None) == ({}, True)


async def test_what_the_api_server_refuses_is_told_in_its_words() -> None:
    assert await create("exceeded quota") == ({"t1": "exceeded quota"}, False)


@pytest.mark.parametrize("has_owner", [True, False])
async def test_attack_20_what_stands_under_a_tasks_name_and_is_another_keeps_it_from_being_done(
    *, has_owner: bool
) -> None:
    found = raw("Task", "t1", {"agentRef": {"name": "enricher"}})
    metadata = step_manifest(RUN, TASK)["metadata"] if has_owner else found["metadata"]
    refused, is_known = await create({**found, "metadata": metadata})
    assert "stands in the way and is not this run's: delete it" in refused["t1"]
    assert not is_known
