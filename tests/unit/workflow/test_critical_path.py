from collections.abc import Mapping

from aos.model.workflow_run import WorkflowRunStatus
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World


def took(seconds: Mapping[str, int], *steps: Mapping[str, object]) -> WorkflowRunStatus:
    """Return the status of a run whose steps take as long as it is said."""
    world = World(spec_of(*steps))
    world.settle()
    left = dict(seconds)
    while world.open:
        passed = min(left[name] for name in world.open)
        world.after(passed)
        for name in world.open:
            left[name] -= passed
            if not left[name]:
                world.finish(name)
        world.settle()
    return world.run.status


DIAMOND: tuple[Mapping[str, object], ...] = (
    {"name": "a"},
    {"name": "b", "dependsOn": ["a"]},
    {"name": "c", "dependsOn": ["a"]},
    {"name": "d", "dependsOn": ["b", "c"]},
)


def test_it_is_the_chain_of_steps_that_took_longest() -> None:
    status = took({"a": 10, "b": 5, "c": 30, "d": 1}, *DIAMOND)

    assert status.critical_path == ("a", "c", "d")
    assert status.critical_path_seconds == 41


def test_a_long_step_that_nobody_waits_for_may_be_all_of_it() -> None:
    status = took({"a": 10, "b": 5, "c": 3, "d": 1, "long": 100}, *DIAMOND, {"name": "long"})

    assert status.critical_path == ("long",)
    assert status.critical_path_seconds == 100


def test_steps_that_were_skipped_take_no_time_and_stand_in_no_path() -> None:
    status = took(
        {"a": 10, "c": 5},
        {"name": "a"},
        {"name": "b", "dependsOn": ["a"], "when": "${false}"},
        {"name": "c", "dependsOn": ["b"]},
    )

    assert status.critical_path == ("a", "c")
    assert status.critical_path_seconds == 15


def test_a_run_that_is_open_has_none() -> None:
    world = World(spec_of(*DIAMOND))
    world.settle()
    world.after(5).finish("a")
    world.settle()

    assert world.run.status.critical_path == ()
    assert world.run.status.critical_path_seconds == 0


def test_attempts_and_waits_between_them_are_part_of_a_step_s_time() -> None:
    world = World(spec_of({"name": "a", "retry": {"attempts": 2, "backoff": "10s"}}))
    world.settle()
    world.after(5).fail("a")
    world.settle()
    world.after(10).settle()
    world.after(5).finish("a")
    world.settle()

    assert world.run.status.critical_path_seconds == 20
