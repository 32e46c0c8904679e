import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.policy.expression import ExpressionError
from aos.policy.template import MAX_RENDERED_LENGTH, Template, compile_template

short = st.one_of(st.text(max_size=8), st.integers(-(2**63), 2**63 - 1), st.booleans())


@pytest.mark.parametrize(
    ("source", "arguments", "rendered"),
    [
        ("contact/${args.id}", {"id": "c-1"}, "contact/c-1"),
        ("contact/${args.id}", {"id": 7}, "contact/7"),
        ("settings", {}, "settings"),
        ("${args.a}/${args.b}", {"a": True, "b": -1}, "true/-1"),
        ("a/${args.id}/b", {"id": "x/y%z"}, "a/x%2Fy%25z/b"),
        ("${args.id}", {"id": "e\u0301 \u0001"}, "%C3%A9 %01"),
        ("c/${args.id}", {"id": " 7\t"}, "c/7"),
        ("c/${args.id}", {"id": "\u200b7\u2060\u00a0"}, "c/7"),
        ("c/${args.id}", {"id": "\uff17"}, "c/7"),
        ("${args.?id.orValue('none')}", {}, "none"),
        ("${'}' + args.id + \"{\"}", {"id": "x"}, "}x{"),
        ("${{'a': args.id}['a']}", {"id": "x"}, "x"),
        ("${args.id // a } in a comment\n}", {"id": "x"}, "x"),
        ("${r'\\d}' + '''it's}''' + args.id}", {"id": "x"}, "\\d}it's}x"),
    ],
)
def test_a_record_is_named_by_the_arguments(
    source: str, arguments: dict[str, JsonValue], rendered: str
) -> None:
    assert Template.compile(source).render(arguments) == rendered


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("c/${args.}", "in ${...} at character 3: line 1, column 6"),
        ("c/${args.id", "the ${ at character 3 has no closing brace"),
        ("${args.a}${args.b}", "put a / between two ${...}"),
        ("${args.a}-${args.b}", "put a / between two ${...}"),
        ("${agent.name}", "named by args alone, not by agent"),
        ("${1.5}", "the expression gives DOUBLE, and a record is named by a string, an int or a bool"),
        ("${args.a.format([1])}", "format() is not available"),
        ("\u00fcber/${args.id}", "only be printable ASCII"),
        ("a\nb/${args.id}", "only be printable ASCII"),
    ],
)
def test_what_can_not_name_a_record_does_not_compile(source: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(problem)):
        Template.compile(source)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "which is not there"),
        ({"id": ""}, "${args.id} is empty"),
        ({"id": None}, "gives NULL"),
        ({"id": 1.0}, "gives DOUBLE"),
        ({"id": ["a"]}, "gives LIST"),
        ({"id": 2**70}, "a number beyond 64 bits"),
        ({"id": "a\u0000b"}, "a text with U+0000"),
        ({"id": "x" * MAX_RENDERED_LENGTH}, "has at most 256"),
        ({"id": "x", "text": "y" * 70_000}, "the arguments are too large"),
    ],
)
def test_arguments_that_name_no_record_fail(arguments: dict[str, JsonValue], problem: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(problem)):
        Template.compile("contact/${args.id}").render(arguments)


@given(short, short, short, short)
def test_different_values_never_name_one_record(
    first: JsonValue, second: JsonValue, third: JsonValue, fourth: JsonValue
) -> None:
    template = compile_template("t/${args.a}/x/${args.b}")

    def rendered(one: JsonValue, other: JsonValue) -> tuple[str, ...] | None:
        try:
            name = template.render({"a": one, "b": other})
        except ExpressionError:
            return None
        assert name.isascii()
        assert name.isprintable()
        assert 0 < len(name) <= MAX_RENDERED_LENGTH
        parts = tuple(name.split("/"))
        assert len(parts) == 4
        return parts

    one, other = rendered(first, second), rendered(third, fourth)
    alone = [rendered(first, "x"), rendered(third, "x")]
    if one is not None and one == other:
        assert alone[0] == alone[1]


def test_equal_sources_are_equal_templates_compiled_once() -> None:
    assert Template.compile("a/${args.id}") == Template.compile("a/${args.id}")
    assert Template.compile("a/${args.id}") != Template.compile("b/${args.id}")
    assert compile_template("a/${args.id}") is compile_template("a/${args.id}")
