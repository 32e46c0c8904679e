"""Values that agents share, as cells: what is kept of one, and when a change of it is refused. Pure."""

from collections.abc import Sequence
from typing import Final, cast

import orjson

from aos.store.cells import StoredCell
from aos.store.interface import MemoryConflict, MemoryPut, MemoryValue

MEMORY: Final = "memory:"

SELECT_MEMORY: Final = "SELECT value, expires, result FROM cells WHERE key = $1"
"""A row for `value_of`."""
SELECT_OWNERS: Final = "SELECT DISTINCT owner FROM cells WHERE key >= 'memory:' AND key < 'memory;' AND owner <> '' ORDER BY owner"


def value_of(rows: Sequence[Sequence[object]], now_ms: int) -> MemoryValue | None:
    """Return the value of a row that was read; None if there is none, or if its time is up.

    Raises:
        ValueError: something else wrote it.
    """
    if not rows:
        return None
    text, expires_ms, content = cast("tuple[str, int, bytes]", tuple(rows[0]))
    if expires_ms <= now_ms:
        return None
    try:
        version = orjson.loads(text)["version"]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"a value that agents share is damaged: {text[:80]!r}") from error
    return MemoryValue(content, version, expires_ms / 1000)


def conflict_of(there: MemoryValue | None, if_version: int | None) -> MemoryConflict | None:
    """Return why a change that is only for one version is refused; None if it may be made."""
    version = 0 if there is None else there.version
    return None if if_version is None or if_version == version else MemoryConflict(version)


def cell_of(put: MemoryPut, there: MemoryValue | None, now_ms: int) -> tuple[StoredCell, MemoryValue]:
    """Return the row that a value becomes, and the value as it stands there then.

    Versions only grow, and begin at the time: one that somebody remembers of a value that is gone is never met again.
    """
    version = now_ms if there is None else max(there.version + 1, now_ms)
    expires_ms = now_ms + put.seconds * 1000
    text = orjson.dumps({"version": version}).decode()
    cell = StoredCell(MEMORY + put.key, put.owner, put.namespace, expires_ms, text, put.content)
    return cell, MemoryValue(put.content, version, expires_ms / 1000)
