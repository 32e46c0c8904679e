"""What is known beforehand of a value of a run, and what of its fields and items follows from that."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce
from typing import Final

from pydantic import JsonValue
from typing_extensions import override

KINDS: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
"""Types of JSON Schema; ``number`` stands for one with a fraction."""
NUMBERS: Final = frozenset({"integer", "number"})
_NONE: Final = frozenset[str]()


class Type(ABC):
    """What is known of a value."""

    __slots__ = ()

    @abstractmethod
    def kinds(self) -> frozenset[str]:
        """Return the types of JSON that it may have, of `KINDS`."""

    @abstractmethod
    def field(self, name: str) -> "Found":
        """Return what is known of the field ``name``."""

    @abstractmethod
    def element(self) -> "Found":
        """Return what is known of the items."""

    def certain(self) -> frozenset[str]:
        """Return fields that it has for sure if it is a map."""
        return _NONE

    def declared(self) -> frozenset[str]:
        """Return fields of which something is known, for people."""
        return self.certain()

    def label(self) -> str:
        """Return whose word all this is, for people; empty where it is nobody's."""
        return ""


class Standing(IntEnum):
    """Whether there is a field, or an item: the higher, the less."""

    DECLARED = 1
    """There may be one, and something is known of it."""
    FREE = 2
    """There may be one, as nothing is said about it."""
    UNPROMISED = 3
    """Others are declared, and this one is not, though nothing forbids it."""
    REFUSED = 4
    """There is none."""


@dataclass(frozen=True, slots=True)
class Anything(Type):
    """Nothing is known."""

    @override
    def kinds(self) -> frozenset[str]:
        return KINDS

    @override
    def field(self, name: str) -> "Found":
        del name
        return FREE

    @override
    def element(self) -> "Found":
        return FREE


ANYTHING: Final = Anything()


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a field, or of the items.

    Attributes:
        standing: whether there is one.
        type: what it is, where it is declared.
    """

    standing: Standing
    type: Type = ANYTHING

    @property
    def is_there(self) -> bool:
        """Whether it may be relied upon."""
        return self.standing <= Standing.FREE


FREE: Final = Found(Standing.FREE)
UNPROMISED: Final = Found(Standing.UNPROMISED)
REFUSED: Final = Found(Standing.REFUSED)


def declared(type_: Type) -> Found:
    """Return that there may be one of ``type_``."""
    return Found(Standing.DECLARED, type_)


@dataclass(frozen=True, slots=True)
class Plain(Type):
    """One of ``named``, and nothing more is known."""

    named: frozenset[str]

    @override
    def kinds(self) -> frozenset[str]:
        return self.named

    @override
    def field(self, name: str) -> Found:
        del name
        return FREE if "object" in self.named else REFUSED

    @override
    def element(self) -> Found:
        return FREE if "array" in self.named else REFUSED


OBJECT: Final = Plain(frozenset({"object"}))
LIST: Final = Plain(frozenset({"array"}))
STRING: Final = Plain(frozenset({"string"}))
INTEGER: Final = Plain(frozenset({"integer"}))
NUMBER: Final = Plain(NUMBERS)
BOOLEAN: Final = Plain(frozenset({"boolean"}))
NULL: Final = Plain(frozenset({"null"}))


@dataclass(frozen=True, slots=True)
class Exact(Type):
    """This value."""

    value: JsonValue

    @override
    def kinds(self) -> frozenset[str]:
        return frozenset({kind_of(self.value)})

    @override
    def field(self, name: str) -> Found:
        value = self.value
        return declared(Exact(value[name])) if isinstance(value, dict) and name in value else REFUSED

    @override
    def element(self) -> Found:
        value = self.value
        return declared(either(map(Exact, value))) if isinstance(value, list) else REFUSED

    @override
    def certain(self) -> frozenset[str]:
        return frozenset(self.value) if isinstance(self.value, dict) else _NONE


@dataclass(frozen=True, slots=True)
class Listed(Type):
    """A list of any length, each item of which is an ``item``."""

    item: Type

    @override
    def kinds(self) -> frozenset[str]:
        return LIST.named

    @override
    def field(self, name: str) -> Found:
        del name
        return REFUSED

    @override
    def element(self) -> Found:
        return declared(self.item)


@dataclass(frozen=True, slots=True)
class Row(Type):
    """A list that is written out: these items, but for those that may be missing."""

    parts: tuple[Type, ...]

    @override
    def kinds(self) -> frozenset[str]:
        return LIST.named

    @override
    def field(self, name: str) -> Found:
        del name
        return REFUSED

    @override
    def element(self) -> Found:
        return declared(either(self.parts))


@dataclass(frozen=True, slots=True)
class Record(Type):
    """A map with these fields and no others, but for those that may be missing.

    Attributes:
        fields: by name.
        owner: whose word this is, for people.
    """

    fields: Mapping[str, Type]
    owner: str = ""

    @override
    def kinds(self) -> frozenset[str]:
        return OBJECT.named

    @override
    def field(self, name: str) -> Found:
        return declared(self.fields[name]) if name in self.fields else REFUSED

    @override
    def element(self) -> Found:
        return REFUSED

    @override
    def certain(self) -> frozenset[str]:
        return frozenset(name for name, type_ in self.fields.items() if not isinstance(type_, Perhaps))

    @override
    def declared(self) -> frozenset[str]:
        return frozenset(self.fields)

    @override
    def label(self) -> str:
        return self.owner


@dataclass(frozen=True, slots=True)
class Perhaps(Type):
    """An optional: a value or none. In a `Row` or `Record`: an item or a field that may be missing."""

    inner: Type

    @override
    def kinds(self) -> frozenset[str]:
        return self.inner.kinds()

    @override
    def field(self, name: str) -> Found:
        return self.inner.field(name)

    @override
    def element(self) -> Found:
        return self.inner.element()

    @override
    def declared(self) -> frozenset[str]:
        return self.inner.declared()

    @override
    def label(self) -> str:
        return self.inner.label()


@dataclass(frozen=True, slots=True)
class _Several(Type):
    choices: tuple[Type, ...]

    @override
    def kinds(self) -> frozenset[str]:
        return _NONE.union(*(choice.kinds() for choice in self.choices))

    @override
    def certain(self) -> frozenset[str]:
        return reduce(frozenset.intersection, (choice.certain() for choice in self.choices))

    @override
    def declared(self) -> frozenset[str]:
        return _NONE.union(*(choice.declared() for choice in self.choices))

    @override
    def label(self) -> str:
        return next(filter(None, (choice.label() for choice in self.choices)), "")


@dataclass(frozen=True, slots=True)
class Either(_Several):
    """One of ``choices``; it is enough that one of them fits."""

    @override
    def field(self, name: str) -> Found:
        return found_in_any(choice.field(name) for choice in self.choices)

    @override
    def element(self) -> Found:
        return found_in_any(choice.element() for choice in self.choices)


@dataclass(frozen=True, slots=True)
class Each(_Several):
    """One of ``choices``, and nobody knows yet which one: all of them have to fit."""

    @override
    def field(self, name: str) -> Found:
        return found_in_each(choice.field(name) for choice in self.choices)

    @override
    def element(self) -> Found:
        return found_in_each(choice.element() for choice in self.choices)


@dataclass(frozen=True, slots=True)
class All(_Several):
    """All of ``choices`` at once."""

    @override
    def kinds(self) -> frozenset[str]:
        return KINDS.intersection(*(choice.kinds() for choice in self.choices))

    @override
    def field(self, name: str) -> Found:
        return found_in_all(choice.field(name) for choice in self.choices)

    @override
    def element(self) -> Found:
        return found_in_all(choice.element() for choice in self.choices)

    @override
    def certain(self) -> frozenset[str]:
        return _NONE.union(*(choice.certain() for choice in self.choices))


def found_in_all(found: Iterable[Found]) -> Found:
    """Return what holds where all of ``found`` hold."""
    parts = tuple(found)
    if any(part.standing is Standing.REFUSED for part in parts):
        return REFUSED
    types = tuple(part.type for part in parts if part.standing is Standing.DECLARED)
    if types:
        return declared(types[0] if len(types) == 1 else All(types))
    return UNPROMISED if UNPROMISED in parts else FREE


def found_in_any(found: Iterable[Found]) -> Found:
    """Return what holds where one of ``found`` holds."""
    parts = tuple(found)
    if any(part.standing is Standing.DECLARED for part in parts):
        return declared(either(part.type for part in parts if part.is_there))
    return min(parts, key=lambda part: part.standing, default=REFUSED)


def found_in_each(found: Iterable[Found]) -> Found:
    """Return what holds whichever of ``found`` holds."""
    parts = tuple(found)
    missing = max(parts, key=lambda part: part.standing, default=FREE)
    if not parts or not missing.is_there:
        return missing
    return declared(Each(tuple(part.type for part in parts)))


def either(types: Iterable[Type]) -> Type:
    """Return one of ``types``."""
    choices = tuple(types)
    if not choices or ANYTHING in choices:
        return ANYTHING
    return choices[0] if len(choices) == 1 else Either(choices)


def kind_of(value: JsonValue) -> str:
    """Return the type of ``value``, one of `KINDS`."""
    if value is None:
        return "null"
    return _KIND_OF[type(value)]


_KIND_OF: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
"""Of JSON's values but null."""


def told_kinds(kinds: Iterable[str]) -> str:
    """Return ``kinds`` for people."""
    named = set(kinds)
    if named >= NUMBERS:
        named.remove("integer")
    return " or ".join(sorted(named)) or "nothing"
