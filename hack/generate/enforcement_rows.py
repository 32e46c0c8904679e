"""Rows of the page of what is enforced: what holds the cluster to a field, or who reads it; and which tests show it."""

from dataclasses import dataclass

from hack.generate.enforcement import Enforced


@dataclass(frozen=True, slots=True)
class Told:
    """A field that people read and nothing is decided by.

    Attributes:
        why: where they read it; one sentence without its full stop.
        tests: below ``tests``.
    """

    why: str
    tests: tuple[str, ...]


Held = Enforced | Told


def held_by(modules: str, *tests: str) -> Enforced:
    """Return a row; modules stand below ``aos`` with blanks between, tests below ``tests/unit`` or as ``cluster/...``."""
    return Enforced(tuple(modules.split()), _placed(tests))


def told_to(why: str, *tests: str) -> Told:
    """Return a row of a field that people read; tests stand as in `held_by`."""
    return Told(why, _placed(tests))


def _placed(tests: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(test if test.startswith("cluster/") else f"unit/{test}" for test in tests)
