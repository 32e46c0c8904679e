"""Proves the page of what is enforced: makes each field inert, as if nobody read it, and sees a test fail that the page names.

``python -m hack.prove_fields [PATTERN ...]`` tries the fields whose name, as in ``Agent.model.temperature`` or
``Policy.limits[].calls (memory)``, matches one of the patterns; all of them without any. It ends with 1 if a field's
inertness is noticed by none of its tests.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, get_args

import pytest
from pydantic.fields import FieldInfo

from aos.model.base import ApiModel
from aos.model.kinds import KINDS
from hack.generate.enforcement import CASES, CallPath, Enforced, fields, place
from hack.generate.enforcement_kinds import HELD, held, spec_fields

ROOT: Final = Path(__file__).resolve().parents[1]
_UNIT: Final = "unit/"
_FAILED: Final = 1
_BUDGET: Final = "Workflow.budget."
_OF_ONE_VALUE: Final = (".onTimeout",)
_BROKEN: Final = 70
_AT_ONCE: Final = 4
NOT_NOTICED: Final = "NOT NOTICED"
_OTHER_NUMBER: Final = 999_999_983
_LATER: Final = timedelta(days=3_650)
_OTHER_TEXT: Final = "inert"


@dataclass(frozen=True, slots=True)
class Claim:
    """What the page says: a field is held to, which these tests show.

    Attributes:
        name: of the field, with its kind and path.
        kind: whose spec the field stands in.
        field: its path in the spec.
        tests: below ``tests``; those that need a cluster are left out.
    """

    name: str
    kind: str
    field: str
    tests: tuple[str, ...]


def claims() -> Iterator[Claim]:
    """Yield every claim of the page that a test without a cluster shows."""
    for field in fields():
        # On these paths a Workflow's budget is what its Tasks say of it.
        is_budget = field.startswith(_BUDGET)
        kind = "Task" if is_budget else "ClusterPolicy"
        rest = field.replace(_BUDGET, "run.budgets[].") if is_budget else field
        for path in CallPath:
            found = place(field, path)
            if isinstance(found, Enforced):
                yield Claim(f"Policy.{field} ({path})", kind, rest, _units(found.tests))
    for kind in HELD:
        for field in spec_fields(kind):
            yield Claim(f"{kind}.{field}", kind, field, _units(held(kind, field).tests))


def _units(tests: Sequence[str]) -> tuple[str, ...]:
    return tuple(test for test in tests if test.startswith(_UNIT))


def make_inert(kind: str, field: str) -> None:
    """Let every reader of a field, in this process and for good, find what stands there if nobody writes anything.

    Of a field that must be written they find something else than what is written. What hands on a part of a spec as a whole
    hands it on without the field.
    """
    model: type[ApiModel] = next(item.spec_model for item in KINDS if item.kind == kind)
    path = tuple(field.replace("[]", "").split("."))
    while path:
        name, info = _field(model, path[0])
        setattr(model, name, property(_Without(name, path)))
        path = path[1:]
        if path:
            model = _model_in(info.annotation)


_COPIES: Final[dict[int, ApiModel]] = {}
"""Models that were made without the field, by id; they are kept, so that no other gets their ids."""


class _Without:
    """Reads a field of a model without what stands at a path that begins with it."""

    def __init__(self, name: str, path: tuple[str, ...]) -> None:
        self._name = name
        self._path = path
        # What is read twice is the same object twice, as it is otherwise.
        self._made: dict[int, tuple[object, object]] = {}

    def __call__(self, model: ApiModel) -> object:
        written = model.__dict__[self._name]
        if id(model) in _COPIES:
            return written
        known = self._made.get(id(written))
        if known is None:
            known = self._made[id(written)] = written, _without(type(model), written, self._path)
        return known[1]


def _without(model: type[ApiModel], written: object, path: tuple[str, ...]) -> object:
    """Return what is read of a field of ``model``: the first of ``path``, with the last of it inert."""
    info = _field(model, path[0])[1]
    if len(path) == 1:
        return info.get_default(call_default_factory=True) if not info.is_required() else _another(written)
    if isinstance(written, tuple):
        return tuple(_changed(item, path[1:]) for item in written)
    return _changed(written, path[1:])


def _changed(item: object, path: tuple[str, ...]) -> object:
    if not isinstance(item, ApiModel):
        return item
    name, _ = _field(type(item), path[0])
    copy = item.model_copy(update={name: _without(type(item), item.__dict__[name], path)})
    _COPIES[id(copy)] = copy
    return copy


def _another(value: object) -> object:
    match value:
        case Enum():
            return next(item for item in type(value) if item is not value)
        case bool():
            return not value
        case str() | int():
            return _OTHER_TEXT if isinstance(value, str) else _OTHER_NUMBER
        case datetime():
            return value + _LATER
        case tuple() | dict():
            return type(value)()
        case _:
            return value


def _field(model: type[ApiModel], part: str) -> tuple[str, FieldInfo]:
    return next(
        (name, info) for name, info in model.model_fields.items() if part in (info.alias, info.alias or name)
    )


def _model_in(annotation: object) -> type[ApiModel]:
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    for part in get_args(annotation):
        if part is not type(None) and part is not Ellipsis:
            return _model_in(part)
    raise TypeError(f"{annotation} holds no model")


class _Cases:
    """Leaves of the tests with a case for each field those of one field."""

    def __init__(self, field: str) -> None:
        self._field = field

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what is of the field, and every test that knows no fields."""
        items[:] = [item for item in items if self._is_meant(item)]

    def _is_meant(self, item: pytest.Item) -> bool:
        callspec = getattr(item, "callspec", None)
        is_table = any(item.nodeid.partition("[")[0].endswith(test) for test in CASES.values())
        return not is_table or callspec is None or callspec.params.get("path") == self._field


def outcome(claim: Claim, *, inert: bool) -> int:
    """Return how pytest ends for the claim's tests, in a process of its own.

    Args:
        claim: whose tests.
        inert: whether the field is made so.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = _BROKEN
    try:
        if inert:
            make_inert(claim.kind, claim.field)
        code = _run(claim)
    finally:
        os._exit(code)


def _run(claim: Claim) -> int:
    field = claim.name.removeprefix("Policy.").partition(" (")[0]
    tests = [str(ROOT / "tests" / test.partition("[")[0]) for test in claim.tests]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    return int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests], plugins=[_Cases(field)]))


def judged(claim: Claim) -> str:
    """Return what becomes of a claim, in a word or two."""
    if not claim.tests:
        return "on a cluster alone"
    if claim.field.endswith(_OF_ONE_VALUE):
        return "has one value alone"
    if outcome(claim, inert=True) != _FAILED:
        return NOT_NOTICED
    # Only a test that passes otherwise has noticed anything.
    return "noticed" if outcome(claim, inert=False) == 0 else "FAILS ANYHOW"


def main(patterns: Sequence[str]) -> int:
    """Try the claims that a pattern matches; return 1 if something is not noticed."""
    meant = [
        claim for claim in claims() if not patterns or any(fnmatchcase(claim.name, item) for item in patterns)
    ]
    files = {test.partition("::")[0] for claim in meant for test in claim.tests}
    # Loaded once, here, for every process that is forked.
    pytest.main(["-q", "-q", "--collect-only", *(str(ROOT / "tests" / file) for file in sorted(files))])
    is_sound = True
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for claim, word in zip(meant, pool.map(judged, meant), strict=True):
            is_sound &= word == word.lower()
            print(f"{word}: {claim.name}", flush=True)
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
