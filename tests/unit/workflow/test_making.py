import pytest

from aos.model.canonical import json_digest
from aos.model.names import gate_request, step_task
from aos.model.task import BudgetOfRun
from aos.model.workflow_run import RunParent
from aos.workflow.actions import CreateGate, CreateRun, CreateTask
from aos.workflow.advance import advance
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World

BUDGET = {"microUSD": 250_000, "tokens": 9000, "calls": 10}


ABOVE = BudgetOfRun(run_uid="above-uid", workflow="above", calls=3)


def below(depth: int, *budgets: BudgetOfRun) -> RunParent:
    return RunParent(
        run="above", run_uid="above-uid", root_uid="root-uid", step="x", depth=depth, budgets=budgets
    )


def test_a_task_has_all_that_its_step_and_its_run_say() -> None:
    world = World(
        spec_of(
            {"name": "draft_letter", "agent": "copywriter", "timeout": "20m", "input": {"x": 1}},
            priority=7,
            budget=BUDGET,
        )
    )

    (made,) = advance(world.observed()).actions

    assert isinstance(made, CreateTask)
    assert made.name == step_task("outreach-1", "run-uid", "draft_letter", None, 1)
    assert made.step == "draft_letter"
    assert made.spec.model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "agentRef": {"name": "copywriter"},
        "input": {"x": 1},
        "deadline": "20m",
        "requestedBy": "ana@example.com",
        "lineage": [],
        "run": {
            "name": "outreach-1",
            "uid": "run-uid",
            "rootUID": "run-uid",
            "workflow": "outreach",
            "step": "draft_letter",
            "attempt": 1,
            "undoing": False,
            "budgets": [{"runUID": "run-uid", "workflow": "outreach", **BUDGET}],
        },
        "revision": "copywriter-1",
        "priority": 7,
    }


def test_a_task_counts_over_the_budgets_of_the_runs_above_too() -> None:
    for budget, count in ((BUDGET, 2), (None, 1)):
        world = World(spec_of({"name": "a"}, budget=budget), parent=below(1, ABOVE))

        (made,) = advance(world.observed()).actions

        assert isinstance(made, CreateTask)
        assert made.spec.run is not None
        assert len(made.spec.run.budgets) == count
        assert made.spec.run.budgets[-1] == ABOVE


def test_a_task_has_ten_minutes_where_the_step_says_nothing() -> None:
    (made,) = advance(World(spec_of({"name": "a"})).observed()).actions

    assert isinstance(made, CreateTask)
    assert made.spec.deadline == "10m"


def test_a_run_below_knows_the_run_that_started_it_and_the_first_of_all() -> None:
    world = World(
        spec_of({"name": "a", "workflow": "other", "forEach": "${[1, 2]}", "input": {"x": "${item}"}}),
        parent=below(2),
    )

    made = advance(world.observed()).actions[1]

    assert isinstance(made, CreateRun)
    assert made.name == step_task("outreach-1", "run-uid", "a", 1, 1)
    assert made.spec.model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "workflowRef": {"name": "other"},
        "input": {"x": 2},
        "requestedBy": "ana@example.com",
        "parent": {
            "run": "outreach-1",
            "runUID": "run-uid",
            "rootUID": "root-uid",
            "step": "a",
            "item": 1,
            "attempt": 1,
            "depth": 3,
            "place": json_digest(["run-uid", "a", 1]),
            "undoing": False,
            "budgets": [],
        },
        "suspend": False,
        "cancel": False,
    }


def test_a_run_below_is_held_to_the_budgets_of_all_above_it() -> None:
    spec = spec_of({"name": "a", "workflow": "other"}, budget=BUDGET)
    own = BudgetOfRun.model_validate({"runUID": "run-uid", "workflow": "outreach", **BUDGET})

    (made,) = advance(World(spec, parent=below(1, ABOVE)).observed()).actions

    # They stand in the run itself: whatever is deleted above, no Task of it is made without them.
    assert isinstance(made, CreateRun)
    assert made.spec.parent is not None
    assert made.spec.parent.budgets == (own, ABOVE)


def test_every_attempt_of_a_step_and_of_those_above_it_is_one_place() -> None:
    world = World(spec_of({"name": "a", "workflow": "other", "retry": {"attempts": 2, "backoff": "1s"}}))
    world.settle()
    world.fail("a", "StepFailed")
    world.after(1).settle()
    one, two = (made.spec.parent for made in world.made.values() if isinstance(made, CreateRun))
    assert one is not None
    assert two is not None
    assert (one.attempt, two.attempt) == (1, 2)
    assert one.place == two.place

    # So it is for all that the two do: whichever of them it is.
    spec = spec_of({"name": "b"}, {"name": "c", "workflow": "third"})
    for parent in (one, two):
        task, run = advance(World(spec, parent=parent).observed()).actions
        assert isinstance(task, CreateTask)
        assert isinstance(run, CreateRun)
        assert task.spec.run is not None
        assert run.spec.parent is not None
        assert task.spec.run.place == one.place
        assert run.spec.parent.place == json_digest([one.place, "c", None])


def test_a_task_of_a_run_below_counts_for_the_first_run_of_all() -> None:
    (made,) = advance(World(spec_of({"name": "a"}), parent=below(1)).observed()).actions

    assert isinstance(made, CreateTask)
    assert made.spec.run is not None
    assert made.spec.run.root_uid == "root-uid"


def test_no_more_than_four_runs_follow_one_another() -> None:
    last = World(spec_of({"name": "a", "workflow": "other"}), parent=below(2))
    last.settle()
    assert len(last.made) == 1

    world = World(spec_of({"name": "a", "workflow": "other", "retry": {"attempts": 3}}), parent=below(3))

    world.settle()

    assert (world.step("a").state, world.step("a").reason) == ("Failed", "TooDeep")
    assert not world.made


def test_a_step_whose_agent_was_not_recorded_at_the_start_fails() -> None:
    for step in ({"name": "a"}, {"name": "a", "capability": "translate"}):
        world = World(spec_of(step))
        world.run = world.run.model_copy(
            update={"status": world.run.status.model_copy(update={"agents": ()})}
        )

        world.settle()

        assert (world.step("a").state, world.step("a").reason) == ("Failed", "AgentNotFound")


@pytest.mark.parametrize("shown", ["", "Is ${input.lead} worth it?"])
def test_a_gate_s_request_is_the_same_whoever_makes_it(shown: str) -> None:
    world = World(spec_of({"name": "ask", "approval": {"show": shown}}), {"lead": "ACME"})

    (made,) = advance(world.observed()).actions
    (again,) = advance(world.after(60).observed()).actions

    assert isinstance(made, CreateGate)
    assert made == again
    assert made.name == gate_request("run-uid", "ask")
    assert made.arguments == ('"Is ACME worth it?"' if shown else '""')
    assert made.arguments_digest.startswith("sha256:")
