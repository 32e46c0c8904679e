"""What a detector is: a hint, an exact expression, and a judge of what the expression found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aos.inspection.spans import Piece

Judge = Callable[[bytes, int, int], Sequence[Piece]]
"""Gets a text and where a candidate stands in it; gives where values really stand."""

_DIGITS: Final = frozenset(b"0123456789")


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds one format of one data class.

    Attributes:
        name: for people and tests.
        data_class: of what is found.
        hint: RE2; it matches any text that holds a value, and any JSON of such a text whose backslashes were removed.
        pattern: RE2; its first group, or all of it, is a candidate. It never matches a NUL.
        judge: gives the values within a candidate.
        torn: whether its values are looked for in texts put together, too.
    """

    name: str
    data_class: str
    hint: str
    pattern: str
    judge: Judge
    torn: bool = True


def anything(_text: bytes, start: int, end: int) -> Sequence[Piece]:
    """Take every candidate."""
    return ((start, end),)


def where(check: Callable[[bytes], bool]) -> Judge:
    """Return a judge that takes the candidates that ``check`` holds for."""

    def judge(text: bytes, start: int, end: int) -> Sequence[Piece]:
        return ((start, end),) if check(text[start:end]) else ()

    return judge


def digits_alone(check: Callable[[bytes], bool]) -> Judge:
    """Return a judge like that of ``where``, for candidates that are not part of a longer run of digits."""

    def judge(text: bytes, start: int, end: int) -> Sequence[Piece]:
        if _is_digit(text, start - 1) or _is_digit(text, end):
            return ()
        # 4-12-5 and 1.5-2: a number that goes on after a separator is another number.
        if text[end : end + 1] in (b"-", b".") and _is_digit(text, end + 1):
            return ()
        if text[start - 1 : start] in (b"-", b".") and start > 1 and _is_digit(text, start - 2):
            return ()
        return ((start, end),) if check(text[start:end]) else ()

    return judge


def digits_of(value: bytes) -> bytes:
    """Return the ASCII digits of ``value``."""
    return bytes(byte for byte in value if byte in _DIGITS)


def _is_digit(text: bytes, position: int) -> bool:
    return 0 <= position < len(text) and text[position] in _DIGITS
