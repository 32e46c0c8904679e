from pydantic import JsonValue

from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World


def test_a_step_starts_where_its_when_gives_true() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b", "when": "${steps.a.output.score >= 0.7}"}), {})
    world.settle()

    world.finish("a", {"score": 0.7})
    world.settle()

    assert world.open == ["b"]


def test_a_when_that_fails_fails_its_step() -> None:
    world = World(spec_of({"name": "a", "when": "${input.missing > 1}"}))

    world.settle()

    assert (world.step("a").state, world.step("a").reason) == ("Failed", "ExpressionFailed")
    assert world.step("a").message.startswith("when: ")


def test_a_when_is_not_asked_again_once_its_step_has_started() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b", "when": "${steps.a.output.go}"}))
    world.settle()
    world.finish("a", {"go": True})
    world.settle()

    world.delete("a")
    world.finish("b")
    world.settle()

    assert world.verdict == ("True", "Completed")


def test_a_when_whose_output_is_gone_fails_its_step() -> None:
    world = World(
        spec_of(
            {"name": "a"},
            {"name": "b"},
            {"name": "c", "dependsOn": ["b"], "when": "${steps.a.output.go}"},
        )
    )
    world.settle()
    world.finish("a", {"go": True})
    world.settle()

    world.delete("a")
    world.finish("b")
    world.settle()

    assert (world.step("c").state, world.step("c").reason) == ("Failed", "OutputLost")


def test_a_for_each_that_gives_no_list_or_too_many_items_fails_its_step() -> None:
    too_many: JsonValue = [0] * 1001
    for items in (3, too_many):
        world = World(spec_of({"name": "a", "forEach": "${input.items}"}), {"items": items})

        world.settle()

        assert (world.step("a").state, world.step("a").reason) == ("Failed", "ExpressionFailed")
        assert world.step("a").message.startswith("forEach: ")
        assert not world.made


def test_a_for_each_that_was_started_but_not_recorded_is_gone_on_with() -> None:
    world = World(
        spec_of({"name": "a", "forEach": "${input.items}", "input": {"x": "${item}"}}), {"items": [1, 2]}
    )
    fresh = world.run
    world.settle()
    world.finish("a", {"y": 1}, item=0)

    world.run = fresh
    world.settle()

    items = world.step("a").items
    assert items is not None
    assert items.states == "SR"
    assert set(world.times_made.values()) == {1}
