"""The newest row of a chain: what is signed and anchored outside the store."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where a chain stood.

    Attributes:
        chain: the chain's name.
        sequence: of its newest row.
        hash: of its newest row, in hex.
        time: of its newest row, RFC 3339.
    """

    chain: str
    sequence: int
    hash: str
    time: str
