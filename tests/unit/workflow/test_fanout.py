from dataclasses import replace

import pytest

from aos.model.approval_request import RequestState
from aos.model.workflow_run import ItemsStatus
from aos.workflow.advance import advance
from aos.workflow.attempts import Attempts, Work
from aos.workflow.fanout import item_units
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World

EACH = {"name": "each", "forEach": "${input.items}", "input": {"x": "${item}", "place": "${index}"}}


def world_of(count: int, **step: object) -> World:
    world = World(
        spec_of(
            {**EACH, **step},
            {"name": "sum", "input": {"all": "${steps.each.output}"}},
        ),
        {"items": [f"item {number}" for number in range(count)]},
    )
    world.settle()
    return world


def items(world: World, step: str = "each") -> ItemsStatus:
    found = world.step(step).items
    assert found is not None
    return found


def test_a_step_is_done_once_for_each_item_and_gives_the_list_in_order() -> None:
    world = world_of(3)
    assert world.open == ["each/0", "each/1", "each/2"]
    assert world.given("each", 1) == {"x": "item 1", "place": 1}
    assert items(world) == ItemsStatus(total=3, states="RRR")

    for item in (2, 0, 1):
        world.finish("each", {"got": item}, item)
    world.settle()

    assert items(world).states == "SSS"
    assert world.given("sum") == {"all": [{"got": 0}, {"got": 1}, {"got": 2}]}
    assert world.step("each").object == ""
    assert world.step("each").output_digest is not None


def test_no_more_items_are_worked_on_at_once_than_may_be() -> None:
    world = world_of(5, maxParallel=2)
    assert world.open == ["each/0", "each/1"]
    assert items(world).states == "RR..."

    world.finish("each", {}, 1)
    world.settle()

    assert world.open == ["each/0", "each/2"]
    assert items(world).states == "RSR.."


def test_no_place_is_given_away_that_an_operator_filled_and_did_not_record_before_it_died() -> None:
    world = world_of(2, maxParallel=1, retry={"attempts": 2, "backoff": "10s"}, onFailure="Continue")
    world.fail("each", item=0)
    before = world.observed()
    world.act(advance(before).actions)
    assert world.open == ["each/1"]
    world.after(10)

    # The next one has not heard of that yet, and meanwhile the other item is due again.
    found = advance(replace(before, now=world.now, may_lack=True))
    assert (found.confirm, found.actions) == (True, ())

    found = advance(replace(world.observed(confirmed=True), may_lack=True))
    assert (found.confirm, found.actions) == (False, ())


def test_ten_items_are_worked_on_at_once_where_nobody_said() -> None:
    assert len(world_of(30).open) == 10


def test_an_empty_list_is_done_at_once() -> None:
    world = world_of(0)

    assert world.states == {"each": "Succeeded", "sum": "Running"}
    assert world.given("sum") == {"all": []}
    assert world.step("each").completion_time == world.now


def test_an_item_that_fails_fails_the_step_after_those_that_run_have_ended() -> None:
    world = world_of(5, maxParallel=2)

    world.fail("each", item=1)
    world.settle()
    assert world.open == ["each/0"], "no further item is started"
    assert world.step("each").state == "Running"
    assert world.run.status.ending == "StepFailed"
    world.finish("each", {}, 0)
    world.settle()

    assert items(world).states == "SF..."
    assert (world.step("each").state, world.step("each").reason) == ("Failed", "ItemsFailed")
    assert world.step("each").message == "1 of 5 items failed; item 1: AgentFailed: it says AgentFailed"
    assert world.verdict == ("False", "StepFailed")


def test_with_continue_items_that_failed_are_null_in_the_list() -> None:
    world = world_of(3, onFailure="Continue")

    world.fail("each", item=1)
    world.finish("each", {"got": 0}, 0)
    world.finish("each", {"got": 2}, 2)
    world.settle()

    assert world.given("sum") == {"all": [{"got": 0}, None, {"got": 2}]}
    assert (world.step("each").state, world.step("each").reason) == ("Succeeded", "ItemsFailed")
    assert world.step("each").message.startswith("1 of 3 items failed; item 1:")


def test_with_continue_a_step_of_which_no_item_succeeded_has_failed() -> None:
    world = world_of(2, onFailure="Continue")

    world.fail("each", item=0)
    world.fail("each", item=1)
    world.settle()

    assert world.states == {"each": "Failed", "sum": "Skipped"}
    assert world.verdict == ("True", "Completed")


def test_with_continue_the_other_items_go_on() -> None:
    world = world_of(3, maxParallel=1, onFailure="Continue")

    world.fail("each", item=0)
    world.settle()

    assert world.open == ["each/1"]


def test_an_item_is_tried_again_by_itself_and_how_often_is_told() -> None:
    world = world_of(3, retry={"attempts": 3, "backoff": "10s"})

    world.fail("each", "PodLost", item=1)
    world.settle()
    assert items(world).states == "RWR"
    assert world.step("each").state == "Running"
    world.after(10).settle()

    assert items(world) == ItemsStatus(total=3, states="RRR", attempts={"1": 2})
    assert world.given("each", 1) == {"x": "item 1", "place": 1}


def test_a_step_of_which_items_only_wait_for_their_next_attempt_is_retrying() -> None:
    world = world_of(1, retry={"attempts": 3, "backoff": "10s"})

    world.fail("each", item=0)
    world.settle()

    assert world.step("each").state == "Retrying"
    assert world.step("each").message == "item 0: AgentFailed: it says AgentFailed"
    assert world.step("each").retry_at is not None


def test_an_attempt_that_is_due_comes_before_new_items() -> None:
    world = world_of(4, maxParallel=1, retry={"attempts": 2, "backoff": "10s"})
    world.fail("each", item=0)
    world.settle()
    assert world.open == ["each/1"], "who waits for the next attempt takes nobody's place"

    world.after(10).finish("each", {}, 1)
    world.settle()

    assert world.open == ["each/0"]
    assert items(world).states == "RS.."


def test_an_attempt_that_is_due_and_has_no_place_yet_is_not_asked_for_again_and_again() -> None:
    world = world_of(2, maxParallel=1, retry={"attempts": 2, "backoff": "10s"})
    world.fail("each", item=0)
    world.settle()

    found = world.after(600).settle()

    assert world.open == ["each/1"]
    assert found.requeue_after_seconds == 3000, "the run's timeout"


def test_an_item_whose_input_can_not_be_computed_fails_alone() -> None:
    world = World(
        spec_of(
            {
                "name": "each",
                "forEach": "${input.items}",
                "input": {"x": "${item.name}"},
                "onFailure": "Continue",
            }
        ),
        {"items": [{"name": "a"}, {}, {"name": "c"}]},
    )

    world.settle()

    assert world.open == ["each/0", "each/2"]
    assert items(world).states == "RFR"
    assert "item 1: ExpressionFailed" in world.step("each").message


def test_an_item_that_somebody_cancelled_is_never_made_again() -> None:
    world = world_of(2, onFailure="Continue", retry={"attempts": 3})

    world.delete("each", 0)
    unsure = advance(world.observed())
    assert unsure.confirm
    world.settle()
    assert items(world).states == "CR"
    world.finish("each", {"got": 1}, 1)
    world.settle()

    assert world.given("sum") == {"all": [None, {"got": 1}]}


def test_an_item_that_somebody_cancelled_fails_a_step_that_may_not_fail() -> None:
    world = world_of(2)

    world.delete("each", 0)
    world.finish("each", {}, 1)
    world.settle()

    assert (world.step("each").state, world.step("each").reason) == ("Cancelled", "ItemsFailed")
    assert world.verdict == ("False", "StepFailed")


def test_cancelling_a_run_leaves_what_was_done_of_a_step_on_record() -> None:
    world = world_of(4, maxParallel=2)
    world.finish("each", {}, 0)
    world.settle()

    world.set_spec(cancel=True)
    world.settle()

    assert items(world).states == "SCC."
    assert (world.step("each").state, world.step("each").reason) == ("Cancelled", "Cancelled")
    assert world.step("each").message == "the run ended when 1 of 4 items were done"


def test_a_step_whose_items_were_cancelled_with_the_run_was_cancelled_though_items_may_fail() -> None:
    world = world_of(2, onFailure="Continue")
    world.finish("each", {}, 0)
    world.settle()

    world.set_spec(cancel=True)
    world.settle()

    assert items(world).states == "SC"
    assert (world.step("each").state, world.step("each").reason) == ("Cancelled", "Cancelled")


def test_a_list_is_not_handed_on_before_every_output_of_it_is_seen() -> None:
    world = World(
        spec_of(
            EACH,
            {"name": "ask", "approval": {}},
            {"name": "c", "dependsOn": ["ask"], "input": {"x": "${steps.each.output}"}},
        ),
        {"items": [1]},
    )
    world.settle()
    lagging = world.observed().attempts
    world.finish("each", {"got": 0}, 0)
    world.settle()
    world.decide("ask", RequestState.APPROVED, "bob")

    unsure = advance(replace(world.observed(), attempts=lagging))

    assert unsure.confirm
    assert unsure.actions == ()
    world.settle()
    assert world.given("c") == {"x": [{"got": 0}]}


def test_a_step_of_which_no_item_was_started_is_skipped_when_the_run_ends() -> None:
    world = World(spec_of(EACH), {"items": [1, 2]})
    world.set_spec(suspend=True)
    world.settle()

    world.set_spec(cancel=True)
    world.settle()

    assert world.step("each").state == "Skipped"


def test_items_that_wait_for_people_make_the_step_wait() -> None:
    world = world_of(2)
    world.wait_for("each", "apr-1", item=1)
    world.settle()
    assert world.step("each").state == "Running"

    world.wait_for("each", "apr-0", item=0)
    world.settle()

    assert world.step("each").state == "Waiting"
    assert world.step("each").waiting_for == "apr-0"
    assert set(world.run.status.waiting_for) == {"apr-0", "apr-1"}


def test_a_run_below_is_started_for_each_item() -> None:
    world = world_of(2, workflow="other")

    world.finish("each", {"got": 0}, 0)
    world.finish("each", {"got": 1}, 1)
    world.settle()

    assert world.given("sum") == {"all": [{"got": 0}, {"got": 1}]}


@pytest.mark.parametrize("lost", [0, 1])
def test_a_list_of_which_an_output_is_gone_is_lost(lost: int) -> None:
    world = World(
        spec_of(
            EACH, {"name": "b"}, {"name": "c", "dependsOn": ["b"], "input": {"x": "${steps.each.output}"}}
        ),
        {"items": [1, 2]},
    )
    world.settle()
    world.finish("each", {}, 0)
    world.finish("each", {}, 1)
    world.settle()

    world.delete("each", lost)
    world.finish("b")
    world.settle()

    assert (world.step("c").state, world.step("c").reason) == ("Failed", "OutputLost")


def test_the_status_of_a_thousand_items_that_all_were_tried_twice_fits_well_into_one_object() -> None:
    world = world_of(1000, maxParallel=100, retry={"attempts": 2, "backoff": "1s"})
    while world.step("each").state != "Succeeded":
        for attempt in [attempt for attempt in world.attempts.values() if attempt.is_open]:
            if attempt.number == 1:
                world.fail("each", item=attempt.item)
            else:
                world.finish("each", {"text": "x" * 100}, attempt.item)
        world.after(2).settle()

    assert items(world).states == "S" * 1000
    assert len(items(world).attempts) == 1000
    assert len(world.run.status.model_dump_json(by_alias=True)) < 20_000
    assert set(world.times_made.values()) == {1}


def test_why_an_item_failed_is_told_by_its_last_attempt_and_by_no_other() -> None:
    step = spec_of(EACH).steps[0]
    world = world_of(1)
    world.fail("each", "PodLost", 0)
    attempt = world.latest("each", 0)
    recorded = ItemsStatus(total=1, states="F", attempts={"0": 2})

    def reason(number: int) -> str:
        seen = Attempts([replace(attempt, number=number)])
        return item_units(Work("run-uid", step, confirmed=True), 1, recorded, seen)[0].reason

    assert (reason(1), reason(2)) == ("", "PodLost")
