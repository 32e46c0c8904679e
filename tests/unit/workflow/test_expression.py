import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.workflow.expression import (
    ExpressionError,
    Reader,
    Uses,
    ValueExpression,
)

BINDINGS: dict[str, JsonValue] = {
    "input": {
        "lead": {"name": "Ada", "age": 36, "tags": ["a", "b"], "none": None},
        "rate": 0.5,
        "items": [{"id": 1}, {"id": 2}],
    },
    "steps": {"enrich": {"output": {"score": 0.9, "facts": [{"text": "x"}]}}, "other": {"output": {}}},
    "run": {"name": "r", "namespace": "sales", "workflow": "w", "requestedBy": "ada"},
}


def given_by(source: str, bindings: dict[str, JsonValue] | None = None) -> JsonValue:
    expression = ValueExpression(source)
    return expression.json(Reader((expression,)).read(BINDINGS if bindings is None else bindings))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("null", None),
        ("true", True),
        ("1 + 2", 3),
        ("-9007199254740992", -(2**53)),
        ("3u", 3),
        ("1.5", 1.5),
        ("'a' + 'b'", "ab"),
        ("input.lead", {"name": "Ada", "age": 36, "tags": ["a", "b"], "none": None}),
        ("input.lead.none", None),
        ("input.items.map(i, i.id)", [1, 2]),
        ("{'a': [input.rate, null], ?'b': input.?nothing}", {"a": [0.5, None]}),
        ("steps.enrich.output.facts[0].text", "x"),
        ("steps['enrich'].output.score >= 0.7", True),
        ("steps.?missing.?output.orValue('none')", "none"),
        ("input.?lead", [{"name": "Ada", "age": 36, "tags": ["a", "b"], "none": None}]),
        ("input.?nothing // as the author notes", []),
        ("run.requestedBy", "ada"),
    ],
)
def test_an_expression_gives_json_of_any_type(source: str, value: JsonValue) -> None:
    assert given_by(source) == value


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("input.nothing", "nothing"),
        ("1 / 0", "divide by zero"),
        ("9007199254740993", "beyond 2^53"),
        ("input.lead.age * 9007199254740993", "beyond 2^53"),
        ("9223372036854775807 + input.lead.age", "overflow"),
        ("18446744073709551615u", "beyond 2^53"),
        ("1.0 / 0.0", "inf, which JSON can't carry"),
        ("[0.0 / 0.0]", "nan, which JSON can't carry"),
        ("[timestamp('2020-01-01T00:00:00Z')]", "a timestamp; write string"),
        ("{'a': duration('1s')}", "a duration; write string"),
        ("dyn(b'a')", "bytes; write string"),
        ("[type(1)]", "a type"),
        ("{1: 2}", "the key 1; keys in JSON are texts"),
        ("{'a': {true: 2}}", "the key True"),
        ("[optional.of(1)]", "end that with .orValue"),
        ("item", "item is not known here"),
    ],
)
def test_what_fails_or_is_not_json_is_an_error_that_says_so(source: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        given_by(source)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("timestamp('2020-01-01T00:00:00Z')", "a timestamp; write string"),
        ("b'a'", "bytes; write string"),
        ("type(1)", "a type"),
        ("steps", "say which step: steps.NAME"),
        ("steps.map(s, s)", "say which step"),
        ("steps[input.name].output", "say which step"),
        ("size(steps) + size(steps.a.output)", "say which step"),
        ("secrets.x", "nothing is called 'secrets.x'"),
        ("input.x ==", "Syntax error"),
        ("steps.a.output.matches(input.x)", "matches() needs a pattern that is written out"),
        ("'%s'.format([input.x])", "format() is not available"),
        ("'" + "a" * 2048 + "'", "an expression has at most 2048"),
    ],
)
def test_what_can_never_be_used_does_not_compile(source: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        ValueExpression(source)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("source", "variables", "steps", "optional"),
    [
        ("1", "", "", ""),
        ("input.x + item.y + index", "input item index", "", ""),
        ("steps.a.output", "steps", "a", ""),
        (".steps.a.output", "steps", "a", ""),
        ("steps['a'].output + steps.b.output.steps.c", "steps", "a b", ""),
        ("steps.?a.?output.orValue(steps.b.output)", "steps", "b", "a"),
        ("steps[?'a'].hasValue()", "steps", "", "a"),
        ("has(steps.a) && steps.?b.hasValue()", "steps", "", "a b"),
        ("has(steps.a) ? steps.a.output : 1", "steps", "a", ""),
        ("input.l.map(item, item.x)", "input", "", ""),
        ("input.l.map(x, item)", "input item", "", ""),
        ("item.map(item, item.x)", "item", "", ""),
        ("input.l.map(steps, steps.a)", "input", "", ""),
        ("input.l.map(x, steps.a.output[x])", "input steps", "a", ""),
        ("input.?x.optMap(run, run + 1)", "input", "", ""),
        ("'${steps.a}' + string(1)", "", "", ""),
    ],
)
def test_an_expression_tells_what_it_reads(source: str, variables: str, steps: str, optional: str) -> None:
    uses = ValueExpression(source).uses
    assert uses == Uses(frozenset(variables.split()), frozenset(steps.split()), frozenset(optional.split()))


def test_a_step_that_is_needed_somewhere_is_no_optional_one() -> None:
    both = Uses(steps=frozenset("a")) | Uses(optional_steps=frozenset("ab"))
    assert both == Uses(steps=frozenset("a"), optional_steps=frozenset("b"))


def test_only_what_is_read_is_bound_and_counts() -> None:
    large: JsonValue = ["x" * 1000] * 10_000
    bindings: dict[str, JsonValue] = {
        "input": large,
        "steps": {"small": {"output": 1}, "large": {"output": large}},
    }
    assert given_by("steps.small.output + 1", bindings) == 2
    with pytest.raises(ExpressionError, match=r"what it reads is too large: 10030\d+ bytes"):
        given_by("steps.large.output", bindings)


def test_a_large_fan_out_can_be_gone_through() -> None:
    outputs: JsonValue = [
        {"id": place, "score": place / 1000, "text": "x" * 100, "tags": ["a", "b", {"c": [None] * 5}]}
        for place in range(1_000)
    ]
    bindings: dict[str, JsonValue] = {"steps": {"fan": {"output": outputs}}}
    best = given_by(
        "steps.fan.output.filter(x, x.score > 0.9).map(x, {'id': x.id, 'text': x.text})", bindings
    )
    assert best == [{"id": place, "text": "x" * 100} for place in range(901, 1_000)]
    with pytest.raises(ExpressionError, match=r"in lists of 1000, and .* in lists of \d+"):
        given_by("steps.fan.output.map(x, steps.fan.output.filter(y, y.id == x.id))", bindings)


def test_attack_25_what_takes_too_long_together_does_not_compile() -> None:
    expression = ValueExpression("input.x.matches('(a{1,30}){1,30}b')")
    Reader((expression,))
    with pytest.raises(ExpressionError, match="may take longer: use fewer of them"):
        Reader((expression,) * 5000)


def test_a_text_that_the_library_would_cut_is_refused() -> None:
    with pytest.raises(ExpressionError, match=r"U\+0000"):
        given_by("input.x", {"input": {"x": "a\0b"}})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4), inner, max_size=4),
        max_leaves=10,
    )
)  # fmt: skip
def test_json_goes_through_an_expression_unchanged(value: JsonValue) -> None:
    bindings: dict[str, JsonValue] = {"input": {"x": value}, "item": value}
    assert given_by("input.x", bindings) == value
    assert given_by("[item]", bindings) == [value]
