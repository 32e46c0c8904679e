"""Looks through what calls carry, as the merged policies say: what was found, what is left of it, what blocks."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydantic import JsonValue

from aos.inspection.document import Document
from aos.inspection.finder import Finder
from aos.inspection.neighbours import joined_texts
from aos.inspection.sizes import MAX_TEXT_BYTES, DataTooLargeError, as_json, check_bytes
from aos.inspection.stream import StreamInspector
from aos.policy.obligations import DataRules, PatternRule

NO_CLASSES: Final[frozenset[str]] = frozenset()
_TEXT_KEY: Final = b'"text":"'
"""What stands in JSON as often as it holds text blocks, or more often."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What came of an inspection.

    Attributes:
        value: to pass on: without what policies redact. The very value that was given, where nothing changed.
        found: data classes that stand in it or that the action declares.
        blocked: those of them whose presence forbids to pass it on.
    """

    value: JsonValue
    found: frozenset[str] = NO_CLASSES
    blocked: frozenset[str] = NO_CLASSES


class _Side:
    """One direction: what is redacted, what blocks, how much may be said."""

    __slots__ = ("block", "finder", "idle", "max_bytes", "redact")

    def __init__(
        self, rules: DataRules, redact: frozenset[str], block: frozenset[str], max_bytes: int | None
    ) -> None:
        self.redact = redact
        self.block = block
        self.max_bytes = max_bytes
        classes = redact | block
        self.finder = _finder_for(rules.patterns, classes) if classes else None
        self.idle = self.finder is None and max_bytes is None

    def inspect(self, value: JsonValue) -> Inspected:
        document = as_json(value)
        check_bytes(len(document), self.max_bytes)
        if self.finder is None:
            return Inspected(value)
        if len(document) > MAX_TEXT_BYTES:
            raise DataTooLargeError(
                f"it has more than {MAX_TEXT_BYTES} bytes, which are too many to look through; send or ask for less at once"
            )
        blocks = _joined(value) if document.count(_TEXT_KEY) > 1 else ""
        if not _may_hold(self.finder, document, blocks):
            return Inspected(value)
        taken_apart = Document(value, self.finder, blocks=bool(blocks))
        found = taken_apart.find()
        if not found:
            return Inspected(value)
        return Inspected(taken_apart.redacted(self.redact), found, found & self.block)


def _joined(value: JsonValue) -> str:
    """Return what each list of text blocks says together; empty if there is none."""
    return " ".join(joined_texts(value))


def _may_hold(finder: Finder, document: bytes, blocks: str) -> bool:
    return finder.patterns or finder.may_hold(document) or (bool(blocks) and finder.may_hold(as_json(blocks)))


class Inspector:
    """The data rules of one call, compiled; share it by ``inspector_for``.

    Attributes:
        idle: whether it neither looks for anything nor bounds anything.
    """

    __slots__ = ("_request", "_response", "declared", "idle")

    def __init__(self, rules: DataRules, declared: frozenset[str] = NO_CLASSES) -> None:
        """Compile.

        Args:
            rules: of the policies.
            declared: classes that the action says its results hold; they are on record without being found.

        Raises:
            PatternError: a policy's pattern is not RE2.
        """
        self.declared = declared
        self._request = _Side(rules, rules.redact_request, rules.block_request, rules.max_request_bytes)
        self._response = _Side(rules, rules.redact_response, rules.block_response, rules.max_response_bytes)
        self.idle = self._request.idle and self._response.idle

    @property
    def looks_into_responses(self) -> bool:
        """Whether answers are looked through, and not only measured."""
        return self._response.finder is not None

    def request(self, value: JsonValue) -> Inspected:
        """Look through what goes to a tool or model.

        Raises:
            DataTooLargeError: it is larger than policy allows or than can be judged.
        """
        return Inspected(value) if self._request.idle else self._request.inspect(value)

    def response(self, value: JsonValue) -> Inspected:
        """Look through what comes back.

        Raises:
            DataTooLargeError: it is larger than policy allows or than can be judged.
        """
        inspected = Inspected(value) if self._response.idle else self._response.inspect(value)
        if not self.declared:
            return inspected
        return Inspected(inspected.value, inspected.found | self.declared, inspected.blocked)

    def stream(self) -> StreamInspector:
        """Return an inspector of one text that comes back in pieces; it does not measure."""
        side = self._response
        return StreamInspector(side.finder, side.redact, side.block)


@lru_cache(maxsize=512)
def inspector_for(rules: DataRules, declared: frozenset[str] = NO_CLASSES) -> Inspector:
    """Return the inspector of ``rules``; equal rules share one.

    Raises:
        PatternError: a policy's pattern is not RE2.
    """
    return Inspector(rules, declared)


@lru_cache(maxsize=512)
def _finder_for(patterns: frozenset[PatternRule], classes: frozenset[str]) -> Finder:
    return Finder(classes, sorted((pattern.name, pattern.regex) for pattern in patterns))
