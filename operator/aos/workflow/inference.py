"""Types of expressions and templates, and what they read that is certainly not there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aos.policy.syntax import Collection, Constant, Invocation, Loop, Name, Node, Select
from aos.workflow.expression import ValueExpression, step_of
from aos.workflow.template import Entries, Fixed, Items, Part, Text, Whole
from aos.workflow.types import (
    ANYTHING,
    BOOLEAN,
    INTEGER,
    LIST,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Anything,
    Exact,
    Found,
    Listed,
    Perhaps,
    Plain,
    Record,
    Row,
    Standing,
    Type,
    either,
    told_kinds,
)

Scope = Mapping[str, Type]
"""Types of variables; nothing is known of those that are not in it."""
Complaint = Callable[[str, str], None]
"""Told of the path of a field and what is wrong with it."""

_MAX_TOLD_FIELDS: Final = 8
_NONE: Final = Perhaps(ANYTHING)
"""An optional that has no value, whatever it would be."""
_OPTIONAL_ACCESS: Final = frozenset({"_?._", "_[?_]"})
_GIVEN_BY: Final[Mapping[str, Type]] = {
    **dict.fromkeys(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_&&_", "_||_", "!_", "@in"), BOOLEAN),
    **dict.fromkeys(("hasValue", "startsWith", "endsWith", "contains", "matches", "bool"), BOOLEAN),
    **dict.fromkeys(("size", "int", "uint", "indexOf", "lastIndexOf"), INTEGER),
    **dict.fromkeys(("_-_", "_*_", "_/_", "_%_", "-_", "double"), NUMBER),
    **dict.fromkeys(("string", "lowerAscii", "upperAscii", "trim", "reverse", "substring"), STRING),
    **dict.fromkeys(("charAt", "join", "replace", "strings.quote"), STRING),
    "split": Listed(STRING),
}
_CONSTANTS: Final[Mapping[str, Type]] = {
    "null": NULL,
    "bool": BOOLEAN,
    "int": INTEGER,
    "uint": INTEGER,
    "double": NUMBER,
}
_CHECKED: Final[Mapping[str, Type]] = {
    "BOOL": BOOLEAN,
    "INT": INTEGER,
    "UINT": INTEGER,
    "DOUBLE": NUMBER,
    "STRING": STRING,
    "NULL": NULL,
    "LIST": LIST,
    "MAP": OBJECT,
}


@dataclass(frozen=True, slots=True)
class Inference:
    """Finds the types of expressions of one place.

    Attributes:
        scope: what is known of its variables; ``steps`` is a `Record` of those that may be named.
        complain: told of what is certainly not there.
    """

    scope: Scope
    complain: Complaint

    def part(self, part: Part, path: str) -> Type:
        """Return the type of a part of a template, which stands at ``path``."""
        match part:
            case Fixed():
                return Exact(part.value)
            case Whole():
                return self.expression(part.expression, path)
            case Text():
                for piece in part.parts:
                    if isinstance(piece, ValueExpression):
                        self.expression(piece, path)
                return STRING
            case Items():
                return Row(tuple(self.part(item, f"{path}[{i}]") for i, item in enumerate(part.parts)))
            case Entries():
                return Record({key: self.part(item, f"{path}.{key}") for key, item in part.parts.items()})

    def expression(self, expression: ValueExpression, path: str) -> Type:
        """Return the type of an expression, which stands at ``path``."""
        found = _Walk(path, self.complain).of(expression.tree, self.scope)
        if isinstance(found, Anything):
            return _CHECKED.get(expression.type.name().partition("<")[0], found)
        return found


@dataclass(frozen=True, slots=True)
class _Walk:
    """Walks through the tree of one expression."""

    path: str
    complain: Complaint

    def of(self, node: Node, scope: Scope) -> Type:
        match node:
            case Constant():
                return _constant(node)
            case Name():
                return scope.get(node.name, ANYTHING)
            case Select():
                return self._select(node, scope)
            case Invocation():
                return self._invocation(node, scope)
            case Collection():
                return self._collection(node, scope)
            case Loop():
                return self._loop(node, scope)

    def _select(self, node: Select, scope: Scope) -> Type:
        step = _step(node, scope)
        if step is not None:
            return BOOLEAN if node.is_test else step
        operand = self.of(node.operand, scope)
        if node.is_test:
            return BOOLEAN
        return self._field(node.operand, operand, node.field)

    def _field(self, node: Node, operand: Type, name: str) -> Type:
        found = operand.field(name)
        if isinstance(operand, Perhaps):
            # Where there is none, nothing fails.
            return Perhaps(found.type)
        if not found.is_there:
            self.complain(self.path, _missing(node, operand, name, found))
        return _without_doubt(found.type)

    def _invocation(self, node: Invocation, scope: Scope) -> Type:
        step = _step(node, scope)
        if step is not None:
            return step
        types = [self.of(operand, scope) for operand in node.operands]
        if node.function == "_[_]":
            return self._index(node, types[0])
        if node.function in _OPTIONAL_ACCESS:
            name = _text(node.operands[1])
            return Perhaps(ANYTHING if name is None else _without_doubt(types[0].field(name).type))
        made = _MADE_FROM.get(node.function)
        return made(types) if made is not None else _GIVEN_BY.get(node.function, ANYTHING)

    def _index(self, node: Invocation, operand: Type) -> Type:
        of, index = node.operands
        name = _text(index)
        if name is not None:
            return self._field(of, operand, name)
        is_number = isinstance(index, Constant) and index.type in ("int", "uint")
        found = operand.element()
        if is_number and found.standing is Standing.REFUSED and not isinstance(operand, Perhaps):
            self.complain(self.path, f"{told(of)} is {_told_type(operand)}, which has no items")
        return _without_doubt(found.type) if is_number and found.is_there else ANYTHING

    def _collection(self, node: Collection, scope: Scope) -> Type:
        types = [self.of(part, scope) for part in node.parts]
        if not node.is_map:
            return Row(tuple(types))
        names = [_text(key) for key in node.parts[::2]]
        if None in names:
            return OBJECT
        return Record(
            {name: value for name, value in zip(names, types[1::2], strict=True) if name is not None}
        )

    def _loop(self, node: Loop, scope: Scope) -> Type:
        over = self.of(node.over, scope)
        initial = self.of(node.initial, scope)
        if isinstance(node.over, Collection) and not node.over.parts:
            # Not a loop: it only gives a value a name, as optMap does.
            return self.of(node.result, {**scope, node.accumulator: initial})
        inner = {
            **scope,
            **dict.fromkeys(node.items, self._item(node.over, over)),
            node.accumulator: ANYTHING,
        }
        self.of(node.condition, inner)
        step = self._step_type(node, inner)
        grown = step if step is not None else _CONSTANTS.get(getattr(node.initial, "type", ""), ANYTHING)
        return self.of(node.result, {**scope, node.accumulator: grown})

    def _item(self, node: Node, over: Type) -> Type:
        kinds = over.kinds()
        if not kinds & {"array", "object"}:
            self.complain(
                self.path, f"{told(node)} is {_told_type(over)}, and only lists and maps can be gone through"
            )
            return ANYTHING
        if "array" not in kinds:
            return STRING
        found = over.element()
        return _without_doubt(found.type) if "object" not in kinds and found.is_there else ANYTHING

    def _step_type(self, node: Loop, inner: Scope) -> Type | None:
        """Return the list that ``map`` and ``filter`` make; None for other loops, whose step is only looked through."""
        step = node.step
        match step:
            case Invocation(function="_?_:_", operands=(condition, Invocation() as adding, Name())):
                self.of(condition, inner)
            case Invocation(function="_+_") as adding:
                pass
            case _:
                self.of(step, inner)
                return None
        match adding.operands:
            case (Name(name=name), Collection(parts=(item,), is_map=False)) if name == node.accumulator:
                return Listed(_without_doubt(self.of(item, inner)))
            case _:
                self.of(adding, inner)
                return None


def told(node: Node) -> str:
    """Return how ``node`` is written, as far as people need it to find it."""
    match node:
        case Name():
            return node.name
        case Select():
            return f"{told(node.operand)}.{node.field}"
        case Invocation(function="_[_]", operands=(of, index)):
            name = _text(index)
            return f"{told(of)}[{'...' if name is None else repr(name)}]"
        case Invocation(function="_?._" | "_[?_]", operands=(of, index)):
            return f"{told(of)}.?{_text(index) or '...'}"
        case _:
            return "(...)"


def _step(node: Node, scope: Scope) -> Type | None:
    """Return the type of ``steps.NAME``; None for what is something else."""
    found, steps = step_of(node), scope.get("steps")
    if found is None or not isinstance(steps, Record):
        return None
    name, is_optional = found
    # That a step is not there is told with the graph.
    type_ = steps.fields.get(name, ANYTHING)
    return Perhaps(type_) if is_optional else type_


def _missing(node: Node, operand: Type, name: str, found: Found) -> str:
    declared = sorted(operand.declared())
    if not operand.kinds() & {"object"}:
        return f"{told(node)} is {_told_type(operand)}, which has no field {name!r}"
    has = ", ".join(declared[:_MAX_TOLD_FIELDS]) + (", ..." if len(declared) > _MAX_TOLD_FIELDS else "")
    label = operand.label()
    text = f"{told(node)} has no field {name!r}: {label or 'it'} has {has or 'no fields at all'}"
    if found.standing is Standing.UNPROMISED:
        text += f"; declare it there, or write .?{name} for a field that may be missing"
    return text


def _told_type(type_: Type) -> str:
    label = type_.label()
    return told_kinds(type_.kinds()) + (f" by {label}" if label else "")


def _constant(node: Constant) -> Type:
    if node.type == "string" and node.text is not None:
        return Exact(node.text.decode(errors="replace"))
    return _CONSTANTS.get(node.type, ANYTHING)


def _text(node: Node) -> str | None:
    if isinstance(node, Constant) and node.type == "string" and node.text is not None:
        return node.text.decode(errors="replace")
    return None


def _without_doubt(type_: Type) -> Type:
    return type_.inner if isinstance(type_, Perhaps) else type_


def _one_of(types: Sequence[Type]) -> Type:
    return either(map(_without_doubt, types))


def _chosen(types: Sequence[Type]) -> Type:
    choices = types[1:]
    if any(isinstance(choice, Perhaps) for choice in choices):
        return Perhaps(_one_of([choice for choice in choices if choice is not _NONE]))
    return either(choices)


def _sum(types: Sequence[Type]) -> Type:
    """Return the type of a sum, of a text that is joined, or of a list that is."""
    kinds = frozenset.intersection(*(type_.kinds() for type_ in types))
    if kinds == LIST.named:
        return Listed(
            _one_of([found.type for found in (type_.element() for type_ in types) if found.is_there])
        )
    # What is known of numbers are JSON's types, and of those nobody knows which one a sum has.
    return Plain(kinds) if kinds in (STRING.named, INTEGER.named) else ANYTHING


_MADE_FROM: Final[Mapping[str, Callable[[Sequence[Type]], Type]]] = {
    "_?_:_": _chosen,
    "_+_": _sum,
    "orValue": _one_of,
    "or": lambda types: Perhaps(_one_of(types)),
    "value": _one_of,
    "dyn": _one_of,
    "optional.of": lambda types: Perhaps(types[0]),
    "optional.none": lambda _types: _NONE,
}
"""Functions whose result has to do with what they are given."""
