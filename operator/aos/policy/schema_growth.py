"""Whether applying a schema takes time that stays in proportion to what it is applied to. Pure analysis, nothing is run.

A schema's keywords are of two sorts: those that apply a subschema to the same value (``allOf``, ``$ref``, ...), and those that
apply one to a part of it (``properties``, ``items``, ...). Cost explodes in two ways: chains of references that double
at each link, and recursion that visits the same part twice, so that it doubles with each level of the value.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

MAX_IN_PLACE: Final = 500
"""Subschemas that may apply to one value at once, references followed."""
MAX_EXPANSION: Final = 50_000
"""Subschemas in the whole schema, references followed and recursion counted once."""

_SAME_ONE: Final = ("not", "if", "then", "else")
_SAME_LISTS: Final = ("allOf", "anyOf", "oneOf")
_SAME_MAPS: Final = ("dependentSchemas", "dependencies")
_ITEM_LISTS: Final = ("prefixItems", "items")
_ITEM_ONE: Final = ("items", "additionalItems", "unevaluatedItems", "contains")
_PROPERTY_ONE: Final = ("additionalProperties", "unevaluatedProperties")

Schema = Mapping[str, JsonValue]
Slot = tuple[str, str]
"""A part of a value: ``("property", NAME)``, or one of those below."""

_PROPERTY: Final[Slot] = ("any property", "")
_ITEM: Final[Slot] = ("any item", "")
_NAME: Final[Slot] = ("any name of a property", "")


class _Exploding(Exception):  # noqa: N818 - it says what the schema does
    """The schema is refused; the message says why."""


def growth_problems(schema: Schema) -> list[str]:
    """Return why applying ``schema`` could take too long; nothing if it can't."""
    try:
        _Growth(schema).check()
    except _Exploding as error:
        return [str(error)]
    return []


@dataclass(slots=True)
class _Node:
    """One subschema: what applies to the parts of a value that it is applied to."""

    parts: list[tuple[Slot, Schema]]
    same: int
    targets: Counter[tuple[Slot, int]] = field(default_factory=Counter)


class _Growth:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._nodes: dict[int, _Node] = {}

    def check(self) -> None:
        self._collect()
        component = _components({node: {t for _, t in made.targets} for node, made in self._nodes.items()})
        for identity, node in self._nodes.items():
            self._check_recursion(identity, node, component)
        self._check_expansion(component)

    def _collect(self) -> None:
        waiting: list[Schema] = [self._root]
        while waiting:
            schema = waiting.pop()
            if id(schema) in self._nodes:
                continue
            together = list(self._in_place(schema))
            parts = [part for item in together for part in _parts(item)]
            self._nodes[id(schema)] = _Node(
                parts, len(together), Counter((slot, id(part)) for slot, part in parts)
            )
            waiting += [part for _, part in parts]

    def _in_place(self, schema: Schema) -> Iterator[Schema]:
        """Yield all that applies to the same value, as often as it does."""
        count = 0
        waiting: list[tuple[Schema, frozenset[int]]] = [(schema, frozenset())]
        while waiting:
            item, above = waiting.pop()
            if id(item) in above:
                raise _Exploding("a $ref leads back to itself without going into a part of the value")
            count += 1
            if count > MAX_IN_PLACE:
                raise _Exploding(f"more than {MAX_IN_PLACE} subschemas apply to one value")
            yield item
            inside = above | {id(item)}
            waiting += [(other, inside) for other in self._same(item)]

    def _same(self, schema: Schema) -> Iterator[Schema]:
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = self._resolve(reference)
            if isinstance(target, dict):
                yield target
        yield from _ones(schema, _SAME_ONE)
        yield from _in_lists(schema, _SAME_LISTS)
        for _, item in _in_maps(schema, _SAME_MAPS):
            yield item

    def _resolve(self, reference: str) -> JsonValue:
        target: JsonValue = self._root  # type: ignore[assignment]  # a read-only view of the same object
        for part in reference.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and name in target:
                target = target[name]
            elif isinstance(target, list) and name.isdecimal() and int(name) < len(target):
                target = target[int(name)]
            else:
                raise _Exploding(f"$ref {reference[:80]!r} leads nowhere")
        return target

    def _check_recursion(self, identity: int, node: _Node, component: Mapping[int, int]) -> None:
        back = Counter[Slot]()
        for (slot, target), times in node.targets.items():
            if component[target] == component[identity]:
                back[slot] += times
        if any(times + (back[_PROPERTY] if slot[0] == "property" else 0) > 1 for slot, times in back.items()):
            raise _Exploding(
                "recursion applies to the same part of a value more than once, so that its cost doubles with each level"
            )

    def _check_expansion(self, component: Mapping[int, int]) -> None:
        # Components come in reverse topological order, so what a node leads to is counted before the node.
        cost: dict[int, int] = {}
        for identity in sorted(self._nodes, key=lambda node: component[node]):
            node = self._nodes[identity]
            cost[identity] = node.same + sum(
                times * cost.get(target, 1) for (_, target), times in node.targets.items()
            )
            if cost[identity] > MAX_EXPANSION:
                raise _Exploding(f"with its references followed, the schema has over {MAX_EXPANSION} parts")


def _parts(schema: Schema) -> Iterator[tuple[Slot, Schema]]:
    yield from ((("property", name), item) for name, item in _in_maps(schema, ("properties",)))
    yield from ((_PROPERTY, item) for _, item in _in_maps(schema, ("patternProperties",)))
    yield from ((_PROPERTY, item) for item in _ones(schema, _PROPERTY_ONE))
    yield from ((_ITEM, item) for item in _in_lists(schema, _ITEM_LISTS))
    yield from ((_ITEM, item) for item in _ones(schema, _ITEM_ONE))
    yield from ((_NAME, item) for item in _ones(schema, ("propertyNames",)))


def _ones(schema: Schema, keywords: tuple[str, ...]) -> Iterator[Schema]:
    for keyword in keywords:
        item = schema.get(keyword)
        if isinstance(item, dict):
            yield item


def _in_lists(schema: Schema, keywords: tuple[str, ...]) -> Iterator[Schema]:
    for keyword in keywords:
        items = schema.get(keyword)
        if isinstance(items, list):
            yield from (item for item in items if isinstance(item, dict))


def _in_maps(schema: Schema, keywords: tuple[str, ...]) -> Iterator[tuple[str, Schema]]:
    for keyword in keywords:
        items = schema.get(keyword)
        if isinstance(items, dict):
            yield from ((name, item) for name, item in items.items() if isinstance(item, dict))


def _components(edges: Mapping[int, set[int]]) -> dict[int, int]:
    """Return each node's strongly connected component, numbered in reverse topological order (Tarjan, iterative)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    component: dict[int, int] = {}
    stack: list[int] = []
    count = 0
    for start in edges:
        if start in index:
            continue
        work: list[tuple[int, Iterator[int]]] = [(start, iter(edges[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        while work:
            node, rest = work[-1]
            target = next(rest, None)
            if target is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    _close(node, count, stack, component)
                    count += 1
            elif target not in index:
                index[target] = low[target] = len(index)
                stack.append(target)
                work.append((target, iter(edges[target])))
            elif target not in component:
                low[node] = min(low[node], index[target])
    return component


def _close(node: int, number: int, stack: list[int], component: dict[int, int]) -> None:
    while True:
        member = stack.pop()
        component[member] = number
        if member == node:
            return
