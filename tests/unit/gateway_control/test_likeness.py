import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.gateway.control.likeness import likeness


@pytest.mark.parametrize(
    "value",
    [
        {"query": "ACME  Corp"},
        {"query": " acme corp\n"},
        {"query": "acme\u200b corp"},
        {"query": "\uff41\uff43\uff4d\uff45 corp"},
        {"query": "acme\u00a0corp"},
        {"query": "a\ufe0fcme c\u00adorp"},
        {"query": "acme\x00 corp"},
    ],
)
def test_attack_22_words_that_are_only_written_otherwise_are_alike(value: JsonValue) -> None:
    assert likeness(value) == likeness({"query": "acme corp"})


def test_attack_22_numbers_and_order_are_alike() -> None:
    assert likeness({"a": 1, "b": [2.0]}) == likeness({"b": [2], "a": 1.0})


@pytest.mark.parametrize(
    "value",
    [
        {"q": "acme", "page": None},
        {"q": "ACME", "page": None, "size": None},
        {"page": None, "q": "acme\u200b"},
    ],
)
def test_attack_22_members_that_are_null_are_as_good_as_left_out(value: JsonValue) -> None:
    assert likeness(value) == likeness({"q": "acme"})
    assert likeness({"filter": [value]}) == likeness({"filter": [{"q": "acme"}]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": "1"}),
        ({"a": "x"}, {"A": "x"}),
        ({"a": [None]}, {"a": []}),
        ({"a": None}, {"a": "null"}),
        ({"a": 0}, {}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": 0.5}, {"a": 0.25}),
        ({"a": "नमस्ते"}, {"a": "नमसत"}),
        ({"a": 1e300}, {"a": 1e301}),
    ],
)
def test_what_says_something_else_is_not_alike(one: JsonValue, other: JsonValue) -> None:
    assert likeness(one) != likeness(other)


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    encodable = text.encode(errors="ignore").decode()
    assert likeness(encodable) == likeness(f" {encodable}\u200b ")
