"""Values with ``${...}`` in CEL: the inputs of steps, what people are shown at gates, and what a run gives."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self

import orjson
from cel_expr_python import cel
from pydantic import JsonValue

from aos.model.canonical import canonical_json
from aos.model.workflow_step import MAX_ITEMS
from aos.policy.expression import Activation
from aos.policy.template import Hole, pieces
from aos.workflow.expression import MAX_DEPTH, ExpressionError, Reader, Uses, ValueExpression

MAX_RENDERED_BYTES: Final = 262_144
"""Of what a template is and of what it gives, as JSON."""
MAX_EXPRESSIONS: Final = 256
"""In one template."""

_OPENING: Final = "${"


class TemplateError(ExpressionError):
    """A template that does not compile or can't be rendered.

    Attributes:
        path: where in the template, such as ``.lead.tags[0]``; empty for the whole of it.
        problem: what is wrong there.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path.lstrip('.')}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value without expressions."""

    value: JsonValue


@dataclass(frozen=True, slots=True)
class Whole:
    """One ``${...}`` that gives the value itself; where it gives none, the key or item is left out."""

    expression: ValueExpression


@dataclass(frozen=True, slots=True)
class Text:
    """A text with one ``${...}`` or more in it."""

    parts: tuple[str | ValueExpression, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list with something to compute in it."""

    parts: tuple["Part", ...]


@dataclass(frozen=True, slots=True)
class Entries:
    """A map with something to compute in it."""

    parts: Mapping[str, "Part"]


Part = Fixed | Whole | Text | Items | Entries


@dataclass(frozen=True, slots=True)
class Template:
    """Any JSON, in whose texts ``${...}`` is CEL; keys are as they stand.

    Attributes:
        root: what it is made of.
    """

    root: Part
    _reader: Reader = field(compare=False, repr=False)

    @classmethod
    def compile(cls, value: JsonValue) -> "Template":
        """Return ``value`` compiled; equal values share one compilation.

        Raises:
            TemplateError: an expression does not compile, or it is too large or takes too long.
        """
        try:
            source = canonical_json([value])
        except (ValueError, RecursionError):
            raise TemplateError("", "a number is too large, or the nesting too deep, for JSON") from None
        return _compiled(source)

    @classmethod
    def _of(cls, value: JsonValue) -> Self:
        root = _part(value, "", MAX_DEPTH, is_optional_allowed=False)
        return cls(root, Reader(tuple(expression for _, expression in _expressions(root, ""))))

    @property
    def uses(self) -> Uses:
        """What it reads."""
        return self._reader.uses

    @property
    def steps(self) -> frozenset[str]:
        """Steps whose output it needs."""
        return self.uses.steps

    @property
    def variables(self) -> frozenset[str]:
        """Variables that it reads."""
        return self.uses.variables

    def expressions(self) -> Iterator[tuple[str, ValueExpression]]:
        """Give its expressions, each with its path in the template, such as ``.lead.tags[0]``."""
        yield from _expressions(self.root, "")

    def render(self, bindings: Mapping[str, JsonValue]) -> JsonValue:
        """Return the value for ``bindings``, at most `MAX_RENDERED_BYTES` as JSON.

        Raises:
            ExpressionError: an expression fails or gives what is not JSON, or the value is too large.
        """
        return _Rendering(self._reader.read(bindings)).whole(self.root)


class Condition:
    """A step's or webhook's ``when``."""

    __slots__ = ("_reader", "expression")

    def __init__(self, source: str) -> None:
        self.expression = _only(source)
        self.expression.check_type((cel.Type.BOOL,), "when must give bool")
        self._reader = Reader((self.expression,))

    @property
    def uses(self) -> Uses:
        """What it reads."""
        return self.expression.uses

    def holds(self, bindings: Mapping[str, JsonValue]) -> bool:
        """Whether it holds.

        Raises:
            ExpressionError: it fails, or gives something else than a bool.
        """
        value = self.expression.json(self._reader.read(bindings))
        if not isinstance(value, bool):
            raise ExpressionError("when gave something else than true or false")
        return value


class ItemList:
    """A step's ``forEach``."""

    __slots__ = ("_reader", "expression")

    def __init__(self, source: str) -> None:
        self.expression = _only(source)
        if self.expression.type.name().partition("<")[0] not in ("LIST", "DYN"):
            raise ExpressionError(f"it gives {self.expression.type.name()}, and forEach needs a list")
        self._reader = Reader((self.expression,))

    @property
    def uses(self) -> Uses:
        """What it reads."""
        return self.expression.uses

    def of(self, bindings: Mapping[str, JsonValue]) -> list[JsonValue]:
        """Return the items, at most `MAX_ITEMS`.

        Raises:
            ExpressionError: it fails, gives something else than a list, or too many items.
        """
        value = self.expression.json(self._reader.read(bindings))
        if not isinstance(value, list):
            raise ExpressionError("forEach gave something else than a list")
        if len(value) > MAX_ITEMS:
            raise ExpressionError(f"forEach gave {len(value)} items, and a step has at most {MAX_ITEMS}")
        return value


@lru_cache(maxsize=1024)
def condition(source: str) -> Condition:
    """Return ``source``, one ``${...}`` that gives a bool, compiled; equal sources share one compilation.

    Raises:
        ExpressionError: it is not one ``${...}``, does not compile, or can't be a bool.
    """
    return Condition(source)


@lru_cache(maxsize=1024)
def items(source: str) -> ItemList:
    """Return ``source``, one ``${...}`` that gives a list, compiled; equal sources share one compilation.

    Raises:
        ExpressionError: it is not one ``${...}``, does not compile, or can't be a list.
    """
    return ItemList(source)


@lru_cache(maxsize=1024)
def _compiled(source: bytes) -> Template:
    if len(source) > MAX_RENDERED_BYTES:
        raise TemplateError("", f"{len(source)} bytes, and it may have {MAX_RENDERED_BYTES}")
    count = source.count(_OPENING.encode())
    if count > MAX_EXPRESSIONS:
        raise TemplateError("", f"{count} expressions, and it may have {MAX_EXPRESSIONS}")
    (value,) = orjson.loads(source)
    return Template._of(value)  # noqa: SLF001 - the same class, by way of the cache


class _Rendering:
    """Renders one template, and counts the bytes."""

    __slots__ = ("_activation", "_left_bytes")

    def __init__(self, activation: Activation) -> None:
        self._activation = activation
        self._left_bytes = MAX_RENDERED_BYTES

    def whole(self, root: Part) -> JsonValue:
        (value,) = self._one(root, "")
        # What stands between the values was not counted.
        self._left_bytes = MAX_RENDERED_BYTES
        return self._counted(value, "")

    def _one(self, part: Part, path: str) -> tuple[JsonValue, ...]:
        """Return the value, or nothing where an optional one is not there."""
        match part:
            case Fixed():
                return (part.value,)
            case Whole():
                value = self._value(part.expression, path)
                return tuple(value) if part.expression.is_optional and isinstance(value, list) else (value,)
            case Text():
                return ("".join(self._text(piece, path) for piece in part.parts),)
            case Items():
                inner = (self._one(item, f"{path}[{place}]") for place, item in enumerate(part.parts))
                return ([value for found in inner for value in found],)
            case Entries():
                return (
                    {
                        key: value
                        for key, item in part.parts.items()
                        for value in self._one(item, f"{path}.{key}")
                    },
                )

    def _value(self, expression: ValueExpression, path: str) -> JsonValue:
        try:
            value = expression.json(self._activation)
        except ExpressionError as error:
            raise TemplateError(path, f"${{{expression.source}}}: {error}") from None
        return self._counted(value, path)

    def _text(self, piece: str | ValueExpression, path: str) -> str:
        if isinstance(piece, str):
            return piece
        value = self._value(piece, path)
        return value if isinstance(value, str) else as_text(value)

    def _counted(self, value: JsonValue, path: str) -> JsonValue:
        try:
            content = orjson.dumps(value)
        except orjson.JSONEncodeError:
            raise TemplateError(path, "it gives a text with half a character, or too deep a value") from None
        self._left_bytes -= len(content)
        if self._left_bytes < 0:
            raise TemplateError(path, f"it gives more than {MAX_RENDERED_BYTES} bytes as JSON")
        return value


def as_text(value: JsonValue) -> str:
    """Return ``value`` as it stands inside a text: as JSON, with sorted keys, but a text as it is."""
    if isinstance(value, str):
        return value
    return canonical_json([value])[1:-1].decode()


def _only(source: str) -> ValueExpression:
    """Return the expression of a text that is one ``${...}``."""
    match pieces(source):
        case ("", Hole() as hole, ""):
            expression = ValueExpression(hole.expression)
        case _:
            raise ExpressionError("it must be one ${...}, and nothing else")
    if expression.is_optional:
        raise ExpressionError("it gives an optional; end it with .orValue(...)")
    return expression


def _part(value: JsonValue, path: str, depth: int, *, is_optional_allowed: bool) -> Part:
    if isinstance(value, str):
        return _text_part(value, path, is_optional_allowed=is_optional_allowed)
    if not isinstance(value, list | dict):
        return Fixed(value)
    if depth == 0:
        raise TemplateError(path, f"lists and maps stand more than {MAX_DEPTH} deep in each other")
    if isinstance(value, list):
        listed = tuple(
            _part(item, f"{path}[{place}]", depth - 1, is_optional_allowed=True)
            for place, item in enumerate(value)
        )
        return Fixed(value) if all(isinstance(part, Fixed) for part in listed) else Items(listed)
    computed = next((key for key in value if _OPENING in key), None)
    if computed is not None:
        raise TemplateError(path, f"the key {computed[:80]!r} has ${{...}}, and only values are computed")
    entries = {
        key: _part(item, f"{path}.{key}", depth - 1, is_optional_allowed=True) for key, item in value.items()
    }
    return Fixed(value) if all(isinstance(part, Fixed) for part in entries.values()) else Entries(entries)


def _text_part(source: str, path: str, *, is_optional_allowed: bool) -> Part:
    try:
        found = pieces(source)
    except ExpressionError as error:
        raise TemplateError(path, str(error)) from None
    if len(found) == 1:
        return Fixed(source)
    parts = tuple(piece if isinstance(piece, str) else _expression(piece, path) for piece in found)
    match parts:
        case ("", ValueExpression() as expression, "") if is_optional_allowed or not expression.is_optional:
            return Whole(expression)
        case _ if any(isinstance(part, ValueExpression) and part.is_optional for part in parts):
            raise TemplateError(path, "an expression gives an optional; end it with .orValue(...)")
        case _:
            return Text(parts)


def _expression(hole: Hole, path: str) -> ValueExpression:
    try:
        return ValueExpression(hole.expression)
    except ExpressionError as error:
        raise TemplateError(path, f"in ${{...}} at character {hole.place}: {error}") from None


def _expressions(part: Part, path: str) -> Iterator[tuple[str, ValueExpression]]:
    match part:
        case Fixed():
            return
        case Whole():
            yield path, part.expression
        case Text():
            yield from ((path, piece) for piece in part.parts if isinstance(piece, ValueExpression))
        case Items():
            for place, item in enumerate(part.parts):
                yield from _expressions(item, f"{path}[{place}]")
        case Entries():
            for key, item in part.parts.items():
                yield from _expressions(item, f"{path}.{key}")
