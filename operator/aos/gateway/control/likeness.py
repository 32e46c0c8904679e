"""When two calls are as good as identical: the same words, however they are written. Pure."""

import hashlib
import re
import unicodedata
from typing import Final

import orjson
from pydantic import JsonValue

_INVISIBLE: Final = frozenset({"Cf", "Cc"})
_SELECTORS: Final = frozenset(
    chr(code) for code in (0x034F, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
)
"""Marks that show nothing by themselves: joiners and variation selectors."""
_MAX_EXACT: Final = 2**53


def likeness(value: JsonValue) -> str:
    """Return a digest that is equal for values that differ only in how they are written.

    Texts are compared after Unicode NFKC, without what is invisible, without case and without regard to the length of
    blanks; 1 and 1.0 are equal, and so are objects whose keys stand in another order. A member that is null is as good as
    left out, and a null in a list is an item. Keys are taken as they are.
    """
    encoded = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if not encoded.isascii() or _PERHAPS_UNPLAIN.search(encoded):
        encoded = orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


_PERHAPS_UNPLAIN: Final = re.compile(rb'[A-Z\\\x7f]|  |" | "|[0-9][.eE]|:null')
"""Whatever would be written otherwise looks so in JSON of ASCII: capitals, escapes, blanks at an end or in a row, fractions, nulls."""


def _plain(value: JsonValue) -> JsonValue:
    match value:
        case str():
            return _plain_text(value)
        case float():
            return int(value) if value.is_integer() and abs(value) <= _MAX_EXACT else value
        case dict():
            return {key: _plain(item) for key, item in value.items() if item is not None}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value


def _plain_text(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        seen = "".join(character for character in text if not _is_invisible(character))
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    return " ".join(text.casefold().split())


def _is_invisible(character: str) -> bool:
    if character.isspace():
        return False
    return character in _SELECTORS or unicodedata.category(character) in _INVISIBLE
