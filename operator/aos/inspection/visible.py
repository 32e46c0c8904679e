"""Text of agents and tools as people may read it: what can't be seen, or moves other text, is spelled out. Pure."""

import unicodedata
from typing import Final

_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Controls, formats (those of text direction among them), what stands for nothing, and separators of lines."""
_BLANK: Final = frozenset(
    chr(code)
    for code in (
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    )
)
"""Letters, marks and symbols that show nothing, outside these categories."""
_SHORT: Final = 0xFFFF
MAX_MARKS: Final = 4
"""So many marks on one letter are some language's; more of them cover the lines around it."""


def visible(text: str, keep: str = "") -> str:
    r"""Return ``text`` with ``\uXXXX`` in place of each character that people would not see as what it is.

    These are control characters (with which a terminal can be driven), controls of text direction, invisible letters,
    blanks that are no plain space, and marks heaped on one letter. Letters of every script stay.

    Args:
        text: from anywhere.
        keep: control characters that stay, such as line breaks.
    """
    if text.isascii() and text.isprintable():
        return text
    marks = 0
    shown = []
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        is_plain = character in keep or not (is_hidden(character) or marks > MAX_MARKS)
        shown.append(character if is_plain else escaped(character))
    return "".join(shown)


def escaped(character: str) -> str:
    r"""Return one character as ``\uXXXX``, or as ``\UXXXXXXXX`` where that is too short."""
    code = ord(character)
    return f"\\u{code:04x}" if code <= _SHORT else f"\\U{code:08x}"


def is_hidden(character: str) -> bool:
    """Whether people would not see the character as what it is: a control, a blank that is no plain space, or nothing."""
    if character == " ":
        return False
    category = unicodedata.category(character)
    return category in _HIDDEN_CATEGORIES or category == "Zs" or character in _BLANK
