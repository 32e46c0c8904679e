import pytest
from pydantic import JsonValue

from aos.workflow.expression import ExpressionError
from aos.workflow.template import (
    MAX_EXPRESSIONS,
    MAX_RENDERED_BYTES,
    Template,
    TemplateError,
    condition,
    items,
)

BINDINGS: dict[str, JsonValue] = {
    "input": {
        "name": "Ada",
        "age": 36,
        "rate": 0.5,
        "total": 123456789.0,
        "on": True,
        "none": None,
        "list": [3, {"b": 1, "a": 2}],
        "amount": "12",
    },
    "steps": {"draft": {"output": {"text": "Hi"}}},
    "item": {"id": 7},
    "index": 0,
}


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        (None, None),
        (3, 3),
        ("plain $ { } text", "plain $ { } text"),
        ("${input.list}", [3, {"a": 2, "b": 1}]),
        ("${input.none}", None),
        (" ${input.none}", " null"),
        ("${input.name} is ${input.age}", "Ada is 36"),
        ("${input.rate}/${input.total}/${input.on}", "0.5/123456789/true"),
        ("${input.list}!", '[3,{"a":2,"b":1}]!'),
        ("${'${'}x}", "${x}"),
        ("${'}'}${\"}\"} // ${ {'a': 1}.a }", "}} // 1"),
        ({"a": [1, "${item.id}"], "b": {"c": "x"}}, {"a": [1, 7], "b": {"c": "x"}}),
        ({"a": "${input.?name}", "b": "${input.?nothing}"}, {"a": "Ada"}),
        (["${input.?nothing}", "${input.?age}"], [36]),
        ({"lead": {"n": "${input.name}", "i": "${index}"}}, {"lead": {"n": "Ada", "i": 0}}),
    ],
)
def test_expressions_are_replaced_by_what_they_give(value: JsonValue, rendered: JsonValue) -> None:
    assert Template.compile(value).render(BINDINGS) == rendered


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        ("${input.}", "", "in ${...} at character 1: line 1, column"),
        ({"a": [{"b": "x ${1 +} y"}]}, ".a[0].b", "in ${...} at character 3"),
        ({"a": "${input.x"}, ".a", "the ${ at character 1 has no closing brace"),
        ({"a": {"${input.x}": 1}}, ".a", "only values are computed"),
        ("${input.?x}", "", "end it with .orValue"),
        ({"a": "x${input.?x}"}, ".a", "end it with .orValue"),
        ({"a": "${steps}"}, ".a", "say which step"),
        ("${1}" * (MAX_EXPRESSIONS + 1), "", f"it may have {MAX_EXPRESSIONS}"),
        ("x" * MAX_RENDERED_BYTES, "", f"it may have {MAX_RENDERED_BYTES}"),
        (2**60, "", "a number is too large"),
    ],
)
def test_what_does_not_compile_tells_the_place(value: JsonValue, path: str, problem: str) -> None:
    with pytest.raises(TemplateError) as raised:
        Template.compile(value)
    assert raised.value.path == path
    assert problem in raised.value.problem
    assert problem in str(raised.value)


def nested(depth: int) -> JsonValue:
    value: JsonValue = "${input.age}"
    for _ in range(depth):
        value = [value]
    return value


def test_a_template_has_a_bounded_depth() -> None:
    assert Template.compile(nested(64)).render(BINDINGS)
    with pytest.raises(TemplateError, match="more than 64 deep"):
        Template.compile(nested(65))
    with pytest.raises(TemplateError, match="deep"):
        Template.compile(nested(5000))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"a": ["${input.x}"]}, "a[0]: ${input.x}: "),
        ({"a": "${9007199254740993}"}, "a: ${9007199254740993}: 9007199254740993 is beyond 2^53"),
        ("${body.x}", "body is not known here"),
    ],
)
def test_what_can_not_be_rendered_tells_the_place(value: JsonValue, problem: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        Template.compile(value).render(BINDINGS)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    "value",
    [
        "${input.x}${input.x}${input.x}",
        ["${input.x}", "${input.x}", "${input.x}"],
        ["${input.x}", "${input.x}", "y" * 70_000],
    ],
)
def test_a_rendered_value_has_a_bounded_size(value: JsonValue) -> None:
    bindings: dict[str, JsonValue] = {"input": {"x": "y" * 100_000}}
    assert Template.compile("${input.x}${input.x}").render(bindings)
    with pytest.raises(ExpressionError, match=f"more than {MAX_RENDERED_BYTES} bytes as JSON"):
        Template.compile(value).render(bindings)


def test_a_template_tells_what_it_reads() -> None:
    template = Template.compile({"a": "${steps.draft.output}", "b": ["x ${item} ${steps.?more.hasValue()}"]})
    assert template.steps == {"draft"}
    assert template.uses.optional_steps == {"more"}
    assert template.variables == {"steps", "item"}


def test_equal_templates_are_compiled_once() -> None:
    assert Template.compile({"a": "${1}", "b": 2}) is Template.compile({"b": 2, "a": "${1}"})
    assert condition("${true}") is condition("${true}")
    assert items("${[1]}") is items("${[1]}")


def test_a_condition_holds_or_not() -> None:
    assert condition("${input.age > 18}").holds(BINDINGS)
    assert not condition("${input.?nothing.hasValue()}").holds(BINDINGS)
    assert condition("${steps.draft.output.ok}").uses.steps == {"draft"}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("${1}", "when must give bool"),
        ("${true} ", "it must be one ${...}"),
        ("${true}${true}", "it must be one ${...}"),
        ("true", "it must be one ${...}"),
        ("${input.?x}", "end it with .orValue"),
    ],
)
def test_what_can_not_be_a_condition_does_not_compile(source: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        condition(source)
    assert problem in str(raised.value)


def test_a_condition_that_is_no_bool_in_the_end_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="something else than true or false"):
        condition("${input.amount}").holds(BINDINGS)


def test_for_each_gives_its_items() -> None:
    assert items("${input.list}").of(BINDINGS) == [3, {"a": 2, "b": 1}]
    assert items("${[1, 2].map(x, x * 2)}").of(BINDINGS) == [2, 4]
    assert items("${steps.draft.output}").uses.steps == {"draft"}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("${input.name}", "something else than a list"),
        ("${input.many}", "1001 items, and a step has at most 1000"),
        ("${input.nothing}", "nothing"),
    ],
)
def test_what_can_not_be_gone_through_is_an_error(source: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        items(source).of({"input": {"name": "Ada", "many": [1] * 1001}})
    assert problem in str(raised.value)


def test_what_is_never_a_list_is_no_for_each() -> None:
    with pytest.raises(ExpressionError, match="forEach needs a list"):
        items("${'a'}")
