import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.policy.expression import Activation, Expression, ExpressionError, compile_expression


def test_a_syntax_error_gives_its_position() -> None:
    with pytest.raises(ExpressionError, match=r"line 1, column \d+: Syntax error"):
        Expression("args.x ==")


def test_an_unknown_variable_gives_its_position() -> None:
    with pytest.raises(ExpressionError, match=r"line 1, column \d+: nothing is called 'secrets"):
        Expression("secrets.x == 1")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("tool == crm", "line 1, column 9: nothing is called 'crm'; a text stands in quotes"),
        (
            "args.x = 1",
            "line 1, column 8: Syntax error: token recognition error at: '= '; to compare, write ==",
        ),
        ("args.x ==", "line 1, column 10: Syntax error: it ends where more must follow"),
    ],
)
def test_a_slip_is_told_in_plain_words(source: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(source)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("args.y == 1", 'it reads "y", which is not there'),
        ("args.x.z == 1", "Applying SELECT to non-message type"),
        ("args.x / 0 == 1", "divide by zero"),
    ],
)
def test_a_failure_is_told_in_plain_words(source: str, said: str) -> None:
    assert Expression(source).evaluate(Activation({"args": {"x": 1}})).failure == said


def test_an_expression_that_is_never_a_bool_is_refused() -> None:
    with pytest.raises(ExpressionError, match="a condition must give bool"):
        Expression("1 + 1")


def test_a_value_that_is_not_a_bool_is_a_failure() -> None:
    verdict = Expression("args.x").evaluate(Activation({"args": {"x": "yes"}}))
    assert not verdict.holds
    assert "not bool" in verdict.failure


def test_a_missing_key_is_a_failure() -> None:
    verdict = Expression("args.x == 1").evaluate(Activation({"args": {}}))
    assert not verdict.holds
    assert "x" in verdict.failure


def test_attack_25_work_without_end_is_a_failure() -> None:
    values: list[JsonValue] = list(range(2000))
    expression = Expression("args.l.all(x, args.l.all(y, true))")
    verdict = expression.evaluate(Activation({"args": {"l": values}}))
    assert not verdict.holds
    assert verdict.failure


def test_equal_sources_are_compiled_once() -> None:
    assert compile_expression("args.x == 1") is compile_expression("args.x == 1")


def test_a_condition_tells_the_variables_that_it_names() -> None:
    assert Expression("args.now == agent.name && tool != 'ns'").variables == {"args", "agent", "tool"}
    assert Expression("task.lineage.exists(a, a == ns.name) && now > now").variables == {"task", "ns", "now"}
    assert Expression("true").variables == frozenset()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_a_text_reaches_conditions_as_it_is(text: str) -> None:
    activation = Activation({"args": {"text": text, "same": [text], "size": len(text)}})
    whole = Expression("args.text.size() == args.size && args.same[0] == args.text")
    assert whole.evaluate(activation).holds
    quoted = text.encode("unicode_escape").decode().replace("'", "\\'")
    assert Expression(f"args.text == '{quoted}'").evaluate(activation).holds
