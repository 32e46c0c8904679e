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
from aos.policy.cost import CONDITIONS, Allowance, CostError, works_of
from aos.policy.syntax import Node, SyntaxTooLargeError, names_in, syntax_of

Binding = Mapping[str, JsonValue] | JsonValue | datetime
Bindings = Mapping[str, Binding]
"""Values of the variables that an expression may name; for conditions see VARIABLES."""

_OBJECT: Final = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)

VARIABLES: Final[Mapping[str, str]] = {
    "args": "the call's arguments, a map",
    "agent": "a map: name, labels, owner (team, contact)",
    "tool": "the Tool's name",
    "action": "the action's name",
    "ns": "the namespace, a map: name, tenant, environment (CEL reserves the word namespace)",
    "task": "a map: name, requestedBy (the person), lineage (the agents that led to it, first to last), depth (how many)",
    "run": "the step of a run that the Task is done for, a map: name (the run's), workflow, step; all empty outside of one",
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
    "run": _OBJECT,
    "now": cel.Type.TIMESTAMP,
}


class Language:
    """What expressions of one place may name, and how long they may take.

    Attributes:
        variables: what they may name.
        allowance: how long they may take.
    """

    __slots__ = ("_environment", "allowance", "variables")

    def __init__(self, types: Mapping[str, cel.Type], allowance: Allowance) -> None:
        self.variables = types.keys()
        self.allowance = allowance
        self._environment = cel.NewEnv(
            variables=dict(types), extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()]
        )

    def compiled(self, source: str) -> cel.Expression:
        """Return ``source`` compiled.

        Raises:
            ExpressionError: it is too long or does not compile.
        """
        if len(source) > MAX_EXPRESSION_LENGTH:
            raise ExpressionError(
                f"{len(source)} characters, and an expression has at most {MAX_EXPRESSION_LENGTH}"
            )
        try:
            return self._environment.compile(source)
        except RuntimeError as error:
            raise ExpressionError(readable(str(error))) from None

    def bound(self, bindings: Bindings) -> cel.Activation:
        """Return ``bindings`` as the library takes them."""
        return self._environment.Activation(dict(bindings))


_CONDITIONS: Final = Language(_TYPES, CONDITIONS)

_NAMING: Final = (cel.Type.STRING, cel.Type.INT, cel.Type.BOOL)
"""Types of values that may stand in a record's name; a double can't, being written in many ways."""
_NAMED_BY: Final = "a record is named by a string, an int or a bool"
_POSITION: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_MAX_MESSAGE: Final = 300
_PLAIN: Final = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"^(NOT_FOUND|INVALID_ARGUMENT|UNKNOWN|OUT_OF_RANGE): ", ""),
        (r" \[INVALID_ARGUMENT\]$", ""),
        (
            r"^undeclared reference to ('[^']*') \(in container ''\)$",
            r"nothing is called \1; a text stands in quotes",
        ),
        (r"^Key not found in map : (.*)$", r"it reads \1, which is not there"),
        (r"^(Syntax error: token recognition error at: '=.*)$", r"\1; to compare, write =="),
        (r"mismatched input '<EOF>' expecting .*$", "it ends where more must follow"),
    )
)
"""What the library says, and how people say it."""


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

    def __init__(self, bindings: Bindings, language: Language = _CONDITIONS) -> None:
        self.native = language.bound(bindings)


class Compiled:
    """A compiled expression.

    Attributes:
        source: as it was written.
        tree: what it is made of.
        type: what it gives, as far as that is known beforehand.
        works: the nanoseconds that it takes at most, for each size of its language that it may read.
    """

    __slots__ = ("_compiled", "source", "tree", "type", "works")

    def __init__(self, source: str, language: Language) -> None:
        """Compile ``source``.

        Raises:
            ExpressionError: it does not compile, or may take too long.
        """
        self.source = source
        self._compiled = language.compiled(source)
        self.type = self._compiled.return_type()
        try:
            self.tree: Node = syntax_of(self._compiled.serialize())
            self.works = works_of(self.tree, language.allowance)
        except (SyntaxTooLargeError, CostError) as error:
            raise ExpressionError(str(error)) from None

    def value(self, activation: Activation) -> cel.Value:
        """Return the value.

        Raises:
            ExpressionError: there is none.
        """
        try:
            value = self._compiled.eval(activation.native)
        except RuntimeError as error:
            raise ExpressionError(readable(str(error))) from None
        return value

    def check_type(self, types: tuple[cel.Type, ...], must: str) -> None:
        """Refuse what can't give one of ``types``; ``must`` says so in words.

        Raises:
            ExpressionError: it gives another type.
        """
        if self.type not in (*types, cel.Type.DYN):
            raise ExpressionError(f"the expression gives {self.type.name()}, and {must}")


class _OfCall(Compiled):
    """A compiled expression about a call.

    Attributes:
        variables: those of `VARIABLES` that it reads.
    """

    __slots__ = ("variables",)

    def __init__(self, source: str, types: tuple[cel.Type, ...], must: str) -> None:
        super().__init__(source, _CONDITIONS)
        self.check_type(types, must)
        self.variables = frozenset(names_in(self.tree) & VARIABLES.keys())


class Expression(_OfCall):
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
            value = self.value(activation)
        except ExpressionError as error:
            return Verdict(holds=False, failure=str(error))
        # To ask for the type takes a tenth of a condition's time, so it is asked for once.
        kind = value.type()
        if kind == cel.Type.BOOL:
            return HOLDS if value.value() is True else HOLDS_NOT
        if kind == cel.Type.ERROR:
            return Verdict(holds=False, failure=readable(str(value.value())))
        return Verdict(holds=False, failure=f"the expression gave {kind.name()}, not bool")


class RecordExpression(_OfCall):
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
        value = self.value(activation)
        kind = value.type()
        if kind == cel.Type.ERROR:
            raise ExpressionError(readable(str(value.value())))
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


def readable(message: str) -> str:
    """Return what the library says in one line and in plain words, with the place."""
    found = _POSITION.search(message)
    said = found[3] if found else message.partition("\n")[0]
    for pattern, plain in _PLAIN:
        said = pattern.sub(plain, said)
    return (f"line {found[1]}, column {int(found[2])}: {said}" if found else said)[:_MAX_MESSAGE]
