"""Stretches of text, and how those that overlap become one."""

from collections.abc import Iterable
from dataclasses import dataclass

Piece = tuple[int, int]
"""Where a stretch starts, and where it ends (exclusive)."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch that holds data of one or more classes."""

    start: int
    end: int
    classes: frozenset[str]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return ``spans`` in order, with those that overlap or touch made one."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if result and span.start <= result[-1].end:
            last = result[-1]
            result[-1] = Span(last.start, max(last.end, span.end), last.classes | span.classes)
        else:
            result.append(span)
    return result
