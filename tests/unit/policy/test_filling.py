import re

import pytest
from pydantic import JsonValue

from aos.policy.expression import ExpressionError
from aos.policy.filling import Filling, compile_filling


@pytest.mark.parametrize(
    ("source", "arguments", "value"),
    [
        ("${args.id}", {"id": "c/1 %"}, "c/1 %"),
        ("${args.id}", {"id": 7}, 7),
        ("${args.id}", {"id": True}, True),
        ("${args.id}", {"id": ""}, ""),
        ("contact/${args.id}", {"id": 7}, "contact/7"),
        ("${args.a}-${args.b}", {"a": True, "b": "\u00fc"}, "true-\u00fc"),
        ("full", {}, "full"),
        ("", {}, ""),
    ],
)
def test_values_stay_as_they_are(source: str, arguments: dict[str, JsonValue], value: str | int) -> None:
    found = Filling.compile(source).value(arguments)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("${args.}", "in ${...} at character 1: line 1, column 6"),
        ("${args.id", "the ${ at character 1 has no closing brace"),
        ("${agent.name}", "named by args alone"),
    ],
)
def test_what_is_no_filling_does_not_compile(source: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(problem)):
        Filling.compile(source)


@pytest.mark.parametrize(
    ("source", "arguments", "problem"),
    [
        ("${args.id}", {}, "which is not there"),
        ("${args.id}", {"id": [1]}, "gives LIST"),
        ("x${args.id}", {"id": None}, "gives NULL"),
    ],
)
def test_what_is_no_value_is_an_error(source: str, arguments: dict[str, JsonValue], problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem):
        Filling.compile(source).value(arguments)


def test_arguments_that_would_take_too_long_are_an_error() -> None:
    filling = Filling.compile("${args.id.lowerAscii()}")
    with pytest.raises(ExpressionError, match="too large"):
        filling.value({"id": "x" * 4_000_000})


def test_equal_sources_are_compiled_once() -> None:
    assert compile_filling("${args.id}") is compile_filling("${args.id}")
