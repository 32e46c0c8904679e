from dataclasses import replace
from datetime import timedelta

import pytest

from aos.workflow.advance import advance
from aos.workflow.backoff import next_attempt_at
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World


def retrying(**retry: object) -> World:
    world = World(spec_of({"name": "a", "retry": {"attempts": 3, "backoff": "10s", **retry}}))
    world.settle()
    return world


def test_a_failed_attempt_is_followed_by_another_after_a_while() -> None:
    world = retrying()
    first = world.latest("a")

    world.fail("a")
    found = world.settle()
    assert not world.open
    status = world.step("a")
    assert (status.state, status.reason, status.attempt) == ("Retrying", "AgentFailed", 1)
    retry = world.spec.steps[0].retry
    assert retry is not None
    due = next_attempt_at(world.now, retry, 2, "run-uid/a//2")
    assert found.requeue_after_seconds == (due - world.now).total_seconds()
    assert status.retry_at == due.replace(microsecond=0)
    world.now = due - timedelta(microseconds=1)
    world.settle()
    assert not world.open
    world.now = due
    world.settle()

    assert world.open == ["a"]
    assert world.latest("a").name != first.name
    assert (world.step("a").state, world.step("a").attempt) == ("Running", 2)
    assert world.step("a").retry_at is None
    assert world.step("a").object == world.latest("a").name


def test_a_step_that_failed_as_often_as_it_may_has_failed() -> None:
    world = retrying(attempts=2)
    world.fail("a")
    world.settle()
    world.after(10).settle()

    world.fail("a")
    world.settle()

    assert (world.step("a").state, world.step("a").attempt) == ("Failed", 2)
    assert world.verdict == ("False", "StepFailed")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("AgentFailed", "Agent"),
        ("NoResult", "Agent"),
        ("PodFailed", "Pod"),
        ("PodLost", "Pod"),
        ("NodeLost", "Pod"),
        ("OutOfMemory", "Pod"),
        ("RevisionLost", "Pod"),
        ("DeadlineExceeded", "Timeout"),
        ("AgentNotFound", "Start"),
        ("AgentNotReady", "Start"),
        ("AgentSuspended", "Start"),
        ("QuotaExceeded", "Start"),
        ("PodRejected", "Start"),
        ("Unschedulable", "Start"),
        ("ImagePullFailed", "Start"),
        ("WaitingForCapacity", "Start"),
    ],
)
def test_a_step_is_tried_again_after_failures_of_the_kinds_that_it_names(reason: str, kind: str) -> None:
    others = [other for other in ("Agent", "Pod", "Timeout", "Start", "Run") if other != kind]
    for named, state in (([kind], "Retrying"), (others, "Failed")):
        world = retrying(failures=named)

        world.fail("a", reason)
        world.settle()

        assert world.step("a").state == state


@pytest.mark.parametrize("reason", ["InputInvalid", "SomethingNew"])
def test_what_does_not_fit_and_what_nobody_knows_is_not_tried_again(reason: str) -> None:
    world = retrying()

    world.fail("a", reason)
    world.settle()

    assert (world.step("a").state, world.step("a").reason) == ("Failed", reason)


def test_a_task_that_ended_with_what_started_it_was_cancelled() -> None:
    world = retrying()

    world.fail("a", "ParentEnded")
    world.settle()

    assert (world.step("a").state, world.step("a").reason) == ("Cancelled", "ParentEnded")


def test_a_task_deleted_while_its_next_attempt_is_awaited_cancels_the_step() -> None:
    world = retrying()
    world.fail("a")
    world.settle()

    world.delete("a")
    world.after(60).settle()

    assert (world.step("a").state, world.step("a").reason) == ("Cancelled", "Deleted")
    assert len(world.times_made) == 1


def test_a_second_attempt_that_was_deleted_is_not_taken_for_the_first_that_failed() -> None:
    world = retrying()
    world.fail("a")
    world.settle()
    world.after(60).settle()

    world.delete("a")
    unsure = advance(world.observed())
    assert unsure.confirm
    assert unsure.actions == ()
    world.settle()

    assert (world.step("a").state, world.step("a").attempt) == ("Cancelled", 2)


def test_attempts_may_be_seen_in_any_order() -> None:
    world = retrying()
    world.fail("a")
    world.settle()
    world.after(60).settle()
    seen = world.observed()

    found = advance(replace(seen, attempts=tuple(reversed(seen.attempts))))

    assert found.status == world.run.status
    assert found.actions == ()
    assert not found.confirm


def test_no_attempt_starts_while_suspended_however_long_it_is_due() -> None:
    world = retrying()
    world.fail("a")
    world.settle()

    world.set_spec(suspend=True)
    found = world.after(600).settle()
    assert world.step("a").state == "Retrying"
    assert found.requeue_after_seconds == 3000, "the run's timeout, and not at once"
    world.set_spec(suspend=False)
    world.settle()

    assert world.open == ["a"]


def test_no_attempt_starts_once_the_run_has_failed() -> None:
    world = World(spec_of({"name": "a", "retry": {"attempts": 3}}, {"name": "b"}))
    world.settle()
    world.fail("a")
    world.settle()

    world.fail("b")
    world.after(600).settle()

    assert world.verdict == ("False", "StepFailed")
    assert (world.step("a").state, world.step("a").reason) == ("Failed", "AgentFailed")
    assert world.told.startswith("step b failed"), "which is why step a was given up"


def test_the_time_until_the_next_attempt_is_recorded_after_a_lost_write_as_before_it() -> None:
    world = retrying()
    world.fail("a")
    before = world.run
    world.settle()
    first = world.step("a").retry_at

    world.run = before
    world.after(3).settle()

    assert world.step("a").retry_at == first


def test_a_run_below_that_did_not_succeed_is_tried_again() -> None:
    world = World(spec_of({"name": "a", "workflow": "other", "retry": {"attempts": 2, "failures": ["Run"]}}))
    world.settle()

    world.fail("a", "StepFailed")
    world.settle()

    assert world.step("a").state == "Retrying"


@pytest.mark.parametrize(
    ("reason", "state"), [("InputInvalid", "Failed"), ("TooDeep", "Failed"), ("Cancelled", "Cancelled")]
)
def test_a_run_below_that_was_cancelled_or_never_could_run_is_not_tried_again(
    reason: str, state: str
) -> None:
    world = World(spec_of({"name": "a", "workflow": "other", "retry": {"attempts": 2}}))
    world.settle()

    world.fail("a", reason)
    world.settle()

    assert world.step("a").state == state


def test_a_run_below_is_cancelled_at_the_step_s_timeout_and_that_is_a_timeout() -> None:
    world = World(
        spec_of(
            {
                "name": "a",
                "workflow": "other",
                "timeout": "5m",
                "retry": {"attempts": 2, "failures": ["Timeout"]},
            }
        )
    )
    assert world.settle().requeue_after_seconds == 300

    world.after(299).settle()
    assert not world.latest("a").is_ending
    world.after(1).settle()
    assert world.latest("a").is_ending
    world.fail("a", "Cancelled")
    world.settle()

    assert (world.step("a").state, world.step("a").reason) == ("Retrying", "DeadlineExceeded")


@pytest.mark.parametrize(("seconds", "state"), [(299, "Cancelled"), (300, "Retrying"), (301, "Retrying")])
def test_a_run_below_that_somebody_cancelled_before_the_step_s_timeout_is_not_tried_again(
    seconds: int, state: str
) -> None:
    world = World(spec_of({"name": "a", "workflow": "other", "timeout": "5m", "retry": {"attempts": 2}}))
    world.settle()

    world.after(seconds).fail("a", "Cancelled")
    world.settle()

    assert world.step("a").state == state


def test_a_run_below_without_a_timeout_of_the_step_has_its_own_alone() -> None:
    world = World(spec_of({"name": "a", "workflow": "other"}, timeout="700h"))

    assert world.settle().requeue_after_seconds == 700 * 3600


def test_a_task_has_a_deadline_of_its_own_and_is_not_ended_by_the_run() -> None:
    world = World(spec_of({"name": "a", "timeout": "5m"}))
    world.settle()

    world.after(301).settle()

    assert world.open == ["a"]


def test_a_run_below_that_undid_something_is_not_tried_again_and_says_why() -> None:
    # What it did is on record as done: made again in the same words it would be answered, and stay undone.
    world = World(spec_of({"name": "inner", "workflow": "other", "retry": {"attempts": 3, "backoff": "1s"}}))
    world.settle()
    world.end("inner", succeeded=False, reason="StepFailed", message="it says so")
    world.after(1).settle()
    assert world.open == ["inner"]

    world.end("inner", succeeded=False, reason="StepFailed", message="it says so", undid=True)
    world.settle()

    assert (world.step("inner").state, world.step("inner").reason) == ("Failed", "StepFailed")
    assert "it says so; it is not tried again, since it undid" in world.step("inner").message
    assert world.run.status.undid


def test_a_run_below_that_undid_something_and_has_no_retry_says_nothing_of_it() -> None:
    world = World(spec_of({"name": "inner", "workflow": "other"}))
    world.settle()
    world.end("inner", succeeded=False, reason="StepFailed", message="it says so", undid=True)
    world.settle()
    assert world.step("inner").message == "it says so"
