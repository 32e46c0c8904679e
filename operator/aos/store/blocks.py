"""Which blocks of audit rows a Task or a record stands in: a sparse index, written once for each key and block. Pure."""

from collections.abc import Sequence
from typing import Final

from aos.store.trail import StoredRow

ROWS_PER_BLOCK: Final = 4096
TASK: Final = "task:"
RECORD: Final = "record:"


class Blocks:
    """The keys that the newest block is known to hold, and those that the transaction under way adds."""

    def __init__(self) -> None:
        """Nothing is known to be stored."""
        self._block = -1
        self._stored: set[str] = set()
        self._added: set[str] = set()

    def add(self, base: int, rows: Sequence[StoredRow]) -> list[tuple[str, int]]:
        """Return the keys and blocks to store with rows, whose ids are ``base`` and their sequence."""
        new: list[tuple[str, int]] = []
        for row in rows:
            block = (base + row.sequence) // ROWS_PER_BLOCK
            if block != self._block:
                self._block = block
                self._stored.clear()
                self._added.clear()
            for kind, value in ((TASK, row.task), (TASK, row.task_uid), (RECORD, row.record)):
                key = kind + value
                if value and key not in self._stored and key not in self._added:
                    self._added.add(key)
                    new.append((key, block))
        return new

    def committed(self) -> None:
        """What was added is stored."""
        if self._added:
            self._stored |= self._added
            self._added.clear()

    def undo(self) -> None:
        """What was added was not stored."""
        self._added.clear()

    def forget(self) -> None:
        """Another process has written, and may have deleted keys."""
        self._block = -1
