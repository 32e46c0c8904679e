"""How many Tasks and runs there are of each first run, with all that it started and that was handed over: kept, never listed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from aos.workflow.actions import Action, CreateRun, CreateTask
from aos.workflow.observed import Room


@dataclass(frozen=True, slots=True)
class Branch:
    """What is counted together.

    Attributes:
        root_uid: of the first run, that no step started.
        is_undoing: whether it is what undoes, or what is done.
    """

    root_uid: str
    is_undoing: bool


@lru_cache(maxsize=4096)
def branch_of(root_uid: str, *, undoing: bool) -> Branch:
    """Return one ``Branch`` for all that are of it: there may be thousands."""
    return Branch(root_uid, undoing)


@dataclass(frozen=True, slots=True)
class Member:
    """A Task or a run below; ``name`` is one that no other object of the tree has."""

    branch: Branch
    name: str


class Trees:
    """Counts Tasks and runs below by the first run that they belong to.

    What is about to be created counts from then on, so that runs of one tree which are looked at at once do not take the same room.
    """

    def __init__(self) -> None:
        """Nothing is there yet."""
        self._there: Counter[Branch] = Counter()
        self._claimed: dict[Branch, set[str]] = {}

    def changed(self, before: Member | None, after: Member | None) -> None:
        """Note that a member came, or went."""
        if after is not None and after.branch in self._claimed:
            self._claimed[after.branch].discard(after.name)
        if before == after:
            return
        if before is not None:
            self._there[before.branch] -= 1
            if not self._there[before.branch]:
                del self._there[before.branch]
        if after is not None:
            self._there[after.branch] += 1

    def room(self, root_uid: str, most: int) -> Room:
        """Return how much may still be created for the tree of a first run, of which there may be ``most``."""
        to_do, to_undo = (
            max(0, most - self._count(branch_of(root_uid, undoing=undoing))) for undoing in (False, True)
        )
        return Room(most, to_do, to_undo)

    @contextmanager
    def claiming(self, actions: Iterable[Action]) -> Iterator[None]:
        """Count what ``actions`` create, until they are done; by then what was created is there."""
        claims = [member for action in actions if (member := _member(action)) is not None]
        for claim in claims:
            self._claimed.setdefault(claim.branch, set()).add(claim.name)
        try:
            yield
        finally:
            for claim in claims:
                names = self._claimed.get(claim.branch, set())
                names.discard(claim.name)
                if not names:
                    self._claimed.pop(claim.branch, None)

    def _count(self, branch: Branch) -> int:
        return self._there[branch] + len(self._claimed.get(branch, ()))


def _member(action: Action) -> Member | None:
    match action:
        case CreateTask(name=name) if action.spec.run is not None:
            return Member(branch_of(action.spec.run.root_uid, undoing=action.is_undoing), name)
        case CreateRun(name=name) if action.spec.parent is not None:
            return Member(branch_of(action.spec.parent.root_uid, undoing=action.is_undoing), name)
        case _:
            return None
