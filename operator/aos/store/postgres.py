"""The store in PostgreSQL: for several gateway replicas. One connection admits and settles, a few others read."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TypeVar, cast

import asyncpg

from aos.audit.head import ChainHead
from aos.audit.marks import gap_mark
from aos.store.cells import COUNTER, LEASE, decode_lease, lease_of_ended_task
from aos.store.counter import Counter
from aos.store.gaps import deleted_row, runs
from aos.store.interface import (
    Lease,
    LegalHold,
    MemoryConflict,
    MemoryPut,
    MemoryValue,
    StoreRefusedError,
    StoreUnavailableError,
)
from aos.store.postgres_errors import is_conflict, is_of_request, unavailable
from aos.store.postgres_memory import delete_memory, put_memory
from aos.store.postgres_schema import Connection, Pool
from aos.store.postgres_writer import PostgresWriter
from aos.store.queries import HEADS, PURGEABLE, SEQUENCES_PER_CHAIN
from aos.store.queued import QueuedStore, jobs
from aos.store.requests import Job, Request
from aos.store.settings import StoreSettings
from aos.store.trail import rfc3339

_DEFAULTS = StoreSettings()
_SWEPT_AT_ONCE = 5_000
_PURGE_LOCK = 0x414F5332
_TRIES = 5
_DELETE_OLD = (
    f"DELETE FROM audit USING ({PURGEABLE}) AS old WHERE audit.id = old.id"  # noqa: S608  - both are constants
    " RETURNING audit.id, audit.previous, audit.hash, audit.at"
)

Result = TypeVar("Result")
Operation = Callable[[PostgresWriter], Coroutine[None, None, object]]
Batch = Sequence[Request[Operation]]


class PostgresStore(QueuedStore[Operation]):
    """`aos.store.interface.Store` in a database that several replicas share."""

    def __init__(self, dsn: str, chain: str, settings: StoreSettings = _DEFAULTS) -> None:
        """``chain`` is new with each start of a gateway; nothing is connected before `open`."""
        super().__init__(settings)
        self._dsn = dsn
        self._writer = PostgresWriter(dsn, chain, settings)
        self._pool: Pool | None = None
        self._pool_lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect and migrate.

        Raises:
            StoreRefusedError: the schema is not known, or the chain has been written already; the store stays closed.
            StoreUnavailableError: the database can't be used now; every later call tries again.
        """
        await self._first(_ping)

    async def close(self) -> None:
        """Finish the batch under way, refuse what waits, and disconnect."""
        await self._last()
        self._writer.disconnect()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def ping(self) -> None:
        """Write, read what was written, and see whether the chain ends as it was left."""
        await self._submit(_ping)

    async def used(self, counters: Sequence[tuple[str, int]]) -> Mapping[str, int]:
        """Return units in use, by counter."""
        now_ms = await self._now_ms()

        async def read(connection: Connection) -> list[asyncpg.Record]:
            keys = [COUNTER + name for name, _ in counters]
            return await connection.fetch("SELECT key, value FROM cells WHERE key = ANY ($1)", keys)

        found = {row["key"]: Counter.decode(row["value"], "") for row in await self._with_pool(read)}
        return {
            name: found[COUNTER + name].used(now_ms, window) if COUNTER + name in found else 0
            for name, window in counters
        }

    async def end_task(self, task_uid: str) -> None:
        """Give back the Task's leases, those of calls under way once these are done, and delete its own counters."""

        async def end(connection: Connection) -> None:
            async with connection.transaction():
                rows = await connection.fetch(
                    "SELECT key, value, aos_clock() AS now_ms FROM cells WHERE owner = $1 AND owner <> ''"
                    " ORDER BY key FOR UPDATE",
                    task_uid,
                )
                leases = [row for row in rows if row["key"].startswith(LEASE)]
                kept = [lease_of_ended_task(row["value"], row["now_ms"]) for row in leases]
                left = {cell.key: cell for cell in kept if cell is not None}
                await connection.execute(
                    "DELETE FROM cells WHERE key = ANY ($1)",
                    [row["key"] for row in rows if row["key"] not in left],
                )
                for cell in left.values():
                    await connection.execute(
                        "UPDATE cells SET version = $2, expires = $3, value = $4 WHERE key = $1",
                        cell.key,
                        secrets.randbits(62),
                        cell.expires_ms,
                        cell.value,
                    )

        await self._with_pool(end)

    async def free_lease(self, record: str, namespace: str) -> Lease | None:
        """Take a record from its holder."""

        async def free(connection: Connection) -> asyncpg.Record | None:
            return await connection.fetchrow(
                "DELETE FROM cells WHERE key = $1 AND namespace = $2 RETURNING value, expires > aos_clock() AS held",
                LEASE + record,
                namespace,
            )

        row = await self._with_pool(free)
        return decode_lease(row["value"]).lease() if row is not None and row["held"] else None

    async def put_memory(self, put: MemoryPut) -> MemoryValue | MemoryConflict:
        """Keep a value that agents share."""
        return await self._with_pool(lambda connection: put_memory(connection, put))

    async def delete_memory(self, key: str, if_version: int | None) -> MemoryConflict | None:
        """Delete a value that agents share."""
        return await self._with_pool(lambda connection: delete_memory(connection, key, if_version))

    async def sweep(self) -> int:
        """Close calls that took too long; return how many."""
        keep_ms = self._settings.closed_call_keep_seconds * 1000
        closed = await self._execute(
            "UPDATE calls SET closed = 1 WHERE closed = 0 AND expires <= aos_clock()"
        )
        await self._execute(
            "DELETE FROM calls WHERE closed = 1 AND expires <= aos_clock() - $1::bigint", keep_ms
        )
        deleted = _SWEPT_AT_ONCE
        while deleted >= _SWEPT_AT_ONCE:
            # What another replica has locked is in use, and not old.
            deleted = await self._execute(
                "DELETE FROM cells WHERE key IN (SELECT key FROM cells WHERE expires <= aos_clock() ORDER BY key"
                " LIMIT $1 FOR UPDATE SKIP LOCKED)",
                _SWEPT_AT_ONCE,
            )
        return closed

    def written(self) -> ChainHead | None:
        """Return the newest row that this process wrote and knows to be on disk."""
        return self._writer.head

    async def heads(self) -> Sequence[ChainHead]:
        """Return the newest row of every chain."""
        rows = await self._read(HEADS, ())
        return [ChainHead(*cast("tuple[str, int, str, str]", tuple(row))) for row in rows]

    async def put_document(self, digest: str, content: bytes) -> None:
        """Keep a document by its digest."""
        self._check_document(digest, content)
        await self._execute(
            "INSERT INTO documents (digest, content) VALUES ($1, $2) ON CONFLICT DO NOTHING", digest, content
        )

    async def hold(self, hold: LegalHold) -> None:
        """Keep rows from retention."""
        await self._execute(
            "INSERT INTO holds (name, namespace, reason, created_by, created_at) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (name) DO UPDATE SET namespace = excluded.namespace, reason = excluded.reason,"
            " created_by = excluded.created_by, created_at = excluded.created_at",
            hold.name,
            hold.namespace,
            hold.reason,
            hold.created_by,
            hold.created_at,
        )

    async def release_hold(self, name: str) -> bool:
        """Let retention have them again; whether there was such a hold."""
        return await self._execute("DELETE FROM holds WHERE name = $1", name) > 0

    async def purge(self, before: float) -> int:
        """Delete rows older than ``before`` that no hold keeps; return how many."""
        rows = self._settings.purge_rows
        total = 0
        while True:
            deleted = cast("int", await self._submit(_purge(int(before * 1_000_000), rows)))
            total += deleted
            if deleted < rows:
                return total

    async def _read(self, sql: str, parameters: Sequence[int | str]) -> Sequence[Sequence[object]]:
        async def read(connection: Connection) -> Sequence[Sequence[object]]:
            return [tuple(row) for row in await connection.fetch(sql, *parameters)]

        return await self._with_pool(read)

    async def _now_ms(self) -> int:
        async def read(connection: Connection) -> int:
            return cast("int", await connection.fetchval("SELECT aos_clock()"))

        return await self._with_pool(read)

    async def _execute(self, sql: str, *parameters: object) -> int:
        """Run a statement in a transaction of its own; return how many rows it changed."""

        async def execute(connection: Connection) -> str:
            return await connection.execute(sql, *parameters)

        return int((await self._with_pool(execute)).rpartition(" ")[2])

    async def _with_pool(self, function: Callable[[Connection], Coroutine[None, None, Result]]) -> Result:
        """Do something on a connection of the pool; again, if a deadlock was ended by undoing it."""
        if not self._open:
            raise StoreUnavailableError("the store is not open")
        tries = _TRIES
        while True:
            try:
                async with asyncio.timeout(self._settings.answer_seconds):
                    pool = await self._reading()
                    async with pool.acquire() as connection:
                        return await function(cast("Connection", connection))
            except Exception as error:
                tries -= 1
                if not (is_conflict(error) and tries):
                    raise self._unavailable(error) from error

    async def _reading(self) -> Pool:
        async with self._pool_lock:
            if self._pool is not None:
                return self._pool
            wait_ms = str(int(self._settings.lock_wait_seconds * 1000))
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=self._settings.pool_connections,
                timeout=self._settings.connect_seconds,
                command_timeout=self._settings.answer_seconds,
                server_settings={"lock_timeout": wait_ms, "idle_in_transaction_session_timeout": wait_ms},
            )
            return self._pool

    def _unavailable(self, error: BaseException) -> StoreUnavailableError:
        return error if isinstance(error, StoreUnavailableError) else unavailable(error)

    @property
    def _connected(self) -> bool:
        return self._writer.connected

    def _disconnect(self) -> None:
        self._writer.disconnect()

    def _begin(self, batch: Batch) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work(batch))

    async def _work(self, batch: Batch) -> None:
        try:
            async with asyncio.timeout(2 * self._settings.answer_seconds):
                results = await self._whole(batch)
        except Exception as error:  # noqa: BLE001  - whatever it is, those who wait must be told
            self._done(batch, None, error)
        else:
            self._done(batch, results, None)

    async def _whole(self, batch: Batch) -> list[object]:
        if not self._writer.connected:
            await self._writer.connect()
        first = batch[0].job
        if not isinstance(first, Job):
            return [await first(self._writer)]
        try:
            return await self._writer.do(jobs(batch))
        except Exception as error:
            if not is_of_request(error):
                raise
        return await self._one_by_one(batch)

    async def _one_by_one(self, batch: Batch) -> list[object]:
        """Do the jobs in a transaction each, since one of them spoils the transaction that they shared."""
        results: list[object] = []
        for job in jobs(batch):
            try:
                results += await self._writer.do((job,))
            except Exception as error:
                if not is_of_request(error):
                    raise
                results.append(StoreUnavailableError(f"the store can't keep what was asked for: {error}"))
        return results


async def _ping(writer: PostgresWriter) -> None:
    await writer.check_chain()
    stored: int = await writer.connection.fetchval(
        "INSERT INTO probe (id, at) VALUES (1, aos_clock()) ON CONFLICT (id) DO UPDATE SET at = excluded.at RETURNING at"
    )
    if not stored:
        raise StoreRefusedError("PostgreSQL does not give back what was written")


def _purge(before_us: int, rows: int) -> Operation:
    async def purge(writer: PostgresWriter) -> int:
        connection = writer.connection
        committed = False
        try:
            async with connection.transaction():
                # Of replicas that do this at once, one does; or the same rows would be missing twice.
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _PURGE_LOCK)
                gone = await connection.fetch(_DELETE_OLD, before_us, rows)
                if gone:
                    chains = {
                        row["id"]: row["name"]
                        for row in await connection.fetch("SELECT id, name FROM chains")
                    }
                    now_ms: int = await connection.fetchval("SELECT aos_clock()")
                    found = (deleted_row(tuple(row), chains, SEQUENCES_PER_CHAIN) for row in gone)
                    marks = [gap_mark(gap, rfc3339(now_ms * 1000)) for gap in runs(found)]
                    await writer.add_rows(connection, marks)
            committed = True
        finally:
            writer.ended(committed=committed)
        return len(gone)

    return purge
