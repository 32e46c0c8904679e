"""The syntax tree of a checked CEL expression, read from its serialized form (cel.expr.CheckedExpr, a protobuf)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

MAX_NODES: Final = 2_000
"""Nodes of one tree: macros such as optMap copy what they are applied to, so a short text can be a huge tree."""

_VARINT: Final = 0
_BYTES: Final = 2
_FIXED_LENGTHS: Final[Mapping[int, int]] = {1: 8, 5: 4}
_WIRE_BITS: Final = 3
_CONTINUES: Final = 0x80
_ANY_VALUE: Final = 2
_CHECKED_EXPR: Final = 4
_EXPR_ID: Final = 2
_EXPR_CONSTANT: Final = 3
_STRUCT_ENTRY: Final = 2
_CONSTANT_TEXT: Final = frozenset({6, 7})
_CONSTANT_TYPES: Final = (
    "",
    "null",
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "duration",
    "timestamp",
)


class SyntaxTooLargeError(ValueError):
    """A tree of more than `MAX_NODES` nodes."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal; ``text`` is its content as UTF-8 where it is a string or bytes, else None.

    ``type`` is null, bool, int, uint, double, string or bytes.
    """

    text: bytes | None
    type: str


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """A field of a value, or with ``is_test`` whether there is one."""

    operand: "Node"
    field: str
    is_test: bool


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call of a function or an operator; what it is called on comes first among the operands."""

    function: str
    operands: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """A list, map or message that is written out; ``message`` names the last one's type, else it is empty.

    The parts of a map are its keys and values, in turn.
    """

    parts: tuple["Node", ...]
    message: str
    is_map: bool = False


@dataclass(frozen=True, slots=True)
class Loop:
    """A macro such as ``all`` or ``map``, expanded: for each item of ``over``, ``accumulator`` becomes ``step``."""

    items: tuple[str, ...]
    over: "Node"
    accumulator: str
    initial: "Node"
    condition: "Node"
    step: "Node"
    result: "Node"


Node = Constant | Name | Select | Invocation | Collection | Loop


def parts_of(node: Node) -> tuple[Node, ...]:
    """Return what ``node`` is made of, one level down."""
    match node:
        case Select():
            return (node.operand,)
        case Invocation():
            return node.operands
        case Collection():
            return node.parts
        case Loop():
            return node.over, node.initial, node.condition, node.step, node.result
        case _:
            return ()


def names_in(node: Node) -> frozenset[str]:
    """Return the variables that ``node`` reads, those of its own loops included."""
    own = frozenset({node.name} if isinstance(node, Name) else ())
    return own.union(*map(names_in, parts_of(node)))


def syntax_of(serialized: bytes) -> Node:
    """Return the tree of a serialized checked expression.

    Raises:
        SyntaxTooLargeError: it has more than `MAX_NODES` nodes.
    """
    return _Reader().expression(_last(_last(serialized, _ANY_VALUE), _CHECKED_EXPR))


class _Reader:
    """Reads one tree, and counts its nodes."""

    def __init__(self) -> None:
        self._count = 0

    def expression(self, content: bytes) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise SyntaxTooLargeError(f"its macros make more than {MAX_NODES} parts of it")
        number, value = next(
            (field for field in _fields(content) if field[0] != _EXPR_ID), (_EXPR_CONSTANT, b"")
        )
        # Every kind of expression is a message, and none is not: an unset one is a constant without a value.
        return self._of_kind(number, value if isinstance(value, bytes) else b"")

    def _of_kind(self, number: int, content: bytes) -> Node:
        match number:
            case 4:
                node: Node = Name(_text(content, 1))
            case 5:
                node = self._select(content)
            case 6:
                node = Invocation(_text(content, 2), (*self._each(content, 1), *self._each(content, 3)))
            case 7:
                node = Collection(self._each(content, 1), "")
            case 8:
                node = self._struct(content)
            case 9:
                node = self._loop(content)
            case _:
                node = _constant(content)
        return node

    def _select(self, content: bytes) -> Node:
        return Select(
            self.expression(_last(content, 1)), _text(content, 2), is_test=bool(_number(content, 3))
        )

    def _each(self, content: bytes, field: int) -> tuple[Node, ...]:
        return tuple(
            self.expression(value)
            for number, value in _fields(content)
            if number == field and isinstance(value, bytes)
        )

    def _struct(self, content: bytes) -> Node:
        parts: list[Node] = []
        for number, entry in _fields(content):
            if number == _STRUCT_ENTRY and isinstance(entry, bytes):
                parts += (*self._each(entry, 3), *self._each(entry, 4))
        message = _text(content, 1)
        return Collection(tuple(parts), message, is_map=not message)

    def _loop(self, content: bytes) -> Node:
        over, initial, condition, step, result = (
            self.expression(_last(content, field)) for field in (2, 4, 5, 6, 7)
        )
        items = tuple(name for name in (_text(content, 1), _text(content, 8)) if name)
        return Loop(items, over, _text(content, 3), initial, condition, step, result)


def _constant(content: bytes) -> Constant:
    field, value = next(_fields(content), (0, b""))
    text = value if field in _CONSTANT_TEXT and isinstance(value, bytes) else None
    return Constant(text, _CONSTANT_TYPES[field])


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give the fields of one message: numbers where they are varints, else their bytes."""
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        field, wire = tag >> _WIRE_BITS, tag & ((1 << _WIRE_BITS) - 1)
        if wire == _VARINT:
            number, place = _varint(content, place)
            yield field, number
            continue
        length, place = _varint(content, place) if wire == _BYTES else (_FIXED_LENGTHS[wire], place)
        yield field, content[place : place + length]
        place += length


def _varint(content: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while content[place] & _CONTINUES:
        number |= (content[place] & ~_CONTINUES) << shift
        shift += 7
        place += 1
    return number | content[place] << shift, place + 1


def _last(content: bytes, field: int) -> bytes:
    found = b""
    for number, value in _fields(content):
        if number == field and isinstance(value, bytes):
            found = value
    return found


def _text(content: bytes, field: int) -> str:
    return _last(content, field).decode()


def _number(content: bytes, field: int) -> int:
    return next(
        (value for number, value in _fields(content) if number == field and isinstance(value, int)), 0
    )
