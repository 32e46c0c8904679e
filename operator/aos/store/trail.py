"""The one chain that this process writes: links events to it and knows where it stands. Pure."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from aos.audit.chain import content_hash
from aos.audit.codec import EventError, encode_event
from aos.audit.event import AuditEvent, Phase
from aos.audit.head import ChainHead
from aos.store.interface import StoreRefusedError


class Place(NamedTuple):
    """Where a chain stands: its newest row."""

    sequence: int
    hash: str
    time: str


class StoredRow(NamedTuple):
    """An audit row as a table holds it: its place, what queries ask for, and the event's bytes as hashed.

    Attributes:
        sequence: in its chain.
        at_us: the event's time, microseconds since the epoch.
        mark: 1 where retention never deletes the row.
        previous: hash of the row before.
        hash: of this row.
        event: canonical JSON.
    """

    sequence: int
    at_us: int
    mark: int
    namespace: str
    agent: str
    task: str
    task_uid: str
    name: str
    record: str
    previous: bytes
    hash: bytes
    event: bytes


@dataclass(slots=True)
class Trail:
    """The chain's end, and rows that the transaction under way adds to it.

    Attributes:
        chain: the chain's name.
        stored: where the chain certainly stood last.
        place: where it stands with the rows that are not stored yet.
        rows: those.
        doubtful: where it may stand as well, after a commit that gave no answer.
        durable: where it stood when everything was last known to outlive the machine; None before that.
    """

    chain: str
    stored: Place
    place: Place
    rows: list[StoredRow] = field(default_factory=list)
    doubtful: Place | None = None
    durable: Place | None = None

    @property
    def head(self) -> ChainHead | None:
        """What this process itself wrote last and knows to be on disk, whatever the store says now; None if nothing is."""
        return ChainHead(self.chain, *self.durable) if self.durable is not None else None

    def add(self, event: AuditEvent, content: bytes, at_us: int) -> None:
        """Link an event whose ``content`` `prepared` gave."""
        sequence = self.place.sequence + 1
        previous = self.place.hash
        digest = content_hash(self.chain, sequence, previous, content)
        self.rows.append(
            StoredRow(
                sequence,
                at_us,
                1 if event.phase is Phase.GAP else 0,
                event.namespace,
                event.agent,
                event.task,
                event.task_uid,
                event.name,
                event.record,
                bytes.fromhex(previous),
                bytes.fromhex(digest),
                content,
            )
        )
        self.place = Place(sequence, digest, event.time)

    def committed(self, *, on_disk: bool = True) -> None:
        """The rows are stored; and unless ``on_disk`` is False, they and all before them outlive the machine."""
        self.stored = self.place
        self.rows = []
        self.doubtful = None
        if on_disk:
            self.durable = self.stored

    def undo(self) -> None:
        """The rows were not stored."""
        self.place = self.stored
        self.rows = []

    def doubt(self) -> None:
        """It is not known whether the rows were stored."""
        if self.place != self.stored:
            self.doubtful = self.place
        self.undo()

    def take_up(self, place: Place) -> None:
        """Go on from where the chain was found.

        Raises:
            StoreRefusedError: that is not where this process left it, nor where it may have.
        """
        if place not in {self.stored, self.doubtful}:
            raise chain_taken(self.chain)
        self.stored = self.place = place
        self.rows = []


def chain_taken(chain: str) -> StoreRefusedError:
    """Return the error of a chain that somebody else wrote, or changed."""
    return StoreRefusedError(
        f"another process has written audit chain {chain}, or its newest row is not the one that this process wrote: each start"
        " of a gateway needs a chain name of its own; `aos audit verify` tells what was changed; restart this one"
    )


def prepared(event: AuditEvent) -> tuple[bytes, int]:
    """Return the event's bytes and its time in microseconds since the epoch.

    Raises:
        EventError: it can't be written.
    """
    return encode_event(event), microseconds(event.time)


def microseconds(time: str) -> int:
    """Return an RFC 3339 time as microseconds since the epoch.

    Raises:
        EventError: it is none.
    """
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as error:
        raise EventError(f"{time!r} is no RFC 3339 time") from error
    if moment.tzinfo is None:
        raise EventError(f"{time!r} has no time zone")
    # By hand, since a float can't hold microseconds of this century exactly.
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def rfc3339(now_us: int) -> str:
    """Return microseconds since the epoch as RFC 3339."""
    seconds, micros = divmod(now_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
