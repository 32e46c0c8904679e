"""The start of a run as it is written; all else of runs is tested with the pure part, and by a real API server."""

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Objects
from aos.controllers.runs import reconcile
from aos.controllers.world import World, utc_now
from aos.kube.errors import ApiError, Conflict, Target
from aos.kube.objects import child, children
from aos.model.base import JsonObject
from aos.model.workflow import WorkflowSpec
from aos.reconcile.events import Happening
from aos.reconcile.guard import Guard
from aos.reconcile.run_queue import Turn
from aos.workflow.observed import Room
from tests.unit.controllers.make import AGENT, TASK, raw
from tests.unit.controllers.test_executions import RUN, STARTED, STEP, WORKFLOW, ended

KEY = Key(Subject.WORKFLOW_RUN, "sales", "r1")
READY: JsonObject = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


class Server:
    """Takes statuses, or says that the run has changed."""

    def __init__(self, objects: Objects, *, refuses: bool) -> None:
        self._objects = objects
        self._refuses = refuses
        self.turns: list[Turn] = []
        self.written: list[JsonObject] = []

    async def reread(self, kind: str, namespace: str, name: str) -> None:
        """Everything is as it was heard of."""

    async def give_owner(self, found: JsonObject, owner: JsonObject | None) -> JsonObject:
        assert owner is not None
        return found

    async def write_status(self, kind: str, found: JsonObject, status: JsonObject) -> None:
        assert kind == "WorkflowRun"
        self.turns.append(self._objects.executions.turns("sales", "outreach")["r2-uid"])
        if self._refuses:
            raise Conflict(Target("patch", "workflowruns"), 409, "Conflict", "it changed")
        self.written.append(status)

    def tell(self, found: JsonObject, events: Sequence[Happening]) -> None:
        """Nobody listens."""


@pytest.mark.parametrize("refuses", [False, True])
async def test_while_its_start_is_written_a_run_has_its_place_and_no_longer(*, refuses: bool) -> None:
    objects = Objects(lambda _: None, lambda _: {})
    bounded: JsonObject = {**WORKFLOW, "concurrency": {"maxRuns": 1}}
    agent: JsonObject = {"conditions": [READY], "revision": "e-1", "observedGeneration": 1}
    objects.observe("Agent", raw("Agent", "enricher", AGENT, status=agent))
    status: JsonObject = {"conditions": [READY], "revision": "w-1", "observedGeneration": 1}
    objects.observe("Workflow", raw("Workflow", "outreach", bounded, status=status))
    for name in ("r1", "r2"):
        objects.observe("WorkflowRun", raw("WorkflowRun", name, RUN))
    server = Server(objects, refuses=refuses)
    children = SimpleNamespace(
        revisions_of_workflow=lambda *_: [SimpleNamespace(name="w-1")],
        revisions_of=lambda *_: [SimpleNamespace(name="e-1")],
    )
    later: list[float] = []
    world = SimpleNamespace(
        objects=objects,
        actor=server,
        cluster=SimpleNamespace(children=children),
        later=lambda _, seconds: later.append(seconds),
        now=utc_now,
    )
    await reconcile(cast("World", world), KEY)
    assert server.turns == [Turn.WAIT]
    assert objects.executions.claims == set()
    # What it starts from now on it knows; of a start that was not its own it does not.
    assert objects.executions.complete == (set() if refuses else {"r1-uid"})
    assert [item.get("revision") for item in server.written] == ([] if refuses else ["w-1"])
    assert later == [0]


STEPS = WorkflowSpec.model_validate({"steps": [{"name": "enrich", "agent": "enricher"}]})
BEGUN: JsonObject = {**STARTED, "revision": "w-1", "startTime": "2026-01-01T00:00:00Z"}


class Creating(Server):
    """Takes Tasks, too, or is away."""

    def __init__(self, objects: Objects, *, is_away: bool) -> None:
        super().__init__(objects, refuses=False)
        self._is_away = is_away
        self.rooms: list[Room] = []

    async def create(self, manifest: JsonObject) -> JsonObject:
        self.rooms.append(self._objects.trees.room("r1-uid", 9))
        if self._is_away:
            raise ApiError(Target("create", "tasks"), 504, "Timeout", "no answer")
        name = str(child(manifest, "metadata")["name"])
        return raw("Task", name, child(manifest, "spec")) | {
            "metadata": {**child(manifest, "metadata"), "uid": f"{name}-uid", "resourceVersion": "1"}
        }

    async def write_status(self, kind: str, found: JsonObject, status: JsonObject) -> None:
        self.written.append(status)


@pytest.mark.parametrize("is_away", [False, True])
async def test_what_a_run_creates_takes_its_room_at_once_and_is_known_once_it_is_answered(
    *, is_away: bool
) -> None:
    objects = Objects(lambda _: None, lambda _: {})
    objects.observe("WorkflowRun", raw("WorkflowRun", "r1", RUN, status=BEGUN))
    objects.executions.complete.add("r1-uid")
    server = Creating(objects, is_away=is_away)

    async def workflow(*_: str) -> WorkflowSpec:
        return STEPS

    world = SimpleNamespace(
        objects=objects,
        actor=server,
        contents=SimpleNamespace(workflow=workflow),
        settings=SimpleNamespace(max_run_tasks=9),
        state=SimpleNamespace(guard=Guard()),
        later=lambda *_: None,
        now=lambda: datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
    )
    with pytest.raises(ApiError) if is_away else contextlib.nullcontext():
        await reconcile(cast("World", world), KEY)
    assert server.rooms == [Room(9, 8, 9)]
    assert objects.trees.room("r1-uid", 9).to_do == (9 if is_away else 8)
    # Where no answer came it may be there all the same.
    assert ("r1-uid" in objects.executions.complete) is not is_away


class Ending(Server):
    """Takes what ends something."""

    def __init__(self, objects: Objects) -> None:
        super().__init__(objects, refuses=False)
        self.ended: list[str] = []

    async def cancel_task(self, namespace: str, name: str, uid: str, resource_version: str) -> None:
        self.ended.append(f"Task {namespace}/{name} {uid} {resource_version}")

    async def cancel_run(self, namespace: str, name: str, uid: str) -> None:
        self.ended.append(f"WorkflowRun {namespace}/{name} {uid}")

    async def write_status(self, kind: str, found: JsonObject, status: JsonObject) -> None:
        self.written.append(status)


CYCLE = WorkflowSpec.model_validate(
    {"steps": [{"name": name, "agent": "a", "dependsOn": [other]} for name, other in ("xy", "yx")]}
)


@pytest.mark.parametrize(
    ("spec", "told"), [(CYCLE, "can't be run any more: "), (None, "ControllerRevision w-1 was removed")]
)
async def test_a_run_whose_revision_is_of_no_use_ends_with_all_that_it_started(
    spec: WorkflowSpec | None, told: str
) -> None:
    objects = Objects(lambda _: None, lambda _: {})
    objects.observe("WorkflowRun", raw("WorkflowRun", "r1", RUN, status=BEGUN))
    parent: JsonObject = {"run": "r1", "runUID": "r1-uid", "rootUID": "r1-uid", "step": "enrich", "depth": 1}
    done: JsonObject = {"conditions": ended()}
    for name, status in (("open", None), ("done", done)):
        objects.observe("Task", raw("Task", f"{name}-task", {**TASK, "run": STEP}, 7, status=status))
        objects.observe(
            "WorkflowRun", raw("WorkflowRun", f"{name}-run", {**RUN, "parent": parent}, status=status)
        )
    server = Ending(objects)

    async def workflow(*_: str) -> WorkflowSpec | None:
        return spec

    world = SimpleNamespace(
        objects=objects,
        actor=server,
        contents=SimpleNamespace(workflow=workflow),
        settings=SimpleNamespace(max_run_tasks=9),
        state=SimpleNamespace(guard=Guard()),
        later=lambda *_: None,
        now=utc_now,
    )
    await reconcile(cast("World", world), KEY)

    assert server.ended == ["Task sales/open-task open-task-uid 7", "WorkflowRun sales/open-run open-run-uid"]
    (status,) = server.written
    found = {item["type"]: item for item in children(status, "conditions")}
    assert (found["Succeeded"]["status"], found["Succeeded"]["reason"]) == ("False", "RevisionLost")
    assert told in str(found["Succeeded"]["message"])
