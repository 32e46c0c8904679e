"""Text that people do not see and models do: attack 9. No I/O."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLANK: Final = frozenset(
    chr(code)
    for code in (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810))
)
"""Letters, marks and symbols that show nothing, outside the categories below."""
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_LINE_BREAKS: Final = frozenset("\t\n\r")
_JOINER: Final = "\u200d"
_PRESENTATION: Final = frozenset("\ufe0e\ufe0f")
_SKIN_TONES: Final = frozenset(chr(code) for code in range(0x1F3FB, 0x1F400))
_TAGS: Final = range(0xE0000, 0xE0080)
_SELECTORS: Final = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_KEYCAPS_AND_MARKS: Final = frozenset("0123456789#*\u00a9\u00ae")
_SYMBOLS: Final = frozenset({"So", "Sm", "Po"})
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def find_hidden(text: str) -> str | None:
    """Return what is hidden in ``text``, in words, or None.

    Letters of every script, symbols and emoji pass, with the joiners and selectors that emoji are made of.
    """
    if text.isascii():
        found = _CONTROLS.search(text)
        return _describe(found[0]) if found else None
    for position, character in enumerate(text):
        if _is_hidden(character) and not _belongs_to_emoji(text, position):
            return _describe(character)
    return None


def find_hidden_within(value: JsonValue) -> str | None:
    """Return what is hidden in any key or string of ``value``, or None."""
    for text in _strings(value):
        found = find_hidden(text)
        if found:
            return found
    return None


def _is_hidden(character: str) -> bool:
    if character.isascii():
        return bool(_CONTROLS.match(character))
    return (
        character in _BLANK
        or _is_selector(character)
        or unicodedata.category(character) in _HIDDEN_CATEGORIES
    ) and character not in _LINE_BREAKS


def _is_selector(character: str) -> bool:
    return any(ord(character) in block for block in _SELECTORS)


def _belongs_to_emoji(text: str, position: int) -> bool:
    """Whether the character is the one selector after, or the joiner between, visible symbols."""
    before = text[position - 1] if position else ""
    if text[position] in _PRESENTATION:
        return _is_symbol(before) or before in _KEYCAPS_AND_MARKS
    if text[position] != _JOINER:
        return False
    after = text[position + 1 : position + 2]
    return (_is_symbol(before) or before in _PRESENTATION) and _is_symbol(after)


def _is_symbol(character: str) -> bool:
    if not character or character.isascii() or character in _BLANK:
        return False
    return character in _SKIN_TONES or unicodedata.category(character) in _SYMBOLS


def _describe(character: str) -> str:
    code = ord(character)
    if code in _TAGS:
        kind = "a tag character"
    elif character in _BIDI:
        kind = "a control of text direction"
    elif _is_selector(character):
        kind = "a variation selector"
    else:
        kind = unicodedata.name(character, "a control or unassigned character").lower()
    return f"U+{code:04X} ({kind})"


def _strings(value: JsonValue) -> Iterator[str]:
    waiting: list[JsonValue] = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            yield from node
            waiting.extend(node.values())
