"""Rows about the trail itself: where a new chain found the others, and what retention deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aos.audit.event import AuditEvent, Phase
from aos.audit.head import ChainHead

MOST_HEADS: Final = 64
"""Heads that a start mark holds: the newest ones."""
_SUBJECT: Final = "chain"
_HEAD_PARTS: Final = 4
_GAP_PARTS: Final = 2


@dataclass(frozen=True, slots=True)
class Gap:
    """Neighbouring rows of one chain that retention deleted.

    Attributes:
        chain: their chain.
        first: sequence of the first of them.
        last: sequence of the last of them.
        previous: what the first of them followed, in hex.
        hash: of the last of them, in hex: what the next row follows.
    """

    chain: str
    first: int
    last: int
    previous: str
    hash: str


def start_mark(chain: str, time: str, heads: Sequence[ChainHead]) -> AuditEvent:
    """Return the first event of ``chain``, which fixes where every other chain stood.

    Args:
        chain: that begins.
        time: now, RFC 3339.
        heads: what the store holds; only the newest `MOST_HEADS` are kept.
    """
    newest = sorted(heads, key=lambda head: head.time, reverse=True)[:MOST_HEADS]
    return _event(
        Phase.START,
        chain,
        time,
        name=chain,
        record="",
        rules=tuple(f"{head.chain} {head.sequence} {head.hash} {head.time}" for head in newest),
    )


def heads_of(event: AuditEvent) -> tuple[ChainHead, ...]:
    """Return the heads that a start mark holds; of what is none, or is damaged, nothing."""
    if event.phase is not Phase.START:
        return ()
    parts = [text.rsplit(" ", _HEAD_PARTS - 1) for text in event.rules]
    return tuple(
        ChainHead(part[0], int(part[1]), part[2], part[3])
        for part in parts
        if len(part) == _HEAD_PARTS and part[1].isdecimal()
    )


def gap_mark(gap: Gap, time: str) -> AuditEvent:
    """Return the event that says what retention deleted; write it in the transaction that deletes.

    Args:
        gap: the rows; of neighbouring rows one mark is enough, for rows on both sides of a kept one it takes two.
        time: now, RFC 3339.
    """
    return _event(
        Phase.GAP,
        f"{gap.chain}/{gap.first}-{gap.last}",
        time,
        name=gap.chain,
        record=f"{gap.first}-{gap.last}",
        rules=(gap.previous, gap.hash),
    )


def gap_of(event: AuditEvent) -> Gap | None:
    """Return what a gap mark says; None if it is none, or is damaged."""
    first, _, last = event.record.partition("-")
    if event.phase is not Phase.GAP or not (first.isdecimal() and last.isdecimal()):
        return None
    if len(event.rules) != _GAP_PARTS or int(first) < 1 or int(last) < int(first):
        return None
    return Gap(event.name, int(first), int(last), event.rules[0], event.rules[1])


def _event(
    phase: Phase, call: str, time: str, *, name: str, record: str, rules: tuple[str, ...]
) -> AuditEvent:
    return AuditEvent(
        phase=phase,
        call=call,
        time=time,
        namespace="",
        tenant="",
        agent="",
        pod="",
        pod_uid="",
        revision="",
        task="",
        task_uid="",
        lineage=(),
        requested_by="",
        subject=_SUBJECT,
        name=name,
        action="",
        record=record,
        rules=rules,
    )
