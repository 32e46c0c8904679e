"""Finds data of chosen classes in a text, in whatever writing it stands there."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from aos.inspection import detect_payment, detect_phi, detect_pii, detect_secret, folding
from aos.inspection.expressions import Expression, Prefilter
from aos.inspection.keys import RULES
from aos.inspection.sizes import MAX_CANDIDATES, MAX_FINDINGS, DataTooLargeError
from aos.inspection.spans import Span, merged

BUILT_IN: Final = frozenset({detect_pii.PII, detect_phi.PHI, detect_secret.SECRET, detect_payment.PAYMENT})
"""The data classes that need no pattern."""
DETECTORS: Final = (
    *detect_pii.DETECTORS,
    *detect_phi.DETECTORS,
    *detect_secret.DETECTORS,
    *detect_payment.DETECTORS,
)
MAX_LAYERS: Final = 3
"""How many writings within each other are seen through: percent-encoding of base64 of base64."""
_MAX_ROUNDS: Final = 4
_BARRIER: Final = b"\0"


class _Effort:
    """What one search may still take: the cost of a text is bounded by its length and by this."""

    __slots__ = ("_candidates",)

    def __init__(self) -> None:
        self._candidates = 0

    def judge(self) -> None:
        """Count one candidate.

        Raises:
            DataTooLargeError: there are too many.
        """
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES:
            raise DataTooLargeError(
                f"it holds more than {MAX_CANDIDATES} stretches that look like data; send or ask for less at once"
            )


class Finder:
    """Finds data of the classes and patterns that it was made for; compiled once.

    Attributes:
        classes: that it can find.
        key_rules: of the rules for keys, those for its classes, by position.
    """

    __slots__ = (
        "_deep",
        "_detectors",
        "_marker",
        "_patterns",
        "_prefilter",
        "_regexes",
        "_torn",
        "classes",
        "key_rules",
        "patterns",
    )

    def __init__(
        self, classes: frozenset[str], patterns: Sequence[tuple[str, str]] = (), *, torn: bool = False
    ) -> None:
        """Compile.

        Args:
            classes: to find.
            patterns: pairs of a class of one's own and RE2; those of other classes than ``classes`` are left out.
            torn: whether it is for texts put together, in which chance puts together what looks like a random token.

        Raises:
            PatternError: a pattern is not RE2.
        """
        self.classes = classes
        self._regexes = patterns
        self._torn: Finder | None = self if torn else None
        chosen = [
            detector
            for detector in DETECTORS
            if detector.data_class in classes and (detector.torn or not torn)
        ]
        self._detectors = [(detector, _compiled(detector.pattern)) for detector in chosen]
        self._patterns = [
            (frozenset({name}), Expression(regex)) for name, regex in patterns if name in classes
        ]
        self.patterns = bool(self._patterns)
        self.key_rules = frozenset(place for place, rule in enumerate(RULES) if rule.data_class in classes)
        self._deep = range(len(chosen), len(chosen) + 3)
        self._prefilter = Prefilter(
            [
                *(detector.hint for detector in chosen),
                folding.BASE64_HINT,
                folding.HEX_HINT,
                folding.ESCAPE_HINT,
                *(RULES[place].hint for place in sorted(self.key_rules)),
            ]
        )
        names = "|".join(re.escape(name) for name in sorted(classes | BUILT_IN))
        self._marker = re.compile(rf"\[redacted:(?:{names})(?:,(?:{names}))*\]".encode())

    def may_hold(self, document: bytes) -> bool:
        """Whether JSON may hold data; False is certain, but for patterns, which are not asked."""
        text = document
        # One byte is looked for in a tenth of the time that two take, and most documents escape nothing.
        escapes = b"\\" in text
        if (
            b"%" in text
            or (escapes and (b"\\u" in text or b"\\x" in text))
            or b"&#" in text
            or not text.isascii()
        ):
            text = folding.plain(text)
            escapes = b"\\" in text
        if self._prefilter.hits(text.replace(b"\\", b"") if escapes else text):
            return True
        # Of what JSON escapes, hints know \n, \r and \t, but not these two.
        if not escapes or (b"\\b" not in text and b"\\f" not in text):
            return False
        other = text.replace(b"\\b", b" ").replace(b"\\f", b" ").replace(b"\\", b"")
        return bool(self._prefilter.hits(other))

    def torn(self) -> "Finder":
        """Return the finder of the same in texts put together."""
        if self._torn is None:
            self._torn = Finder(self.classes, self._regexes, torn=True)
        return self._torn

    def unmarked(self, text: bytes) -> bytes:
        """Return ``text`` without the markers of earlier redactions."""
        return self._marker.sub(b"", text)

    def find(self, text: bytes) -> list[Span]:
        """Return what stands in ``text``, in order, without overlaps. A NUL is never part of what is found.

        What is found is taken out and the rest looked through again, until nothing more is there: so what is left
        when all of it is redacted holds nothing.

        Raises:
            DataTooLargeError: it holds more than MAX_FINDINGS, or more than MAX_CANDIDATES look like it.
        """
        rest = self._marker.sub(_blank, text)
        found: list[Span] = []
        effort = _Effort()
        for _ in range(_MAX_ROUNDS):
            new = merged(self._search(rest, MAX_LAYERS, effort))
            if not new:
                return merged(found)
            found += new
            check_findings(len(found))
            rest = blanked(rest, new)
        return merged([*found, Span(0, len(text), frozenset().union(*(span.classes for span in found)))])

    def _search(self, text: bytes, layers: int, effort: _Effort) -> list[Span]:
        hits = self._prefilter.hits(text)
        spans = self._matches(text, hits, effort) if hits or self._patterns else []
        if layers == 0:
            return spans
        seen = folding.view(text)
        if seen is not None and seen.text != text:
            spans += seen.origin(self._search(seen.text, layers - 1, effort))
        if not hits.isdisjoint(self._deep):
            said = folding.decoded(text)
            if said is not None:
                spans += said.origin(self._search(said.text, layers - 1, effort))
        return spans

    def _matches(self, text: bytes, hits: Iterable[int], effort: _Effort) -> list[Span]:
        spans: list[Span] = []
        for hit in hits:
            if hit >= len(self._detectors):
                continue
            detector, expression = self._detectors[hit]
            classes = _alone(detector.data_class)
            before = len(spans)
            for start, end in expression.pieces(text):
                effort.judge()
                check_findings(len(spans) - before)
                spans += [Span(first, last, classes) for first, last in detector.judge(text, start, end)]
        for classes, expression in self._patterns:
            spans += self._own(text, classes, expression, effort)
        return spans

    def _own(
        self, text: bytes, classes: frozenset[str], expression: Expression, effort: _Effort
    ) -> Iterable[Span]:
        """A policy's pattern sees one text at a time: its anchors and its negated classes know of no barrier."""
        offset = 0
        for part in text.split(_BARRIER):
            if part:
                for start, end in expression.pieces(part):
                    effort.judge()
                    yield Span(offset + start, offset + end, classes)
            offset += len(part) + 1


def check_findings(count: int) -> None:
    """Check how much was found.

    Raises:
        DataTooLargeError: it is more than MAX_FINDINGS.
    """
    if count > MAX_FINDINGS:
        raise DataTooLargeError(
            f"it holds more than {MAX_FINDINGS} stretches of data that policy looks for; send or ask for less at once"
        )


def _blank(match: re.Match[bytes]) -> bytes:
    return _BARRIER * len(match[0])


def blanked(text: bytes, spans: Iterable[Span]) -> bytes:
    """Return ``text`` with NULs in place of ``spans``."""
    rest = bytearray(text)
    for span in spans:
        rest[span.start : span.end] = _BARRIER * (span.end - span.start)
    return bytes(rest)


@lru_cache(maxsize=64)
def _alone(data_class: str) -> frozenset[str]:
    return frozenset({data_class})


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Expression:
    return Expression(pattern)
