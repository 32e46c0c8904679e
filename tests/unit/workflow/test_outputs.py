from aos.workflow.described import Patience
from aos.workflow.outputs import Outputs, World
from aos.workflow.places import places_of
from aos.workflow.types import ANYTHING, NULL, OBJECT, STRING, Each, Either, Exact, Listed, Record
from tests.unit.workflow.flows import agent, spec_of

NUMBER_OUT = {"type": "object", "properties": {"n": {"type": "number"}}}
AGENTS = {
    "a": agent({"type": "object"}, NUMBER_OUT, "count"),
    "b": agent(None, None, "count"),
    "broken": agent({"type": "x"}, {"type": "x"}),
}
STEPS = spec_of(
    {"name": "a"},
    {"name": "b"},
    {"name": "broken"},
    {"name": "nobody"},
    {"name": "any", "capability": "count"},
    {"name": "none", "capability": "fly"},
    {"name": "gate", "approval": {}},
    {"name": "sub", "workflow": "sub", "input": {}},
    {"name": "quiet", "workflow": "quiet"},
    {"name": "gone", "workflow": "gone"},
    {"name": "each", "agent": "a", "forEach": "${input.list}", "input": {"x": "${item}"}},
    {"name": "some", "agent": "a", "forEach": "${input.list}", "onFailure": "Continue"},
    input={"schema": {"properties": {"list": {"items": {"type": "string"}}}}},
)
WORKFLOWS = {
    "sub": spec_of(
        {"name": "again", "workflow": "sub"},
        input={"schema": {"required": ["x"]}},
        output={"text": "x ${1}", "more": "${steps.again.output}"},
    ),
    "quiet": spec_of({"name": "a"}),
}
WORLD = World("main", AGENTS, WORKFLOWS)


def outputs() -> Outputs:
    return Outputs(WORLD, Patience())


def test_what_a_step_gives_is_said_by_who_does_it() -> None:
    given = {step.name: outputs().given(step) for step in STEPS.steps}
    assert given["a"].field("n").type.kinds() == {"integer", "number"}
    assert given["a"].label() == "the output schema of agent a"
    assert given["b"] == OBJECT
    assert given["broken"] == given["nobody"] == given["none"] == given["gone"] == ANYTHING
    assert given["any"] == Each((given["a"], OBJECT))
    assert given["gate"].field("approvers").type == Listed(STRING)
    assert given["gate"].field("approved").type == Exact(value=True)
    assert given["sub"] == Record({"text": STRING, "more": ANYTHING}, "the output of workflow sub")
    assert given["quiet"] == NULL
    assert given["each"] == Listed(given["a"])
    assert given["some"] == Listed(Either((given["a"], NULL)))


def test_what_a_step_is_given_has_to_fit_whoever_may_do_it() -> None:
    wanted = {step.name: [view.label() for view in outputs().wanted(step)] for step in STEPS.steps}
    assert {name: labels for name, labels in wanted.items() if labels} == {
        "a": ["the input schema of agent a"],
        "any": ["the input schema of agent a"],
        "sub": ["the input schema of workflow sub"],
        "each": ["the input schema of agent a"],
        "some": ["the input schema of agent a"],
    }


def test_an_item_has_the_type_of_what_is_gone_through() -> None:
    found = outputs()
    scope = found.scope(STEPS, "main")
    places = {place.step.name: place for place in places_of(STEPS)}
    assert found.item_scope(places["each"], scope)["item"].kinds() == {"string"}
    assert "item" not in found.item_scope(places["a"], scope)


def test_a_run_s_input_is_what_its_schema_says() -> None:
    assert outputs().scope(STEPS, "main")["input"].label() == "the input schema of workflow main"
    assert outputs().scope(WORKFLOWS["quiet"], "quiet")["input"] == OBJECT
    unusable = spec_of({"name": "a"}, input={"schema": {"type": "x"}})
    assert outputs().scope(unusable, "x")["input"] == ANYTHING
