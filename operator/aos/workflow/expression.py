"""Expressions of Workflows in CEL: what they may name, which steps they use, and the JSON that they give."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cel_expr_python import cel
from pydantic import JsonValue

from aos.model.workflow_step import MAX_ITEMS
from aos.policy.cost import Allowance, Size, room_for, size_of, told
from aos.policy.expression import Activation, Compiled, ExpressionError, Language, readable
from aos.policy.syntax import Constant, Invocation, Loop, Name, Node, Select, parts_of

__all__ = [
    "MAX_DEPTH",
    "MAX_INTEGER",
    "OUTPUT",
    "VARIABLES",
    "ExpressionError",
    "Reader",
    "Uses",
    "ValueExpression",
    "free_names",
    "step_of",
]

MAX_INTEGER: Final = 2**53
"""Beyond it not everybody reads the same number from JSON (RFC 8785, section 3.2.2.3)."""
MAX_DEPTH: Final = 64
"""How deep the lists and maps of a template, or of what an expression gives, may stand in each other."""
STEPS: Final = "steps"
OUTPUT: Final = "output"

VARIABLES: Final[Mapping[str, str]] = {
    "input": "the run's input, a map",
    STEPS: "steps that are done: `steps.NAME.output`, and `steps.?NAME` for one that may have been skipped",
    "run": "a map: name, namespace, workflow, requestedBy",
    "item": "the item of forEach that is worked on",
    "index": "its place in the list, from 0",
    "body": "in a webhook's trigger: the request's JSON",
    "time": "in a schedule's trigger: the time that was due, as text",
}
"""The variables of an expression, and what each one holds."""

_OBJECT: Final = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_TYPES: Final[Mapping[str, cel.Type]] = {
    "input": _OBJECT,
    STEPS: cel.Type.Map(cel.Type.STRING, _OBJECT),
    "run": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    "item": cel.Type.DYN,
    "index": cel.Type.INT,
    "body": cel.Type.DYN,
    "time": cel.Type.STRING,
}

ALLOWANCE: Final = Allowance(
    work_ns=250_000_000,
    sizes=(
        *(Size(512 << step, 8 << step, min(8 << step, MAX_ITEMS)) for step in range(14)),
        Size(512 << 13, 8 << 13),
    ),
    short=frozenset({"run", "index", "time"}),
    whose="all expressions of one input",
)
"""From 512 bytes and 8 values to 4 MiB and 65,536 values, first with lists as long as those of a forEach, then with any."""
_LANGUAGE: Final = Language(_TYPES, ALLOWANCE)

_OPTIONAL: Final = "optional_type<"
_ON_STEPS: Final = frozenset({"_[_]", "_?._", "_[?_]"})
_NO_JSON: Final[Mapping[str, str]] = {
    "TIMESTAMP": "a timestamp; write string(...)",
    "DURATION": "a duration; write string(...)",
    "BYTES": "bytes; write string(...)",
    "TYPE": "a type",
}


@dataclass(frozen=True, slots=True)
class Uses:
    """What expressions read.

    Attributes:
        variables: those of `VARIABLES`.
        steps: steps whose output is needed.
        optional_steps: steps whose output is used where there is one, and no step of `steps`.
    """

    variables: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    optional_steps: frozenset[str] = frozenset()

    def __or__(self, other: "Uses") -> "Uses":
        steps = self.steps | other.steps
        return Uses(
            self.variables | other.variables, steps, (self.optional_steps | other.optional_steps) - steps
        )


class ValueExpression(Compiled):
    """A compiled expression that gives JSON.

    Attributes:
        uses: what it reads.
        is_optional: it gives a value or none, as ``input.?note`` does.
    """

    __slots__ = ("is_optional", "uses")

    def __init__(self, source: str) -> None:
        """Compile ``source``.

        Raises:
            ExpressionError: it does not compile, may take too long, uses ``steps`` without saying which one, or can't
                give JSON.
        """
        super().__init__(source, _LANGUAGE)
        given = self.type.name()
        self.is_optional = given.startswith(_OPTIONAL)
        if given.partition("<")[0] in _NO_JSON:
            raise ExpressionError(f"it gives {_NO_JSON[given.partition('<')[0]]}")
        self.uses = _uses(self.tree)
        if self.is_optional:
            # The library can't hand out an optional; as an item of a list it is there or is not.
            self._compiled = _LANGUAGE.compiled(f"[?(\n{source}\n)]")

    def json(self, activation: Activation) -> JsonValue:
        """Return what it gives; a list of one value or none if it `is_optional`.

        Raises:
            ExpressionError: it fails, or gives what is not JSON.
        """
        value = self.value(activation)
        if value.type() == cel.Type.ERROR:
            raise ExpressionError(readable(str(value.value())))
        try:
            plain: object = value.plain_value()
        except (RuntimeError, SystemError, TypeError):
            raise ExpressionError(
                "it gives an optional inside of a value; end that with .orValue(...)"
            ) from None
        return _json(plain, MAX_DEPTH)


class Reader:
    """Binds values for expressions, as far as they are read and can be read in time."""

    __slots__ = ("_room", "uses")

    def __init__(self, expressions: tuple[ValueExpression, ...]) -> None:
        """Prepare for ``expressions``.

        Raises:
            ExpressionError: they take too long together.
        """
        self.uses = Uses()
        for expression in expressions:
            self.uses |= expression.uses
        self._room = room_for([expression.works for expression in expressions], ALLOWANCE)
        if not self._room.values:
            raise ExpressionError(
                f"{ALLOWANCE.whose} have {ALLOWANCE.work_ns / 1e6:.0f} ms, and {len(expressions)} may take longer:"
                " use fewer of them and fewer loops, or let a step of its own do some"
            )

    def read(self, bindings: Mapping[str, JsonValue]) -> Activation:
        """Return those of ``bindings`` that are read.

        Raises:
            ExpressionError: one is missing, or they are too large.
        """
        missing = sorted(self.uses.variables - bindings.keys())
        if missing:
            raise ExpressionError(f"{missing[0]} is not known here")
        read = {name: bindings[name] for name in self.uses.variables}
        steps = read.get(STEPS)
        if isinstance(steps, dict):
            used = self.uses.steps | self.uses.optional_steps
            read[STEPS] = {name: value for name, value in steps.items() if name in used}
        size = size_of([read])
        if size is not None and size.values > self._room.items:
            size = replace(size, items=_longest(read))
        if size is None or not size.fits(self._room):
            raise ExpressionError(f"what it reads is too large: {told(size, self._room)}")
        return Activation(read, _LANGUAGE)


def _longest(value: JsonValue) -> int:
    """Return how many items or keys the longest list or map in ``value`` has."""
    longest = 0
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list | dict):
            longest = max(longest, len(node))
            waiting.extend(node.values() if isinstance(node, dict) else node)
    return longest


def free_names(node: Node, own: frozenset[str] = frozenset()) -> Iterator[str]:
    """Give the variables that ``node`` reads, but for ``own`` ones and those of its loops."""
    if isinstance(node, Name):
        if node.name not in own:
            yield node.name
    elif isinstance(node, Loop):
        for part, scope in scopes_of(node, own):
            yield from free_names(part, scope)
    else:
        for part in parts_of(node):
            yield from free_names(part, own)


def scopes_of(loop: Loop, own: frozenset[str]) -> Iterator[tuple[Node, frozenset[str]]]:
    """Give the parts of ``loop``, each with the variables of loops that it sees, where the loop itself sees ``own``."""
    grown = own | {loop.accumulator}
    yield loop.over, own
    yield loop.initial, own
    yield loop.condition, grown | {*loop.items}
    yield loop.step, grown | {*loop.items}
    yield loop.result, grown


def step_of(node: Node) -> tuple[str, bool] | None:
    """Return the step that ``node`` reads, as ``steps.NAME``, and whether it may be missing; None if it is nothing of that."""
    match node:
        case Select(operand=Name(name="steps")):
            return node.field, node.is_test
        case Invocation(operands=(Name(name="steps"), Constant(text=bytes(text)))) if (
            node.function in _ON_STEPS
        ):
            return text.decode(errors="replace"), node.function != "_[_]"
        case _:
            return None


def _uses(tree: Node) -> Uses:
    needed: set[str] = set()
    optional: set[str] = set()
    _find_steps(tree, frozenset(), needed, optional)
    variables = frozenset(free_names(tree)) & VARIABLES.keys()
    return Uses(variables, frozenset(needed), frozenset(optional - needed))


def _find_steps(node: Node, own: frozenset[str], needed: set[str], optional: set[str]) -> None:
    if isinstance(node, Loop):
        for part, scope in scopes_of(node, own):
            _find_steps(part, scope, needed, optional)
        return
    if STEPS not in own:
        found = step_of(node)
        if found is not None:
            (optional if found[1] else needed).add(found[0])
            return
        if node == Name(STEPS):
            raise ExpressionError(
                "say which step: steps.NAME; what a step waits for must be known beforehand"
            )
    for part in parts_of(node):
        _find_steps(part, own, needed, optional)


def _json(value: object, depth: int) -> JsonValue:
    match value:
        case None | bool() | str():
            return value
        case int():
            if abs(value) > MAX_INTEGER:
                raise ExpressionError(
                    f"{value} is beyond 2^53, where JSON's readers differ; write string(...) for a text"
                )
            return value
        case float():
            if not math.isfinite(value):
                raise ExpressionError(f"it gives {value}, which JSON can't carry")
            return value
        case list() | dict() if depth == 0:
            raise ExpressionError(f"it gives lists or maps more than {MAX_DEPTH} deep in each other")
        case list():
            return [_json(item, depth - 1) for item in value]
        case dict():
            return {_key(key): _json(item, depth - 1) for key, item in value.items()}
        case _:
            raise ExpressionError(f"it gives {_named(value)}")


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise ExpressionError(f"it gives a map with the key {key}; keys in JSON are texts")


def _named(value: object) -> str:
    match value:
        case datetime():
            return _NO_JSON["TIMESTAMP"]
        case timedelta():
            return _NO_JSON["DURATION"]
        case bytes() | bytearray():
            return _NO_JSON["BYTES"]
        case _:
            return _NO_JSON["TYPE"]
