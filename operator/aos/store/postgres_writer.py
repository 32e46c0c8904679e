"""The one connection that admits and settles in PostgreSQL: optimistic in one round trip, else under locks.

What this replica remembers is checked where it is stored (`aos_apply`): true while the versions are the same. When another
replica has written the same cells, they are locked, read and stored in one transaction instead.
"""

import secrets
import time
from collections.abc import Sequence
from typing import Final

import asyncpg

from aos.audit.chain import origin
from aos.audit.event import AuditEvent
from aos.audit.head import ChainHead
from aos.audit.marks import start_mark
from aos.store.batch import run
from aos.store.cells import Cells, decode_call
from aos.store.interface import Admission, Completion, StoreRefusedError, StoreUnavailableError
from aos.store.ledger import missing, needs
from aos.store.postgres_errors import CHAIN_TAKEN, is_conflict
from aos.store.postgres_rows import APPLY, Decided, parameters
from aos.store.postgres_schema import Connection, migrate
from aos.store.queries import HEADS, SEQUENCES_PER_CHAIN
from aos.store.requests import Job
from aos.store.settings import StoreSettings
from aos.store.trail import Place, Trail, chain_taken, prepared, rfc3339

_TRIES: Final = 10
_CONTENDED_SECONDS: Final = 0.5
_CLOCK_GOOD_SECONDS: Final = 5.0


class PostgresWriter:
    """Does one batch after the other; nothing here may be called while a batch is under way."""

    def __init__(self, dsn: str, chain: str, settings: StoreSettings) -> None:
        """Nothing is connected before `connect`."""
        self._dsn = dsn
        self._settings = settings
        self._connection: Connection | None = None
        self._chain_id = 0
        self._cells = Cells(settings.idle_task_counter_seconds)
        self._versions: dict[str, int | None] = {}
        beginning = Place(0, origin(chain), "")
        self._trail = Trail(chain, beginning, beginning)
        self._clock_ms = 0
        self._clock_read = -_CLOCK_GOOD_SECONDS
        self._contended_until = 0.0

    @property
    def connected(self) -> bool:
        """Whether there is a connection that is not known to be broken."""
        return self._connection is not None and not self._connection.is_closed()

    async def connect(self) -> None:
        """Connect, migrate, and take up the chain where it was left, or begin it.

        Raises:
            StoreRefusedError: this process must not write there.
            Exception: as `aos.store.postgres_errors` knows them.
        """
        self.disconnect()
        connection = await asyncpg.connect(
            self._dsn, timeout=self._settings.connect_seconds, command_timeout=self._settings.answer_seconds
        )
        try:
            await migrate(connection)
            await self._configure(connection)
            self._connection = connection
            await self._take_up_chain(connection)
        except BaseException:
            self._connection = None
            connection.terminate()
            raise
        self._forget()

    def disconnect(self) -> None:
        """Disconnect; whatever is not committed did not happen."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # A polite end may wait for a server that is gone.
            connection.terminate()
        self._trail.undo()
        self._forget()

    async def do(self, jobs: Sequence[Job]) -> list[object]:
        """Do the jobs in one transaction; return their results. All or nothing of it is stored.

        Raises:
            StoreRefusedError: another process wrote the chain.
            StoreUnavailableError: other replicas change what it needs again and again.
            Exception: as `aos.store.postgres_errors` knows them.
        """
        connection = self._open()
        for _ in range(_TRIES):
            try:
                if time.monotonic() >= self._contended_until:
                    return await self._at_once(connection, jobs)
                async with connection.transaction():
                    results = await self._locked(connection, jobs)
                self._committed()
            except asyncpg.PostgresConnectionError:
                self._trail.doubt()
                self._forget()
                raise
            except asyncpg.PostgresError as error:
                # The server says itself that nothing happened.
                self._trail.undo()
                self._forget()
                if error.sqlstate == CHAIN_TAKEN:
                    raise chain_taken(self._trail.chain) from error
                if not is_conflict(error):
                    raise
                self._contended_until = time.monotonic() + _CONTENDED_SECONDS
            except BaseException:
                self._trail.doubt()
                self._forget()
                raise
            else:
                return results
        raise StoreUnavailableError(
            f"other replicas changed the same counters or records {_TRIES} times in a row; try again"
        )

    async def add_rows(self, connection: Connection, events: Sequence[AuditEvent]) -> None:
        """Write rows in a transaction that the caller began on the writer's connection, and tells how it ended."""
        for event in events:
            self._trail.add(event, *prepared(event))
        await self._apply(connection, {}, None)

    @property
    def head(self) -> ChainHead | None:
        """The newest row that this process wrote and knows to be on disk."""
        return self._trail.head

    async def check_chain(self) -> None:
        """Check that the chain ends as this process left it.

        Raises:
            StoreRefusedError: somebody else wrote it, or changed its end.
            Exception: as `aos.store.postgres_errors` knows them.
        """
        stored = self._trail.stored
        row = await self._open().fetchrow(
            "SELECT chains.sequence, chains.hash, chains.time, audit.hash AS newest FROM chains"
            " LEFT JOIN audit ON audit.id = $2 WHERE chains.id = $1",
            self._chain_id,
            self._chain_id * SEQUENCES_PER_CHAIN + stored.sequence,
        )
        # Retention may have deleted the row itself.
        if (
            row is None
            or Place(row["sequence"], row["hash"], row["time"]) != stored
            or (row["newest"] is not None and row["newest"].hex() != stored.hash)
        ):
            raise chain_taken(self._trail.chain)

    @property
    def connection(self) -> Connection:
        """The connection, for an operation that needs rows of the chain in its own transaction."""
        return self._open()

    def ended(self, *, committed: bool) -> None:
        """The caller's transaction has ended."""
        if committed:
            self._trail.committed()
        else:
            self._trail.doubt()

    async def _at_once(self, connection: Connection, jobs: Sequence[Job]) -> list[object]:
        """Decide by what is remembered, and store it if that is still true: one round trip."""
        if time.monotonic() - self._clock_read > _CLOCK_GOOD_SECONDS:
            self._set_clock(await connection.fetchval("SELECT aos_clock()"))
        wanted = await self._unknown(connection, jobs)
        if wanted:
            rows = await connection.fetch(
                "SELECT key, version, owner, value, result FROM cells WHERE key = ANY ($1)", wanted
            )
            self._put(rows, wanted)
        now_ms = self._clock_ms + int((time.monotonic() - self._clock_read) * 1000)
        touched = self._touched(jobs)
        results = run(jobs, self._cells, self._trail, now_ms, self._settings.max_result_bytes)
        self._set_clock(await self._apply(connection, {key: self._versions[key] for key in touched}, now_ms))
        self._committed()
        return results

    async def _locked(self, connection: Connection, jobs: Sequence[Job]) -> list[object]:
        """Decide by what is read under locks: three round trips more, and no other replica can come between."""
        self._forget()
        await self._unknown(connection, jobs)
        touched = self._touched(jobs)
        rows = await connection.fetch("SELECT * FROM aos_lock($1)", touched)
        self._put(rows[1:], touched)
        now_ms = int(rows[0]["now_ms"])
        results = run(jobs, self._cells, self._trail, now_ms, self._settings.max_result_bytes)
        await self._apply(connection, {key: self._versions[key] for key in touched}, now_ms)
        return results

    async def _unknown(self, connection: Connection, jobs: Sequence[Job]) -> list[str]:
        """Read calls that are not remembered; return the keys of cells that are not."""
        cells = self._cells
        calls = [job.call for job in jobs if isinstance(job, Completion) and job.call not in cells.calls]
        if calls:
            rows = await connection.fetch("SELECT call, value FROM calls WHERE call = ANY ($1)", calls)
            cells.calls.update(dict.fromkeys(calls))
            cells.calls.update({row["call"]: decode_call(row["value"]) for row in rows})
        return list(
            dict.fromkeys(
                key for job in jobs if isinstance(job, Admission | Completion) for key in missing(cells, job)
            )
        )

    def _touched(self, jobs: Sequence[Job]) -> list[str]:
        return list(
            dict.fromkeys(
                kind + name
                for job in jobs
                if isinstance(job, Admission | Completion)
                for kind, name in needs(self._cells, job)
            )
        )

    def _put(self, rows: Sequence[asyncpg.Record], wanted: Sequence[str]) -> None:
        for row in rows:
            self._cells.put(row["key"], row["owner"], row["value"], row["result"])
            self._versions[row["key"]] = row["version"]
        found = {row["key"] for row in rows}
        absent = [key for key in wanted if key not in found]
        self._cells.put_absent(absent)
        self._versions.update(dict.fromkeys(absent))

    async def _apply(
        self, connection: Connection, versions: dict[str, int | None], now_ms: int | None
    ) -> int:
        stamp = secrets.randbits(62)
        changed = list(self._cells.changed(now_ms or 0))
        decided = Decided(versions, now_ms, stamp)
        sent = parameters(self._cells, changed, self._trail, self._chain_id, decided)
        stored_at: int = await connection.fetchval(APPLY, *sent)
        for cell in changed:
            self._versions[cell.key] = None if cell.value is None else stamp
        return stored_at

    def _committed(self) -> None:
        self._trail.committed()
        self._cells.settled(self._settings.max_cached_cells)
        if len(self._versions) > 2 * self._settings.max_cached_cells:
            self._forget()

    def _forget(self) -> None:
        self._cells.undo()
        self._versions.clear()

    def _set_clock(self, now_ms: int) -> None:
        # Read after the server read its own: what is made of it later is never ahead of the server's.
        self._clock_ms, self._clock_read = now_ms, time.monotonic()

    def _open(self) -> Connection:
        if self._connection is None:
            raise ConnectionError("there is no connection")
        return self._connection

    async def _configure(self, connection: Connection) -> None:
        wait_ms = int(self._settings.lock_wait_seconds * 1000)
        answer_ms = int(self._settings.answer_seconds * 1000)
        # A replica that hangs in a transaction must not keep the others from what it locked. And here everything is found
        # by its key: a plan that was made while a table was small must not be kept when it is large.
        await connection.execute(
            "SET synchronous_commit = on; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
            f" SET lock_timeout = {wait_ms}; SET statement_timeout = {answer_ms};"
            f" SET idle_in_transaction_session_timeout = {wait_ms}"
        )

    async def _take_up_chain(self, connection: Connection) -> None:
        trail = self._trail
        row = await connection.fetchrow(
            "SELECT id, sequence, hash, time FROM chains WHERE name = $1", trail.chain
        )
        if row is not None:
            self._chain_id = row["id"]
            trail.take_up(Place(row["sequence"], row["hash"], row["time"]))
            trail.committed()
            return
        if trail.stored.sequence:
            raise StoreRefusedError(
                f"the database does not hold audit chain {trail.chain} any more: it was replaced while it was in use;"
                " restart the gateway to begin a new chain"
            )
        try:
            async with connection.transaction():
                await self._begin_chain(connection)
        except asyncpg.UniqueViolationError as error:
            trail.undo()
            raise chain_taken(trail.chain) from error
        except BaseException:
            trail.doubt()
            raise
        trail.committed()

    async def _begin_chain(self, connection: Connection) -> None:
        place = self._trail.stored
        heads = [ChainHead(*row) for row in await connection.fetch(HEADS)]
        self._chain_id = await connection.fetchval(
            "INSERT INTO chains (name, sequence, hash, time) VALUES ($1, $2, $3, $4) RETURNING id",
            self._trail.chain,
            place.sequence,
            place.hash,
            place.time,
        )
        now_ms: int = await connection.fetchval("SELECT aos_clock()")
        await self.add_rows(connection, [start_mark(self._trail.chain, rfc3339(now_ms * 1000), heads)])
