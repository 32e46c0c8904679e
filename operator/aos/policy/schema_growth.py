"""Whether applying a schema takes time that stays in proportion to what it is applied to. Pure analysis, nothing is run.

A schema's keywords are of two sorts: those that apply a subschema to the same value (``allOf``, ``$ref``, ...), and those that
apply one to a part of it (``properties``, ``items``, ...). Cost explodes in two ways: chains of references that double
at each link, and recursion that visits the same part twice, so that it doubles with each level of the value.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

MAX_IN_PLACE: Final = 500
"""Subschemas that may apply to one value at once, references followed."""
MAX_EXPANSION: Final = 50_000
"""Subschemas in the whole schema, references followed and recursion counted once."""
MAX_PATTERN_BYTES: Final = 4 * 1024 * 1024
"""Memory of all compiled regular expressions of the schema, each counted as often as it applies."""

BASES: Final = ("$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "$vocabulary")
"""Keywords that change where a reference leads; at the root an ``$id`` is only a name."""

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


class GrowthError(ValueError):
    """Applying the schema could take too long; the message says why."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What applying a schema to a value costs, references followed and recursion counted once.

    Attributes:
        parts: subschemas that may apply to a part of the value.
        pattern_bytes: memory of the compiled regular expressions that may apply to one string, or one name.
    """

    parts: int
    pattern_bytes: int


def growth_of(schema: Schema, pattern_bytes: Callable[[str], int]) -> Growth:
    """Return what applying ``schema`` costs.

    Args:
        schema: the whole of it.
        pattern_bytes: tells the memory of a compiled regular expression.

    Raises:
        GrowthError: the cost has no bound, or a too large one.
    """
    return _Tree(schema, pattern_bytes).measured()


@dataclass(slots=True)
class _Node:
    """One subschema: what applies to the parts of a value that it is applied to."""

    parts: list[tuple[Slot, Schema]]
    same: int
    pattern_bytes: int
    targets: Counter[tuple[Slot, int]] = field(default_factory=Counter)


class _Tree:
    def __init__(self, root: Schema, pattern_bytes: Callable[[str], int]) -> None:
        self._root = root
        self._pattern_bytes = pattern_bytes
        self._own_bytes: dict[int, int] = {}
        self._nodes: dict[int, _Node] = {}

    def measured(self) -> Growth:
        self._collect()
        component = _components({node: {t for _, t in made.targets} for node, made in self._nodes.items()})
        for identity, node in self._nodes.items():
            self._check_recursion(identity, node, component)
        return self._expanded(component)

    def _collect(self) -> None:
        waiting: list[Schema] = [self._root]
        while waiting:
            schema = waiting.pop()
            if id(schema) in self._nodes:
                continue
            together = list(self._in_place(schema))
            parts = [part for item in together for part in _parts(item)]
            self._nodes[id(schema)] = _Node(
                parts,
                len(together),
                sum(self._own(item) for item in together),
                Counter((slot, id(part)) for slot, part in parts),
            )
            waiting += [part for _, part in parts]

    def _own(self, schema: Schema) -> int:
        """Return the memory of the regular expressions that stand in ``schema`` itself."""
        known = self._own_bytes.get(id(schema))
        if known is None:
            known = self._own_bytes[id(schema)] = sum(map(self._pattern_bytes, _patterns(schema)))
            # At once: what is not looked at any more is not compiled either.
            if sum(self._own_bytes.values()) > MAX_PATTERN_BYTES:
                raise _too_many_patterns()
        return known

    def _in_place(self, schema: Schema) -> Iterator[Schema]:
        """Yield all that applies to the same value, as often as it does."""
        count = 0
        waiting: list[tuple[Schema, frozenset[int]]] = [(schema, frozenset())]
        while waiting:
            item, above = waiting.pop()
            if id(item) in above:
                raise GrowthError("a $ref leads back to itself without going into a part of the value")
            count += 1
            if count > MAX_IN_PLACE:
                raise GrowthError(f"more than {MAX_IN_PLACE} subschemas apply to one value")
            self._check_bases(item)
            yield item
            inside = above | {id(item)}
            waiting += [(other, inside) for other in self._same(item)]

    def _check_bases(self, schema: Schema) -> None:
        # Whatever is applied is looked at here, even where a reference leads into what is only data elsewhere.
        for name in BASES:
            if isinstance(schema.get(name), str) and not (name == "$id" and schema is self._root):
                raise GrowthError(f"{name} is not supported in what a reference or a property leads to")

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
        if reference != "#" and not reference.startswith("#/"):
            raise GrowthError(f"$ref {reference[:80]!r} leads out of the schema; only #/... is followed")
        for part in reference.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and name in target:
                target = target[name]
            elif isinstance(target, list) and name.isdecimal() and int(name) < len(target):
                target = target[int(name)]
            else:
                raise GrowthError(f"$ref {reference[:80]!r} leads nowhere")
            if isinstance(target, dict):
                self._check_bases(target)
        return target

    def _check_recursion(self, identity: int, node: _Node, component: Mapping[int, int]) -> None:
        back = Counter[Slot]()
        for (slot, target), times in node.targets.items():
            if component[target] == component[identity]:
                back[slot] += times
        if any(times + (back[_PROPERTY] if slot[0] == "property" else 0) > 1 for slot, times in back.items()):
            raise GrowthError(
                "recursion applies to the same part of a value more than once, so that its cost doubles with each level"
            )

    def _expanded(self, component: Mapping[int, int]) -> Growth:
        # Components come in reverse topological order, so what a node leads to is counted before the node.
        parts: dict[int, int] = {}
        pattern_bytes: dict[int, int] = {}
        for identity in sorted(self._nodes, key=lambda node: component[node]):
            node = self._nodes[identity]
            targets = [(target, times) for (_, target), times in node.targets.items()]
            parts[identity] = node.same + sum(times * parts.get(target, 1) for target, times in targets)
            pattern_bytes[identity] = node.pattern_bytes + _heaviest(node, pattern_bytes)
            if parts[identity] > MAX_EXPANSION:
                raise GrowthError(f"with its references followed, the schema has over {MAX_EXPANSION} parts")
            if pattern_bytes[identity] > MAX_PATTERN_BYTES:
                raise _too_many_patterns()
        root = id(self._root)
        return Growth(parts[root], pattern_bytes[root])


def _heaviest(node: _Node, pattern_bytes: Mapping[int, int]) -> int:
    """Return the memory of the regular expressions that one part may meet; different properties are different parts."""
    by_slot = Counter[Slot]()
    for (slot, target), times in node.targets.items():
        by_slot[slot] += times * pattern_bytes.get(target, 0)
    named = max((weight for slot, weight in by_slot.items() if slot[0] == "property"), default=0)
    return max(named + by_slot[_PROPERTY], by_slot[_ITEM], by_slot[_NAME])


def _too_many_patterns() -> GrowthError:
    return GrowthError(
        f"the regular expressions take more than {MAX_PATTERN_BYTES} bytes, each counted as often as it applies"
    )


def _patterns(schema: Schema) -> Iterator[str]:
    pattern, named = schema.get("pattern"), schema.get("patternProperties")
    if isinstance(pattern, str):
        yield pattern
    if isinstance(named, dict):
        yield from named


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
