import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.inspection.visible import MAX_MARKS, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zoë Łukasz Ελένη 山田 אבג 😀", "Zoë Łukasz Ελένη 山田 אבג 😀"),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2067b", "a\\u2067b"),
        ("a\u200bb", "a\\u200bb"),
        ("a\u00a0b", "a\\u00a0b"),
        ("a\u2028b", "a\\u2028b"),
        ("a\rb\nc", "a\\u000db\\u000ac"),
        ("\x9b31m", "\\u009b31m"),
        ("\u3164", "\\u3164"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_people_would_not_see_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_line_breaks_stay_where_they_are_wanted() -> None:
    assert visible("a\nb\rc", keep="\n") == "a\nb\\u000dc"


def test_marks_heaped_on_one_letter_are_spelled_out() -> None:
    heaped = "e" + "\u0301" * (MAX_MARKS + 1)
    assert visible(heaped) == "e" + "\u0301" * MAX_MARKS + "\\u0301"
    assert visible("e\u0301a\u0308") == "e\u0301a\u0308"


@given(st.text())
def test_what_comes_out_drives_no_terminal_and_turns_no_text_around(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_no_character_of_text_direction_passes() -> None:
    turning = [
        chr(code)
        for code in range(sys.maxunicode)
        if unicodedata.bidirectional(chr(code))
        in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    ]
    assert turning
    assert all(visible(character) != character for character in turning)
