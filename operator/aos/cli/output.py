"""Results as text: JSON and YAML for programs, tables for people that also fit narrow terminals. Pure."""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from aos.cli.formats import DataFormat
from aos.inspection.visible import visible

MIN_LAST_COLUMN: Final = 24
"""A last column narrower than this says too little: the table becomes a list."""
_GAP: Final = "  "
_INDENT: Final = "  "


def as_data(value: Mapping[str, JsonValue], style: str) -> str:
    """Return ``value`` as JSON, or as YAML."""
    text = _dumped(value, style, is_ascii=False)
    # Escaped, text that would drive a terminal or turn other text around is still the same value to a program.
    return text if visible(text, keep="\n") == text else _dumped(value, style, is_ascii=True)


def _dumped(value: Mapping[str, JsonValue], style: str, *, is_ascii: bool) -> str:
    if style == DataFormat.YAML:
        import yaml

        return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=not is_ascii).rstrip("\n")
    return json.dumps(value, indent=2, ensure_ascii=is_ascii).replace("\x7f", "\\u007f")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; the first column names the row, the last one may be long."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def render(self, width: int | None) -> list[str]:
        """Return the lines: columns where they fit into ``width`` characters, else one block for each row.

        What stands in a cell may come from agents: what drives a terminal, or can't be seen, is spelled out.

        Args:
            width: None for as wide as it gets.
        """
        rows = [tuple([visible(cell) for cell in row]) for row in self.rows]
        *fixed, last = (max(map(len, column)) for column in zip(self.headings, *rows, strict=True))
        used = sum(fixed) + len(_GAP) * len(fixed)
        if width is None or used + last <= width:
            return [self._line(fixed, row) for row in (self.headings, *rows)]
        if width - used >= MIN_LAST_COLUMN:
            return [self._line(fixed, _cut_last(row, width - used)) for row in (self.headings, *rows)]
        return [line for row in rows for line in self._block(row, width)]

    def _line(self, fixed: Sequence[int], row: Sequence[str]) -> str:
        cells = [cell.ljust(size) for cell, size in zip(row, fixed, strict=False)]
        return _GAP.join([*cells, row[-1]]).rstrip()

    def _block(self, row: Sequence[str], width: int) -> list[str]:
        said = [
            f"{name.lower()}: {cell}" for name, cell in zip(self.headings[1:], row[1:], strict=True) if cell
        ]
        return [row[0], *(line for item in said for line in wrapped(item, width, _INDENT))]


def wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """Return ``text`` in lines of at most ``width`` characters; names that are longer stay whole."""
    if width is None:
        return [indent + text]
    return textwrap.wrap(
        text,
        max(width, MIN_LAST_COLUMN),
        initial_indent=indent,
        subsequent_indent=indent + _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cut_last(row: Sequence[str], size: int) -> list[str]:
    *rest, last = row
    return [*rest, last if len(last) <= size else last[: size - 1] + "…"]


def short_digest(digest: str) -> str:
    """Return enough of a digest to tell it from another one."""
    return digest.removeprefix("sha256:")[:12]


def age(then: datetime, now: datetime) -> str:
    """Return the time from ``then`` to ``now`` as people say it: ``12s``, ``5m``, ``3h``, ``2d``."""
    seconds = max(0, int((now - then).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def joined(parts: Iterable[str]) -> str:
    """Return the parts that say something, as one phrase on one line."""
    return ": ".join(one_line(part) for part in parts if part)


def one_line(text: str) -> str:
    """Return ``text`` without line breaks, which would tear a table, and without what can't be seen."""
    return visible(" ".join(text.split()))
