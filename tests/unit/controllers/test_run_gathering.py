"""What a run is decided from; how it goes on is tested with the pure part, and by a real API server."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import JsonValue

from aos.controllers.objects import Objects
from aos.controllers.run_gathering import confirm, gather, gather_start
from aos.controllers.world import World
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.names import gate_request
from aos.model.workflow import WorkflowSpec
from aos.model.workflow_run import WorkflowRun
from aos.reconcile.guard import Guard
from aos.workflow.observed import Attempt, Observed, Room
from aos.workflow.values import MAX_READ_BYTES
from tests.unit.controllers.make import TASK, raw
from tests.unit.controllers.test_executions import STARTED, STEP, ended
from tests.unit.controllers.test_requests import gate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = WorkflowSpec.model_validate(
    {
        "steps": [
            {"name": "enrich", "agent": "enricher"},
            {"name": "ask", "approval": {}},
            {"name": "tell", "agent": "teller", "input": {"x": "${steps.enrich.output}"}},
        ]
    }
)


def run(name: str, parent: str = "", **status: JsonValue) -> JsonObject:
    above: JsonObject = {
        "run": parent,
        "runUID": f"{parent}-uid",
        "rootUID": "top-uid",
        "step": "enrich",
        "depth": 1,
    }
    spec: JsonObject = {"workflowRef": {"name": name}, **({"parent": above} if parent else {})}
    return raw("WorkflowRun", name, spec, status={**STARTED, "revision": f"workflow-{name}", **status})


def task(name: str, size: int = 10, step: str = "enrich") -> JsonObject:
    result: JsonObject = {
        "outcome": "Succeeded",
        "output": {"x": "x" * size},
        "time": "2026-01-01T00:00:01Z",
    }
    spec: JsonObject = {**TASK, "run": {**STEP, "step": step}}
    return raw("Task", name, spec, labels={"aos.dev/run": "r1"}, status={"result": result})


class Server:
    """What is read past the caches."""

    def __init__(self, objects: Objects, there: list[JsonObject]) -> None:
        self._objects = objects
        self._there = there
        self.read: list[str] = []

    async def read_each(self, kind: str, namespace: str, selector: str) -> AsyncGenerator[JsonObject, None]:
        assert (namespace, selector) == ("sales", "aos.dev/run=r1")
        for item in self._there:
            if item["kind"] == kind:
                yield item

    async def reread(self, kind: str, namespace: str, name: str) -> None:
        self.read.append(f"{kind}/{namespace}/{name}")

    async def output(self, namespace: str, attempt: Attempt, *, is_run: bool) -> JsonObject:
        self.read.append(f"{namespace}/{attempt.name}/{is_run}")
        return {"read": attempt.name}


class Rig:
    """The part of the operator's world that a run is gathered from."""

    def __init__(self, *items: JsonObject, guard: Guard | None = None) -> None:
        self.objects = Objects(lambda _: None, lambda _: {})
        self.there: list[JsonObject] = []
        for item in items:
            self.objects.observe(str(item["kind"]), item)
        self.server = Server(self.objects, self.there)
        self.world = cast(
            "World",
            SimpleNamespace(
                objects=self.objects,
                contents=self.server,
                actor=self.server,
                state=SimpleNamespace(guard=guard or Guard()),
                cluster=SimpleNamespace(children=SimpleNamespace(revisions_of_workflow=lambda *_: ())),
                now=lambda: NOW,
                settings=SimpleNamespace(max_run_tasks=9),
            ),
        )

    def run(self, name: str = "r1") -> WorkflowRun:
        found = self.objects.executions.runs.get("sales", name)
        assert found is not None
        return found

    async def gather(self, name: str = "r1") -> Observed:
        return await gather(self.world, self.run(name), SPEC)


async def test_a_large_output_is_read_and_a_small_one_is_kept() -> None:
    rig = Rig(run("r1"), task("t1", 10), task("t2", 10_000))
    found = (await rig.gather()).attempts
    assert [item.output for item in found] == [{"x": "x" * 10}, {"read": "t2"}]
    assert rig.server.read == ["sales/t2/False"]


async def test_outputs_that_nobody_reads_any_more_are_not_read() -> None:
    done: list[JsonValue] = [{"name": name, "state": "Succeeded"} for name in ("enrich", "tell")]
    rig = Rig(run("r1", steps=done), task("t1", 10), task("t2", 10_000))
    found = (await rig.gather()).attempts
    assert [(item.output, item.is_unread, item.succeeded) for item in found] == [(None, True, True)] * 2
    assert rig.server.read == []


async def test_attack_20_a_run_is_not_looked_at_with_more_than_so_much_of_what_its_tasks_gave() -> None:
    count = MAX_READ_BYTES // 262_144
    rig = Rig(run("r1"), *(task(f"t{number:03}", 262_144) for number in range(count + 3)))
    found = (await rig.gather()).attempts
    assert len(rig.server.read) == count - 1
    assert [item.is_unread for item in found] == [False] * (count - 1) + [True] * 4


async def test_a_run_below_is_an_attempt_of_the_one_above_that_it_names() -> None:
    rig = Rig(run("r1"), run("inner", "r1"), run("other", "r2"))
    assert [item.name for item in (await rig.gather()).attempts] == ["inner"]
    again = run("r1")
    metadata = again["metadata"]
    assert isinstance(metadata, dict)
    metadata["uid"] = "another"
    assert (await Rig(again, run("inner", "r1")).gather()).attempts == ()


@pytest.mark.parametrize("above", ["ended", "gone", "made anew"])
async def test_attack_20_a_run_ends_when_the_one_above_has_ended_or_was_deleted(above: str) -> None:
    items = [run("r1", "above")]
    if above != "gone":
        items.append(run("above", conditions=ended() if above == "ended" else []))
    if above == "made anew":
        metadata = items[1]["metadata"]
        assert isinstance(metadata, dict)
        metadata["uid"] = "another"
    rig = Rig(*items)
    assert (await rig.gather()).must_end is Reason.PARENT_ENDED
    assert gather_start(rig.world, rig.run()).is_parent_over


async def test_a_run_goes_on_while_the_one_above_is_open() -> None:
    rig = Rig(run("r1", "above"), run("above"))
    assert (await rig.gather()).must_end is None
    assert (await rig.gather("above")).must_end is None


@pytest.mark.parametrize(
    ("uid", "guard", "seen"),
    [
        ("r1-uid", Guard(fingerprint="f"), [True]),
        ("r1-uid", Guard(fingerprint="another"), [False]),
        ("r1-uid", Guard(problem="none", fingerprint="f"), [False]),
        ("another", Guard(fingerprint="f"), []),
    ],
)
async def test_a_gate_counts_for_its_own_run_and_under_the_admission_policies_of_now(
    uid: str, guard: Guard, seen: list[bool]
) -> None:
    asked = gate()
    metadata, spec = asked["metadata"], asked["spec"]
    assert isinstance(metadata, dict)
    assert isinstance(spec, dict)
    metadata["name"] = gate_request("r1-uid", "ask")
    about = spec["run"]
    assert isinstance(about, dict)
    spec["run"] = {**about, "uid": uid}
    condition: JsonObject = {
        "type": "EnforcementActive",
        "status": "True",
        "reason": "Active",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    asked["status"] = {"guard": "f", "conditions": [condition]}
    rig = Rig(run("r1"), asked, guard=guard)
    assert [item.is_enforced for item in (await rig.gather()).gates] == seen


async def test_the_room_of_a_run_is_what_all_that_belongs_together_leaves() -> None:
    items = [run("top"), run("r1", "top"), run("inner", "r1"), run("other"), task("t0"), task("t1")]
    for item in items[-1:]:
        spec = item["spec"]
        assert isinstance(spec, dict)
        spec["run"] = {**STEP, "rootUID": "top-uid", "undoing": True}
    rig = Rig(*items)
    assert (await rig.gather("top")).room == Room(9, 7, 8)
    assert (await rig.gather("inner")).room == Room(9, 7, 8)
    assert (await rig.gather("other")).room == Room(9, 9, 9)


async def test_a_run_that_another_operator_went_on_with_may_lack_what_that_one_began_until_it_was_read() -> (
    None
):
    rig = Rig(run("r1"))
    found = await rig.gather()
    assert found.may_lack
    await confirm(rig.world, found)
    assert not (await rig.gather()).may_lack
    rig.objects.forget("WorkflowRun", "sales", "r1", "r1-uid")
    assert rig.objects.executions.complete == set()


async def test_what_the_api_server_does_not_have_is_not_there() -> None:
    rig = Rig(run("r1"), task("t1"), task("t2"))
    rig.there += [run("inner", "r1"), task("t2"), task("t3")]
    found = await confirm(rig.world, await rig.gather())
    assert found.confirmed
    assert sorted(item.name for item in found.attempts) == ["inner", "t2", "t3"]
    assert rig.server.read == [f"ApprovalRequest/sales/{gate_request('r1-uid', 'ask')}"]
