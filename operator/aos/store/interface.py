"""What the gateway asks of its store. Both backends pass one conformance suite, concurrency included."""

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aos.audit.event import AuditEvent, AuditRow
from aos.audit.head import ChainHead
from aos.audit.marks import Gap
from aos.audit.query import AuditQuery


class StoreUnavailableError(Exception):
    """The store can't be reached, is full, or is in a state that nobody may build on; the message says which."""


class StoreRefusedError(StoreUnavailableError):
    """The store can be reached and must not be used by this process, which waiting does not change.

    Its schema is not known, or the chain was written by another process.
    """


@dataclass(frozen=True, slots=True)
class Charge:
    """Units that one call takes from one counter.

    Attributes:
        counter: the counter's key; equal keys are one counter, over all replicas.
        amount: units reserved, at least 1.
        limit: the most units within a window.
        window_seconds: length of the sliding window; 0 where units are never given back by time.
        owner: uid of the Task whose end deletes the counter, or of the run that it is of, which goes when nobody has used
            it for long; empty where only its window does.
        name: what a refusal calls it, for people: ``Policy sales-baseline, limit calls (Agent lead-enricher)``.
        resource: unit: ``calls``, ``tokens``, ``microUSD``, ``identicalCalls`` or ``callsPerTask``.
    """

    counter: str
    amount: int
    limit: int
    window_seconds: int
    owner: str
    name: str
    resource: str


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A record that a call is about to write.

    Attributes:
        record: key of the record; with tenant and Tool in it, so that equal names of different systems differ.
        task_uid: the holder.
        task: the holder's name, for people.
        agent: the holder's agent.
        namespace: the holder's namespace.
        seconds: how long the lease lasts after this call; a further call renews it.
    """

    record: str
    task_uid: str
    task: str
    agent: str
    namespace: str
    seconds: int


@dataclass(frozen=True, slots=True)
class DuplicateCheck:
    """A write that may have been made already.

    Attributes:
        key: digest over tenant, Tool, action and canonical arguments, and over what else identical writes have in common.
        maker: who asks: uid of a Task, or an attempt of a step of a run; its own earlier writes are no duplicates.
        seconds: how far back an identical write counts.
        repeats: whether to make it again does no harm: then one of which no answer is known stands in nobody's way.
    """

    key: str
    maker: str
    seconds: int
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """Everything that must hold before a call is forwarded; all of it is taken, or nothing.

    Attributes:
        call: the call's unique identifier.
        charges: taken together.
        lease: the record that the call writes, if any.
        duplicates: the checks for identical writes; the first one that finds any decides.
        intent: the audit row, durable when `Store.admit` returns.
        expires_seconds: when a reservation whose holder died stops being open; its amounts stay charged.
    """

    call: str
    charges: tuple[Charge, ...]
    lease: LeaseRequest | None
    duplicates: tuple[DuplicateCheck, ...]
    intent: AuditEvent
    expires_seconds: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may be forwarded.

    Attributes:
        sent_as: the call that it is the same write as, of which no answer is known; empty where it is the first one.
    """

    sent_as: str = ""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A counter has too little left.

    Attributes:
        charge: that did not fit.
        used: units taken within the window now.
        frees_after_seconds: when enough is free again if nothing else is taken; None if time alone never frees it.
    """

    charge: Charge
    used: int
    frees_after_seconds: float | None


@dataclass(frozen=True, slots=True)
class RecordBusy:
    """Another Task holds the record."""

    lease: "Lease"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Another Task, or another attempt, made the identical write.

    Attributes:
        result: the first one's answer, as given to `Completion`; None while that call is under way, or if it is
            not known what became of it.
        call: the first call's identifier.
        task: name of the Task that made it.
        agent: its agent.
        under_way: whether that call may still be under way.
    """

    result: bytes | None
    call: str
    task: str
    agent: str
    under_way: bool = False


AdmissionResult = Admitted | Exhausted | RecordBusy | Duplicate


@dataclass(frozen=True, slots=True)
class Completion:
    """What became of an admitted call.

    Attributes:
        call: the call's identifier.
        settled: units really used, by counter; counters that are not named keep what was reserved; 0 gives all back.
        result: what answers an identical write; None where this write is not to be repeated from here.
        forget_duplicate: whether the write certainly did not happen, so that an identical one is none.
        forget_lease: whether the call certainly was not made, so that its record is held as it was before.
        outcome: the audit row.
    """

    call: str
    settled: Mapping[str, int] = field(default_factory=dict)
    result: bytes | None = None
    forget_duplicate: bool = False
    forget_lease: bool = False
    outcome: AuditEvent | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a record, and until when (seconds since the epoch)."""

    record: str
    task_uid: str
    task: str
    agent: str
    namespace: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class MemoryValue:
    """A value that agents share.

    Attributes:
        content: JSON.
        version: another one with each change, never used before; at least 1.
        expires_at: when it is gone, in seconds since the epoch.
    """

    content: bytes = field(repr=False)
    version: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class MemoryPut:
    """A value to be kept.

    Attributes:
        key: of the value; with the Tool and what shares it in it, so that no two meet.
        owner: uid of the Task or run whose end deletes it; empty where only time does.
        namespace: of the Tool.
        content: JSON.
        seconds: how long it is kept.
        if_version: the version that it takes the place of, 0 for none; None for whatever is there.
    """

    key: str
    owner: str
    namespace: str
    content: bytes = field(repr=False)
    seconds: int
    if_version: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryConflict:
    """Somebody else changed the value; ``version`` is the one that it has now, 0 where there is none."""

    version: int


@dataclass(frozen=True, slots=True)
class LegalHold:
    """Rows of a namespace that retention does not delete; an empty namespace means all."""

    name: str
    namespace: str
    reason: str
    created_by: str
    created_at: float


class Store(Protocol):
    """Counters, leases, duplicates, what agents share, and the audit trail.

    Every method raises `StoreUnavailableError` when it can't be sure; nothing of it was done then, or, for a commit
    whose answer was lost, it is done and charged. Methods may be called by many tasks of one event loop at once.
    """

    async def open(self) -> None:
        """Connect and migrate; refuses a schema newer than this program knows."""

    async def close(self) -> None:
        """Finish what was begun and disconnect."""

    async def ping(self) -> None:
        """Check that reading and writing work, and that this process's chain ends as it was written; all of it is on disk then."""

    async def admit(self, admission: Admission) -> AdmissionResult:
        """Take everything that the call needs and write its intent, in one transaction; or nothing, and say why."""

    def finish(self, completion: Completion) -> Awaitable[None]:
        """Settle an admitted call and write its outcome, in one transaction. Repeating it changes nothing.

        It is asked for when this returns, before what is asked for later; what is returned says how it ended.
        """

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Write rows that belong to no admission."""

    async def used(self, counters: Sequence[tuple[str, int]]) -> Mapping[str, int]:
        """Return units in use, for counters given with their windows in seconds."""

    async def end_task(self, task_uid: str) -> None:
        """Give back the leases of a Task or run, and delete its own counters and values. What a call under way writes is held until that is done."""

    async def leases(self, namespace: str) -> Sequence[Lease]:
        """Return the leases that Tasks of the namespace hold; of all namespaces if empty."""

    async def free_lease(self, record: str, namespace: str) -> Lease | None:
        """Take a record from its holder in ``namespace``; None if nobody there holds it."""

    async def memory(self, key: str) -> MemoryValue | None:
        """Return a value that agents share; None if there is none, or its time is up."""

    async def put_memory(self, put: MemoryPut) -> MemoryValue | MemoryConflict:
        """Keep a value, durably; or say that it is another version's place that it would take. Of those that race, one wins."""

    async def delete_memory(self, key: str, if_version: int | None) -> MemoryConflict | None:
        """Delete a value, whether there is one or not; or say that it has another version."""

    async def memory_owners(self) -> frozenset[str]:
        """Return the owners of values, those whose time is up among them."""

    async def sweep(self) -> int:
        """Close reservations whose holder died, delete what no window needs any more; return how many were closed."""

    def written(self) -> ChainHead | None:
        """Return the newest row that this process wrote and knows to be on disk, by its own memory; None before the first.

        What the store says may be what somebody else has put there.
        """

    async def heads(self) -> Sequence[ChainHead]:
        """Return the newest row of every chain, as the store has it."""

    async def gaps(self) -> Sequence[Gap]:
        """Return what `purge` deleted, as its marks in the trail say."""

    def rows(self, query: AuditQuery) -> AsyncIterator[AuditRow]:
        """Yield rows that match, in order of time; of one chain in order of sequence."""

    async def put_document(self, digest: str, content: bytes) -> None:
        """Keep a document by its digest (an effective policy, a revision), for reading rows later."""

    async def document(self, digest: str) -> bytes | None:
        """Return a kept document."""

    async def hold(self, hold: LegalHold) -> None:
        """Keep rows from retention."""

    async def release_hold(self, name: str) -> bool:
        """Let retention have them again; whether there was such a hold."""

    async def holds(self) -> Sequence[LegalHold]:
        """Return all legal holds."""

    async def purge(self, before: float) -> int:
        """Delete rows older than ``before`` that no hold keeps, leaving a signed-over gap marker; return how many."""
