from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World


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
