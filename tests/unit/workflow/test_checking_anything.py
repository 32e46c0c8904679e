from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from aos.model.conditions import Reason
from aos.workflow.checking import World, problems
from aos.workflow.graph import graph_of
from aos.workflow.problem import WorkflowError
from tests.unit.workflow.flows import agent, spec_of

_SCHEMAS = st.recursive(
    st.sampled_from(
        [True, {}, {"type": "string"}, {"type": "integer"}, {"$ref": "#"}, {"$ref": "#/$defs/x"}, {"$ref": "#/nowhere"},
         {"enum": ["a", {"a": 1}, [1]]}, {"const": {"a": {"b": "x"}}}, {"type": ["object", "null"]}, {"required": ["a"]}]
    ),
    lambda inner: st.one_of(
        st.builds(lambda a, b: {"type": "object", "properties": {"a": a, "b": b}, "required": ["a"]}, inner, inner),
        st.builds(lambda a: {"properties": {"a": a}, "additionalProperties": False}, inner),
        st.builds(lambda a: {"additionalProperties": a, "patternProperties": {"^a": True, "(?=x)": a}}, inner),
        st.builds(lambda a: {"properties": {"a": a}, "unevaluatedProperties": False}, inner),
        st.builds(lambda a, b: {"items": a, "prefixItems": [b]}, inner, inner),
        st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner),
        st.builds(lambda a, b: {"oneOf": [a, b], "allOf": [a]}, inner, inner),
        st.builds(lambda a, b: {"if": a, "then": b, "dependentSchemas": {"a": a}}, inner, inner),
        st.builds(lambda a: {"$defs": {"x": a}, "$ref": "#/$defs/x"}, inner),
    ),
    max_leaves=6,
)  # fmt: skip
_EXPRESSIONS = st.sampled_from(
    ["steps.a.output", "steps.a.output.a", "steps.?a.output.a.b", "steps.b.output[0]", "input.a.b", "input", "item.a", "index",
     "steps.a.output.map(x, x.a)", "steps.a.output.b[0].a", "steps.zz.output", "1 +", "steps", "[input.a, steps.a.output.b]",
     "{'a': input.a, ?'b': input.?b}", "input.a ? steps.a.output : input.b", "'x' + input.a", "steps.a.output + [1]",
     "steps.a.output.a.optMap(x, x)", "input.?a", "steps.a.output.filter(x, x.b > 1).exists(y, y.a)", "1u", "b'x'", "run.x", "null"]
)  # fmt: skip
_TEXTS = st.one_of(st.just("x"), _EXPRESSIONS.map("${{{}}}".format), _EXPRESSIONS.map("a ${{{}}} b".format))
_VALUES = st.recursive(
    _TEXTS | st.sampled_from([1, 1.5, None, True]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
_MAPS = st.dictionaries(st.sampled_from(["a", "b", "c"]), _VALUES, max_size=3)


_WHOS: list[dict[str, object]] = [
    {"agent": "x"},
    {"agent": "y"},
    {"agent": "zz"},
    {"capability": "c"},
    {"workflow": "w"},
    {"approval": {"show": "${steps.a.output.a}"}},
]
_WHO = st.sampled_from(_WHOS)


@st.composite
def _steps(draw: st.DrawFn) -> list[Mapping[str, object]]:
    steps: list[Mapping[str, object]] = []
    for name in draw(st.lists(st.sampled_from("abcdin"), min_size=1, max_size=4)):
        step: dict[str, object] = {"name": name, **draw(_WHO)}
        if "approval" not in step:
            step["input"] = draw(_MAPS)
            if draw(st.booleans()):
                step["forEach"] = f"${{{draw(_EXPRESSIONS)}}}"
            if draw(st.booleans()):
                step["compensate"] = draw(st.sampled_from("abcd"))
        if draw(st.booleans()):
            step["when"] = f"${{{draw(_EXPRESSIONS)}}}"
        step["dependsOn"] = draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=2))
        steps.append(step)
    return steps


@settings(max_examples=100)
@given(_steps(), _SCHEMAS, _SCHEMAS, _MAPS)
def test_whatever_is_written_is_judged_and_never_raises(
    steps: list[Mapping[str, object]], first: object, second: object, output: Mapping[str, object]
) -> None:
    one, other = ({"allOf": [schema]} for schema in (first, second))
    agents = {"x": agent(one, other, "c"), "y": agent(other, one, "c")}
    spec = spec_of(*steps, output=output, input={"schema": one})
    for world in (World("main", agents, {"w": spec}), World("w", agents, {})):
        for problem in problems(spec, world):
            assert problem.path.startswith("spec")
            assert problem.message


@settings(max_examples=50)
@given(_steps(), _MAPS)
def test_what_is_accepted_has_a_graph(
    steps: list[Mapping[str, object]], output: Mapping[str, object]
) -> None:
    spec = spec_of(*steps, output=output)
    refused = {problem.reason for problem in problems(spec, World("main", {}, {}))}
    of_graph = {Reason.STEP_INVALID, Reason.INVALID_EXPRESSION, Reason.CYCLE}
    try:
        graph_of(spec)
    except WorkflowError as error:
        has_graph = error.reason not in of_graph
    else:
        has_graph = True
    assert has_graph == (not refused & of_graph)
