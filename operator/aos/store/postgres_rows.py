"""What one transaction changed, as the arrays that `aos_apply` takes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aos.store.cells import Cells, StoredCell, encode_call
from aos.store.counter import NEVER
from aos.store.queries import SEQUENCES_PER_CHAIN
from aos.store.trail import StoredRow, Trail

_PARAMETERS: Final = 34
APPLY: Final = f"SELECT aos_apply({', '.join(f'${number}' for number in range(1, _PARAMETERS + 1))})"

Array = Sequence[int | str | bytes | None]
Parameter = int | str | Array | None

_NO_ROWS: Final[tuple[Array, ...]] = ((),) * len(StoredRow._fields)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a transaction was decided by.

    Attributes:
        versions: of every cell that it read; None where there was none.
        now_ms: when it was decided; None where nothing depends on it.
        stamp: the version that changed cells get.
    """

    versions: Mapping[str, int | None]
    now_ms: int | None
    stamp: int


def parameters(
    cells: Cells, changed: Sequence[StoredCell], trail: Trail, chain_id: int, decided: Decided
) -> list[Parameter]:
    """Return the parameters of `APPLY`: the changed cells, calls opened and finished, and the trail's new rows."""
    kept = [cell for cell in changed if cell.value is not None]
    opened = cells.opened
    base = chain_id * SEQUENCES_PER_CHAIN
    rows = [(base + row[0], *row[1:]) for row in trail.rows]
    return [
        decided.now_ms,
        _until(cells),
        decided.stamp,
        list(decided.versions),
        list(decided.versions.values()),
        [cell.key for cell in kept],
        [cell.owner for cell in kept],
        [cell.namespace for cell in kept],
        [cell.expires_ms for cell in kept],
        [cell.value for cell in kept],
        [cell.result for cell in kept],
        [cell.key for cell in changed if cell.value is None],
        list(opened),
        [call.expires_ms for call in opened.values()],
        [encode_call(call) for call in opened.values()],
        list(cells.finished),
        chain_id,
        trail.stored.sequence,
        trail.stored.hash,
        trail.place.sequence,
        trail.place.hash,
        trail.place.time,
        *(map(list, zip(*rows, strict=True)) if rows else _NO_ROWS),
    ]


def _until(cells: Cells) -> int | None:
    """Return when the first bucket ends that a call was charged to: the decision must be stored before."""
    ends = [end for call in cells.opened.values() for _, end, _ in call.charges if end != NEVER]
    return min(ends, default=None)
