from dataclasses import replace

import pytest

from aos.model.approval_request import RequestState
from aos.model.conditions import Reason
from aos.workflow.actions import CancelRun, CancelTask, CreateTask
from aos.workflow.advance import advance
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World

TWO = ({"name": "first"}, {"name": "second", "dependsOn": ["first"]})


def test_steps_start_one_after_the_other_and_hand_on_what_they_give() -> None:
    world = World(
        spec_of(
            {"name": "enrich", "input": {"lead": "${input.lead}"}},
            {"name": "draft", "input": {"facts": "${steps.enrich.output}"}},
            output={"letter": "${steps.draft.output.letter}"},
        ),
        {"lead": "ACME"},
    )

    world.settle()
    assert world.open == ["enrich"]
    assert world.given("enrich") == {"lead": "ACME"}
    assert world.verdict == ("Unknown", "Running")
    world.finish("enrich", {"score": 1})
    world.settle()
    assert world.open == ["draft"]
    assert world.given("draft") == {"facts": {"score": 1}}
    world.finish("draft", {"letter": "Dear ACME"})
    world.settle()

    assert world.verdict == ("True", "Completed")
    assert world.run.status.output == {"letter": "Dear ACME"}
    assert world.run.status.progress == "2/2"
    assert world.run.status.completion_time == world.now


def test_steps_that_wait_for_nothing_run_side_by_side_and_join_again() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b"}, {"name": "c", "dependsOn": ["a", "b"]}))

    world.settle()
    assert world.open == ["a", "b"]
    world.finish("b")
    world.settle()
    assert world.open == ["a"]
    world.finish("a")
    world.settle()

    assert world.open == ["c"]


def test_a_run_is_looked_at_again_when_its_time_is_up() -> None:
    world = World(spec_of(*TWO, timeout="1h"))

    assert world.settle().requeue_after_seconds == 3600
    assert world.after(600).settle().requeue_after_seconds == 3000


def test_a_run_whose_steps_are_all_skipped_succeeds() -> None:
    world = World(
        spec_of({"name": "a", "when": "${input.go}"}, {"name": "b", "when": "${input.go}"}), {"go": False}
    )

    world.settle()

    assert world.verdict == ("True", "Completed")
    assert world.states == {"a": "Skipped", "b": "Skipped"}
    assert not world.made


def test_when_a_step_fails_no_other_starts_but_what_runs_is_let_end() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b"}, {"name": "c", "dependsOn": ["b"]}))
    world.settle()

    world.fail("a")
    world.settle()
    assert world.run.status.ending == Reason.STEP_FAILED
    assert world.open == ["b"]
    assert world.verdict == ("Unknown", "Running")
    world.finish("b")
    world.settle()

    assert world.verdict == ("False", "StepFailed")
    assert world.states == {"a": "Failed", "b": "Succeeded", "c": "Skipped"}
    assert world.step("c").reason == "StepFailed"
    assert "step a failed: AgentFailed: it says AgentFailed" in world.told


def test_a_step_that_may_fail_lets_the_run_go_on() -> None:
    world = World(spec_of({"name": "a", "onFailure": "Continue"}, {"name": "b", "dependsOn": ["a"]}))
    world.settle()

    world.fail("a")
    world.settle()
    assert world.open == ["b"]
    world.finish("b")
    world.settle()

    assert world.verdict == ("True", "Completed")
    assert world.told == "done, without a"


def test_cancelling_a_run_cancels_what_is_open_and_waits_until_it_has_ended() -> None:
    world = World(
        spec_of({"name": "a"}, {"name": "b", "workflow": "other"}, {"name": "c", "dependsOn": ["a"]})
    )
    world.settle()

    world.set_spec(cancel=True)
    world.settle()
    assert world.open == ["b"], "a run below ends in its own time"
    assert world.latest("b").is_ending
    assert world.verdict == ("Unknown", "Running")
    assert world.run.status.ending == Reason.CANCELLED
    world.end("b", succeeded=False, reason="Cancelled")
    world.settle()

    assert world.verdict == ("False", "Cancelled")
    assert world.states == {"a": "Cancelled", "b": "Cancelled", "c": "Skipped"}
    assert {world.step(name).reason for name in "abc"} == {"Cancelled"}


@pytest.mark.parametrize("on_failure", ["Fail", "Continue"])
def test_a_run_ends_cancelled_though_that_it_cancelled_its_tasks_was_never_recorded(on_failure: str) -> None:
    world = World(spec_of({"name": "a", "onFailure": on_failure}))
    world.settle()
    world.set_spec(cancel=True)
    world.act(advance(world.observed()).actions)

    world.settle()

    assert world.verdict == ("False", "Cancelled")
    assert world.states == {"a": "Cancelled"}


def test_an_expression_of_a_step_that_never_starts_is_not_asked_any_more() -> None:
    world = World(
        spec_of({"name": "a"}, {"name": "b"}, {"name": "c", "dependsOn": ["b"], "when": "${input.missing}"})
    )
    world.settle()
    world.fail("a")
    world.settle()

    world.finish("b")
    world.settle()

    assert (world.step("c").state, world.step("c").reason) == ("Skipped", "StepFailed")


def test_what_was_done_before_the_cancelling_reached_it_counts_as_done() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b", "dependsOn": ["a"]}))
    world.settle()

    world.set_spec(cancel=True)
    seen = world.observed()
    world.finish("a")
    world.act(advance(seen).actions)
    world.settle()

    assert world.states == {"a": "Succeeded", "b": "Skipped"}
    assert world.verdict == ("False", "Cancelled")


def test_a_run_that_takes_too_long_is_cancelled_and_timed_out() -> None:
    world = World(spec_of(*TWO, timeout="30m"))
    world.settle()

    world.after(1799).settle()
    assert world.open == ["first"]
    world.after(1).settle()

    assert world.verdict == ("False", "TimedOut")
    assert "30m" in world.told
    assert world.states == {"first": "Cancelled", "second": "Skipped"}


def test_a_run_that_was_done_in_time_is_not_undone_because_it_is_looked_at_late() -> None:
    world = World(spec_of({"name": "first"}, timeout="30m"))
    world.settle()

    world.finish("first")
    world.after(9000).settle()

    assert world.verdict == ("True", "Completed")


@pytest.mark.parametrize("reason", [Reason.PARENT_ENDED, Reason.REPLACED])
def test_a_run_that_must_end_ends_with_the_reason(reason: Reason) -> None:
    world = World(spec_of(*TWO))
    world.settle()

    world.must_end = reason
    world.settle()

    assert world.verdict == ("False", reason)
    assert not world.open


@pytest.mark.parametrize("reason", [Reason.CANCELLED, Reason.TIMED_OUT, Reason.PARENT_ENDED, Reason.REPLACED])
def test_what_was_going_to_end_still_cancels_what_is_open_once_its_cause_has_gone(reason: Reason) -> None:
    world = World(spec_of({"name": "a"}))
    world.settle()
    world.write(world.run.status.model_copy(update={"ending": reason}))

    world.settle()

    assert not world.open
    assert world.verdict == ("False", reason)


def test_a_failed_run_that_is_cancelled_while_it_lets_steps_end_cancels_them_and_keeps_its_reason() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b"}))
    world.settle()
    world.fail("a")
    world.settle()

    world.set_spec(cancel=True)
    world.settle()

    assert world.verdict == ("False", "StepFailed")
    assert world.states == {"a": "Failed", "b": "Cancelled"}


def test_a_failed_run_does_not_let_steps_run_beyond_its_timeout() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b"}, timeout="30m"))
    world.settle()
    world.fail("a")
    assert world.settle().requeue_after_seconds == 1800

    world.after(1800).settle()

    assert world.verdict == ("False", "StepFailed")
    assert world.states == {"a": "Failed", "b": "Cancelled"}


def test_while_suspended_nothing_starts_and_what_runs_goes_on() -> None:
    world = World(spec_of(*TWO))
    world.settle()

    world.set_spec(suspend=True)
    world.finish("first")
    world.settle()
    assert world.states == {"first": "Succeeded", "second": "Pending"}
    assert world.step("second").reason == "Suspended"
    assert suspended(world) == ("True", "Suspended")
    world.set_spec(suspend=False)
    world.settle()

    assert world.open == ["second"]
    assert world.step("second").reason == ""
    assert suspended(world) == ("False", "NotSuspended")


def test_a_suspended_workflow_suspends_its_runs() -> None:
    world = World(spec_of(*TWO))
    world.is_workflow_suspended = True

    world.settle()

    assert not world.made
    assert suspended(world) == ("True", "Suspended")


def test_a_suspended_run_still_runs_out_of_time() -> None:
    world = World(spec_of(*TWO, timeout="30m"))
    world.set_spec(suspend=True)
    assert world.settle().requeue_after_seconds == 1800

    world.after(1800).settle()

    assert world.verdict == ("False", "TimedOut")
    assert world.states == {"first": "Skipped", "second": "Skipped"}


def test_a_run_whose_output_can_not_be_computed_fails() -> None:
    world = World(spec_of({"name": "a"}, output={"score": "${steps.a.output.score}"}))
    world.settle()

    world.finish("a", {"other": 1})
    world.settle()

    assert world.verdict == ("False", "ExpressionFailed")
    assert "score" in world.told
    assert world.run.status.output is None


def test_an_output_that_is_gone_fails_the_run_only_once_it_is_certain() -> None:
    world = World(
        spec_of({"name": "a"}, {"name": "b", "dependsOn": ["a"]}, output={"score": "${steps.a.output.score}"})
    )
    world.settle()
    world.finish("a", {"score": 1})
    world.settle()
    world.finish("b")
    lagging = replace(world.observed(), attempts=(world.latest("b"),))

    unsure = advance(lagging)
    assert unsure.confirm
    assert unsure.status.ending == ""
    world.write(unsure.status)
    world.delete("a")
    world.settle()

    assert world.verdict == ("False", "ExpressionFailed")
    assert "what step a gave is gone" in world.told


def test_a_task_that_is_not_seen_yet_is_not_made_again_under_another_name_and_is_asked_after() -> None:
    world = World(spec_of({"name": "a", "retry": {"attempts": 3}}))
    world.settle()

    found = advance(replace(world.observed(), attempts=()))

    assert found.confirm
    assert found.actions == ()
    assert found.status == world.run.status


def test_a_task_that_somebody_deleted_fails_its_step_for_good() -> None:
    world = World(spec_of({"name": "a", "retry": {"attempts": 3}}, {"name": "b", "dependsOn": ["a"]}))
    world.settle()

    world.delete("a")
    world.settle()

    assert world.verdict == ("False", "StepFailed")
    assert (world.step("a").state, world.step("a").reason) == ("Cancelled", "Deleted")
    assert "step a was cancelled: Deleted: somebody deleted the Task of attempt 1" in world.told


def test_a_task_that_was_made_but_not_recorded_is_found_and_counted() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b", "dependsOn": ["a"]}))
    world.act(advance(world.observed()).actions)
    world.finish("a")

    world.settle()

    assert world.states == {"a": "Succeeded", "b": "Running"}


def test_a_task_that_was_made_but_not_seen_is_cancelled_with_the_run() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b", "dependsOn": ["a"]}))
    blind = world.observed()
    world.act(advance(blind).actions)
    world.set_spec(cancel=True)

    unsure = advance(replace(blind, run=world.run))
    assert unsure.confirm
    assert "Skipped" not in {status.state for status in unsure.status.steps}
    world.settle()

    assert not world.open
    assert world.states == {"a": "Cancelled", "b": "Skipped"}


def test_what_is_still_open_of_a_run_that_has_ended_is_cancelled() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b", "workflow": "other"}))
    world.settle()
    before = world.observed()
    world.set_spec(cancel=True)
    world.settle()
    world.end("b", succeeded=False, reason="Cancelled")
    world.settle()

    late = advance(replace(before, run=world.run))

    assert {type(action) for action in late.actions} == {CancelTask, CancelRun}
    below = next(attempt for attempt in before.attempts if attempt.step == "b")
    again = advance(replace(before, run=world.run, attempts=(replace(below, is_ending=True),)))
    assert again.actions == ()
    assert late.status == world.run.status
    assert late.requeue_after_seconds is None


def test_a_step_that_cannot_be_made_fails_before_another_one_starts() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b", "input": {"x": "${input.missing}"}}))

    world.settle()

    assert not world.made
    assert world.states == {"a": "Skipped", "b": "Failed"}
    assert world.step("b").reason == "ExpressionFailed"
    assert world.verdict == ("False", "StepFailed")


def test_refused_tasks_are_not_recorded_and_tried_again() -> None:
    world = World(spec_of({"name": "a"}))
    (create,) = advance(world.observed()).actions
    assert isinstance(create, CreateTask)
    world.refuses = {create.name: "exceeded quota"}

    found = world.settle()
    assert found.requeue_after_seconds == 15
    assert (world.step("a").attempt, world.step("a").reason) == (0, "Refused")
    assert "exceeded quota" in world.step("a").message
    world.refuses = {}
    world.settle()

    assert world.open == ["a"]
    assert (world.step("a").attempt, world.step("a").reason) == (1, "")


def test_a_capability_is_done_by_the_agent_that_was_chosen_at_the_start() -> None:
    world = World(spec_of({"name": "a", "capability": "translate"}, {"name": "b", "agent": "does-translate"}))

    world.settle()

    made = world.made[world.latest("a").name]
    assert isinstance(made, CreateTask)
    assert (made.spec.agent_ref.name, made.spec.revision) == ("does-translate", "does-translate-1")
    assert world.step("a").agent == "does-translate"


def test_a_gate_that_is_open_when_the_run_times_out_is_cancelled() -> None:
    world = World(spec_of({"name": "ask", "approval": {}}, timeout="30m"))
    world.settle()

    world.after(1800).settle()

    assert (world.step("ask").state, world.step("ask").reason) == ("Cancelled", "TimedOut")
    assert world.verdict == ("False", "TimedOut")
    world.decide("ask", RequestState.APPROVED, "bob")
    assert advance(world.observed()).status == world.run.status


def suspended(world: World) -> tuple[str, str]:
    found = next(item for item in world.run.status.conditions if item.type == "Suspended")
    return str(found.status), found.reason
