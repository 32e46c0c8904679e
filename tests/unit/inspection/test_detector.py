import pytest

from aos.inspection.detector import anything, digits_alone, digits_of, where


def test_judges_take_what_their_check_holds_for() -> None:
    assert anything(b"abc", 0, 2) == ((0, 2),)
    assert where(bytes.isdigit)(b"a12", 1, 3) == ((1, 3),)
    assert where(bytes.isdigit)(b"a12", 0, 3) == ()


@pytest.mark.parametrize(
    ("text", "start", "end", "alone"),
    [
        (b"123", 0, 3, True),
        (b"(123).", 1, 4, True),
        (b"0123", 1, 4, False),
        (b"1234", 0, 3, False),
        (b"123-4", 0, 3, False),
        (b"1.234", 2, 5, False),
        (b"-123", 1, 4, True),
        (b"a-123", 2, 5, True),
    ],
)
def test_digits_that_go_on_are_another_number(text: bytes, start: int, end: int, *, alone: bool) -> None:
    judge = digits_alone(lambda value: value.isdigit())
    assert bool(judge(text, start, end)) is alone


def test_digits_are_taken_out_of_their_separators() -> None:
    assert digits_of(b"+1 (415) 555-0123") == b"14155550123"
