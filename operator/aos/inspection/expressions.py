"""Expressions in RE2 syntax over UTF-8 bytes: matched in linear time, whatever the text."""

from collections.abc import Iterator, Sequence
from typing import Final

import re2

from aos.inspection.spans import Piece

_PREFILTER_MEMORY_BYTES: Final = 64 * 1024 * 1024
_ALWAYS: Final = ""


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

    __slots__ = ("_all", "_set")

    def __init__(self, hints: Sequence[str]) -> None:
        """Compile ``hints``: expressions that match wherever what they stand for may be."""
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _PREFILTER_MEMORY_BYTES
        self._set = re2.Set.SearchSet(options)
        for hint in hints:
            self._set.Add(hint.encode())
        # A set that runs out of memory says that nothing matched. This last one matches everywhere, so that shows.
        self._set.Add(_ALWAYS.encode())
        self._set.Compile()
        self._all = frozenset(range(len(hints)))

    def hits(self, text: bytes) -> frozenset[int]:
        """Return which hints match, by position; all of them where that can't be told."""
        found = self._set.Match(text)
        if found is None:
            return self._all
        return self._all.intersection(found) if len(found) > 1 else frozenset()


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
