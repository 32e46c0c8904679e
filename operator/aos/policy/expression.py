"""Conditions in CEL: compiled once, evaluated in bounded time, true only when exactly ``true``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings
from pydantic import JsonValue

from aos.model.rule import MAX_EXPRESSION_LENGTH
from aos.policy.cost import CostError, works_of
from aos.policy.syntax import SyntaxTooLargeError, names_in, syntax_of

Binding = Mapping[str, JsonValue] | str | datetime
Bindings = Mapping[str, Binding]
"""Values of the variables that a condition may name; see VARIABLES."""

_OBJECT: Final = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)

VARIABLES: Final[Mapping[str, str]] = {
    "args": "the call's arguments, a map",
    "agent": "a map: name, labels, owner (team, contact)",
    "tool": "the Tool's name",
    "action": "the action's name",
    "ns": "the namespace, a map: name, tenant, environment (CEL reserves the word namespace)",
    "task": "a map: name, requestedBy (the person), lineage (the agents that led to it, first to last), depth (how many)",
    "now": "the gateway's clock, a timestamp",
}
"""The variables of a condition, and what each one holds."""

_TYPES: Final[Mapping[str, cel.Type]] = {
    "args": _OBJECT,
    "agent": _OBJECT,
    "tool": cel.Type.STRING,
    "action": cel.Type.STRING,
    "ns": _OBJECT,
    "task": _OBJECT,
    "now": cel.Type.TIMESTAMP,
}

_ENVIRONMENT: Final = cel.NewEnv(
    variables=dict(_TYPES), extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()]
)

_NAMING: Final = (cel.Type.STRING, cel.Type.INT, cel.Type.BOOL)
"""Types of values that may stand in a record's name; a double can't, being written in many ways."""
_NAMED_BY: Final = "a record is named by a string, an int or a bool"
_POSITION: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_MAX_MESSAGE: Final = 300


class ExpressionError(ValueError):
    """An expression that can't be compiled to a condition; the message gives the position."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition came to: it holds, it does not, or it failed with a message."""

    holds: bool
    failure: str = ""


HOLDS: Final = Verdict(holds=True)
HOLDS_NOT: Final = Verdict(holds=False)


class Activation:
    """Values bound once for all the conditions of one call."""

    __slots__ = ("native",)

    def __init__(self, bindings: Bindings) -> None:
        self.native = _ENVIRONMENT.Activation(dict(bindings))


class _Compiled:
    """A compiled expression.

    Attributes:
        source: as it was written.
        variables: those of `VARIABLES` that it reads.
        works: the nanoseconds that it takes at most, for each of `aos.policy.cost.SIZES` that it may read.
    """

    __slots__ = ("_compiled", "source", "variables", "works")

    def __init__(self, source: str, types: tuple[cel.Type, ...], must: str) -> None:
        """Compile ``source``, which must give one of ``types``; ``must`` says so in words.

        Raises:
            ExpressionError: it does not compile, or gives another type.
        """
        self.source = source
        if len(source) > MAX_EXPRESSION_LENGTH:
            raise ExpressionError(
                f"{len(source)} characters, and an expression has at most {MAX_EXPRESSION_LENGTH}"
            )
        try:
            self._compiled = _ENVIRONMENT.compile(source)
        except RuntimeError as error:
            raise ExpressionError(_readable(str(error))) from None
        given = self._compiled.return_type()
        if given not in (*types, cel.Type.DYN):
            raise ExpressionError(f"the expression gives {given.name()}, and {must}")
        try:
            tree = syntax_of(self._compiled.serialize())
            self.works = works_of(tree)
        except (SyntaxTooLargeError, CostError) as error:
            raise ExpressionError(str(error)) from None
        self.variables = names_in(tree) & VARIABLES.keys()

    def _value(self, activation: Activation) -> cel.Value:
        """Return the value, which may be an error.

        Raises:
            ExpressionError: there is none.
        """
        try:
            return self._compiled.eval(activation.native)
        except RuntimeError as error:
            raise ExpressionError(_readable(str(error))) from None


class Expression(_Compiled):
    """A compiled condition."""

    __slots__ = ()

    def __init__(self, source: str) -> None:
        """Compile ``source``.

        Raises:
            ExpressionError: it does not compile, or can't be a bool.
        """
        super().__init__(source, (cel.Type.BOOL,), "a condition must give bool")

    def evaluate(self, activation: Activation) -> Verdict:
        """Return what the condition comes to; anything but a bool is a failure."""
        try:
            value = self._value(activation)
        except ExpressionError as error:
            return Verdict(holds=False, failure=str(error))
        # To ask for the type takes a tenth of a condition's time, so it is asked for once.
        kind = value.type()
        if kind == cel.Type.BOOL:
            return HOLDS if value.value() is True else HOLDS_NOT
        if kind == cel.Type.ERROR:
            return Verdict(holds=False, failure=_readable(str(value.value())))
        return Verdict(holds=False, failure=f"the expression gave {kind.name()}, not bool")


class RecordExpression(_Compiled):
    """A compiled part of a record's name; it may name ``args`` alone."""

    __slots__ = ()

    def __init__(self, source: str) -> None:
        """Compile ``source``.

        Raises:
            ExpressionError: it does not compile, names another variable, or can't be a string, an int or a bool.
        """
        super().__init__(source, _NAMING, _NAMED_BY)
        others = sorted(self.variables - {"args"})
        if others:
            raise ExpressionError(f"a record is named by args alone, not by {', '.join(others)}")

    def text(self, activation: Activation) -> str:
        """Return the value as text.

        Raises:
            ExpressionError: as `plain`.
        """
        value = self.plain(activation)
        return value if isinstance(value, str) else str(value).lower()

    def plain(self, activation: Activation) -> str | int | bool:
        """Return the value.

        Raises:
            ExpressionError: it could not be computed, or is neither a string nor an int nor a bool.
        """
        value = self._value(activation)
        kind = value.type()
        if kind == cel.Type.ERROR:
            raise ExpressionError(_readable(str(value.value())))
        if kind not in _NAMING:
            raise ExpressionError(f"${{{self.source}}} gives {kind.name()}, and {_NAMED_BY}")
        plain = value.value()
        return plain if isinstance(plain, str | bool) else int(plain)


@lru_cache(maxsize=4096)
def compile_expression(source: str) -> Expression:
    """Return ``source`` compiled; equal sources share one compilation.

    Raises:
        ExpressionError: it does not compile, or can't be a bool.
    """
    return Expression(source)


def _readable(message: str) -> str:
    found = _POSITION.search(message)
    text = f"line {found[1]}, column {int(found[2])}: {found[3]}" if found else message.splitlines()[0]
    return text.removesuffix(" [INVALID_ARGUMENT]")[:_MAX_MESSAGE]
