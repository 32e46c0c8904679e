"""How long a CEL expression may take, bounded before it runs.

The language bounds iterations, and nothing else: not what one step costs, nor how large values grow. Each function here
has a bound on its time and its result by the size of what it is given; from those follows a bound for the whole tree.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import orjson
import re2
from pydantic import JsonValue

from aos.policy.syntax import Collection, Constant, Invocation, Loop, Name, Node, Select, parts_of

MAX_WORK_NS: Final = 50_000_000
"""The longest that all conditions about one call may take together, by the bounds below."""
MAX_LOOP_DEPTH: Final = 2
"""How deep ``all``, ``map`` and their like may stand in each other."""
MAX_PATTERN_SIZE: Final = 2_000
"""Instructions of a regular expression of ``matches``."""


class CostError(ValueError):
    """An expression that uses what has no bound."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a value may be. Numbers and the like have none.

    Attributes:
        text_bytes: bytes of text in it.
        values: values that it is made of.
        items: items or keys of the longest list or map in it, where that is known to be less than ``values``.
    """

    text_bytes: float = 0
    values: float = 0
    items: float = math.inf

    def __add__(self, other: "Size") -> "Size":
        return Size(self.text_bytes + other.text_bytes, self.values + other.values, self.items + other.items)

    @property
    def count(self) -> float:
        """How many items or keys a list or map in it may have."""
        return min(self.values, self.items)

    def times(self, count: float) -> "Size":
        """Return the size of ``count`` such values; ``count`` is not 0."""
        return Size(self.text_bytes * count, self.values * count, self.items * count)

    def fits(self, other: "Size") -> bool:
        """Whether it is within ``other``."""
        return (
            self.text_bytes <= other.text_bytes and self.values <= other.values and self.count <= other.count
        )


SIZES: Final = tuple(Size(512 << step, 8 << step) for step in range(8))
"""What conditions may read, from 512 bytes and 8 values to 64 KiB and 1,024 values: the cheaper, the more."""
NOTHING: Final = Size(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How long expressions of one place may take, and how much they may read.

    Attributes:
        work_ns: for all that are evaluated one after the other.
        sizes: what they may read, smallest first: the cheaper they are, the more.
        short: variables whose size does not depend on what is read.
        whose: in words, who has that time together.
    """

    work_ns: int
    sizes: tuple[Size, ...]
    short: frozenset[str]
    whose: str


CONDITIONS: Final = Allowance(
    MAX_WORK_NS, SIZES, frozenset({"tool", "action", "now"}), "all conditions of a call"
)

_NUL: Final = b"\\u0000"
"""As JSON writes it. A text that spells this out is taken for it as well, which only makes conditions fail."""
_NAME_SIZE: Final = Size(256, 1, 1)
_NODE_NS: Final = 400
_ITERATION_NS: Final = 1_000
_VALUE_NS: Final = 250
_COPIED_BYTE_NS: Final = 1
_COPIED_ITEM_NS: Final = 60
_WALKED_BYTE_NS: Final = 8
_SPLIT_VALUE_NS: Final = 150
_FOUND_BYTE_NS: Final = 0.05
"""For each byte of the text and each byte of what is looked for in it."""
_PATTERN_BYTE_NS: Final = 10
"""For each byte of the text and each instruction of the pattern."""
_PATTERN_NS: Final = 20_000
_INSTRUCTION_NS: Final = 600
_NUMBER_TEXT: Final = 64
_QUOTED_BYTES: Final = 6
_PATTERN_MEMORY_BYTES: Final = 1024 * 1024
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*|[+-]?[0-9]{2}:[0-9]{2}")
"""A zone's name is looked for among files, and kept in memory: neither may come from a call."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part of an expression comes to at most, and the nanoseconds it takes."""

    size: Size
    work_ns: float


def size_of(values: Sequence[JsonValue]) -> Size | None:
    """Return how large ``values`` are together; None where no condition can be judged by them.

    These are numbers beyond 64 bits and unpaired surrogates, which JSON can't carry, and the character U+0000: the CEL
    library ends every text there, so that a condition would see another text than the tool.
    """
    try:
        content = orjson.dumps(values)
    except orjson.JSONEncodeError:
        return None
    if _NUL in content:
        return None
    # A comma in a text counts as well: one too many only makes it larger.
    return Size(len(content), 1 + sum(map(content.count, (b",", b"[", b"{"))))


def told(size: Size | None, room: Size) -> str:
    """Return in words how ``size`` compares with ``room``."""
    most = f"{room.text_bytes:.0f} bytes and {room.values:.0f} values can be judged in time"
    if size is None:
        return f"they hold a number beyond 64 bits, or a text with U+0000 or half a character; {most}"
    lists = f" in lists of {size.count:.0f}" if size.count > room.count else ""
    of = f" in lists of {room.count:.0f}" if lists else ""
    return f"{size.text_bytes:.0f} bytes and {size.values:.0f} values{lists}, and {most}{of}"


def works_of(tree: Node, allowance: Allowance = CONDITIONS) -> tuple[float, ...]:
    """Return the nanoseconds that evaluating ``tree`` takes at most, for each size of ``allowance``.

    Raises:
        CostError: it uses a function without a bound, or takes too long on the smallest of them.
    """
    _check_depth(tree, 0)
    works = tuple(_Estimate(size, allowance.short).of(tree, {}).work_ns for size in allowance.sizes)
    if works[0] > allowance.work_ns:
        raise CostError(
            f"it may take {works[0] / 1e6:.0f} ms even where it reads only {allowance.sizes[0].text_bytes:.0f} bytes,"
            f" and {allowance.whose} have {allowance.work_ns / 1e6:.0f} ms; use smaller patterns and fewer loops"
        )
    return works


def room_for(works: Sequence[tuple[float, ...]], allowance: Allowance = CONDITIONS) -> Size:
    """Return how large the values may be that expressions with ``works`` read one after the other."""
    room = NOTHING
    for place, size in enumerate(allowance.sizes):
        if sum(each[place] for each in works) <= allowance.work_ns:
            room = size
    return room


def _check_depth(node: Node, depth: int) -> None:
    if isinstance(node, Loop) and not _is_binding(node):
        if depth == MAX_LOOP_DEPTH:
            raise CostError(
                f"loops such as all and map may stand {MAX_LOOP_DEPTH} deep in each other, not more"
            )
        _check_depth(node.over, depth)
        _check_depth(node.step, depth + 1)
        return
    for part in parts_of(node):
        _check_depth(part, depth)


def _is_binding(loop: Loop) -> bool:
    """Whether the loop only gives a value a name, as optMap does, and never runs."""
    return isinstance(loop.over, Collection) and not loop.over.parts


def _is_appending(loop: Loop) -> bool:
    """Whether the loop is a ``map`` or a ``filter``, which adds at most one item to a list each time."""
    step = loop.step
    if isinstance(step, Invocation) and step.function == "_?_:_":
        step = step.operands[1]
    return isinstance(step, Invocation) and step.function == "_+_" and _is_list(step.operands[1])


def _is_list(node: Node) -> bool:
    return isinstance(node, Collection) and not node.is_map and not node.message


class _Estimate:
    """Bounds the cost of trees that read variables of one size."""

    def __init__(self, size: Size, short: frozenset[str]) -> None:
        self._read = size
        self._short = short

    def of(self, node: Node, names: Mapping[str, Size]) -> Cost:
        """Return what ``node`` costs, where ``names`` are the variables of loops around it."""
        match node:
            case Constant():
                return Cost(Size(len(node.text or b""), 0, 0), 0)
            case Name():
                return Cost(
                    names.get(node.name, _NAME_SIZE if node.name in self._short else self._read), _NODE_NS
                )
            case Select():
                inner = self.of(node.operand, names)
                return Cost(NOTHING if node.is_test else inner.size, inner.work_ns + 2 * _NODE_NS)
            case Invocation():
                return self._invocation(node, names)
            case Collection():
                return self._collection(node, names)
            case _:
                return self._loop(node, names)

    def _invocation(self, node: Invocation, names: Mapping[str, Size]) -> Cost:
        bound = FUNCTIONS.get(node.function)
        if bound is None:
            reason = _REFUSED.get(node.function, "its time has no bound")
            raise CostError(f"{node.function}() is not available: {reason}")
        operands = [self.of(operand, names) for operand in node.operands]
        cost = bound(node.operands, [operand.size for operand in operands])
        return Cost(cost.size, cost.work_ns + _NODE_NS + sum(operand.work_ns for operand in operands))

    def _collection(self, node: Collection, names: Mapping[str, Size]) -> Cost:
        if node.message:
            raise CostError(f"{node.message}{{}} is not available: conditions read JSON, not messages")
        parts = [self.of(part, names) for part in node.parts]
        size = _total([part.size for part in parts]) + Size(0, 1 + len(parts), 0)
        longest = max([len(parts), *(part.size.items for part in parts)])
        size = Size(size.text_bytes, size.values, longest)
        return Cost(size, sum(part.work_ns for part in parts) + _VALUE_NS * (1 + len(parts)))

    def _loop(self, node: Loop, names: Mapping[str, Size]) -> Cost:
        over, initial = self.of(node.over, names), self.of(node.initial, names)
        work = over.work_ns + initial.work_ns + _ITERATION_NS
        count = 0 if _is_binding(node) else over.size.count
        grown = initial.size
        if count:
            shapes = [
                ({**names, **dict.fromkeys(node.items, size)}, times) for size, times in _shapes(over.size)
            ]
            added = [self.of(node.step, {**each, node.accumulator: NOTHING}).size for each, _ in shapes]
            grown += _total([size.times(times) for size, (_, times) in zip(added, shapes, strict=True)])
            if _is_appending(node):
                grown = Size(grown.text_bytes, grown.values, max(count, *(size.items for size in added)))
            for variables, times in shapes:
                inside = {**variables, node.accumulator: grown}
                step, condition = self.of(node.step, inside), self.of(node.condition, inside)
                work += times * (step.work_ns + condition.work_ns + _ITERATION_NS)
        result = self.of(node.result, {**names, node.accumulator: grown})
        return Cost(result.size, work + result.work_ns)


def _shapes(over: Size) -> Iterator[tuple[Size, float]]:
    """Give sizes of the items of a list or map of size ``over``, and how many of each, that cost at least as much as any others.

    All items together are as large as what they come from, and work grows with size at least in proportion: so many small
    items and one large one cost most. Where lists are short, work stops to grow faster than in proportion beyond their length,
    and as many items with the longest lists as there can be come on top.
    """
    yield NOTHING, over.count
    yield over, 1
    if over.items < over.values:
        yield Size(0, over.items, over.items), over.values / over.items


_Bound = Callable[[Sequence[Node], Sequence[Size]], Cost]


def _constant_time(_nodes: Sequence[Node], _sizes: Sequence[Size]) -> Cost:
    return Cost(NOTHING, 0)


def _compared(_nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    return Cost(NOTHING, _copying_ns(_total(sizes)))


def _walked(_nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    return Cost(NOTHING, _walking_ns(_total(sizes)))


def _found(_nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    return Cost(NOTHING, _finding_ns(sizes))


def _either(_nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    return Cost(_largest(sizes), 0)


def _chosen(_nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    return Cost(_largest(sizes[1:]), 0)


def _within(_nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    return Cost(sizes[0], _copying_ns(_total(sizes[1:])))


def _joined_by_plus(nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    size = _total(sizes)
    if any(map(_is_list, nodes)):
        # Items of lists are shared, however large they are.
        return Cost(size, _COPIED_ITEM_NS * sum(each.count for each in sizes))
    return Cost(size, _copying_ns(size))


def _as_text(_nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    size = _total(sizes)
    return Cost(Size(size.text_bytes + _NUMBER_TEXT, size.values, size.items), _walking_ns(size))


def _quoted(_nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    size = _total(sizes)
    return Cost(Size(_QUOTED_BYTES * size.text_bytes + _NUMBER_TEXT, 0, 0), _QUOTED_BYTES * _walking_ns(size))


def _replaced(nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    text, _, new = sizes[:3]
    size = Size(text.text_bytes + _occurrences(text, nodes[1]) * new.text_bytes, text.values, text.items)
    return Cost(size, _finding_ns(sizes[:2]) + _walking_ns(size))


def _split(nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    text = sizes[0]
    count = _occurrences(text, nodes[1]) + 1
    return Cost(
        Size(text.text_bytes, text.values + count, max(text.items, count)),
        _finding_ns(sizes[:2]) + _walking_ns(text) + count * _SPLIT_VALUE_NS,
    )


def _joined(_nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    texts, between = sizes[0], _total(sizes[1:])
    size = Size(texts.text_bytes + texts.values * between.text_bytes, 0, 0)
    return Cost(size, _walking_ns(size) + texts.values * _VALUE_NS)


def _matched(nodes: Sequence[Node], sizes: Sequence[Size]) -> Cost:
    pattern = nodes[1]
    if not isinstance(pattern, Constant) or pattern.text is None:
        raise CostError("matches() needs a pattern that is written out: one that is computed has no bound")
    instructions = _instructions(pattern.text)
    return Cost(
        NOTHING,
        _PATTERN_NS
        + instructions * (_INSTRUCTION_NS + _PATTERN_BYTE_NS * sizes[0].text_bytes)
        + sizes[0].values * _VALUE_NS,
    )


def _part_of_time(nodes: Sequence[Node], _sizes: Sequence[Size]) -> Cost:
    for zone in nodes[1:]:
        if not isinstance(zone, Constant) or not _ZONE.fullmatch((zone.text or b"").decode(errors="replace")):
            raise CostError("a time zone must be written out, as in 'Europe/Paris' or '+01:00'")
    return Cost(NOTHING, _VALUE_NS)


def _copying_ns(size: Size) -> float:
    return _COPIED_BYTE_NS * size.text_bytes + _VALUE_NS * size.values


def _walking_ns(size: Size) -> float:
    return _WALKED_BYTE_NS * size.text_bytes + _VALUE_NS * size.values


def _finding_ns(sizes: Sequence[Size]) -> float:
    text, sought = sizes[:2]
    return _walking_ns(text + sought) + _FOUND_BYTE_NS * text.text_bytes * sought.text_bytes


def _occurrences(text: Size, sought: Node) -> float:
    length = len(sought.text or b"") if isinstance(sought, Constant) else 0
    return text.text_bytes / length if length else text.text_bytes + 1


def _total(sizes: Sequence[Size]) -> Size:
    return sum(sizes, NOTHING)


def _largest(sizes: Sequence[Size]) -> Size:
    return Size(
        max((size.text_bytes for size in sizes), default=0),
        max((size.values for size in sizes), default=0),
        max((size.items for size in sizes), default=0),
    )


@lru_cache(maxsize=4096)
def _instructions(pattern: bytes) -> int:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY_BYTES
    try:
        size: int = re2.compile(pattern, options).programsize
    except re2.error:
        raise CostError(f"{pattern[:80].decode(errors='replace')!r} is not a usable RE2 expression") from None
    if size > MAX_PATTERN_SIZE:
        raise CostError(
            f"a pattern takes {size} instructions, and may take {MAX_PATTERN_SIZE}: repeat less often"
        )
    return size


_OPERATORS: Final = ("_&&_", "_||_", "!_", "-_", "_-_", "_*_", "_/_", "_%_", "@not_strictly_false")
_COMPARISONS: Final = ("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "startsWith", "endsWith")
_CONVERSIONS: Final = ("size", "int", "uint", "double", "bool", "duration", "timestamp", "type")
_PARTS_OF_TIME: Final = (
    *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
    *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
)
_SAME_TEXT: Final = ("lowerAscii", "upperAscii", "trim", "reverse", "substring", "charAt")
_OPTIONALS: Final = ("optional.of", "optional.ofNonZeroValue", "optional.none", "or", "orValue", "value")

FUNCTIONS: Final[Mapping[str, _Bound]] = {
    **dict.fromkeys(_OPERATORS, _constant_time),
    "hasValue": _constant_time,
    **dict.fromkeys(_COMPARISONS, _compared),
    **dict.fromkeys(_CONVERSIONS, _walked),
    **dict.fromkeys(_PARTS_OF_TIME, _part_of_time),
    **dict.fromkeys(_SAME_TEXT, _as_text),
    **dict.fromkeys(("string", "bytes", "dyn"), _as_text),
    **dict.fromkeys(("contains", "indexOf", "lastIndexOf"), _found),
    **dict.fromkeys(_OPTIONALS, _either),
    **dict.fromkeys(("_[_]", "_[?_]", "_?._"), _within),
    "_?_:_": _chosen,
    "_+_": _joined_by_plus,
    "strings.quote": _quoted,
    "replace": _replaced,
    "split": _split,
    "join": _joined,
    "matches": _matched,
}
"""What conditions may call, each with the bound on what it costs."""

_REFUSED: Final[Mapping[str, str]] = {
    "format": "what it makes has no bound; join texts with + instead",
}
