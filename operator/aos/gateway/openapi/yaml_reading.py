"""YAML as OpenAPI documents use it: the JSON that it stands for, read without recursion and with one meaning. No I/O."""

import re
from typing import Final

import yaml
from pydantic import JsonValue

MAX_ANCHORS: Final = 1000
MAX_DIGITS: Final = 40

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_STRING_TAG: Final = "tag:yaml.org,2002:str"


class YamlError(ValueError):
    """The text is not YAML that stands for JSON; the message says why."""


def read_yaml(text: str, max_depth: int) -> JsonValue:
    """Return the JSON that ``text`` stands for, by YAML 1.2's own rules: ``on`` is a text, and so is ``2024-01-01``.

    Parts that are repeated by alias are one object, so that a short text may stand for a very large one: whoever walks
    through it counts.

    Args:
        text: one document; its length is the caller's to bound.
        max_depth: how deep mappings and lists may be nested.

    Raises:
        YamlError: it is not such YAML.
    """
    builder = _Builder(max_depth)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise YamlError(
            f"not YAML{where}: {getattr(error, 'problem', None) or 'it can not be read'}"
        ) from None
    return builder.value


class _Open:
    """A mapping or list whose end has not come."""

    __slots__ = ("anchor", "items", "key", "names")

    def __init__(self, anchor: str | None, *, is_mapping: bool) -> None:
        self.anchor = anchor
        self.items: list[JsonValue] = []
        self.names: dict[str, JsonValue] | None = {} if is_mapping else None
        self.key: str | None = None

    def value(self) -> JsonValue:
        return self.items if self.names is None else self.names

    def add(self, value: JsonValue, key: str | None) -> None:
        """Add a value; ``key`` is its text where it is a scalar."""
        if self.names is None:
            self.items.append(value)
        elif self.key is not None:
            self.names[self.key] = value
            self.key = None
        elif key is None:
            raise YamlError("a key is not a plain text")
        elif key in self.names:
            raise YamlError(f"the key {key[:80]!r} stands twice in one mapping")
        else:
            self.key = key


class _Builder:
    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth
        self._open: list[_Open] = []
        self._anchors: dict[str, JsonValue] = {}
        self._documents = 0
        self.value: JsonValue = None

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise YamlError("it holds more than one document")
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                if len(self._open) >= self._max_depth:
                    raise YamlError(f"nested more than {self._max_depth} deep")
                self._open.append(_Open(event.anchor, is_mapping=isinstance(event, yaml.MappingStartEvent)))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                ended = self._open.pop()
                self._add(ended.value(), ended.anchor, None)
            case yaml.ScalarEvent():
                self._add(_scalar(event), event.anchor, event.value)
            case yaml.AliasEvent():
                alias = event.anchor or ""
                if alias not in self._anchors:
                    raise YamlError(f"the alias {alias[:80]!r} stands for nothing, or for what it is part of")
                self._add(self._anchors[alias], None, None)
            case _:
                pass

    def _add(self, value: JsonValue, anchor: str | None, key: str | None) -> None:
        if anchor is not None:
            if len(self._anchors) >= MAX_ANCHORS:
                raise YamlError(f"it has more than {MAX_ANCHORS} anchors")
            self._anchors[anchor] = value
        if self._open:
            self._open[-1].add(value, key)
        else:
            self.value = value


def _scalar(event: yaml.ScalarEvent) -> JsonValue:
    text: str = event.value
    if event.tag is not None:
        if event.tag != _STRING_TAG:
            raise YamlError(f"the tag {event.tag[:80]!r} is not known")
        return text
    if not event.implicit[0]:
        return text
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise YamlError(f"an integer has more than {MAX_DIGITS} digits")
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
