"""Whether a value of which only the type is known can fit a schema: told is only what certainly does not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aos.workflow.described import Described, all_of, choices_of, own_field, own_kinds
from aos.workflow.types import (
    LIST,
    OBJECT,
    All,
    Each,
    Either,
    Exact,
    Perhaps,
    Record,
    Row,
    Standing,
    Type,
    told_kinds,
)

MAX_DEPTH: Final = 32
"""How deep into a value it is looked: schemas may describe values without end."""
EACH_ITEM: Final = -1
"""Stands in a path for any item of a list."""

_Path = tuple[str | int, ...]
_Seen = frozenset[_Path]
_NOTHING_SEEN: Final[_Seen] = frozenset()


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that does not fit.

    Attributes:
        path: where in the value.
        message: what does not fit, for people.
    """

    path: _Path
    message: str


def misfits(
    given: Type, wanted: Described, path: _Path = (), seen: _Seen = _NOTHING_SEEN
) -> Iterator[Misfit]:
    """Give why no value of type ``given`` can fit ``wanted``; nothing if one can, or nobody knows.

    Args:
        given: what is known of the value.
        wanted: what it is held against.
        path: where the value stands.
        seen: parts of the schema that it is held against already.

    Raises:
        TooMuchWorkError: schemas are such that it takes too long.
    """
    wanted.document.patience.spend()
    if wanted.pointer in seen or len(path) > MAX_DEPTH:
        return
    match given:
        case Perhaps():
            yield from misfits(given.inner, wanted, path, seen)
        case Each():
            yield from next(
                filter(None, (list(misfits(choice, wanted, path, seen)) for choice in given.choices)), []
            )
        case Either():
            found = [list(misfits(choice, wanted, path, seen)) for choice in given.choices]
            if all(found):
                yield from found[0]
        case Exact():
            for inside, message in wanted.problems(given.value):
                yield Misfit((*path, *inside), f"{message}, by {wanted.label()}")
        case _:
            yield from _by_keywords(given, wanted, path, seen | {wanted.pointer})


def _by_keywords(given: Type, wanted: Described, path: _Path, seen: _Seen) -> Iterator[Misfit]:
    for part in all_of(wanted):
        yield from misfits(given, part, path, seen)
    for keyword, choices in choices_of(wanted):
        found = [list(misfits(given, choice, path, seen)) for choice in choices]
        if all(found):
            first = found[0][0]
            yield Misfit(first.path, f"it fits no choice of {keyword}: {first.message}")
    kinds, own = given.kinds(), own_kinds(wanted)
    if not own:
        yield Misfit(path, f"nothing may be given here, by {wanted.label()}")
    elif not kinds & own:
        yield Misfit(path, f"{_told(given)} is given, and {told_kinds(own)} is asked for by {wanted.label()}")
    elif kinds & own == OBJECT.named:
        yield from _by_fields(given, wanted, path)
    elif kinds & own == LIST.named:
        yield from _by_items(given, wanted, path)


def _by_fields(given: Type, wanted: Described, path: _Path) -> Iterator[Misfit]:
    required = wanted.required()
    for name in required:
        if not given.field(name).is_there:
            told = f"{given.label()} does not have" if given.label() else "is not given"
            yield Misfit(
                path,
                f"the field {name!r} is required by {wanted.label()}, and {told}{' it' * bool(given.label())}",
            )
    names = given.declared() if isinstance(given, Record) else given.certain() | {*required}
    for name in sorted(names):
        value, field = given.field(name), own_field(wanted, name)
        if not value.is_there:
            continue
        is_left_over = wanted.refuses_rest() and wanted.field(name).standing is Standing.REFUSED
        if field.standing is Standing.REFUSED or is_left_over:
            yield Misfit((*path, name), f"the field {name!r} is not taken by {wanted.label()}")
            continue
        for part in field.type.choices if isinstance(field.type, All) else (field.type,):
            if isinstance(part, Described):
                yield from misfits(value.type, part, (*path, name))


def _by_items(given: Type, wanted: Described, path: _Path) -> Iterator[Misfit]:
    if isinstance(given, Row) and not any(isinstance(part, Perhaps) for part in given.parts):
        count = len(given.parts)
        least, most = wanted.item_counts()
        if count < least or count > most:
            told = f"at least {least}" if count < least else f"at most {most}"
            yield Misfit(path, f"{count} items are given, and {told} are asked for by {wanted.label()}")
        for place, part in enumerate(given.parts):
            view = wanted.item(place)
            if view is not None:
                yield from misfits(part, view, (*path, place))
        return
    element, view = given.element(), wanted.item(None)
    # A list may be empty, and then any schema of its items is as good as another; but nobody makes one to be always empty.
    if element.is_there and view is not None and view.node is not False:
        yield from misfits(element.type, view, (*path, EACH_ITEM))


def _told(given: Type) -> str:
    label = given.label()
    return told_kinds(given.kinds()) + (f" of {label}" if label else "")
