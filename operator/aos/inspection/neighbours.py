"""Texts that are read one after another, such as the text blocks of one result: what stands over their borders. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final

from pydantic import JsonValue

from aos.inspection.detect_phi import PHI
from aos.inspection.detect_pii import PII
from aos.inspection.finder import Finder, blanked
from aos.inspection.spans import Span, merged

_MAX_ROUNDS: Final = 4
_BARRIER: Final = b"\0"
_COMPLETE: Final = frozenset({PII, PHI})
"""Classes whose values may well end where a text does: the word that the next one begins with is no part of them."""


def is_text_block(value: JsonValue) -> bool:
    """Whether ``value`` is a text among the parts of a result or message: an object of type ``text``."""
    return isinstance(value, dict) and value.get("type") == "text" and isinstance(value.get("text"), str)


def joined_texts(value: JsonValue) -> Iterator[str]:
    """Give for each list in ``value`` with two or more text blocks what they say together."""
    waiting: list[JsonValue] = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
            texts = [str(item["text"]) for item in node if isinstance(item, dict) and is_text_block(item)]
            if len(texts) > 1:
                yield "".join(texts)


def found_across(finder: Finder, texts: Sequence[bytes], found: Sequence[Sequence[Span]]) -> list[list[Span]]:
    """Return what stands in each of ``texts``, by itself and read together with the others.

    When all of it is redacted, the texts hold nothing, neither each for itself nor together.

    Args:
        finder: of what ``found`` holds.
        texts: in UTF-8, in the order in which they are read.
        found: what stands in each for itself, in order and without overlaps.

    Raises:
        DataTooLargeError: they hold more than can be judged.
    """
    spans = [list(each) for each in found]
    grown = _with_torn(finder, texts, spans)
    if not any(grown):
        return grown
    for _ in range(_MAX_ROUNDS):
        spans = grown
        rest = _blanked(texts, spans)
        alone = finder.find(_BARRIER.join(rest))
        spans = _with(spans, _pieces(alone, [len(text) for text in rest], gap=1))
        grown = _with_torn(finder, rest, spans)
        if grown == spans and not alone:
            return spans
    classes = frozenset().union(*(span.classes for each in grown for span in each))
    return [[Span(0, len(text), classes)] for text in texts]


_Pieces = list[tuple[int, Span]]
"""Of one find: in which texts it stands, and where there."""


def _with_torn(finder: Finder, texts: Sequence[bytes], spans: list[list[Span]]) -> list[list[Span]]:
    lengths = [len(text) for text in texts]
    torn = finder.torn()
    grown = _with_split(spans, _pieces(torn.find(b"".join(texts)), lengths))
    if len(texts) == 2:  # noqa: PLR2004 - a pair
        return grown
    # What follows a value in a third text may hide where it ends.
    rest = _blanked(texts, grown)
    pairs = [before + after for before, after in pairwise(rest)]
    found = torn.find(_BARRIER.join(pairs))
    split = (
        [(place + second, piece) for second, piece in pieces]
        for of_pair in _pieces(found, [len(pair) for pair in pairs], gap=1)
        for place, span in of_pair
        for pieces in _pieces([span], lengths[place : place + 2])
    )
    return _with_split(grown, split)


def _blanked(texts: Sequence[bytes], spans: Sequence[Sequence[Span]]) -> list[bytes]:
    return [blanked(text, each) for text, each in zip(texts, spans, strict=True)]


def _pieces(spans: Sequence[Span], lengths: Sequence[int], *, gap: int = 0) -> Iterator[_Pieces]:
    """Share out what was found in texts put together, by their lengths and what stands between them."""
    starts = list(accumulate((length + gap for length in lengths), initial=0))
    for span in spans:
        pieces = []
        place = bisect_right(starts, span.start) - 1
        while place < len(lengths) and starts[place] < span.end:
            start, end = max(span.start, starts[place]), min(span.end, starts[place] + lengths[place])
            if start < end:
                pieces.append((place, Span(start - starts[place], end - starts[place], span.classes)))
            place += 1
        yield pieces


def _is_complete(pieces: _Pieces, spans: Sequence[Sequence[Span]]) -> bool:
    """Whether a text holds the value by itself: what the next one begins with only happens to stand behind it."""
    place, first = pieces[0]
    if len(pieces) == 1 or not first.classes <= _COMPLETE or not spans[place]:
        return False
    last = spans[place][-1]
    return last.start <= first.start and first.end <= last.end


def _with_split(spans: list[list[Span]], found: Iterable[_Pieces]) -> list[list[Span]]:
    return _with(spans, (pieces for pieces in found if not _is_complete(pieces, spans)))


def _with(spans: list[list[Span]], found: Iterable[_Pieces]) -> list[list[Span]]:
    grown = [list(each) for each in spans]
    for pieces in found:
        for place, piece in pieces:
            grown[place].append(piece)
    return [merged(each) for each in grown]
