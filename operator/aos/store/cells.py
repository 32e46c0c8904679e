"""What a transaction reads and writes, as values: counters, leases, writes and open calls, and their stored form. Pure."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from aos.store.counter import Counter
from aos.store.interface import Lease

COUNTER: Final = "counter:"
LEASE: Final = "lease:"
WRITE: Final = "write:"


@dataclass(slots=True)
class Held:
    """Who holds a record: until a moment, and at least until its calls that are under way can be done.

    Once its Task has ended, those calls are all that it is held for.
    """

    record: str
    task_uid: str
    task: str
    agent: str
    namespace: str
    until_ms: int
    calls: dict[str, int]
    task_ended: bool = False

    @property
    def expires_ms(self) -> int:
        """When the lease ends if nothing renews it."""
        return max(self.until_ms, *self.calls.values()) if self.calls else self.until_ms

    def lease(self) -> Lease:
        """Return it as the interface has it."""
        return Lease(
            record=self.record,
            task_uid=self.task_uid,
            task=self.task,
            agent=self.agent,
            namespace=self.namespace,
            expires_at=self.expires_ms / 1000,
        )


@dataclass(slots=True)
class Write:
    """A write that was made by ``maker``, or is under way until ``open_until_ms``.

    ``sent_as`` is the call that it was first sent as, where it was made again since nobody knew its answer.
    """

    call: str
    maker: str
    task: str
    agent: str
    at_ms: int
    seconds: int
    open_until_ms: int
    result: bytes | None = None
    sent_as: str = ""

    @property
    def since_ms(self) -> int:
        """From when the window of an identical write is counted."""
        return max(self.at_ms, self.open_until_ms)

    @property
    def expires_ms(self) -> int:
        """When it counts no more."""
        return self.since_ms + self.seconds * 1000


@dataclass(slots=True)
class OpenWrite:
    """What an open call writes, as one of its checks for identical writes asked."""

    key: str
    seconds: int
    maker: str
    sent_as: str = ""


@dataclass(slots=True)
class OpenCall:
    """An admitted call that is not finished: what it reserved, by counter and bucket, and what it writes."""

    expires_ms: int
    charges: list[tuple[str, int, int]]
    record: str = ""
    lease_seconds: int = 0
    writes: list[OpenWrite] = field(default_factory=list)
    task: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class StoredCell:
    """A counter, lease or write as a row.

    Attributes:
        key: kind and key.
        owner: uid of the Task whose end deletes it.
        namespace: of a lease's holder.
        expires_ms: from when nothing needs it; None for never.
        value: JSON; None where the row is to be deleted.
        result: of a write.
    """

    key: str
    owner: str
    namespace: str
    expires_ms: int | None
    value: str | None
    result: bytes | None = None


@dataclass(slots=True)
class Cells:
    """What is known of the store, and what a transaction changed of it."""

    idle_task_counter_seconds: int
    counters: dict[str, Counter] = field(default_factory=dict)
    leases: dict[str, Held | None] = field(default_factory=dict)
    writes: dict[str, Write | None] = field(default_factory=dict)
    calls: dict[str, OpenCall | None] = field(default_factory=dict)
    dirty_counters: set[str] = field(default_factory=set)
    dirty_leases: set[str] = field(default_factory=set)
    dirty_writes: set[str] = field(default_factory=set)
    opened: dict[str, OpenCall] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    tables: Mapping[str, Container[str]] = field(init=False)
    """Which cells are known, by kind."""

    def __post_init__(self) -> None:
        """Name the tables by kind."""
        self.tables = {COUNTER: self.counters, LEASE: self.leases, WRITE: self.writes}

    def put(self, key: str, owner: str, value: str, result: bytes | None) -> None:
        """Take in a row that was read.

        Raises:
            ValueError: it is damaged.
        """
        if key.startswith(COUNTER):
            self.counters[key.removeprefix(COUNTER)] = Counter.decode(value, owner)
        elif key.startswith(LEASE):
            self.leases[key.removeprefix(LEASE)] = decode_lease(value)
        elif key.startswith(WRITE):
            self.writes[key.removeprefix(WRITE)] = write = _write(value)
            write.result = result
        else:
            raise ValueError(f"the store holds {key[:80]!r}, which is of no known kind")

    def put_absent(self, keys: Iterable[str]) -> None:
        """Take in that there are no such rows."""
        for key in keys:
            if key.startswith(COUNTER):
                self.counters.setdefault(key.removeprefix(COUNTER), Counter())
            elif key.startswith(LEASE):
                self.leases.setdefault(key.removeprefix(LEASE), None)
            else:
                self.writes.setdefault(key.removeprefix(WRITE), None)

    def drop(self, keys: Iterable[str]) -> None:
        """Forget rows that something else changed."""
        for key in keys:
            if key.startswith(COUNTER):
                self.counters.pop(key.removeprefix(COUNTER), None)
            elif key.startswith(LEASE):
                self.leases.pop(key.removeprefix(LEASE), None)
            else:
                self.writes.pop(key.removeprefix(WRITE), None)

    def changed(self, now_ms: int) -> Iterator[StoredCell]:
        """Yield the rows that the transaction changed."""
        for name in self.dirty_counters:
            counter = self.counters[name]
            expires = counter.expires_ms(now_ms, self.idle_task_counter_seconds)
            value = None if counter.empty else counter.encode()
            yield StoredCell(COUNTER + name, counter.owner, "", expires, value)
        for record in self.dirty_leases:
            held = self.leases[record]
            if held is not None:
                yield _lease_cell(held)
        for name in self.dirty_writes:
            write = self.writes[name]
            if write is None:
                yield StoredCell(WRITE + name, "", "", None, None)
            else:
                expires, result = write.expires_ms, write.result
                yield StoredCell(WRITE + name, "", "", expires, _write_text(write), result)

    def settled(self, max_cells: int) -> None:
        """Begin the next transaction: what the last one changed is stored."""
        for call in self.finished:
            self.calls.pop(call, None)
        for name in self.dirty_writes:
            # Answers may be long and are seldom asked for again.
            self.writes.pop(name, None)
        self._clean()
        if len(self.counters) + len(self.leases) + len(self.writes) > max_cells:
            self.counters.clear()
            self.leases.clear()
            self.writes.clear()
        if len(self.calls) > max_cells:
            self.calls.clear()

    def forget(self) -> None:
        """Know nothing: another process may have written."""
        self.calls.clear()
        self.undo()

    def undo(self) -> None:
        """Know no more than the open calls of before: the transaction did not happen, or others wrote between."""
        self.counters.clear()
        self.leases.clear()
        self.writes.clear()
        for call in (*self.opened, *self.finished):
            self.calls.pop(call, None)
        self._clean()

    def _clean(self) -> None:
        self.dirty_counters.clear()
        self.dirty_leases.clear()
        self.dirty_writes.clear()
        self.opened.clear()
        self.finished.clear()


def lease_of_ended_task(text: str, now_ms: int) -> StoredCell | None:
    """Return what is left of a lease when its Task ends: None, unless a call that writes the record is under way.

    Args:
        text: the lease's stored value.
        now_ms: the time.

    Raises:
        ValueError: something else wrote it.
    """
    held = decode_lease(text)
    held.calls = {call: until for call, until in held.calls.items() if until > now_ms}
    if not held.calls:
        return None
    held.until_ms, held.task_ended = now_ms, True
    return _lease_cell(held)


def _lease_cell(held: Held) -> StoredCell:
    value = orjson.dumps(held).decode()
    return StoredCell(LEASE + held.record, held.task_uid, held.namespace, held.expires_ms, value)


def encode_call(call: OpenCall) -> str:
    """Return an open call as JSON."""
    return orjson.dumps(call).decode()


def decode_call(text: str) -> OpenCall:
    """Read what `encode_call` wrote.

    Raises:
        ValueError: something else wrote it.
    """
    try:
        said = orjson.loads(text)
        call = OpenCall(**{**said, "writes": [OpenWrite(**write) for write in said["writes"]]})
        call.charges = [(str(counter), int(end), int(amount)) for counter, end, amount in call.charges]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"an open call is damaged: {text[:80]!r}") from error
    return call


def decode_lease(text: str) -> Held:
    """Read a lease's stored value.

    Raises:
        ValueError: something else wrote it.
    """
    try:
        return Held(**orjson.loads(text))
    except (TypeError, ValueError) as error:
        raise ValueError(f"a lease is damaged: {text[:80]!r}") from error


def _write(text: str) -> Write:
    try:
        said = orjson.loads(text)
        return Write(maker=said.pop("task_uid"), **said)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a write is damaged: {text[:80]!r}") from error


def _write_text(write: Write) -> str:
    return orjson.dumps(
        {
            "call": write.call,
            "task_uid": write.maker,
            "task": write.task,
            "agent": write.agent,
            "at_ms": write.at_ms,
            "seconds": write.seconds,
            "open_until_ms": write.open_until_ms,
            "sent_as": write.sent_as,
        }
    ).decode()
