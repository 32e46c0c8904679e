"""Whether an audit trail is the one that was written: every row, every link, against heads that others keep."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from aos.audit.chain import origin, row_hash
from aos.audit.codec import EventError
from aos.audit.event import AuditRow, Phase
from aos.audit.head import ChainHead
from aos.audit.marks import Gap, gap_of, heads_of
from aos.audit.signing import SignedHead

MOST_FINDINGS: Final = 100
"""Findings that are told; past the first of a chain most of them say the same again."""
ANCHORED_WITHIN_SECONDS: Final = 180
"""Rows that are older than this are anchored while gateways and the operator work: they sign each 20 s and anchor each 60 s."""
LIMITS: Final = (
    "Rows of the last 3 minutes, and of the 3 minutes after a chain's last anchored row, may have no anchor: they are linked, but whoever can write the store could still cut them off, replace them or add to them.",
    "Of a chain that has no anchor of its own, only the start of a later one tells: what was in the store when that began.",
    "A gateway that lies before it writes a row, or writes none, is not found out by this.",
    "Arguments and results are not in the trail; only the digest of the arguments is.",
    "Rows that retention deleted are known by their number and last hash alone.",
    "A mark of retention counts once an anchor covers it, or the start mark of an anchored chain.",
    "Whoever can write both the store and the anchors could replace both: compare with the copy of the anchors that you keep.",
)
_DIGEST_BYTES: Final = 32


class FindingKind(StrEnum):
    """What is wrong with a trail."""

    CHANGED = "Changed"
    """A row's content does not have the row's hash, or can't be read."""
    UNLINKED = "Unlinked"
    """A row does not follow the one before it: one of them was inserted, replaced or moved."""
    REORDERED = "Reordered"
    """A row comes twice, or after a later one."""
    MISSING = "Missing"
    """Rows are missing between others, and no gap mark accounts for them."""
    TRUNCATED = "Truncated"
    """A chain ends before a head that is on record."""
    REPLACED = "Replaced"
    """A row is not the one that a head on record names."""
    CHAIN_MISSING = "ChainMissing"
    """A chain that is on record is not there."""
    UNMARKED_START = "UnmarkedStart"
    """A chain does not begin with a start mark: a restart skipped what was before it."""
    BAD_ANCHOR = "BadAnchor"
    """An anchor's signature does not hold, or two anchors of a chain have different keys."""
    UNANCHORED = "Unanchored"
    """Rows that should be anchored by now are not: no anchor covers them, and no start of a chain that is anchored.

    What a gateway wrote in its last minutes may be so: if it was killed, or the operator restarted with it.
    """


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: what.
        chain: in which chain.
        sequence: the row, or the first of the rows; 0 if it is about the chain.
        message: for people.
    """

    kind: FindingKind
    chain: str
    sequence: int
    message: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far a chain's rows are anchored.

    Attributes:
        chain: its name.
        rows: rows that were seen.
        last: sequence of the last of them.
        anchored: sequence of the newest genuine anchor; 0 if there is none.
        covered: sequence up to which anchors vouch for it, its own or through the starts of other chains.
    """

    chain: str
    rows: int
    last: int
    anchored: int
    covered: int


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdict.

    Attributes:
        rows: rows that were checked.
        deleted: rows that retention deleted, as far as marks say.
        findings: what is wrong, at most `MOST_FINDINGS`.
        coverage: by chain, how far the anchors reach.
    """

    rows: int
    deleted: int
    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def unanchored(self) -> int:
        """Rows that no anchor vouches for."""
        return sum(max(0, item.last - item.covered) for item in self.coverage)


@dataclass(frozen=True, slots=True)
class _Claim:
    """That a chain has this head, and who says so."""

    head: ChainHead
    source: str


@dataclass(frozen=True, slots=True)
class _Mark:
    """A gap mark, and which row it is."""

    gap: Gap
    chain: str
    sequence: int


@dataclass(slots=True)
class _Hole:
    first: int
    last: int
    previous: str
    next_previous: str


@dataclass(slots=True)
class _Chain:
    """What was seen of one chain; of each row only its hash is kept, 32 bytes.

    Attributes:
        due: sequence of the last row that should be anchored by now; 0 if none should.
        due_time: the latest time that such a row has.
    """

    name: str
    last: int = 0
    hash: str = ""
    rows: int = 0
    due: int = 0
    due_time: str = ""
    holes: list[_Hole] = field(default_factory=list)
    _runs: list[tuple[int, bytearray]] = field(default_factory=list)

    def keep(self, row: AuditRow) -> None:
        if not self._runs or row.sequence != self.last + 1:
            self._runs.append((row.sequence, bytearray()))
        self._runs[-1][1].extend(_digest(row.hash))
        self.last, self.hash = row.sequence, row.hash
        self.rows += 1

    def digest_at(self, sequence: int) -> bytes | None:
        for first, digests in self._runs:
            at = (sequence - first) * _DIGEST_BYTES
            if 0 <= at < len(digests):
                return bytes(digests[at : at + _DIGEST_BYTES])
        return None


class Verifier:
    """Takes rows as they come, of one chain in order, and judges at the end.

    Fetch heads and anchors before the rows: a trail that grows meanwhile must not look cut.
    """

    def __init__(self, now: datetime) -> None:
        """Nothing is judged yet.

        Args:
            now: from before the anchors were fetched.
        """
        within = timedelta(seconds=ANCHORED_WITHIN_SECONDS)
        self._recent, self._ahead = _text(now - within), _text(now + within)
        self._chains: dict[str, _Chain] = {}
        self._gaps: dict[tuple[str, int], list[_Mark]] = {}
        self._starts: list[tuple[str, ChainHead]] = []
        self._covered: dict[str, ChainHead] = {}
        self._claims: list[_Claim] = []
        self._findings: list[Finding] = []
        self._unreadable: set[tuple[str, int]] = set()

    @property
    def rows(self) -> int:
        """Rows taken so far."""
        return sum(chain.rows for chain in self._chains.values())

    def take(self, row: AuditRow) -> None:
        """Check one row against the one before it."""
        chain = self._chains.setdefault(row.chain, _Chain(row.chain, hash=origin(row.chain)))
        if row.sequence <= chain.last:
            self._find(
                FindingKind.REORDERED, row, f"comes after row {chain.last}: it is there twice, or was moved"
            )
            return
        self._check_place(chain, row)
        self._check_content(row)
        self._note_marks(row)
        chain.keep(row)
        # All rows write their time in one form, so that texts compare as times do. One from the future is nobody's.
        if not self._recent <= row.event.time <= self._ahead:
            chain.due, chain.due_time = row.sequence, max(chain.due_time, row.event.time)

    def unreadable(self, chain: str, sequence: int, why: str) -> None:
        """Note a row that the store has and nobody can read."""
        self._unreadable.add((chain, sequence))
        self._report(FindingKind.CHANGED, chain, sequence, f"row {sequence} of chain {chain}: {why}")

    def finish(self, heads: Sequence[ChainHead], anchors: Sequence[SignedHead]) -> Verification:
        """Return the verdict.

        Args:
            heads: what the store said were its newest rows.
            anchors: signed heads that are kept outside the store.
        """
        genuine = self._genuine(anchors)
        self._cover(genuine)
        for chain in self._chains.values():
            self._judge_holes(chain)
            self._judge_coverage(chain)
        claims = [_Claim(item.head, "the anchors") for item in genuine]
        claims += [*self._claims, *(_Claim(head, "the store's heads") for head in heads)]
        for claim in claims:
            self._judge_claim(claim)
        return Verification(
            rows=self.rows,
            deleted=sum(
                mark.gap.last - mark.gap.first + 1 for marks in self._gaps.values() for mark in marks
            ),
            findings=tuple(sorted(set(self._findings), key=_place)[:MOST_FINDINGS]),
            coverage=tuple(self._coverage(genuine)),
        )

    def _check_place(self, chain: _Chain, row: AuditRow) -> None:
        if row.sequence > chain.last + 1:
            chain.holes.append(_Hole(chain.last + 1, row.sequence - 1, chain.hash, row.previous))
        elif row.previous != chain.hash:
            before = f"row {chain.last}" if chain.last else "the chain's origin"
            self._find(
                FindingKind.UNLINKED,
                row,
                f"does not follow {before}: one of them was inserted, replaced or moved",
            )
        if row.sequence == 1 and row.event.phase is not Phase.START:
            self._find(
                FindingKind.UNMARKED_START, row, "is the first one, and does not say where other chains stood"
            )

    def _check_content(self, row: AuditRow) -> None:
        try:
            expected = row_hash(row.chain, row.sequence, row.previous, row.event)
        except EventError as error:
            self._find(FindingKind.CHANGED, row, f"can't be hashed: {error}")
            return
        if expected != row.hash:
            self._find(
                FindingKind.CHANGED, row, f"was changed: its content has the hash {expected}, not its own"
            )

    def _note_marks(self, row: AuditRow) -> None:
        heads = heads_of(row.event)
        self._claims += (_Claim(head, f"the start of chain {row.chain}") for head in heads)
        self._starts += ((row.chain, head) for head in heads)
        gap = gap_of(row.event)
        if gap is not None:
            mark = _Mark(gap, row.chain, row.sequence)
            self._gaps.setdefault((gap.chain, gap.first), []).append(mark)

    def _cover(self, genuine: Sequence[SignedHead]) -> None:
        """Find out how far each chain is vouched for: by anchors, and by the starts of chains that are vouched for.

        Anybody who can write the store can write a mark, in a chain of its own or at the end of another.
        """
        vouched = [item.head for item in genuine]
        while vouched:
            newly = set()
            for head in vouched:
                if head.sequence > self._covered_to(head.chain):
                    self._covered[head.chain] = head
                    newly.add(head.chain)
            vouched = [head for chain, head in self._starts if chain in newly]

    def _counts(self, mark: _Mark) -> bool:
        """Whether a gap mark is vouched for; without any anchor nothing is."""
        return mark.sequence <= self._covered_to(mark.chain)

    def _covered_to(self, chain: str) -> int:
        covered = self._covered.get(chain)
        return covered.sequence if covered is not None else 0

    def _doubts(self, chain: str, sequence: int) -> str:
        """Return what to say of gap marks there that do not count."""
        marks = self._gaps.get((chain, sequence), ())
        if all(self._counts(mark) for mark in marks):
            return ""
        return "; a gap mark there is covered by no anchor: if retention has just deleted rows, verify again in 3 minutes"

    def _genuine(self, anchors: Sequence[SignedHead]) -> list[SignedHead]:
        genuine: list[SignedHead] = []
        keys: dict[str, str] = {}
        for anchor in anchors:
            head = anchor.head
            known = keys.setdefault(head.chain, anchor.key)
            if known == anchor.key and anchor.is_genuine:
                genuine.append(anchor)
                continue
            why = (
                "has another key than the chain's others"
                if known != anchor.key
                else "is not signed by its key"
            )
            self._report(
                FindingKind.BAD_ANCHOR,
                head.chain,
                head.sequence,
                f"the anchor of row {head.sequence} of chain {head.chain} {why}",
            )
        return genuine

    def _judge_holes(self, chain: _Chain) -> None:
        for hole in chain.holes:
            if hole.first == hole.last and (chain.name, hole.first) in self._unreadable:
                continue
            reached, digest = self._past_gaps(chain.name, hole.first, hole.previous)
            if reached == hole.last + 1 and digest == hole.next_previous:
                continue
            first = min(reached, hole.last)
            which = f"row {first}" if first == hole.last else f"rows {first} to {hole.last}"
            self._report(
                FindingKind.MISSING,
                chain.name,
                first,
                f"{which} of chain {chain.name}: missing, and no gap mark accounts for it"
                f"{self._doubts(chain.name, first)}",
            )

    def _judge_coverage(self, chain: _Chain) -> None:
        covered = self._covered.get(chain.name)
        first = covered.sequence + 1 if covered is not None else 1
        if chain.due < first or (covered is not None and chain.due_time <= _within(covered)):
            return
        which = f"row {first}" if first == chain.due else f"rows {first} to {chain.due}"
        ahead = ", ahead of this machine's clock" if chain.due_time > self._ahead else ""
        known = "and no start of an anchored chain" if self._covered else "since there are no anchors"
        self._report(
            FindingKind.UNANCHORED,
            chain.name,
            first,
            f"{which} of chain {chain.name}, until {chain.due_time}{ahead}: covered by no anchor, {known}; unless the"
            " operator, or the gateway's way to it, was away then, somebody else wrote there",
        )

    def _judge_claim(self, claim: _Claim) -> None:
        head = claim.head
        chain = self._chains.get(head.chain)
        last, digest = (chain.last, chain.hash) if chain else (0, origin(head.chain))
        seen = chain.digest_at(head.sequence) if chain else None
        if seen is not None:
            if seen != _digest(head.hash):
                self._report(
                    FindingKind.REPLACED,
                    head.chain,
                    head.sequence,
                    f"row {head.sequence} of chain {head.chain} is not the row that {claim.source} name there:"
                    " it or a row before it was replaced",
                )
        elif last < head.sequence:
            reached, _ = self._past_gaps(head.chain, last + 1, digest)
            if reached > head.sequence:
                return
            kind = FindingKind.TRUNCATED if chain else FindingKind.CHAIN_MISSING
            how = f"ends at row {last}" if chain else "is not there"
            self._report(
                kind,
                head.chain,
                reached,
                f"chain {head.chain} {how}, but {claim.source} name its row {head.sequence} of {head.time}:"
                f" rows {reached} to {head.sequence} were cut off{self._doubts(head.chain, reached)}",
            )

    def _past_gaps(self, chain: str, sequence: int, previous: str) -> tuple[int, str]:
        """Return the first row that gap marks do not account for, and the hash of what they say is before it."""
        while found := [
            mark.gap
            for mark in self._gaps.get((chain, sequence), ())
            if mark.gap.previous == previous and self._counts(mark)
        ]:
            gap = max(found, key=lambda item: item.last)
            sequence, previous = gap.last + 1, gap.hash
        return sequence, previous

    def _coverage(self, anchors: Iterable[SignedHead]) -> Iterator[Coverage]:
        anchored: dict[str, int] = {}
        for item in anchors:
            head = item.head
            anchored[head.chain] = max(head.sequence, anchored.get(head.chain, 0))
        for chain in self._chains.values():
            yield Coverage(
                chain.name,
                chain.rows,
                chain.last,
                anchored.get(chain.name, 0),
                self._covered_to(chain.name),
            )

    def _find(self, kind: FindingKind, row: AuditRow, what: str) -> None:
        self._report(
            kind,
            row.chain,
            row.sequence,
            f"row {row.sequence} of chain {row.chain} ({row.event.time}, call {row.event.call}) {what}",
        )

    def _report(self, kind: FindingKind, chain: str, sequence: int, message: str) -> None:
        # A chain that is broken throughout must not fill the memory.
        if len(self._findings) < MOST_FINDINGS * 10:
            self._findings.append(Finding(kind, chain, sequence, message))


def verify(
    rows: Iterable[AuditRow], heads: Sequence[ChainHead], anchors: Sequence[SignedHead], now: datetime
) -> Verification:
    """Return whether the rows are the trail that the heads and anchors stand for."""
    verifier = Verifier(now)
    for row in rows:
        verifier.take(row)
    return verifier.finish(heads, anchors)


def _text(time: datetime) -> str:
    """Return a time as rows have it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _within(head: ChainHead) -> str:
    """Return until when a row after ``head`` may have been written that no anchor covers; nothing if its time is none."""
    try:
        time = datetime.fromisoformat(head.time) + timedelta(seconds=ANCHORED_WITHIN_SECONDS)
    except (ValueError, OverflowError):
        return ""
    return _text(time) if time.tzinfo is not None else ""


def _digest(text: str) -> bytes:
    """Return a hash as bytes; what is no hash becomes one that nothing has."""
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        return bytes(_DIGEST_BYTES)
    return digest if len(digest) == _DIGEST_BYTES else bytes(_DIGEST_BYTES)


def _place(finding: Finding) -> tuple[str, int, str]:
    return finding.chain, finding.sequence, finding.kind
