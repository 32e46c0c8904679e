"""A run, with all that it starts, has only so many Tasks and runs; what undoes has as many of its own."""

from collections.abc import Mapping

import pytest

from aos.model.workflow_run import RunParent
from aos.workflow.actions import CreateTask
from aos.workflow.advance import advance
from aos.workflow.observed import Room
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World

ITEMS: Mapping[str, object] = {
    "name": "each",
    "forEach": "${[1, 2, 3]}",
    "input": {"x": "${item}"},
    "onFailure": "Continue",
}
UNDONE: tuple[Mapping[str, object], ...] = (
    {"name": "book", "compensate": "unbook"},
    {"name": "send", "dependsOn": ["book"]},
    {"name": "unbook", "input": {}},
)
UNDOING = RunParent(run="r", run_uid="u", root_uid="u", step="s", depth=1, undoing=True)


def made(world: World) -> list[str]:
    return [action.step for action in advance(world.observed()).actions if isinstance(action, CreateTask)]


def test_a_run_creates_all_that_there_is_room_for() -> None:
    world = World(spec_of(ITEMS))
    world.room = Room(3, 3, 0)
    assert made(world) == ["each"] * 3


def test_a_run_that_needs_more_than_there_is_room_for_ends_whatever_its_steps_say() -> None:
    world = World(spec_of({"name": "first"}, {**ITEMS, "dependsOn": ["first"]}))
    world.settle()
    world.finish("first")
    world.room = Room(3, 2, 0)
    world.settle()
    assert world.open == []
    assert world.verdict == ("False", "TooManyTasks")
    assert "the 3 Tasks and runs" in world.told
    assert "operator.maxRunTasks" in world.told
    assert (world.step("each").state, world.step("each").reason) == ("Skipped", "TooManyTasks")


def test_what_is_at_work_is_let_end_before_a_run_ends_for_lack_of_room() -> None:
    world = World(spec_of({**ITEMS, "maxParallel": 2}))
    world.settle()
    world.finish("each", item=0)
    world.room = Room(2, 0, 2)
    world.settle()
    assert world.run.status.ending == "TooManyTasks"
    assert world.open == ["each/1"]
    world.finish("each", item=1)
    world.settle()
    assert world.verdict == ("False", "TooManyTasks")


def test_runs_below_take_room_as_tasks_do() -> None:
    world = World(spec_of({"name": "inner", "workflow": "other"}, {"name": "tell"}))
    world.room = Room(1, 1, 0)
    world.settle()
    assert world.open == []
    assert world.verdict == ("False", "TooManyTasks")


def test_another_attempt_takes_room_too() -> None:
    world = World(spec_of({"name": "send", "retry": {"attempts": 2, "backoff": "1s"}}))
    world.settle()
    world.fail("send")
    world.room = Room(1, 0, 1)
    world.settle()
    world.after(1).settle()
    assert world.verdict == ("False", "TooManyTasks")


def test_a_run_that_is_cancelled_or_failed_says_that_and_not_that_there_is_no_room() -> None:
    world = World(spec_of({"name": "send"}, {"name": "tell", "dependsOn": ["send"], "when": "${1 / 0 == 1}"}))
    world.settle()
    world.finish("send")
    world.room = Room(1, 0, 0)
    world.settle()
    assert world.verdict == ("False", "StepFailed")


def test_what_undoes_and_all_that_it_starts_has_room_of_its_own() -> None:
    world = World(spec_of(*UNDONE))
    world.settle()
    world.finish("book")
    world.room = Room(1, 0, 1)
    world.settle()
    assert world.run.status.ending == "TooManyTasks"
    assert world.open == ["unbook"]
    undoing = world.made[world.latest("unbook").name]
    assert isinstance(undoing, CreateTask)
    assert undoing.is_undoing

    below = World(spec_of({"name": "a"}, {"name": "inner", "workflow": "other"}), parent=UNDOING)
    below.room = Room(2, 0, 2)
    actions = advance(below.observed()).actions
    assert [getattr(action, "is_undoing", None) for action in actions] == [True, True]
    below.room = Room(2, 9, 1)
    below.settle()
    assert below.verdict == ("False", "TooManyTasks")


@pytest.mark.parametrize("left", [0, 1])
def test_where_what_undoes_has_no_room_either_the_step_says_so(left: int) -> None:
    world = World(spec_of(*UNDONE))
    world.settle()
    world.finish("book")
    world.settle()
    assert not any(made.is_undoing for made in world.made.values() if isinstance(made, CreateTask))
    world.fail("send")
    world.room = Room(9, 9, left)
    world.settle()
    assert world.open == (["unbook"] if left else [])
    if not left:
        assert world.verdict == ("False", "StepFailed")
        assert world.step("unbook").reason == "TooManyTasks"
        assert "step unbook, which undoes step book, did not succeed: TooManyTasks" in world.told


def test_a_run_below_that_had_no_room_is_not_tried_again() -> None:
    world = World(spec_of({"name": "inner", "workflow": "other", "retry": {"attempts": 3}}))
    world.settle()
    world.fail("inner", "TooManyTasks")
    world.settle()
    assert world.verdict == ("False", "StepFailed")
    assert "TooManyTasks" in world.told
