from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World


def test_a_step_skipped_by_its_own_when_counts_as_done_for_those_that_depend_on_it() -> None:
    world = World(
        spec_of({"name": "a", "when": "${input.go}"}, {"name": "b", "dependsOn": ["a"]}), {"go": False}
    )

    world.settle()

    assert world.states == {"a": "Skipped", "b": "Running"}
    assert world.step("a").reason == "ConditionFalse"


def test_a_step_is_skipped_with_one_whose_output_it_uses() -> None:
    world = World(
        spec_of({"name": "a", "when": "${input.go}"}, {"name": "b", "input": {"x": "${steps.a.output}"}}),
        {"go": False},
    )

    world.settle()

    assert world.states == {"a": "Skipped", "b": "Skipped"}
    assert world.step("b").reason == "UpstreamSkipped"
    assert world.step("b").message == "it uses what step a gives, which was skipped"


def test_a_step_that_was_skipped_with_another_passes_it_on_to_all_that_depend_on_it() -> None:
    world = World(
        spec_of(
            {"name": "a", "when": "${input.go}"},
            {"name": "b", "input": {"x": "${steps.a.output}"}},
            {"name": "c", "dependsOn": ["b"]},
            {"name": "d", "dependsOn": ["c"]},
            {"name": "e", "dependsOn": ["a"]},
        ),
        {"go": False},
    )

    world.settle()

    assert world.states == {"a": "Skipped", "b": "Skipped", "c": "Skipped", "d": "Skipped", "e": "Running"}
    assert world.step("c").message == "it depends on step b, which was skipped"


def test_a_step_is_skipped_with_a_failed_one_whose_output_it_uses_but_not_if_it_only_depends_on_it() -> None:
    world = World(
        spec_of(
            {"name": "a", "onFailure": "Continue"},
            {"name": "uses", "when": "${steps.a.output.good}"},
            {"name": "follows", "dependsOn": ["a"]},
        )
    )
    world.settle()

    world.fail("a")
    world.settle()

    assert world.states == {"a": "Failed", "uses": "Skipped", "follows": "Running"}
    assert world.step("uses").message == "it uses what step a gives, which failed"


def test_an_output_that_is_used_where_there_is_one_keeps_nobody_from_going_on() -> None:
    world = World(
        spec_of(
            {"name": "a", "when": "${input.go}"},
            {"name": "b", "input": {"x": "${steps.?a.output.orValue('none')}"}},
        ),
        {"go": False},
    )

    world.settle()

    assert world.given("b") == {"x": "none"}


def test_a_step_waits_for_an_output_that_it_uses_only_where_there_is_one() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b", "input": {"x": "${steps.?a.output.orValue('none')}"}}))

    world.settle()
    assert world.open == ["a"]
    world.finish("a", {"y": 1})
    world.settle()

    assert world.given("b") == {"x": {"y": 1}}


def test_a_step_that_was_cancelled_and_may_fail_takes_those_with_it_that_use_it() -> None:
    world = World(
        spec_of({"name": "a", "onFailure": "Continue"}, {"name": "b", "input": {"x": "${steps.a.output}"}})
    )
    world.settle()

    world.delete("a")
    world.settle()

    assert world.states == {"a": "Cancelled", "b": "Skipped"}
    assert world.step("b").message == "it uses what step a gives, which was cancelled"
    assert world.verdict == ("True", "Completed")
