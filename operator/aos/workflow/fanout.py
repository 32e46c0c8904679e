"""The items of a forEach as a run's status keeps them: a letter each, so that a thousand of them take a thousand bytes."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from aos.model.workflow_run import ItemsStatus
from aos.workflow.attempts import Attempts, Standing, Unit, Work


class Letter(StrEnum):
    """Where an item stands."""

    NEW = "."
    RUNNING = "R"
    RETRYING = "W"
    SUCCEEDED = "S"
    FAILED = "F"
    CANCELLED = "C"


_LETTERS: Final = {
    Standing.NEW: Letter.NEW,
    Standing.RUNNING: Letter.RUNNING,
    Standing.RETRYING: Letter.RETRYING,
    Standing.SUCCEEDED: Letter.SUCCEEDED,
    Standing.FAILED: Letter.FAILED,
    Standing.CANCELLED: Letter.CANCELLED,
}
_FINAL: Final = {str(letter): standing for standing, letter in _LETTERS.items() if standing.is_final}


def items_status(units: Sequence[Unit]) -> ItemsStatus:
    """Return ``units``, one for each item in order, as the status keeps them."""
    return ItemsStatus(
        total=len(units),
        states="".join([_LETTERS[unit.standing] for unit in units]),
        attempts={str(unit.item): unit.attempt for unit in units if unit.attempt > 1},
    )


def item_units(work: Work, total: int, recorded: ItemsStatus | None, attempts: Attempts) -> list[Unit]:
    """Return where each item stands, by what the status keeps of it and what is seen of its attempts.

    Args:
        work: the step.
        total: how many items there are.
        recorded: what the status keeps; None before the first is recorded.
        attempts: what is seen.
    """
    letters = recorded.states if recorded is not None else Letter.NEW * total
    counts = recorded.attempts if recorded is not None else {}
    name = work.step.name
    units = []
    for item, letter in enumerate(letters):
        count = 0 if letter == Letter.NEW else counts.get(str(item), 1)
        latest = attempts.latest(name, item)
        standing = _FINAL.get(letter)
        units.append(
            work.unit(item, count, latest)
            if standing is None
            else _ended(work, Unit(item, standing, count, latest))
        )
    return units


def _ended(work: Work, unit: Unit) -> Unit:
    """Return the ``unit`` of an item that ended, with why it failed as long as its attempt is there to tell."""
    latest = unit.latest
    is_told = latest is not None and not latest.is_open and latest.number == unit.attempt
    if unit.standing is not Standing.FAILED or not is_told:
        return unit
    told = work.unit(unit.item, unit.attempt, latest)
    return replace(unit, reason=told.reason, message=told.message)


def has_done_something(items: ItemsStatus | None) -> bool:
    """Whether at least one item succeeded, so that there is something to undo."""
    return items is not None and Letter.SUCCEEDED in items.states
