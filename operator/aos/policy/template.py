"""Text with ``${...}`` in CEL, as a Tool's action names the record that it writes."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self
from urllib.parse import quote

from pydantic import JsonValue

from aos.policy.cost import Size, room_for, size_of, told
from aos.policy.expression import Activation, ExpressionError, RecordExpression

MAX_RENDERED_LENGTH: Final = 256

_OPENING: Final = "${"
_STRING: Final = re.compile(
    r"[rR]'''.*?'''|[rR]\"\"\".*?\"\"\"|'''(?:\\.|.)*?'''|\"\"\"(?:\\.|.)*?\"\"\""
    r"|[rR]'[^'\n]*'|[rR]\"[^\"\n]*\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|//[^\n]*",
    re.DOTALL,
)
"""A text or a comment of CEL: braces inside are no braces."""
_SAFE: Final = " !\"#$&'()*+,-.:;<=>?@[\\]^_`{|}~"
"""Printable characters that stand for themselves in a rendered value: all but ``/`` and ``%``."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions, compiled; equal sources are equal templates.

    Attributes:
        source: as it was written.
    """

    source: str
    _parts: tuple[str | RecordExpression, ...] = field(compare=False, repr=False)
    _room: Size = field(compare=False, repr=False)

    @classmethod
    def compile(cls, source: str) -> Self:
        """Compile ``source``, whose expressions may name ``args`` and give a string, an int or a bool.

        Raises:
            ExpressionError: an expression does not compile or has another type, or two of them have no ``/`` between
                them, so that different values could make one text.
        """
        parts = compiled_parts(source)
        for part in parts:
            if isinstance(part, str) and not (part.isascii() and part.isprintable()):
                raise ExpressionError(f"{part!r}: outside of ${{...}} there may only be printable ASCII")
        if any(isinstance(part, str) and "/" not in part for part in parts[1:-1]):
            raise ExpressionError("put a / between two ${...}: else different values could name one record")
        room = room_for([part.works for part in parts if isinstance(part, RecordExpression)])
        return cls(source, parts, room)

    def render(self, arguments: Mapping[str, JsonValue]) -> str:
        """Return the text for ``arguments``, at most `MAX_RENDERED_LENGTH` characters of printable ASCII.

        In values, ``/``, ``%`` and whatever is not printable ASCII stand percent-encoded, so that a value never reaches
        into another part of the text. Texts that Unicode takes for the same (NFKC) are the same, whatever invisible characters
        they hold and whatever blanks stand around them.

        Raises:
            ExpressionError: an expression fails or gives something else than a non-empty string, an int or a bool, the
                text is too long, or the arguments are.
        """
        size = size_of([dict(arguments)])
        if size is None or not size.fits(self._room):
            raise ExpressionError(
                f"the arguments are too large to name a record by {self.source}: {told(size, self._room)}"
            )
        activation = Activation({"args": arguments})
        rendered = "".join(
            part if isinstance(part, str) else _value(part, activation) for part in self._parts
        )
        if len(rendered) > MAX_RENDERED_LENGTH:
            raise ExpressionError(
                f"{self.source} gives {len(rendered)} characters, and a record's name has at most {MAX_RENDERED_LENGTH}"
            )
        return rendered


@lru_cache(maxsize=4096)
def compile_template(source: str) -> Template:
    """Return ``source`` compiled; equal sources share one compilation.

    Raises:
        ExpressionError: see `Template.compile`.
    """
    return Template.compile(source)


def compiled_parts(source: str) -> tuple[str | RecordExpression, ...]:
    """Return the texts and the compiled expressions of ``source``, in turn.

    Raises:
        ExpressionError: an expression does not compile, or has no end.
    """
    parts: list[str | RecordExpression] = []
    for piece in pieces(source):
        if isinstance(piece, str):
            parts.append(piece)
            continue
        try:
            parts.append(RecordExpression(piece.expression))
        except ExpressionError as error:
            raise ExpressionError(f"in ${{...}} at character {piece.place}: {error}") from None
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class Hole:
    """One ``${...}`` of a text.

    Attributes:
        expression: what stands between the braces.
        place: of the ``$``, counted from 1.
    """

    expression: str
    place: int


def pieces(source: str) -> tuple[str | Hole, ...]:
    """Return the texts and the ``${...}`` of ``source``, in turn; a text comes first and last, and may be empty.

    Raises:
        ExpressionError: a brace is not closed.
    """
    found: list[str | Hole] = []
    place = 0
    while (opening := source.find(_OPENING, place)) >= 0:
        start = opening + len(_OPENING)
        end = _closing(source, start)
        found += (source[place:opening], Hole(source[start:end], opening + 1))
        place = end + 1
    return (*found, source[place:])


def _closing(source: str, start: int) -> int:
    """Return where the brace stands that ends the expression."""
    depth = 0
    place = start
    while place < len(source):
        skipped = _STRING.match(source, place)
        if skipped is not None:
            place = skipped.end()
            continue
        if source[place] == "}" and depth == 0:
            return place
        depth += {"{": 1, "}": -1}.get(source[place], 0)
        place += 1
    raise ExpressionError(f"the ${{ at character {start - 1} has no closing brace")


def _value(expression: RecordExpression, activation: Activation) -> str:
    text = _seen(expression.text(activation))
    if not text:
        raise ExpressionError(f"${{{expression.source}}} is empty")
    return quote(text, safe=_SAFE)


def _seen(text: str) -> str:
    """Return ``text`` as many systems read it: a blank at its end, or what shows nothing, must not make another record."""
    if not text.isascii():
        shown = "".join(character for character in text if unicodedata.category(character) != "Cf")
        text = unicodedata.normalize("NFKC", shown)
    return text.strip()
