from datetime import timedelta

from aos.model.meta import Condition
from aos.workflow.advance import advance
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import START, World

TWO = ({"name": "first"}, {"name": "second", "dependsOn": ["first"]})


def condition(world: World, type_: str) -> Condition:
    return next(item for item in world.run.status.conditions if item.type == type_)


def test_progress_counts_steps_that_are_done_but_not_those_that_undo_others() -> None:
    world = World(
        spec_of({"name": "a", "compensate": "undo"}, {"name": "b", "when": "${false}"}, {"name": "undo"})
    )

    world.settle()

    assert world.run.status.progress == "1/2"


def test_steps_stand_in_the_order_of_the_workflow() -> None:
    world = World(spec_of({"name": "z", "dependsOn": ["a"]}, {"name": "a"}))

    world.settle()

    assert [step.name for step in world.run.status.steps] == ["z", "a"]


def test_a_condition_s_time_moves_only_with_its_status() -> None:
    world = World(spec_of(*TWO))
    world.settle()

    world.after(60).finish("first")
    world.settle()
    assert condition(world, "Succeeded").last_transition_time == START
    world.after(60).finish("second")
    world.settle()

    assert condition(world, "Succeeded").last_transition_time == START + timedelta(minutes=2)


def test_conditions_of_others_are_kept() -> None:
    world = World(spec_of(*TWO))
    other = Condition(type="Other", status="True", reason="Because", last_transition_time=START)
    world.run = world.run.model_copy(
        update={"status": world.run.status.model_copy(update={"conditions": (other,)})}
    )

    world.settle()

    assert condition(world, "Other") == other


def test_the_generation_that_was_looked_at_is_told() -> None:
    world = World(spec_of(*TWO))
    world.run = world.run.model_copy(
        update={"metadata": world.run.metadata.model_copy(update={"generation": 4})}
    )

    world.settle()

    assert world.run.status.observed_generation == 4
    assert condition(world, "Succeeded").observed_generation == 4


def test_a_run_says_what_is_under_way() -> None:
    world = World(spec_of(*TWO))
    world.settle()
    world.finish("first")

    world.settle()

    assert world.told == "1/2 steps are done; under way: second"


def test_a_run_says_what_suspends_it() -> None:
    world = World(spec_of(*TWO))
    world.is_workflow_suspended = True
    world.settle()
    assert (
        condition(world, "Suspended").message == "Workflow outreach is suspended: no further step is started"
    )

    world.set_spec(suspend=True)
    world.settle()

    assert condition(world, "Suspended").message.startswith("spec.suspend of the run is true")


def test_what_is_told_stays_within_its_bounds_however_long_the_reasons() -> None:
    world = World(spec_of({"name": "a"}))
    world.settle()

    world.end("a", reason="AgentFailed", message="x" * 5000)
    world.settle()

    assert len(world.step("a").message) == 512
    assert len(world.told) == 512


def test_a_run_says_which_step_failed_first() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b"}))
    world.settle()
    world.fail("b")
    world.settle()

    world.after(5).fail("a", "PodLost")
    world.settle()

    assert world.told.startswith("step b failed: AgentFailed")


def test_a_run_names_the_step_whose_run_failed_for_a_step_of_its_own() -> None:
    world = World(spec_of({"name": "inner", "workflow": "other"}))
    world.settle()
    world.fail("inner", "StepFailed")
    world.settle()

    assert world.told.startswith("step inner failed: StepFailed: it says StepFailed")


def test_a_step_that_was_only_left_because_another_failed_is_not_named_for_it() -> None:
    each = {"name": "each", "forEach": "${[1, 2]}", "maxParallel": 1}
    world = World(spec_of({"name": "a"}, each))
    world.settle()
    world.finish("each", item=0)
    world.set_spec(suspend=True)
    world.settle()
    world.after(5).fail("a")
    world.settle()

    assert (world.step("each").state, world.step("each").reason) == ("Cancelled", "StepFailed")
    assert world.told.startswith("step a failed: AgentFailed")


def test_a_run_that_starts_now_has_the_time_of_its_first_look() -> None:
    world = World(spec_of(*TWO))
    world.run = world.run.model_copy(
        update={"status": world.run.status.model_copy(update={"start_time": None})}
    )

    world.after(0.5).settle()

    assert world.run.status.start_time == START


def test_steps_have_the_times_of_their_attempts() -> None:
    world = World(spec_of(*TWO))
    world.settle()
    world.after(7).finish("first")
    world.after(2).settle()

    assert world.step("first").start_time == START
    assert world.step("first").completion_time == START + timedelta(seconds=7)
    assert world.step("second").start_time == START + timedelta(seconds=9)
    assert world.step("second").completion_time is None


def test_a_step_that_was_tried_again_began_with_its_first_attempt_though_that_is_gone() -> None:
    world = World(spec_of({"name": "a", "retry": {"attempts": 2, "backoff": "1s"}}))
    world.settle()
    first = world.latest("a").name
    world.after(5).fail("a")
    world.settle()
    world.after(5).settle()

    del world.attempts[first]
    world.settle()

    assert world.step("a").start_time == START
    assert world.step("a").attempt == 2


def test_an_output_without_a_canonical_form_has_no_digest_and_harms_nothing() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b"}))
    world.settle()

    world.finish("a", {"huge": 2**60})
    world.finish("b", {"fine": 1})
    world.settle()

    assert world.step("a").output_digest is None
    assert world.step("b").output_digest is not None
    assert world.verdict == ("True", "Completed")


def test_what_nobody_changed_is_told_in_the_same_words() -> None:
    world = World(spec_of(*TWO, {"name": "each", "forEach": "${[1, 2]}"}, {"name": "ask", "approval": {}}))
    world.settle()

    found = advance(world.after(60).observed())

    assert found.status == world.run.status
    assert found.actions == ()
    assert not found.confirm


def test_a_run_below_that_gives_nothing_has_no_digest_of_it() -> None:
    world = World(spec_of({"name": "inner", "workflow": "other"}))
    world.settle()
    world.end("inner", succeeded=True, reason="Completed", output=None)
    world.settle()
    assert (world.step("inner").state, world.step("inner").output_digest) == ("Succeeded", None)
