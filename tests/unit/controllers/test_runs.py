"""The start of a run as it is written; all else of runs is tested with the pure part, and by a real API server."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Objects
from aos.controllers.runs import reconcile
from aos.controllers.world import World, utc_now
from aos.kube.errors import Conflict, Target
from aos.model.base import JsonObject
from aos.reconcile.events import Happening
from aos.reconcile.run_queue import Turn
from tests.unit.controllers.make import AGENT, raw
from tests.unit.controllers.test_executions import RUN, WORKFLOW

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
    assert [item.get("revision") for item in server.written] == ([] if refuses else ["w-1"])
    assert later == [0]
