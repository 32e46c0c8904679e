import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.workflow.graph import Node, graph_of
from aos.workflow.problem import WorkflowError
from tests.unit.workflow.flows import spec_of

A: JsonObject = {"name": "a"}


def test_edges_come_from_expressions_and_from_depends_on() -> None:
    graph = graph_of(
        spec_of(
            {
                "name": "last",
                "dependsOn": ["gate", "b"],
                "input": {"x": "${steps.b.output} ${steps.?c.hasValue()}"},
            },
            {"name": "gate", "approval": {"show": "${steps.b.output}"}},
            {"name": "b", "forEach": "${steps.c.output.list}", "input": {"y": ["${item}"]}},
            {"name": "c", "when": "${steps.a.output.ok}", "compensate": "undo"},
            {"name": "undo", "input": {"x": "${steps.c.output} ${steps.a.output} ${steps.?b.hasValue()}"}},
            A,
        )
    )
    assert graph.nodes == {
        "last": Node("last", frozenset("b"), frozenset("c"), frozenset({"gate"})),
        "gate": Node("gate", frozenset("b")),
        "b": Node("b", frozenset("c")),
        "c": Node("c", frozenset("a"), compensated_by="undo"),
        "undo": Node("undo", frozenset("ac"), frozenset("b"), compensates="c"),
        "a": Node("a"),
    }
    assert graph.order == ("a", "c", "b", "gate", "last")
    assert graph.nodes["last"].before == {"b", "c", "gate"}


@pytest.mark.parametrize(
    ("steps", "path", "reason", "message"),
    [
        ([{"name": "in"}], "spec.steps[0].name", Reason.STEP_INVALID, "'in' means something else"),
        ([{"name": "true"}], "spec.steps[0].name", Reason.STEP_INVALID, "take another name"),
        ([A, A], "spec.steps[1].name", Reason.STEP_INVALID, "spec.steps[0] is named 'a' as well"),
        (
            [A, {"name": "b", "input": {"x": ["${steps.aa.output}"]}}],
            "spec.steps[1].input.x[0]",
            Reason.STEP_INVALID,
            "there is no step 'aa'; there are a, b",
        ),
        ([{"name": "b", "when": "${steps.?x.hasValue()}"}], "spec.steps[0].when", Reason.STEP_INVALID, "no step 'x'"),
        ([{"name": "b", "dependsOn": ["x"]}], "spec.steps[0].dependsOn[0]", Reason.STEP_INVALID, "no step 'x'"),
        (
            [{"name": "b", "forEach": "${steps.b.output}"}],
            "spec.steps[0].forEach",
            Reason.STEP_INVALID,
            "can't wait for itself",
        ),
        ([{"name": "b", "dependsOn": ["b"]}], "spec.steps[0].dependsOn[0]", Reason.STEP_INVALID, "for itself"),
        (
            [
                {"name": "a", "dependsOn": ["b"]},
                {"name": "b", "input": {"x": "${steps.c.output}"}},
                {"name": "c", "when": "${steps.?a.hasValue()}"},
            ],
            "spec.steps[0]",
            Reason.CYCLE,
            "a waits for b waits for c waits for a: none of them could ever start",
        ),
        (
            [A, {"name": "x", "dependsOn": ["b"]}, {"name": "b", "dependsOn": ["c"]}, {"name": "c", "dependsOn": ["b"]}],
            "spec.steps[2]",
            Reason.CYCLE,
            "b waits for c waits for b",
        ),
        (
            [{"name": "a", "input": {"x": "${item}"}}],
            "spec.steps[0].input.x",
            Reason.INVALID_EXPRESSION,
            "item is not known here, but input, run, steps; item is for the input of a step with forEach",
        ),
        (
            [{"name": "a", "forEach": "${input.l}", "when": "${index > 1}"}],
            "spec.steps[0].when",
            Reason.INVALID_EXPRESSION,
            "index is not known here",
        ),
        ([{"name": "a", "when": "${body.x}"}], "spec.steps[0].when", Reason.INVALID_EXPRESSION, "a trigger with webhook"),
        ([{"name": "a", "when": "${time == ''}"}], "spec.steps[0].when", Reason.INVALID_EXPRESSION, "with schedule"),
        ([{"name": "a", "when": "${1 +}"}], "spec.steps[0].when", Reason.INVALID_EXPRESSION, "line 1, column"),
        (
            [{"name": "a", "input": {"x": {"y": "${"}}}],
            "spec.steps[0].input.x.y",
            Reason.INVALID_EXPRESSION,
            "no closing brace",
        ),
        (
            [{"name": "g", "approval": {"show": "x ${steps.y}"}}],
            "spec.steps[0].approval.show",
            Reason.STEP_INVALID,
            "no step 'y'",
        ),
        ([{"name": "a", "compensate": "u"}], "spec.steps[0].compensate", Reason.STEP_INVALID, "there is no step 'u'"),
        ([{"name": "a", "compensate": "a"}], "spec.steps[0].compensate", Reason.STEP_INVALID, "can't undo itself"),
        (
            [{"name": "a", "compensate": "u"}, {"name": "u", "approval": {}}],
            "spec.steps[0].compensate",
            Reason.STEP_INVALID,
            "asks people, which undoes nothing",
        ),
        (
            [{"name": "a", "compensate": "u"}, {"name": "u", "compensate": "v"}, {"name": "v"}],
            "spec.steps[0].compensate",
            Reason.STEP_INVALID,
            "it is not undone itself",
        ),
        (
            [{"name": "a", "compensate": "u"}, {"name": "b", "compensate": "u"}, {"name": "u"}],
            "spec.steps[1].compensate",
            Reason.STEP_INVALID,
            "step u undoes step a already; give each step its own",
        ),
        (
            [{"name": "a", "compensate": "u"}, {"name": "u"}, {"name": "b", "dependsOn": ["u"]}],
            "spec.steps[2].dependsOn[0]",
            Reason.STEP_INVALID,
            "step u only runs to undo step a",
        ),
        (
            [{"name": "a", "compensate": "u"}, {"name": "u"}, {"name": "b", "when": "${steps.?u.hasValue()}"}],
            "spec.steps[2].when",
            Reason.STEP_INVALID,
            "so nothing can wait for it",
        ),
        (
            [{"name": "a", "compensate": "u"}, {"name": "u", "dependsOn": ["a"]}],
            "spec.steps[1].dependsOn",
            Reason.STEP_INVALID,
            "leave dependsOn out",
        ),
        (
            [{"name": "a", "compensate": "u"}, {"name": "u", "onFailure": "Continue"}],
            "spec.steps[1].onFailure",
            Reason.STEP_INVALID,
            "leave onFailure out",
        ),
        (
            [{"name": "a", "compensate": "u"}, {"name": "u", "input": {"x": "${steps.b.output}"}}, {"name": "b"}],
            "spec.steps[1].input.x",
            Reason.STEP_INVALID,
            "step b need not be done when step a is undone; write steps.?b",
        ),
    ],
)  # fmt: skip
def test_what_is_no_graph_is_refused_with_its_place(
    steps: list[JsonObject], path: str, reason: Reason, message: str
) -> None:
    with pytest.raises(WorkflowError) as raised:
        graph_of(spec_of(*steps))
    assert (raised.value.path, raised.value.reason) == (path, reason)
    assert message in raised.value.message
    assert str(raised.value) == f"{path}: {raised.value.message}"


def test_the_run_s_output_may_not_use_what_is_not_there() -> None:
    with pytest.raises(WorkflowError, match=r"spec\.output\.x: there is no step 'b'"):
        graph_of(spec_of(A, output={"x": "${steps.b.output}"}))
    with pytest.raises(WorkflowError, match=r"spec\.output\.x: in \$\{...\} at character 1"):
        graph_of(spec_of(A, output={"x": "${1 +}"}))


def test_a_step_may_be_named_as_other_words_of_the_language() -> None:
    names = ("package", "return", "import", "loop", "size", "map", "int", "steps", "input")
    uses = " ".join(f"${{steps.{name}.output}}" for name in names)
    graph = graph_of(spec_of(*({"name": name} for name in names), {"name": "last", "input": {"x": uses}}))
    assert graph.nodes["last"].uses == set(names)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, set[str]]:
    count = draw(st.integers(1, 8))
    names = [f"s{i}" for i in range(count)]
    return {
        name: draw(st.sets(st.sampled_from([n for n in names if n != name] or [""]), max_size=3)) - {""}
        for name in names
    }


@given(graphs())
def test_either_there_is_an_order_or_a_cycle_that_is_told(edges: dict[str, set[str]]) -> None:
    spec = spec_of(*({"name": name, "dependsOn": sorted(before)} for name, before in edges.items()))
    found: WorkflowError | None = None
    order: tuple[str, ...] = ()
    try:
        order = graph_of(spec).order
    except WorkflowError as error:
        found = error
    if found is None:
        assert sorted(order) == sorted(edges)
        assert all(before in order[: order.index(name)] for name in order for before in edges[name])
    else:
        assert found.reason is Reason.CYCLE
        way = found.message.partition(":")[0].split(" waits for ")
        assert way[0] == way[-1]
        assert all(after in edges[name] for name, after in itertools.pairwise(way))


def test_what_a_workflow_is_taken_for_is_its_own_and_not_what_was_asked_for_before() -> None:
    one, other = (spec_of({"name": name}) for name in ("a", "b"))
    assert [graph_of(spec).order for spec in (one, other, one)] == [("a",), ("b",), ("a",)]
    assert graph_of(one) is graph_of(one)
