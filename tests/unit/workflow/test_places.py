from aos.workflow.expression import Uses
from aos.workflow.places import output_place, places_of, trigger_places
from tests.unit.workflow.flows import spec_of

SPEC = spec_of(
    {
        "name": "each",
        "forEach": "${input.list}",
        "when": "${steps.gate.output.approved}",
        "input": {"a": ["${item}", {"b": "${index} ${steps.?other.hasValue()}"}]},
    },
    {"name": "gate", "approval": {"show": "${input.text}"}},
    {"name": "other"},
    {"name": "broken", "input": {"a": ["${1 +}"]}, "when": "${1}", "forEach": "${[1]}"},
    output={"x": "${run.name}"},
    triggers=[
        {"name": "daily", "schedule": {"cron": "0 9 * * *"}, "input": {"at": "${time}"}},
        {"name": "hook", "webhook": {"secretRef": {"name": "s", "key": "k"}, "when": "${body.ok}"}},
        {"name": "broken", "webhook": {"secretRef": {"name": "s", "key": "k"}}, "input": {"a": "${1 +}"}},
    ],
)


def test_each_field_with_expressions_is_a_place() -> None:
    each, gate, other, _ = places_of(SPEC)
    assert [place.path for place in each.all] == [
        "spec.steps[0].input",
        "spec.steps[0].when",
        "spec.steps[0].forEach",
    ]
    assert each.uses == Uses(
        frozenset({"input", "steps", "item", "index"}), frozenset({"gate"}), frozenset({"other"})
    )
    assert each.input is not None
    assert [path for path, _ in each.input.expressions()] == [
        "spec.steps[0].input.a[0]",
        "spec.steps[0].input.a[1].b",
        "spec.steps[0].input.a[1].b",
    ]
    assert [place.path for place in gate.all] == ["spec.steps[1].approval.show"]
    assert other.all == ()
    assert other.uses == Uses()


def test_an_item_is_known_in_the_input_of_a_for_each_alone() -> None:
    each, gate, *_ = places_of(SPEC)
    assert {place.path: "item" in place.allowed for place in (*each.all, *gate.all)} == {
        "spec.steps[0].input": True,
        "spec.steps[0].when": False,
        "spec.steps[0].forEach": False,
        "spec.steps[1].approval.show": False,
    }


def test_what_does_not_compile_is_a_problem_and_no_place() -> None:
    broken = places_of(SPEC)[3]
    assert [place.path for place in broken.all] == ["spec.steps[3].forEach"]
    assert [problem.path for problem in broken.problems] == ["spec.steps[3].input.a[0]", "spec.steps[3].when"]


def test_triggers_and_the_output_have_places() -> None:
    triggers, problems = trigger_places(SPEC)
    assert {place.path: set(place.allowed) for place in triggers} == {
        "spec.triggers[0].input": {"time"},
        "spec.triggers[1].input": {"body"},
        "spec.triggers[1].webhook.when": {"body"},
    }
    assert [problem.path for problem in problems] == ["spec.triggers[2].input.a"]
    output, none = output_place(SPEC)
    assert output is not None
    assert output.uses.variables == {"run"}
    assert none == ()
    assert output_place(spec_of({"name": "a"})) == (None, ())
