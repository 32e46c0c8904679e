"""What comes of what a run asks to be created."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Objects
from aos.controllers.run_acting import AT_ONCE, do
from aos.controllers.world import World
from aos.kube.errors import Target, Unavailable
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
        return made(manifest) if self._answer is None else self._answer


def made(manifest: JsonObject) -> JsonObject:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    return {**manifest, "metadata": {**metadata, "uid": f"{metadata['name']}-uid", "resourceVersion": "1"}}


class Slow:
    """Takes its time over every object, and can't be reached for one of them."""

    def __init__(self, fails: str = "") -> None:
        self._fails = fails
        self._now = 0
        self.tried: list[str] = []
        self.most = 0

    async def create(self, manifest: JsonObject) -> JsonObject:
        name = str(cast("JsonObject", manifest["metadata"])["name"])
        self.tried.append(name)
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        if name == self._fails:
            raise Unavailable(Target("create", "tasks"), 503, "ServiceUnavailable", "later")
        return made(manifest)


async def create(answer: JsonObject | str | None) -> tuple[dict[str, str], bool]:
    """Return what was refused, and whether the Task is known."""
    objects = Objects(lambda _: None)
    world = cast("World", SimpleNamespace(objects=objects, actor=Server(answer)))
    refused = await do(world, RUN, [TASK])
    return refused, objects.tasks.entry("sales", "t1") is not None


async def test_what_was_created_is_known_at_once() -> None:
    assert await create(None) == ({}, True)


async def test_what_was_created_brings_its_own_run_back_only_if_it_was_there_before() -> None:
    cases: tuple[tuple[JsonObject, set[str]], ...] = (({}, set()), ({"observedGeneration": 1}, {"r1"}))
    for status, expected in cases:
        asked: list[Key] = []
        server = Server({**made(step_manifest(RUN, TASK)), **({"status": status} if status else {})})
        world = cast("World", SimpleNamespace(objects=Objects(asked.append), actor=server))
        await do(world, RUN, [TASK])
        assert {key.name for key in asked if key.subject is Subject.WORKFLOW_RUN} == expected


async def test_many_are_created_few_at_a_time_and_none_is_begun_once_one_could_not_be_tried() -> None:
    tasks = [replace(TASK, name=f"t{number}") for number in range(4 * AT_ONCE)]
    server = Slow()
    world = cast("World", SimpleNamespace(objects=Objects(lambda _: None), actor=server))
    await do(world, RUN, tasks)
    assert (len(server.tried), server.most) == (4 * AT_ONCE, AT_ONCE)
    failing = Slow(fails="t3")
    world = cast("World", SimpleNamespace(objects=Objects(lambda _: None), actor=failing))
    with pytest.raises(Unavailable):
        await do(world, RUN, tasks)
    assert len(failing.tried) < 2 * AT_ONCE


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
