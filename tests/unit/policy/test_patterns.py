import pytest

from aos.policy.patterns import pattern_problem


@pytest.mark.parametrize("regex", ["EMP-[0-9]{6}", r"\bID[0-9]+\b", r"(?i)project \pL+", "a|b"])
def test_an_expression_that_finds_something_is_fine(regex: str) -> None:
    assert pattern_problem(regex) == ""


@pytest.mark.parametrize("regex", ["a*", "x|", "", "^", "$", r"\b", r"\B", "(?m)^", "(a?){3}"])
def test_an_expression_that_matches_nothing_at_all_is_refused(regex: str) -> None:
    assert "matches an empty text" in pattern_problem(regex)


@pytest.mark.parametrize("regex", ["(", r"(a)\1", "(?=a)", "a{2000}", "(a{100}){100}", r"\pL{900}"])
def test_what_is_no_re2_or_takes_too_much_memory_is_refused(regex: str) -> None:
    assert pattern_problem(regex).startswith("not a usable RE2 expression: ")
