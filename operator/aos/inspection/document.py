"""A JSON value taken apart into its texts, and put together again with what was found in them taken out."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import JsonValue

from aos.inspection.finder import Finder, check_findings
from aos.inspection.keys import NO_RULES, RULES, meaning_of
from aos.inspection.neighbours import found_across, is_text_block
from aos.inspection.redaction import cut, marker, without
from aos.inspection.sizes import MAX_DEPTH, MAX_NODES, MAX_TEXT_BYTES, DataTooLargeError
from aos.inspection.spans import Span, merged

MAX_NESTED_JSON: Final = 4
"""How many times JSON may stand in a string of JSON and still be read as JSON."""

_MIN_TEXT: Final = 6
"""In characters: a@b.co. What is shorter is data only by what its key says."""
_MIN_NUMBER: Final = 100_000
_MAX_WORD: Final = 11
"""In characters: a word of letters alone, up to this length, is data only by what its key says."""
_SEPARATOR: Final = "\0"
_NOT_SEPARATOR: Final = "\x01"


class _Text:
    """One text of the value.

    Attributes:
        text: itself; a NUL, which keeps texts apart, is another control character here.
        rules: what its key says, as positions in RULES.
        spans: what was found in it, in bytes of UTF-8.
        keyed: the classes that it is all of, by what its key says.
        torn: the classes of what stands in it only together with its neighbours.
    """

    __slots__ = ("keyed", "rules", "spans", "text", "torn")

    def __init__(self, text: str, rules: frozenset[int]) -> None:
        self.text = text
        self.rules = rules
        self.spans: list[Span] = []
        self.keyed: frozenset[str] = frozenset()
        self.torn: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Object:
    """Members that may hold data, by key; with where its texts stand among all, first and one past the last."""

    members: dict[str, tuple[_Text | None, "_Node"]]
    first: int
    last: int


@dataclass(slots=True)
class _List:
    """Items that may hold data, by position."""

    items: list[tuple[int, "_Node"]]
    first: int
    last: int


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

    def __init__(self, value: JsonValue, finder: Finder, *, blocks: bool = False) -> None:
        """Take ``value`` apart.

        Args:
            value: to be looked through.
            finder: of the classes to look for.
            blocks: whether the text blocks of each list are looked through together, too.

        Raises:
            DataTooLargeError: it is nested too deeply, or holds too much.
        """
        self._finder = finder
        self._texts: list[_Text] = []
        self._dirty: list[int] = []
        self._nodes = 0
        self._depth = 0
        self._nested = 0
        self._blocks = blocks
        self._in_block = False
        self._runs: list[list[_Text]] = []
        self._value = value
        self._root = self._taken_apart(value, NO_RULES)

    def find(self) -> frozenset[str]:
        """Look through all texts; return the classes found.

        Raises:
            DataTooLargeError: there is too much text.
        """
        together = _SEPARATOR.join([text.text for text in self._texts])
        content = _encoded(together)
        if len(content) > MAX_TEXT_BYTES:
            raise DataTooLargeError(
                f"it holds more than {MAX_TEXT_BYTES} bytes of text; send or ask for less at once"
            )
        found = self._finder.find(content)
        if found:
            self._share_out(found, ascii_only=len(content) == len(together))
        for run in self._runs:
            self._look_across(run)
        for text in self._texts:
            if text.rules:
                self._judge_by_key(text)
        self._dirty = [place for place, text in enumerate(self._texts) if text.spans]
        check_findings(sum(len(self._texts[place].spans) for place in self._dirty))
        return frozenset().union(
            *(span.classes for place in self._dirty for span in self._texts[place].spans)
        )

    def redacted(self, classes: frozenset[str]) -> JsonValue:
        """Return the value without what was found of ``classes``; the value itself where nothing was."""
        return self._rebuilt(self._root, self._value, classes)

    def _taken_apart(self, value: JsonValue, rules: frozenset[int]) -> _Node:
        self._nodes += 1
        if isinstance(value, str):
            return self._string(value, rules)
        if isinstance(value, dict | list):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise DataTooLargeError(f"it is nested more than {MAX_DEPTH} deep")
            if self._nodes + len(value) > MAX_NODES:
                raise DataTooLargeError(f"it holds more than {MAX_NODES} keys and values")
            node = self._object(value, rules) if isinstance(value, dict) else self._list(value, rules)
            self._depth -= 1
            return node
        if value is None or isinstance(value, bool) or (abs(value) < _MIN_NUMBER and not rules):
            return None
        whole = isinstance(value, float) and value.is_integer()
        return self._text(str(int(value)) if whole else str(value), rules)

    def _object(self, value: dict[str, JsonValue], rules: frozenset[int]) -> _Object:
        first = len(self._texts)
        named = self._named(value) | rules
        members: dict[str, tuple[_Text | None, _Node]] = {}
        for key, item in value.items():
            meaning = meaning_of(key)
            said = meaning.rules & self._finder.key_rules
            if meaning.generic:
                said |= named if key == "value" else rules
            text = None if meaning.plain and not self._finder.patterns else self._text(key, NO_RULES)
            node = self._taken_apart(item, said)
            if text is not None or node is not None:
                members[key] = text, node
        return _Object(members, first, len(self._texts))

    def _list(self, value: list[JsonValue], rules: frozenset[int]) -> _List:
        first = len(self._texts)
        items: list[tuple[int, _Node]] = []
        run: list[_Text] = []
        for place, item in enumerate(value):
            if self._blocks and is_text_block(item):
                node = self._block(item, rules, run)
            else:
                node = self._taken_apart(item, rules)
            if node is not None:
                items.append((place, node))
        if len(run) > 1:
            self._runs.append(run)
        return _List(items, first, len(self._texts))

    def _block(self, value: JsonValue, rules: frozenset[int], run: list[_Text]) -> _Node:
        """Take a text block apart; its text is kept however short it is, and added to ``run``."""
        around, self._in_block = self._in_block, True
        node = self._taken_apart(value, rules)
        self._in_block = around
        if isinstance(node, _Object):
            _, text = node.members["text"]
            if isinstance(text, _Json):
                text = text.raw
            if isinstance(text, _Text):
                run.append(text)
        return node

    def _named(self, value: dict[str, JsonValue]) -> frozenset[int]:
        """Return what the name says in an object that spells out a name and a value, as headers and variables do."""
        if "value" not in value:
            return NO_RULES
        name = value.get("name", value.get("key"))
        return meaning_of(name).rules & self._finder.key_rules if isinstance(name, str) else NO_RULES

    def _string(self, value: str, rules: frozenset[int]) -> _Node:
        if not (rules or self._in_block or self._finder.patterns) and _is_plain(value):
            return None
        text = self._text(value, rules)
        content = _json_in(value) if self._nested < MAX_NESTED_JSON else None
        if content is None:
            return text
        self._nested += 1
        node = self._taken_apart(content, NO_RULES)
        self._nested -= 1
        return _Json(text, node, content)

    def _text(self, text: str, rules: frozenset[int]) -> _Text:
        node = _Text(text.replace(_SEPARATOR, _NOT_SEPARATOR) if _SEPARATOR in text else text, rules)
        self._texts.append(node)
        return node

    def _share_out(self, found: Iterable[Span], *, ascii_only: bool) -> None:
        starts = []
        position = 0
        for text in self._texts:
            starts.append(position)
            position += (len(text.text) if ascii_only else len(_encoded(text.text))) + 1
        starts.append(position)
        for span in found:
            place = bisect_right(starts, span.start) - 1
            while starts[place] < span.end and place < len(self._texts):
                start = max(span.start, starts[place]) - starts[place]
                end = min(span.end, starts[place + 1] - 1) - starts[place]
                if start < end:
                    self._texts[place].spans.append(Span(start, end, span.classes))
                place += 1

    def _look_across(self, run: list[_Text]) -> None:
        found = found_across(
            self._finder, [_encoded(text.text) for text in run], [text.spans for text in run]
        )
        for text, spans in zip(run, found, strict=True):
            if spans != text.spans:
                text.spans = spans
                text.torn = frozenset().union(*(span.classes for span in spans))

    def _judge_by_key(self, text: _Text) -> None:
        content = _encoded(text.text)
        # What is left once the rest is redacted is judged too, since that is what a second look would see.
        text.keyed = self._by_key(text, content) | self._by_key(text, without(content, text.spans))
        if text.keyed:
            text.spans = merged([*text.spans, Span(0, len(content), text.keyed)])

    def _by_key(self, text: _Text, content: bytes) -> frozenset[str]:
        unmarked = self._finder.unmarked(content)
        if not unmarked:
            return frozenset()
        rules = (RULES[place] for place in text.rules)
        return frozenset(rule.data_class for rule in rules if rule.holds(unmarked))

    def _is_clean(self, node: _Object | _List) -> bool:
        place = bisect_left(self._dirty, node.first)
        return place == len(self._dirty) or self._dirty[place] >= node.last

    def _rebuilt(self, node: _Node, value: JsonValue, classes: frozenset[str]) -> JsonValue:
        if isinstance(node, _Text):
            return _cut(node, classes) if _has(node.spans, classes) else value
        if isinstance(node, _Json):
            return self._rebuilt_json(node, value, classes)
        if node is None or self._is_clean(node):
            return value
        if isinstance(node, _Object) and isinstance(value, dict):
            return self._rebuilt_object(node, value, classes)
        if isinstance(node, _List) and isinstance(value, list):
            return self._rebuilt_list(node, value, classes)
        raise AssertionError("a value changed its kind while it was looked through")

    def _rebuilt_object(
        self, node: _Object, value: dict[str, JsonValue], classes: frozenset[str]
    ) -> JsonValue:
        members: dict[str, JsonValue] = {}
        numbers: dict[str, int] = {}
        changed = False
        for key, item in value.items():
            text, below = node.members.get(key, (None, None))
            new = self._rebuilt(below, item, classes)
            name = _cut(text, classes) if text is not None and _has(text.spans, classes) else key
            changed = changed or new is not item or name is not key
            members[_unused(name, members, numbers)] = new
        return members if changed else value

    def _rebuilt_list(self, node: _List, value: list[JsonValue], classes: frozenset[str]) -> JsonValue:
        items = list(value)
        for place, below in node.items:
            items[place] = self._rebuilt(below, items[place], classes)
        changed = any(new is not old for new, old in zip(items, value, strict=True))
        return items if changed else value

    def _rebuilt_json(self, node: _Json, value: JsonValue, classes: frozenset[str]) -> JsonValue:
        """Write the JSON anew where something in it changed; what only the text as a whole shows takes all of it."""
        content = self._rebuilt(node.content, node.value, classes)
        if content is node.value or not (node.raw.keyed | node.raw.torn).isdisjoint(classes):
            return _marker(node.raw.spans, classes) if _has(node.raw.spans, classes) else value
        text = orjson.dumps(content)
        left = (
            self._by_key(node.raw, text).union(*(span.classes for span in self._finder.find(text))) & classes
        )
        return marker(left) if left else text.decode()


def _is_plain(text: str) -> bool:
    return len(text) < _MIN_TEXT or (len(text) <= _MAX_WORD and text.isalpha() and text.isascii())


def _json_in(text: str) -> JsonValue:
    """Return the object, list or string that ``text`` holds as JSON; None if it holds none."""
    if text[:1] not in _JSON_STARTS:
        return None
    try:
        value: JsonValue = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value


_JSON_STARTS: Final = frozenset('{[" \t\r\n')


def _has(spans: Sequence[Span], classes: frozenset[str]) -> bool:
    return bool(spans) and any(not span.classes.isdisjoint(classes) for span in spans)


def _cut(text: _Text, classes: frozenset[str]) -> str:
    return cut(_encoded(text.text), text.spans, classes).decode("utf-8", "surrogatepass")


def _marker(spans: Iterable[Span], classes: frozenset[str]) -> str:
    return marker(frozenset().union(*(span.classes for span in spans)) & classes)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _unused(name: str, taken: dict[str, JsonValue], numbers: dict[str, int]) -> str:
    """Return a name that is not taken; ``numbers`` says which were tried, so that many of one name cost no more each."""
    if name not in taken:
        return name
    number = numbers.get(name, 1) + 1
    while f"{name}#{number}" in taken:
        number += 1
    numbers[name] = number
    return f"{name}#{number}"
