"""What JSON Schema (2020-12) says of fields, items and kinds of the values that it describes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import orjson
import re2
from pydantic import JsonValue
from typing_extensions import override

from aos.policy.schemas import MessageSchema, Pointer, check_schema
from aos.workflow.types import (
    FREE,
    KINDS,
    NUMBERS,
    REFUSED,
    UNPROMISED,
    Anything,
    Exact,
    Found,
    Type,
    declared,
    found_in_all,
    found_in_any,
    kind_of,
)

MAX_PARTS: Final = 100_000
"""Parts of schemas that are looked at for one Workflow: half a second, roughly."""

_Seen = frozenset[Pointer]
_NOTHING_SEEN: Final[_Seen] = frozenset()
_MAX_PATTERN_MEMORY_BYTES: Final = 64 * 1024


class TooMuchWorkError(Exception):
    """Schemas and expressions are such that to look through them takes too long."""


class Patience:
    """How many parts of schemas are looked at before it is given up."""

    __slots__ = ("_left",)

    def __init__(self, parts: int = MAX_PARTS) -> None:
        self._left = parts

    def spend(self) -> None:
        """Look at one more part.

        Raises:
            TooMuchWorkError: that is one too many.
        """
        self._left -= 1
        if self._left < 0:
            raise TooMuchWorkError


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON Schema, whole.

    Attributes:
        schema: bounded, with local references only; see `aos.policy.schemas`.
        label: whose it is, for people: ``the output schema of agent writer``.
        patience: for looking at its parts.
    """

    schema: Mapping[str, JsonValue]
    label: str
    patience: Patience = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Described(Type):
    """What a part of a schema describes.

    Attributes:
        document: the schema.
        pointer: where in it.
        node: what stands there.
    """

    document: Document
    pointer: Pointer
    node: JsonValue

    @classmethod
    def whole(cls, schema: Mapping[str, JsonValue], label: str, patience: Patience) -> "Described":
        """Return what ``schema`` describes, which ``label`` tells of to people."""
        return cls(Document(schema, label, patience), (), dict(schema))

    def at(self, *steps: str | int) -> "Described":
        """Return the part below; ``steps`` must be there."""
        node = self.node
        for step in steps:
            node = node[step] if isinstance(node, list) and isinstance(step, int) else _entry(node, step)
        return Described(self.document, (*self.pointer, *steps), node)

    def required(self) -> tuple[str, ...]:
        """Return the fields that the subschema itself requires."""
        return tuple(_strings(self.node.get("required"))) if isinstance(self.node, dict) else ()

    def refuses_rest(self) -> bool:
        """Whether fields that no subschema knows are refused."""
        return isinstance(self.node, dict) and self.node.get("unevaluatedProperties") is False

    def item_counts(self) -> tuple[float, float]:
        """Return how many items the subschema itself asks for, at least and at most."""
        node = self.node if isinstance(self.node, dict) else {}
        least, most = node.get("minItems"), node.get("maxItems")
        return (
            least if isinstance(least, int | float) else 0,
            most if isinstance(most, int | float) else math.inf,
        )

    def item(self, place: int | None) -> "Described | None":
        """Return what the subschema itself says of the item at ``place``, or of every item; None where that is nothing."""
        node = self.node if isinstance(self.node, dict) else {}
        first = node.get("prefixItems")
        count = len(first) if isinstance(first, list) else 0
        if place is not None and place < count:
            return self.at("prefixItems", place)
        return self.at("items") if "items" in node and (place is not None or not count) else None

    def problems(self, value: JsonValue) -> Iterator[tuple[Pointer, str]]:
        """Give where ``value`` does not fit and why."""
        compiled = _compiled(orjson.dumps(self.document.schema), self.pointer)
        for problem in compiled.problems(value):
            where, _, message = problem.partition(": ")
            yield (
                tuple(int(step) if step.isdecimal() else step for step in where.split("/")[1:] if step),
                message,
            )

    @override
    def kinds(self) -> frozenset[str]:
        return _kinds(self, _NOTHING_SEEN)

    @override
    def field(self, name: str) -> Found:
        return _field(self, name, _NOTHING_SEEN)

    @override
    def element(self) -> Found:
        return _element(self, _NOTHING_SEEN)

    @override
    def certain(self) -> frozenset[str]:
        return frozenset(_required(self, _NOTHING_SEEN))

    @override
    def declared(self) -> frozenset[str]:
        return frozenset(_declared(self, _NOTHING_SEEN))

    @override
    def label(self) -> str:
        return self.document.label


def is_usable(schema: Mapping[str, JsonValue]) -> bool:
    """Whether ``schema`` is within the bounds of `aos.policy.schemas`."""
    try:
        content = orjson.dumps(schema)
    except orjson.JSONEncodeError:
        return False
    return _is_usable(content)


@lru_cache(maxsize=512)
def _is_usable(content: bytes) -> bool:
    return not check_schema(orjson.loads(content))


@lru_cache(maxsize=512)
def _compiled(content: bytes, part: Pointer) -> MessageSchema:
    return MessageSchema(orjson.loads(content), part=part)


def target_of(view: Described) -> Described | None:
    """Return what ``$ref`` leads to; None where there is none, or nothing is there."""
    reference = view.node.get("$ref") if isinstance(view.node, dict) else None
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    steps: list[str | int] = []
    node: JsonValue = dict(view.document.schema)
    for token in filter(None, reference[1:].split("/")):
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            steps.append(int(name))
            node = node[int(name)]
        elif isinstance(node, dict) and name in node:
            steps.append(name)
            node = node[name]
        else:
            return None
    return Described(view.document, tuple(steps), node)


def all_of(view: Described) -> Iterator[Described]:
    """Give the subschemas that hold for the same value."""
    target = target_of(view)
    if target is not None:
        yield target
    yield from _listed(view, "allOf")


def choices_of(view: Described) -> Iterator[tuple[str, tuple[Described, ...]]]:
    """Give the keywords by which one of several subschemas holds for the same value, with those subschemas."""
    for keyword in ("anyOf", "oneOf"):
        choices = tuple(_listed(view, keyword))
        if choices:
            yield keyword, choices


def own_kinds(view: Described) -> frozenset[str]:
    """Return the types of JSON that the subschema itself leaves, without those that it names."""
    node = view.node
    if not isinstance(node, dict):
        return frozenset() if node is False else KINDS
    kinds = KINDS
    if "type" in node:
        named = node["type"] if isinstance(node["type"], list) else [node["type"]]
        kinds = frozenset(name for name in named if isinstance(name, str) and name in KINDS)
        kinds |= NUMBERS if "number" in kinds else frozenset()
    values = _values(node)
    return kinds if values is None else kinds & frozenset(map(kind_of, values))


def own_field(view: Described, name: str) -> Found:
    """Return what the subschema itself says of the field ``name``, without those that it names."""
    node = view.node
    if not isinstance(node, dict):
        return REFUSED if node is False else FREE
    if "object" not in own_kinds(view):
        return REFUSED
    values = _values(node)
    if values is not None:
        return found_in_any(Exact(value).field(name) for value in values)
    named = tuple(_named(view, name))
    if named:
        return found_in_all(map(_reaching, named))
    return _unnamed(view, node, name)


def own_element(view: Described) -> Found:
    """Return what the subschema itself says of the items, without those that it names."""
    node = view.node
    if not isinstance(node, dict):
        return REFUSED if node is False else FREE
    if "array" not in own_kinds(view):
        return REFUSED
    values = _values(node)
    if values is not None:
        return found_in_any(Exact(value).element() for value in values)
    first = tuple(_listed(view, "prefixItems"))
    rest = (view.at("items"),) if "items" in node else ()
    if first:
        return found_in_any(map(_reaching, (*first, *rest)) if rest else (*map(_reaching, first), FREE))
    return _reaching(rest[0]) if rest else FREE


def _named(view: Described, name: str) -> Iterator[Described]:
    """Give the subschemas that the field ``name`` has by its name."""
    node = view.node if isinstance(view.node, dict) else {}
    properties, patterns = node.get("properties"), node.get("patternProperties")
    if isinstance(properties, dict) and name in properties:
        yield view.at("properties", name)
    for pattern in patterns if isinstance(patterns, dict) else ():
        if _matches(pattern, name):
            yield view.at("patternProperties", pattern)


def _unnamed(view: Described, node: Mapping[str, JsonValue], name: str) -> Found:
    if "additionalProperties" in node:
        others = view.at("additionalProperties")
        return FREE if others.node is True else _reaching(others)
    if name in _strings(node.get("required")):
        return declared(Anything())
    return UNPROMISED if node.get("properties") or node.get("patternProperties") else FREE


def _reaching(view: Described) -> Found:
    return REFUSED if view.node is False else declared(view)


def _field(view: Described, name: str, seen: _Seen) -> Found:
    view.document.patience.spend()
    if view.pointer in seen:
        return FREE
    seen |= {view.pointer}
    parts = [own_field(view, name), *(_field(part, name, seen) for part in all_of(view))]
    for choices in _all_choices(view):
        parts.append(found_in_any(_field(choice, name, seen) for choice in choices))  # noqa: PERF401
    found = found_in_all(parts)
    if isinstance(view.node, dict) and "unevaluatedProperties" in view.node and found in (FREE, UNPROMISED):
        others = view.at("unevaluatedProperties")
        return FREE if others.node is True else _reaching(others)
    return found


def _element(view: Described, seen: _Seen) -> Found:
    view.document.patience.spend()
    if view.pointer in seen:
        return FREE
    seen |= {view.pointer}
    parts = [own_element(view), *(_element(part, seen) for part in all_of(view))]
    parts += [found_in_any(_element(choice, seen) for choice in choices) for choices in _all_choices(view)]
    return found_in_all(parts)


def _kinds(view: Described, seen: _Seen) -> frozenset[str]:
    view.document.patience.spend()
    if view.pointer in seen:
        return KINDS
    seen |= {view.pointer}
    kinds = own_kinds(view)
    for part in all_of(view):
        kinds &= _kinds(part, seen)
    for choices in _all_choices(view):
        kinds &= frozenset[str]().union(*(_kinds(choice, seen) for choice in choices))
    return kinds


def _required(view: Described, seen: _Seen) -> Iterator[str]:
    if view.pointer in seen or not isinstance(view.node, dict):
        return
    yield from _strings(view.node.get("required"))
    for part in all_of(view):
        yield from _required(part, seen | {view.pointer})


def _declared(view: Described, seen: _Seen) -> Iterator[str]:
    if view.pointer in seen or not isinstance(view.node, dict):
        return
    properties = view.node.get("properties")
    yield from properties if isinstance(properties, dict) else ()
    yield from _strings(view.node.get("required"))
    for part in (*all_of(view), *(choice for choices in _all_choices(view) for choice in choices)):
        yield from _declared(part, seen | {view.pointer})


def _all_choices(view: Described) -> Iterator[tuple[Described, ...]]:
    """Give sets of subschemas of which one holds, those of which nobody knows beforehand when they hold among them."""
    yield from (choices for _, choices in choices_of(view))
    node = view.node
    if not isinstance(node, dict):
        return
    free = Described(view.document, (*view.pointer, ""), node=True)
    branches = tuple(view.at(keyword) for keyword in ("then", "else") if keyword in node)
    if branches and "if" in node:
        yield (*branches, free)
    dependent = node.get("dependentSchemas")
    for name in dependent if isinstance(dependent, dict) else ():
        yield (view.at("dependentSchemas", name), free)


def _listed(view: Described, keyword: str) -> Iterator[Described]:
    listed = view.node.get(keyword) if isinstance(view.node, dict) else None
    for place in range(len(listed) if isinstance(listed, list) else 0):
        yield view.at(keyword, place)


def _entry(node: JsonValue, step: str | int) -> JsonValue:
    if isinstance(node, dict) and isinstance(step, str):
        return node[step]
    raise KeyError(step)


def _values(node: dict[str, JsonValue]) -> list[JsonValue] | None:
    """Return the only values that are accepted; None where they are not named."""
    if "const" in node:
        return [node["const"]]
    values = node.get("enum")
    return values if isinstance(values, list) else None


def _strings(value: JsonValue) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _matches(pattern: str, name: str) -> bool:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_PATTERN_MEMORY_BYTES
    try:
        return re2.compile(pattern, options).search(name) is not None
    except re2.error:
        # It says something else than RE2 can read: it may match.
        return True
