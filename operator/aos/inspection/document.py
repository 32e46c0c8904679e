"""A JSON value taken apart into its texts, and put together again with what was found in them taken out."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
from pydantic import JsonValue

from aos.inspection.finder import Finder
from aos.inspection.keys import MAX_KEY_LENGTH, RULES, is_generic, rules_of
from aos.inspection.redaction import cut, marker
from aos.inspection.sizes import MAX_DEPTH, MAX_NODES, MAX_TEXT_BYTES, DataTooLargeError
from aos.inspection.spans import Span, merged

MAX_NESTED_JSON: Final = 4
"""How many times JSON may stand in a string of JSON and still be read as JSON."""

_MIN_NUMBER: Final = 100_000
"""Smaller numbers are data only by what their key says."""
_NOTHING: Final[frozenset[int]] = frozenset()
_SEPARATOR: Final = b"\0"


@dataclass(slots=True)
class _Text:
    """One text of the value.

    Attributes:
        text: UTF-8.
        start: where it stands among all texts.
        meaning: what its key says, as positions in RULES.
        spans: what was found in it.
        keyed: the classes that it is all of, by what its key says.
    """

    text: bytes
    start: int
    meaning: frozenset[int]
    spans: list[Span] = field(default_factory=list)
    keyed: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Object:
    members: list[tuple[str, _Text, "_Node", JsonValue]]


@dataclass(slots=True)
class _List:
    items: list[tuple["_Node", JsonValue]]


@dataclass(slots=True)
class _Json:
    """A string that holds JSON: seen as both."""

    raw: _Text
    content: "_Node"
    value: JsonValue


_Node = _Object | _List | _Json | _Text | None
"""None stands for a value that can't hold data."""


class Document:
    """A value to be looked through once."""

    def __init__(self, value: JsonValue, finder: Finder) -> None:
        """Take ``value`` apart.

        Raises:
            DataTooLargeError: it is nested too deeply, or holds too much.
        """
        self._finder = finder
        self._texts: list[_Text] = []
        self._length = 0
        self._nodes = 0
        self._value = value
        self._root = self._taken_apart(value, _NOTHING, depth=0, nested=0)

    def find(self) -> frozenset[str]:
        """Look through all texts; return the classes found."""
        found = self._finder.find(_SEPARATOR.join(text.text for text in self._texts))
        self._share_out(found)
        for text in self._texts:
            if text.meaning and not self._finder.is_redacted(text.text):
                rules = (RULES[place] for place in text.meaning)
                text.keyed = frozenset(rule.data_class for rule in rules if rule.holds(text.text))
                if text.keyed:
                    text.spans = merged([*text.spans, Span(0, len(text.text), text.keyed)])
        return frozenset().union(*(span.classes for text in self._texts for span in text.spans))

    def redacted(self, classes: frozenset[str]) -> JsonValue:
        """Return the value without what was found of ``classes``; the value itself where nothing was."""
        return self._rebuilt(self._root, self._value, classes)

    def _taken_apart(self, value: JsonValue, meaning: frozenset[int], *, depth: int, nested: int) -> _Node:
        if depth > MAX_DEPTH:
            raise DataTooLargeError(f"it is nested more than {MAX_DEPTH} deep")
        self._count()
        match value:
            case str():
                return self._string(value, meaning, depth=depth, nested=nested)
            case dict():
                return self._object(value, meaning, depth=depth, nested=nested)
            case list():
                return _List(
                    [
                        (self._taken_apart(item, meaning, depth=depth + 1, nested=nested), item)
                        for item in value
                    ]
                )
            case None | bool():
                return None
            case int():
                return self._number(str(value), abs(value) >= _MIN_NUMBER, meaning)
            case float():
                digits = str(int(value)) if value.is_integer() else str(value)
                return self._number(digits, abs(value) >= _MIN_NUMBER, meaning)

    def _object(
        self, value: dict[str, JsonValue], meaning: frozenset[int], *, depth: int, nested: int
    ) -> _Object:
        named = self._named(value)
        members: list[tuple[str, _Text, _Node, JsonValue]] = []
        for key, item in value.items():
            self._count()
            said = self._meaning(key)
            if is_generic(key):
                said |= meaning | (named if key == "value" else _NOTHING)
            text = self._text(key, _NOTHING)
            node = self._taken_apart(item, said, depth=depth + 1, nested=nested)
            members.append((key, text, node, item))
        return _Object(members)

    def _named(self, value: dict[str, JsonValue]) -> frozenset[int]:
        """Return what the name says in an object that spells out a name and a value, as headers and variables do."""
        if "value" not in value:
            return _NOTHING
        name = value.get("name", value.get("key"))
        return self._meaning(name) if isinstance(name, str) else _NOTHING

    def _meaning(self, key: str) -> frozenset[int]:
        if len(key) > MAX_KEY_LENGTH or not self._finder.key_rules:
            return _NOTHING
        return rules_of(key) & self._finder.key_rules

    def _string(self, value: str, meaning: frozenset[int], *, depth: int, nested: int) -> _Node:
        text = self._text(value, meaning)
        content = _json_in(value) if nested < MAX_NESTED_JSON else None
        if content is None:
            return text
        return _Json(text, self._taken_apart(content, _NOTHING, depth=depth + 1, nested=nested + 1), content)

    def _number(self, digits: str, large: bool, meaning: frozenset[int]) -> _Node:  # noqa: FBT001 - a measure
        return self._text(digits, meaning) if large or meaning else None

    def _text(self, text: str, meaning: frozenset[int]) -> _Text:
        # A NUL keeps texts apart; one within a text is another control character.
        content = text.encode("utf-8", "surrogatepass").replace(_SEPARATOR, b"\x01")
        node = _Text(content, self._length, meaning)
        self._length += len(content) + 1
        if self._length > MAX_TEXT_BYTES:
            raise DataTooLargeError(f"it holds more than {MAX_TEXT_BYTES} bytes of text")
        self._texts.append(node)
        return node

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise DataTooLargeError(f"it holds more than {MAX_NODES} keys and values")

    def _share_out(self, found: Iterable[Span]) -> None:
        starts = [text.start for text in self._texts]
        for span in found:
            place = bisect_right(starts, span.start) - 1
            while place < len(self._texts) and self._texts[place].start < span.end:
                text = self._texts[place]
                start = max(span.start - text.start, 0)
                end = min(span.end - text.start, len(text.text))
                if start < end:
                    text.spans.append(Span(start, end, span.classes))
                place += 1

    def _rebuilt(self, node: _Node, value: JsonValue, classes: frozenset[str]) -> JsonValue:
        match node:
            case None:
                return value
            case _Text():
                return _cut(node, classes) if _has(node.spans, classes) else value
            case _Json():
                return self._rebuilt_json(node, value, classes)
            case _List():
                items = [self._rebuilt(item, original, classes) for item, original in node.items]
                changed = any(new is not old for new, (_, old) in zip(items, node.items, strict=True))
                return items if changed else value
            case _Object():
                return self._rebuilt_object(node, value, classes)

    def _rebuilt_object(self, node: _Object, value: JsonValue, classes: frozenset[str]) -> JsonValue:
        members: dict[str, JsonValue] = {}
        changed = False
        for key, text, item, original in node.members:
            new = self._rebuilt(item, original, classes)
            has = _has(text.spans, classes)
            changed = changed or has or new is not original
            members[_unused(_cut(text, classes) if has else key, members)] = new
        return members if changed else value

    def _rebuilt_json(self, node: _Json, value: JsonValue, classes: frozenset[str]) -> JsonValue:
        """Write the JSON anew where something in it changed; what only the text as a whole shows takes all of it."""
        content = self._rebuilt(node.content, node.value, classes)
        if content is node.value or not node.raw.keyed.isdisjoint(classes):
            return _marker(node.raw.spans, classes) if _has(node.raw.spans, classes) else value
        text = orjson.dumps(content)
        left = self._finder.find(text.replace(_SEPARATOR, b"\x01"))
        return _marker(left, classes) if _has(left, classes) else text.decode()


def _json_in(text: str) -> JsonValue:
    """Return the object or list that ``text`` holds; None if it holds none."""
    start = text.lstrip()[:1]
    if start not in ("{", "[", '"'):
        return None
    try:
        value: JsonValue = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value


def _has(spans: Sequence[Span], classes: frozenset[str]) -> bool:
    return any(not span.classes.isdisjoint(classes) for span in spans)


def _cut(text: _Text, classes: frozenset[str]) -> str:
    return cut(text.text, text.spans, classes).decode("utf-8", "surrogatepass")


def _marker(spans: Iterable[Span], classes: frozenset[str]) -> str:
    return marker(frozenset().union(*(span.classes for span in spans)) & classes)


def _unused(name: str, taken: dict[str, JsonValue]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name}#{number}" in taken:
        number += 1
    return f"{name}#{number}"
