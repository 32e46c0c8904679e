"""What retention deletes, as gaps: runs of neighbouring rows. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aos.audit.marks import Gap


@dataclass(frozen=True, slots=True)
class DeletedRow:
    """A row that is about to be deleted."""

    chain: str
    sequence: int
    previous: bytes
    hash: bytes


def runs(rows: Iterable[DeletedRow]) -> list[Gap]:
    """Return the gaps that deleting the rows leaves, one for each run of neighbours."""
    gaps: list[Gap] = []
    for row in sorted(rows, key=lambda row: (row.chain, row.sequence)):
        last = gaps[-1] if gaps else None
        if last is not None and last.chain == row.chain and last.last + 1 == row.sequence:
            gaps[-1] = Gap(last.chain, last.first, row.sequence, last.previous, row.hash.hex())
        else:
            gaps.append(Gap(row.chain, row.sequence, row.sequence, row.previous.hex(), row.hash.hex()))
    return gaps


def deleted_row(
    row: tuple[int, bytes, bytes, int], chains: Mapping[int, str], sequences_per_chain: int
) -> DeletedRow:
    """Return a row of `aos.store.queries.PURGEABLE` by its place."""
    chain, sequence = divmod(row[0], sequences_per_chain)
    return DeletedRow(chains[chain], sequence, row[1], row[2])
