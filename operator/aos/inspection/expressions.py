"""Expressions in RE2 syntax over UTF-8 bytes: matched in linear time, whatever the text."""

from collections.abc import Iterator, Sequence
from typing import Final

import re2

from aos.inspection.spans import Piece

_PREFILTER_MEMORY_BYTES: Final = 64 * 1024 * 1024
_ALWAYS: Final = ""
_COUNTS: Final = "{"
LONG_BYTES: Final = 16 * 1024
"""Hints that count what they repeat multiply each other's states. In text from here on each of them is looked for alone:
that costs a little more of plain text, and a hundredth of text that was made to be slow."""


class PatternError(ValueError):
    """A pattern that RE2 does not take; the message says why."""


class Expression:
    """A compiled expression. Its value is the first group that took part, or the whole match."""

    __slots__ = ("_compiled", "source")

    def __init__(self, source: str) -> None:
        """Compile ``source``.

        Raises:
            PatternError: RE2 does not take it.
        """
        options = re2.Options()
        options.log_errors = False
        self.source = source
        try:
            self._compiled = re2.compile(source.encode(), options)
        except (re2.error, UnicodeEncodeError) as error:
            raise PatternError(f"the pattern {source[:80]!r} is not RE2 syntax: {_said(error)}") from None

    def matches(self, text: bytes) -> bool:
        """Whether it matches anywhere in ``text``."""
        return self._compiled.search(text) is not None

    def pieces(self, text: bytes) -> Iterator[Piece]:
        """Give where the values stand in ``text``, left to right; empty ones are left out."""
        groups = range(1, self._compiled.groups + 1)
        for match in self._compiled.finditer(text):
            start, end = match.span()
            for group in groups:
                within: Piece = match.span(group)
                if within[0] >= 0:
                    start, end = within
                    break
            if start < end:
                yield start, end


class Prefilter:
    """Many hints looked for at once, in one pass over the text."""

    __slots__ = ("_all", "_alone", "_set", "_together", "_uncounted")

    def __init__(self, hints: Sequence[str]) -> None:
        """Compile ``hints``: expressions that match wherever what they stand for may be."""
        self._all = frozenset(range(len(hints)))
        self._set = _set_of(hints)
        self._together = [place for place, hint in enumerate(hints) if _COUNTS not in hint]
        self._uncounted = _set_of([hints[place] for place in self._together])
        self._alone = [(place, Expression(hint)) for place, hint in enumerate(hints) if _COUNTS in hint]

    def hits(self, text: bytes) -> frozenset[int]:
        """Return which hints match, by position; all of them where that can't be told."""
        if len(text) < LONG_BYTES:
            found = _matching(self._set, text)
            return self._all if found is None else frozenset(found)
        found = _matching(self._uncounted, text)
        together = self._together if found is None else [self._together[place] for place in found]
        return frozenset((*together, *(place for place, hint in self._alone if hint.matches(text))))


def _set_of(hints: Sequence[str]) -> re2.Set:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PREFILTER_MEMORY_BYTES
    compiled = re2.Set.SearchSet(options)
    for hint in hints:
        compiled.Add(hint.encode())
    # A set that runs out of memory says that nothing matched. This last one matches everywhere, so that shows.
    compiled.Add(_ALWAYS.encode())
    compiled.Compile()
    return compiled


def _matching(compiled: re2.Set, text: bytes) -> list[int] | None:
    """Return the positions of what matches, without the one that always does; None where that can't be told."""
    found = compiled.Match(text)
    if not found:
        return None
    return sorted(found)[:-1]


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
