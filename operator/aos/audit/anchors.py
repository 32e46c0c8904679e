"""Anchors: signed heads kept outside the store, bounded in number, newest of each chain first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from aos.audit.signing import HeadError, SignedHead

MOST_CHAINS: Final = 1000
"""Chains whose newest head is kept. Start marks of later chains hold the heads of earlier ones as well."""
MOST_EARLIER: Final = 240
"""Earlier heads that are kept, over all chains: they tell since when a chain is another."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """What is anchored.

    Attributes:
        newest: the newest head of each chain, by time, newest first.
        earlier: heads that newer ones of their chain replaced, newest first.
    """

    newest: tuple[SignedHead, ...] = ()
    earlier: tuple[SignedHead, ...] = ()

    @classmethod
    def parse(cls, newest: str, earlier: str) -> Self:
        """Return what `texts` wrote.

        Raises:
            HeadError: a line is no signed head: somebody else wrote here.
        """
        return cls(_parsed(newest), _parsed(earlier))

    def texts(self) -> tuple[str, str]:
        """Return the two lists, a line of JSON for each head."""
        return _text(self.newest), _text(self.earlier)

    def all(self) -> tuple[SignedHead, ...]:
        """Return every head."""
        return (*self.newest, *self.earlier)

    def with_heads(self, heads: Iterable[SignedHead]) -> Self:
        """Return this with newer heads, within the bounds.

        What does not vouch for itself is left out: a bad signature, another key than the chain had before, or a head that is
        behind the one that is kept.
        """
        kept = {item.head.chain: item for item in self.newest}
        earlier = list(self.earlier)
        for head in heads:
            before = kept.get(head.head.chain)
            if not head.is_genuine or (before is not None and not _follows(head, before)):
                continue
            if before is not None:
                earlier.insert(0, before)
            kept[head.head.chain] = head
        newest = sorted(kept.values(), key=lambda item: item.head.time, reverse=True)
        return type(self)(tuple(newest[:MOST_CHAINS]), tuple(earlier[:MOST_EARLIER]))


def _follows(head: SignedHead, before: SignedHead) -> bool:
    return head.key == before.key and head.head.sequence > before.head.sequence


def _parsed(text: str) -> tuple[SignedHead, ...]:
    try:
        return tuple(SignedHead.parse(line.encode()) for line in text.splitlines() if line)
    except HeadError as error:
        raise HeadError(f"the anchors are damaged: {error}") from error


def _text(heads: Sequence[SignedHead]) -> str:
    return "".join(f"{head.encode().decode()}\n" for head in heads)
