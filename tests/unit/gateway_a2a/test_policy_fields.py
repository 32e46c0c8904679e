"""Each field of a policy that bears on handoffs, one case each: work that one agent hands to another, and what becomes of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from pydantic import JsonValue

from aos.kube.objects import child, children, text
from aos.kube.resources import CLUSTER_POLICIES
from aos.model.base import JsonObject
from tests.unit.gateway.make import raw_cluster_policy
from tests.unit.gateway_a2a.test_handoffs import CARD, hand_over
from tests.unit.gateway_a2a.world import World, running
from tests.unit.gateway_mcp.make import in_run

MAIL = "mira.solberg@example.org"


@dataclass(frozen=True)
class Handed:
    """One handoff of ``lead`` to ``writer``, and the reason of its refusal, empty if it is taken.

    ``run`` is the step that the Task is for.
    """

    reason: str = ""
    facts: str = "Ada likes trains"
    task: str = "t1"
    run: JsonObject | None = None


@dataclass(frozen=True)
class Case:
    """What the Policy says, and handoffs one after the other; ``hides`` stands in no Task that is made."""

    parts: Mapping[str, JsonValue]
    handed: Sequence[Handed]
    says: str = ""
    hides: str = ""


TAKEN, OTHER = Handed(), Handed(facts="Ada likes boats")
STEP, NEXT_STEP = Handed(task="t3", run=in_run()), Handed(task="t4", run=in_run("send"))
LIMITED, SPENT = Handed("LimitExceeded", "third"), Handed("BudgetExceeded", "third")


def limit(**parts: JsonValue) -> JsonObject:
    return {"limits": [{"name": "few", "calls": 1, "per": "1h", **parts}]}


def budget(**parts: JsonValue) -> JsonObject:
    return {"budgets": [{"name": "small", "calls": 1, "per": "1h", **parts}]}


def selecting(**parts: JsonValue) -> JsonObject:
    return {"agents": {"matchExpressions": [{"key": "role", "operator": "Exists", **parts}]}}


NOBODY = [Handed("NoPolicy")]
BADGE: JsonObject = {"name": "badge", "regex": "B-[0-9]+"}

CASES: Mapping[str, Sequence[Case]] = {
    "agents.matchLabels": (Case({"agents": {"matchLabels": {"role": "other"}}}, NOBODY),),
    "agents.matchExpressions[].key": (Case(selecting(), NOBODY), Case(selecting(key="unit"), [TAKEN])),
    "agents.matchExpressions[].operator": (Case(selecting(operator="DoesNotExist"), [TAKEN]),),
    "agents.matchExpressions[].values": (
        Case(selecting(operator="In", values=["x"]), NOBODY),
        Case(selecting(key="unit", operator="In", values=["one"]), [TAKEN]),
    ),
    "limits[].name": (Case(limit(), [TAKEN, LIMITED], says="limit few"),),
    "limits[].calls": (Case(limit(calls=2), [TAKEN, OTHER, LIMITED]),),
    "limits[].per": (Case(limit(per="30m"), [TAKEN, LIMITED], says="enough is free in 18"),),
    "limits[].scope": (
        Case(limit(scope="Task"), [TAKEN, Handed(task="t2"), LIMITED]),
        Case(limit(scope="Workflow"), [STEP, TAKEN, replace(NEXT_STEP, reason="LimitExceeded")]),
    ),
    "budgets[].name": (Case(budget(), [TAKEN, SPENT], says="budget small"),),
    "budgets[].calls": (Case(budget(calls=2), [TAKEN, OTHER, SPENT]),),
    "budgets[].per": (Case(budget(per="30m"), [TAKEN, SPENT], says="enough is free in 18"),),
    "budgets[].scope": (
        Case(budget(scope="Task"), [TAKEN, Handed(task="t2"), SPENT]),
        Case(budget(scope="Workflow"), [STEP, TAKEN, replace(NEXT_STEP, reason="BudgetExceeded")]),
    ),
    "Workflow.budget.calls": (
        Case(
            {},
            [
                replace(STEP, run=in_run(calls=1)),
                TAKEN,
                replace(NEXT_STEP, run=in_run("send", calls=1), reason="BudgetExceeded"),
            ],
            says="Workflow outreach's budget (run r1)",
        ),
    ),
    "data.redact": (Case({"data": {"redact": ["pii"]}}, [Handed(facts=f"write to {MAIL}")], hides=MAIL),),
    "data.block": (
        Case({"data": {"block": ["payment"]}}, [Handed("DataBlocked", f"pay with {CARD}")], hides=CARD),
    ),
    "data.in": (
        Case({"data": {"block": ["payment"], "in": ["Response"]}}, [Handed(facts=f"pay with {CARD}")]),
    ),
    "data.patterns[].name": (
        Case(
            {"data": {"block": ["badge"], "patterns": [BADGE]}}, [Handed("DataBlocked", "B-7")], says="badge"
        ),
    ),
    "data.patterns[].regex": (
        Case({"data": {"redact": ["badge"], "patterns": [BADGE]}}, [Handed(facts="B-7")], hides="B-7"),
    ),
    "data.urls.allowHosts": (
        Case(
            {"data": {"urls": {"allowHosts": ["example.com"]}}},
            [Handed(facts="see https://example.com/"), Handed("UrlNotAllowed", "see https://example.org/")],
        ),
    ),
    "data.maxRequestBytes": (
        Case({"data": {"maxRequestBytes": 64}}, [TAKEN, Handed("DataTooLarge", "x" * 100)]),
    ),
    "loops.maxIdenticalCalls": (
        Case(
            {"loops": {"maxIdenticalCalls": 1}}, [TAKEN, Handed("LoopDetected", "ADA likes  trains"), OTHER]
        ),
    ),
    "loops.maxCallsPerTask": (
        Case({"loops": {"maxCallsPerTask": 1}}, [TAKEN, Handed("TooManyTaskCalls", "b"), Handed(task="t2")]),
    ),
}


@pytest.mark.parametrize(
    ("path", "case"),
    [
        pytest.param(path, case, id=f"{path}-{number}")
        for path, cases in CASES.items()
        for number, case in enumerate(cases)
    ],
)
async def test_a_field_holds_handoffs(path: str, case: Case) -> None:
    async with running() as world:
        await world.policy(**case.parts)
        await world.task("t2", "lead")
        said: JsonObject = {}
        for number, handed in enumerate(case.handed):
            if handed.run is not None:
                await world.task(handed.task, "lead", run=handed.run)
            said = await hand_over(world, handed.task, "writer", {"facts": handed.facts}, number)
            assert reason_of(said) == handed.reason, f"{path}: {said}"
    assert case.says in json.dumps(said)
    assert not case.hides or case.hides not in json.dumps(world.api.created)
    assert len(world.api.created) == sum(not handed.reason for handed in case.handed)


def reason_of(said: JsonObject) -> str:
    """Return why work was not taken; empty if it was."""
    details = children(child(said, "error"), "data")
    return text(details[0], "reason") if details else ""


@pytest.mark.parametrize(
    ("namespaces", "reason"),
    [
        ({}, "LimitExceeded"),
        ({"matchLabels": {"tier": "other"}}, ""),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, "LimitExceeded"),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, ""),
        ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["one"]}]}, "LimitExceeded"),
    ],
)
async def test_a_cluster_policy_holds_handoffs_in_the_namespaces_that_it_selects(
    namespaces: JsonObject, reason: str
) -> None:
    async with running() as world:
        before = world.registry.policy("sales", "lead")
        above: JsonObject = raw_cluster_policy(namespaces=namespaces, limits=limit(scope="Tenant")["limits"])
        world.api.put(CLUSTER_POLICIES, above)
        await heard(world, before, is_selected=bool(reason))
        assert reason_of(await hand_over(world, "t1", "writer", {"facts": "a"}, 1)) == ""
        assert reason_of(await hand_over(world, "t1", "writer", {"facts": "b"}, 2)) == reason


async def heard(world: World, before: object, *, is_selected: bool) -> None:
    """Wait until the registry has heard of the ClusterPolicy."""
    if is_selected:
        await world.until(lambda: world.registry.policy("sales", "lead") is not before)
    else:
        await world.until(lambda: len(world.registry._cluster_policies))
