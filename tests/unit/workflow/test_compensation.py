from collections.abc import Mapping
from dataclasses import replace

import pytest

from aos.workflow.advance import advance
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World

SAGA: tuple[Mapping[str, object], ...] = (
    {"name": "book", "compensate": "unbook"},
    {"name": "pay", "dependsOn": ["book"], "compensate": "refund"},
    {"name": "send", "dependsOn": ["pay"]},
    {"name": "unbook", "input": {"booking": "${steps.book.output.id}"}},
    {"name": "refund", "input": {"payment": "${steps.pay.output.id}"}},
)


def failed(*steps: Mapping[str, object], **fields: object) -> World:
    """Two steps are done and the third fails."""
    world = World(spec_of(*(steps or SAGA), **fields))
    world.settle()
    for name in ("book", "pay"):
        world.finish(name, {"id": f"{name}-1"})
        world.after(1).settle()
    world.fail("send")
    world.settle()
    return world


def test_what_was_done_is_undone_one_by_one_and_the_last_comes_first() -> None:
    world = failed()
    assert world.open == ["refund"]
    assert world.given("refund") == {"payment": "pay-1"}
    assert world.verdict == ("Unknown", "Compensating")
    assert world.step("refund").compensates == "pay"

    world.finish("refund")
    world.settle()
    assert world.open == ["unbook"]
    assert world.given("unbook") == {"booking": "book-1"}
    world.finish("unbook")
    world.settle()

    assert world.verdict == ("False", "StepFailed")
    assert "step send failed" in world.told
    assert "undone: book, pay" in world.told


def test_steps_that_undo_others_run_at_no_other_time() -> None:
    world = World(spec_of(*SAGA))
    world.settle()
    assert world.open == ["book"]
    for name in ("book", "pay", "send"):
        world.finish(name, {"id": 1})
        world.settle()

    assert world.verdict == ("True", "Completed")
    assert world.run.status.progress == "3/3"
    assert {world.step(name).reason for name in ("unbook", "refund")} == {"NotNeeded"}
    assert {world.step(name).state for name in ("unbook", "refund")} == {"Skipped"}


def test_only_what_was_done_is_undone() -> None:
    world = World(spec_of(*SAGA))
    world.settle()
    world.finish("book", {"id": "b"})
    world.settle()

    world.fail("pay")
    world.settle()
    assert world.open == ["unbook"]
    world.finish("unbook")
    world.settle()

    assert world.states == {
        "book": "Succeeded",
        "pay": "Failed",
        "send": "Skipped",
        "unbook": "Succeeded",
        "refund": "Skipped",
    }


@pytest.mark.parametrize("end", ["cancel", "timeout"])
def test_what_was_done_is_undone_too_when_a_run_is_cancelled_or_times_out(end: str) -> None:
    world = World(spec_of(*SAGA, timeout="30m"))
    world.settle()
    world.finish("book", {"id": "b"})
    world.settle()

    if end == "cancel":
        world.set_spec(cancel=True)
    else:
        world.after(1800)
    world.settle()
    assert world.open == ["unbook"]
    assert world.verdict == ("Unknown", "Compensating")
    world.finish("unbook")
    world.settle()

    assert world.verdict == ("False", "Cancelled" if end == "cancel" else "TimedOut")


def test_undoing_begins_only_once_everything_has_ended() -> None:
    world = World(
        spec_of({"name": "book", "compensate": "unbook"}, {"name": "a"}, {"name": "b"}, {"name": "unbook"})
    )
    world.settle()
    world.finish("book")
    world.fail("a")
    world.settle()
    assert world.open == ["b"]

    world.finish("b")
    world.settle()

    assert world.open == ["unbook"]


def test_undoing_begins_only_once_it_is_certain_that_nothing_was_missed() -> None:
    world = World(spec_of({"name": "book", "compensate": "unbook"}, {"name": "a"}, {"name": "unbook"}))
    world.settle()
    world.finish("book")
    world.fail("a")

    unsure = advance(world.observed())

    assert unsure.confirm
    assert unsure.actions == ()
    (begun,) = advance(world.observed(confirmed=True)).actions
    assert begun.name.startswith("outreach-1-unbook")


def test_undoing_waits_until_what_nobody_waits_for_any_more_has_ended() -> None:
    world = World(
        spec_of(
            {"name": "book", "compensate": "unbook"}, {"name": "a", "workflow": "other"}, {"name": "unbook"}
        )
    )
    world.settle()
    world.finish("book")
    world.fail("a", "StepFailed")
    failed_one = world.latest("a")
    world.attempts["stray"] = replace(failed_one, name="stray", uid="stray", item=7, ended_at=None)

    world.settle()
    assert world.attempts["stray"].is_ending
    assert world.open == ["a/7"]
    world.end("a", 7, reason="Cancelled")
    world.settle()

    assert world.open == ["unbook"]


def test_undoing_is_neither_timed_out_nor_cancelled() -> None:
    world = failed(timeout="30m")

    world.set_spec(cancel=True)
    world.after(7200).settle()

    assert world.open == ["refund"]
    assert world.run.status.ending == "StepFailed"


def test_undoing_waits_while_the_run_is_suspended() -> None:
    world = World(spec_of(*SAGA))
    world.settle()
    world.finish("book", {"id": "b"})
    world.settle()
    world.set_spec(suspend=True)
    world.fail("pay")

    world.settle()
    assert not world.open
    assert world.verdict == ("Unknown", "Compensating")
    world.set_spec(suspend=False)
    world.settle()

    assert world.open == ["unbook"]


def test_a_step_that_could_not_be_undone_is_told_and_the_others_go_on() -> None:
    world = failed()

    world.fail("refund")
    world.settle()
    assert world.open == ["unbook"]
    world.finish("unbook")
    world.settle()

    assert world.verdict == ("False", "StepFailed")
    assert "step refund, which undoes step pay, did not succeed: AgentFailed" in world.told
    assert world.step("refund").state == "Failed"


def test_undoing_that_somebody_cancelled_is_told_and_the_others_go_on() -> None:
    world = failed()

    world.delete("refund")
    world.settle()

    assert world.open == ["unbook"]
    assert (world.step("refund").state, world.step("refund").reason) == ("Cancelled", "Deleted")


def test_undoing_is_tried_again_as_its_step_says() -> None:
    steps = [
        {**step, "retry": {"attempts": 2, "backoff": "1s"}} if step["name"] == "refund" else step
        for step in SAGA
    ]
    world = failed(*steps)

    world.fail("refund")
    world.settle()
    assert world.step("refund").state == "Retrying"
    world.after(1).settle()

    assert world.open == ["refund"]
    assert world.step("refund").attempt == 2


def test_undoing_whose_input_or_when_fails_is_told_and_the_others_go_on() -> None:
    for field in ({"input": {"x": "${steps.pay.output.missing}"}}, {"when": "${steps.pay.output.missing}"}):
        steps = [{**step, **field} if step["name"] == "refund" else step for step in SAGA]
        world = failed(*steps)

        assert world.open == ["unbook"]
        assert (world.step("refund").state, world.step("refund").reason) == ("Failed", "ExpressionFailed")


def test_undoing_may_be_left_out_by_its_own_when() -> None:
    steps = [
        {**step, "when": "${steps.pay.output.id == 'x'}"} if step["name"] == "refund" else step
        for step in SAGA
    ]

    world = failed(*steps)

    assert world.open == ["unbook"]
    assert (world.step("refund").state, world.step("refund").reason) == ("Skipped", "ConditionFalse")


def test_a_for_each_that_failed_after_an_item_was_done_is_undone_once_with_the_list_so_far() -> None:
    world = World(
        spec_of(
            {"name": "post", "forEach": "${input.items}", "maxParallel": 1, "compensate": "revert"},
            {"name": "revert", "input": {"posted": "${steps.post.output}"}},
        ),
        {"items": [1, 2, 3]},
    )
    world.settle()
    world.finish("post", {"id": "p0"}, 0)
    world.settle()

    world.fail("post", item=1)
    world.settle()

    assert world.open == ["revert"]
    assert world.given("revert") == {"posted": [{"id": "p0"}, None, None]}


@pytest.mark.parametrize("items", [[], [1]])
def test_a_for_each_of_which_nothing_was_done_is_not_undone(items: list[int]) -> None:
    world = World(
        spec_of(
            {"name": "post", "forEach": "${input.items}", "compensate": "revert"},
            {"name": "bad"},
            {"name": "revert"},
        ),
        {"items": [*items]},
    )
    world.settle()
    if items:
        world.fail("post", item=0)
    world.fail("bad")
    world.settle()

    assert world.verdict == ("False", "StepFailed")
    assert world.step("revert").reason == "NotNeeded"


def test_a_for_each_undoes_item_by_item_and_one_that_fails_keeps_no_other_from_it() -> None:
    world = World(
        spec_of(
            {"name": "post", "compensate": "revert"},
            {"name": "bad", "dependsOn": ["post"]},
            {
                "name": "revert",
                "forEach": "${steps.post.output.ids}",
                "maxParallel": 1,
                "input": {"id": "${item}"},
            },
        )
    )
    world.settle()
    world.finish("post", {"ids": ["a", "b"]})
    world.settle()
    world.fail("bad")
    world.settle()

    world.fail("revert", item=0)
    world.settle()
    assert world.open == ["revert/1"]
    world.finish("revert", {}, 1)
    world.settle()

    assert world.step("revert").state == "Failed"
    assert world.verdict == ("False", "StepFailed")


def test_a_run_whose_output_can_not_be_computed_is_undone() -> None:
    world = World(
        spec_of(
            {"name": "book", "compensate": "unbook"},
            {"name": "unbook"},
            output={"x": "${steps.book.output.y}"},
        )
    )
    world.settle()
    world.finish("book", {"id": 1})
    world.settle()
    assert world.open == ["unbook"]

    world.finish("unbook")
    world.settle()

    assert world.verdict == ("False", "ExpressionFailed")
    assert "its output could not be computed" in world.told


def test_what_is_done_at_the_same_time_is_undone_in_reverse_order_of_the_steps() -> None:
    world = World(
        spec_of(
            {"name": "a", "compensate": "undo_a"},
            {"name": "b", "compensate": "undo_b"},
            {"name": "bad", "dependsOn": ["a", "b"]},
            {"name": "undo_a"},
            {"name": "undo_b"},
        )
    )
    world.settle()
    world.finish("b")
    world.finish("a")
    world.settle()
    world.fail("bad")

    world.settle()

    assert world.open == ["undo_b"]


def test_what_was_done_last_is_undone_first_whatever_the_order_of_the_steps() -> None:
    world = World(
        spec_of(
            {"name": "a", "compensate": "undo_a"},
            {"name": "b", "compensate": "undo_b"},
            {"name": "bad", "dependsOn": ["a", "b"]},
            {"name": "undo_a"},
            {"name": "undo_b"},
        )
    )
    world.settle()
    world.finish("b")
    world.after(1).finish("a")
    world.settle()
    world.fail("bad")

    world.settle()

    assert world.open == ["undo_a"]


def test_a_run_says_whether_it_undid_something() -> None:
    world = failed()
    assert world.open == ["refund"]
    assert world.run.status.undid
    for step in ("refund", "unbook"):
        world.fail(step)
        world.settle()
    assert world.run.status.undid

    nothing = World(spec_of(*SAGA))
    nothing.settle()
    nothing.fail("book")
    nothing.settle()
    assert nothing.verdict == ("False", "StepFailed")
    assert not nothing.run.status.undid


def test_what_is_undone_is_not_looked_at_again_at_the_timeout_of_the_run() -> None:
    world = failed()
    assert world.open == ["refund"]
    assert world.settle().requeue_after_seconds is None
