import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.cli.fields import MAX_DEPTH, changes, document, field_lines, folded, value_lines
from aos.inspection.visible import visible

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_fields_stand_below_each_other_with_their_place() -> None:
    value: JsonValue = {
        "id": "emea-1",
        "address": {"city": "Łódź", "zip": None},
        "tags": ["a", 2],
        "more": {},
    }
    assert field_lines(value, None) == [
        "  id            emea-1",
        "  address.city  Łódź",
        "  address.zip   null",
        "  tags[0]       a",
        "  tags[1]       2",
        "  more          {}",
    ]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("plain words", "plain words"),
        ("3", '"3"'),
        (3, "3"),
        ("true", '"true"'),
        ("", '""'),
        (" a", '" a"'),
        ('"a"', '"\\"a\\""'),
        ("a\n", '"a\\n"'),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_a_text_stands_as_it_is_only_where_nothing_else_looks_the_same(value: JsonValue, line: str) -> None:
    assert value_lines(value) == [line]


def test_a_text_of_several_lines_can_not_pass_for_other_fields() -> None:
    assert field_lines({"body": "Hello\nrisk  Low\x1b[2J", "id": "1"}, 60) == [
        "  body",
        "    | Hello",
        "    | risk  Low\\u001b[2J",
        '  id    "1"',
    ]


def test_a_name_that_is_no_plain_word_is_quoted() -> None:
    assert field_lines({"a.b": "x", "c\u202e": "y"}, None) == ['  "a.b"      x', '  "c\\u202e"  y']


@given(JSON, st.integers(30, 90))
def test_no_line_drives_the_terminal_or_begins_at_the_left(value: JsonValue, width: int) -> None:
    for line in field_lines(value, width):
        assert line.startswith("  ")
        assert visible(line) == line
        assert len(line) <= width


def test_wide_letters_leave_room_for_both_their_columns() -> None:
    assert all(len(line) <= 40 for line in folded("山" * 100, 80))


def test_what_is_no_json_or_too_deep_is_shown_as_it_is() -> None:
    assert document('{"a": ') == '{"a": '
    deep = "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)
    assert document(deep) == deep
    assert document(deep[1:-1]) == json.loads(deep[1:-1])
    assert document("[" * 100_000) == "[" * 100_000


def test_a_change_names_what_is_and_what_would_be() -> None:
    before: JsonValue = {"id": "1", "phone": "+49 1", "fax": "x", "vip": 1}
    after: JsonValue = {"id": "1", "phone": "+49 2", "note": "a\nb", "vip": True}
    assert changes(before, after, 60) == [
        "  phone",
        "    - +49 1",
        "    + +49 2",
        "  fax",
        "    - x",
        "  vip",
        "    - 1",
        "    + true",
        "  note",
        "    + a",
        "    + b",
        "  1 that stays as it is",
    ]
    assert changes({"a": 1, "b": 2}, {"a": 1, "b": 2}, 60) == ["  nothing: all stays as it is"]
    assert changes("is", "would", 60) == ["    - is", "    + would"]
