"""JSON of agents and tools as fields that people read: nothing is left out, and nothing can pass for another line. Pure."""

import json
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from aos.cli.output import MIN_LAST_COLUMN
from aos.inspection.visible import visible

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_INDENT: Final = "  "
_BAR: Final = "| "
"""Stands before each line of a text that has several."""
MAX_DEPTH: Final = 64
"""What is nested deeper is shown as the text that it is."""


@dataclass(frozen=True, slots=True)
class Field:
    """A leaf of a document: where it stands, as ``address.city`` or ``items[0]``, and what it holds."""

    path: str
    value: JsonValue


def document(text: str) -> JsonValue:
    """Return the JSON in ``text``; text that is none (it may have been cut) is returned as it is."""
    try:
        value: JsonValue = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text
    return value if _is_flat(value, MAX_DEPTH) else text


def _is_flat(value: JsonValue, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_is_flat(item, depth - 1) for item in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_is_flat(item, depth - 1) for item in value)
    return True


def fields(value: JsonValue, path: str = "") -> Iterator[Field]:
    """Return the leaves of a document in its order; empty objects and lists are leaves."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            name = key if _PLAIN_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
            yield from fields(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from fields(item, f"{path}[{index}]")
    else:
        yield Field(path, value)


def field_lines(value: JsonValue, width: int | None, indent: str = _INDENT) -> list[str]:
    """Return a document, one field a line where it fits into ``width`` characters."""
    found = list(fields(value))
    longest = max((len(visible(item.path)) for item in found), default=0)
    # A long name on one field must not push the values of all others to the right.
    column = min(longest, MIN_LAST_COLUMN)
    return [line for item in found for line in _field(item, column, width, indent)]


def _field(item: Field, column: int, width: int | None, indent: str) -> list[str]:
    name = visible(item.path)
    first, *rest = value_lines(item.value)
    if not rest:
        return folded(f"{name.ljust(column)}{_INDENT if name else ''}{first}", width, indent)
    return [
        *folded(name, width, indent),
        *(
            line
            for said in (first, *rest)
            for line in folded(said, width, indent + _INDENT + _BAR, indent + _INDENT + _BAR)
        ),
    ]


def value_lines(value: JsonValue) -> list[str]:
    """Return a leaf as lines: a text as it is where nothing else could look the same, anything else as JSON."""
    if not isinstance(value, str):
        return [visible(json.dumps(value, ensure_ascii=False))]
    lines = value.splitlines() if value.isprintable() or _has_plain_breaks(value) else [value]
    if len(lines) > 1:
        return [visible(line) for line in lines]
    if value == value.strip() and value and isinstance(document(value), str) and value[0] != '"':
        return [visible(value)]
    return [visible(json.dumps(value, ensure_ascii=False))]


def _has_plain_breaks(value: str) -> bool:
    r"""Whether lines end as people end them, ``\n`` or ``\r\n``, and not by some other control character."""
    return value.replace("\r\n", "\n").split("\n") == value.splitlines() + [""] * value.endswith("\n")


def changes(before: JsonValue, after: JsonValue, width: int | None) -> list[str]:
    """Return what differs between two documents, field by field: ``-`` what is, ``+`` what would be."""
    old = {item.path: item.value for item in fields(before)}
    new = {item.path: item.value for item in fields(after)}
    lines: list[str] = []
    same = 0
    for path in dict.fromkeys((*old, *new)):
        if path in old and path in new and _equal(old[path], new[path]):
            same += 1
            continue
        if path:
            lines += folded(visible(path), width, _INDENT)
        for sign, side in (("-", old), ("+", new)):
            if path in side:
                start = f"{_INDENT * 2}{sign} "
                lines += [
                    line for said in value_lines(side[path]) for line in folded(said, width, start, start)
                ]
    if not lines:
        return [f"{_INDENT}nothing: all stays as it is"]
    stay = "1 that stays as it is" if same == 1 else f"{same} that stay as they are"
    return [*lines, f"{_INDENT}{stay}"] if same else lines


def _equal(one: JsonValue, other: JsonValue) -> bool:
    """As JSON: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def folded(text: str, width: int | None, indent: str = "", further: str | None = None) -> list[str]:
    """Return ``text`` in lines that a terminal of ``width`` columns does not fold by itself.

    Args:
        text: on one line.
        width: None for as wide as it gets.
        indent: stands before the first line.
        further: stands before the other lines; None for a little more than ``indent``.
    """
    further = f"{indent}{_INDENT}" if further is None else further
    if width is None:
        return [indent + text]
    room = max(width, MIN_LAST_COLUMN + len(further))
    if any(unicodedata.east_asian_width(character) in "WF" for character in text):
        # Such a character takes two columns; a line that the terminal folds could begin as another field does.
        room = max(room // 2, MIN_LAST_COLUMN + len(further))
    wrapped = textwrap.wrap(
        text, room, initial_indent=indent, subsequent_indent=further, break_on_hyphens=False
    )
    return wrapped or [indent.rstrip()]
