"""The store in one SQLite file: for one gateway replica with a volume.

The event loop applies a batch to SQLite's memory, which costs microseconds, and one thread commits it, which waits for
the disk; what is asked for meanwhile is the next batch. See docs/decisions/0005-one-transaction-admission.md.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

from aos.audit.chain import read_row
from aos.audit.codec import decode_event
from aos.audit.event import AuditEvent, AuditRow
from aos.audit.head import ChainHead
from aos.audit.marks import Gap, gap_of
from aos.audit.query import AuditQuery
from aos.store import sqlite_operations as operations
from aos.store.cells import COUNTER, decode_lease
from aos.store.counter import Counter
from aos.store.interface import (
    Admission,
    AdmissionResult,
    Completion,
    Lease,
    LegalHold,
    StoreRefusedError,
    StoreUnavailableError,
)
from aos.store.queries import DOCUMENT, GAPS, HOLDS, LEASES, SEQUENCES_PER_CHAIN, matches, page
from aos.store.requests import Job, Request, Requests, Rows, answer
from aos.store.settings import StoreSettings
from aos.store.sqlite_errors import is_busy, is_of_request, unavailable
from aos.store.sqlite_reader import SqliteReader
from aos.store.sqlite_writer import SqliteWriter
from aos.store.worker import Worker

_READING_THREADS = 2
_DEFAULTS = StoreSettings()

Result = TypeVar("Result")
Batch = Sequence[Request[operations.Operation]]


class SqliteStore:
    """`aos.store.interface.Store` in a file; every method belongs to the event loop that called `open`."""

    def __init__(self, path: Path, chain: str, settings: StoreSettings = _DEFAULTS) -> None:
        """``chain`` is new with each start of a gateway; nothing is opened before `open`."""
        self._path = path
        self._settings = settings
        self._writer = SqliteWriter(path, chain, settings)
        self._reader = SqliteReader(path, settings.lock_wait_seconds)
        self._requests: Requests[operations.Operation] = Requests(settings, self._next)
        self._worker: Worker | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._busy = False
        self._closing = False
        self._synchronising: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed_at = 0.0
        self._failure: StoreUnavailableError | None = None

    async def open(self) -> None:
        """Open the file and migrate it.

        Raises:
            StoreRefusedError: the schema is not known, or the chain has been written already; the store stays closed.
            StoreUnavailableError: the file can't be used now; every later call tries again.
        """
        if self._worker is None:
            self._closing = False
            self._worker = Worker("aos-store")
            self._threads = ThreadPoolExecutor(_READING_THREADS, "aos-store-read")
        try:
            await self._submit(operations.ping)
        except StoreRefusedError:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the batch under way, refuse what waits, and close the file."""
        self._closing = True
        self._requests.fail_waiting(StoreUnavailableError("the store is closed"))
        await self._idle.wait()
        if self._synchronising is not None:
            self._synchronising.cancel()
            self._synchronising = None
        if self._worker is not None:
            self._worker.close()
            self._worker = None
        if self._threads is not None:
            threads, self._threads = self._threads, None
            await asyncio.to_thread(threads.shutdown)
        self._reader.close()
        self._writer.close()
        self._failure = None

    async def ping(self) -> None:
        """Write, and read what was written."""
        await self._submit(operations.ping)

    async def admit(self, admission: Admission) -> AdmissionResult:
        """Take everything that the call needs and write its intent, durably; or nothing, and say why."""
        return cast("AdmissionResult", await self._submit(admission))

    async def finish(self, completion: Completion) -> None:
        """Settle a call and write its outcome; nothing if it is not open any more."""
        await self._submit(completion)

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Write rows that belong to no admission."""
        if events:
            await self._submit(Rows(tuple(events)))

    async def used(self, counters: Sequence[tuple[str, int]]) -> Mapping[str, int]:
        """Return units in use, by counter."""
        now_ms = time.time_ns() // 1_000_000
        used = {}
        for name, window_seconds in counters:
            rows = await self._read("SELECT value FROM cells WHERE key = $1", (COUNTER + name,))
            used[name] = (
                Counter.decode(cast("str", rows[0][0]), "").used(now_ms, window_seconds) if rows else 0
            )
        return used

    async def end_task(self, task_uid: str) -> None:
        """Give back the Task's leases and delete its own counters."""
        await self._submit(operations.end_task(task_uid))

    async def leases(self, namespace: str) -> Sequence[Lease]:
        """Return the leases held by Tasks of the namespace; of all namespaces if empty."""
        rows = await self._read(LEASES, (time.time_ns() // 1_000_000, namespace))
        return [decode_lease(cast("str", value)).lease() for (value,) in rows]

    async def free_lease(self, record: str, namespace: str) -> Lease | None:
        """Take a record from its holder."""
        return cast("Lease | None", await self._submit(operations.free_lease(record, namespace)))

    async def sweep(self) -> int:
        """Close calls that took too long; return how many."""
        keep = self._settings.closed_call_keep_seconds
        total = 0
        more = True
        while more:
            done = await self._submit(lambda writer, connection: operations.sweep(writer, connection, keep))
            closed, deleted = cast("tuple[int, int]", done)
            total += closed
            more = deleted >= operations.SWEPT_AT_ONCE
        return total

    async def heads(self) -> Sequence[ChainHead]:
        """Return the newest row of every chain; what they say is on disk."""
        if not self._writer.synchronised:
            await self.ping()
        return await self._in_thread(self._reader.heads)

    async def gaps(self) -> Sequence[Gap]:
        """Return what retention deleted."""
        rows = await self._read(GAPS, ())
        found = (gap_of(decode_event(cast("bytes", event))) for (event,) in rows)
        return [gap for gap in found if gap is not None]

    async def rows(self, query: AuditQuery) -> AsyncIterator[AuditRow]:
        """Yield rows that match, page by page."""
        after: tuple[int, int] | None = None
        left = query.limit
        while left > 0:
            asked = page(query, after, self._settings.page_rows)
            rows = cast(
                "list[tuple[int, int, str, bytes, bytes, bytes]]",
                await self._read(asked.sql, asked.parameters),
            )
            for at, number, chain, previous, digest, event in rows:
                after = (at, number)
                row = read_row(chain, number % SEQUENCES_PER_CHAIN, previous.hex(), digest.hex(), event)
                if matches(query, row.event):
                    yield row
                    left -= 1
                    if not left:
                        return
            if len(rows) < self._settings.page_rows:
                return

    async def put_document(self, digest: str, content: bytes) -> None:
        """Keep a document by its digest."""
        if len(content) > self._settings.max_document_bytes:
            raise StoreUnavailableError(
                f"document {digest} has {len(content)} bytes; the store keeps {self._settings.max_document_bytes}"
            )
        await self._submit(operations.put_document(digest, content))

    async def document(self, digest: str) -> bytes | None:
        """Return a kept document."""
        rows = await self._read(DOCUMENT, (digest,))
        return cast("bytes", rows[0][0]) if rows else None

    async def hold(self, hold: LegalHold) -> None:
        """Keep rows from retention."""
        await self._submit(operations.put_hold(hold))

    async def release_hold(self, name: str) -> bool:
        """Let retention have them again; whether there was such a hold."""
        return bool(await self._submit(operations.release_hold(name)))

    async def holds(self) -> Sequence[LegalHold]:
        """Return all legal holds."""
        return [
            LegalHold(*cast("tuple[str, str, str, str, float]", row)) for row in await self._read(HOLDS, ())
        ]

    async def purge(self, before: float) -> int:
        """Delete rows older than ``before`` that no hold keeps; return how many."""
        rows = self._settings.purge_rows
        total = 0
        while True:
            deleted = cast("int", await self._submit(operations.purge(int(before * 1_000_000), rows)))
            total += deleted
            if deleted < rows:
                return total

    async def _read(self, sql: str, parameters: Sequence[int | str]) -> list[tuple[object, ...]]:
        return await self._in_thread(lambda: self._reader.rows(sql, parameters))

    async def _in_thread(self, function: Callable[[], Result]) -> Result:
        threads = self._threads
        if threads is None:
            raise StoreUnavailableError("the store is not open")
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                return await asyncio.get_running_loop().run_in_executor(threads, function)
        except TimeoutError as error:
            raise StoreUnavailableError(
                f"the store {self._path} gave no answer within {self._settings.answer_seconds:g} s"
            ) from error
        except sqlite3.Error as error:
            raise unavailable(self._path, error) from error

    def _submit(self, job: Job | operations.Operation) -> "asyncio.Future[object]":
        if self._worker is None or self._closing:
            raise StoreUnavailableError("the store is not open")
        return self._requests.submit(job)

    def _next(self) -> None:
        """Begin the next batch, if none is under way."""
        worker = self._worker
        if self._busy or worker is None or not len(self._requests):
            return
        if not self._writer.connected and self._failure is not None and self._resting():
            self._requests.fail_waiting(self._failure)
            return
        batch = self._requests.take()
        if not batch:
            return
        self._busy = True
        self._idle.clear()
        if not self._writer.connected or not isinstance(batch[0].job, Job):
            worker.do(lambda: self._whole(batch), lambda done, error: self._done(batch, done, error))
            return
        synchronous = not all(isinstance(request.job, Completion) for request in batch)
        try:
            self._writer.begin(wait=False, synchronous=synchronous)
        except (sqlite3.Error, StoreRefusedError) as error:
            if not is_busy(error):
                self._done(batch, None, error)
                return
            worker.do(lambda: self._whole(batch), lambda done, error: self._done(batch, done, error))
            return
        self._apply(batch, worker, synchronous=synchronous)

    def _apply(self, batch: Batch, worker: Worker, *, synchronous: bool) -> None:
        try:
            results, changed = self._writer.apply(jobs(batch))
            if not changed:
                self._writer.roll_back()
            elif not synchronous:
                # Waits for no disk: a thread would cost more than the commit.
                self._writer.commit()
                self._synchronise_soon()
        except Exception as error:  # noqa: BLE001  - whatever it is, those who wait must be told
            if is_of_request(error):
                worker.do(lambda: self._one_by_one(batch), lambda done, error: self._done(batch, done, error))
            else:
                self._done(batch, None, error)
            return
        if changed and synchronous:
            worker.do(self._writer.commit_and_tidy, lambda _, error: self._done(batch, results, error))
        else:
            self._done(batch, results, None)

    def _synchronise_soon(self) -> None:
        if self._synchronising is None:
            loop = asyncio.get_running_loop()
            self._synchronising = loop.call_later(self._settings.outcome_sync_seconds, self._synchronise)

    def _synchronise(self) -> None:
        self._synchronising = None
        if not self._writer.synchronised and self._worker is not None and not self._closing:
            # Nobody waits for it; the next request meets whatever it met.
            self._requests.submit(operations.ping).add_done_callback(lambda done: done.exception())

    def _done(self, batch: Batch, results: list[object] | None, error: Exception | None) -> None:
        self._busy = False
        self._requests.done()
        if error is not None:
            self._fail(batch, error)
        else:
            self._failure = None
            for request, result in zip(batch, results or (), strict=True):
                answer(request, result)
        self._next()
        if not self._busy:
            self._idle.set()

    def _fail(self, batch: Batch, error: Exception) -> None:
        failure = error if isinstance(error, StoreUnavailableError) else unavailable(self._path, error)
        failure.__cause__ = error if failure is not error else None
        for request in batch:
            answer(request, failure)
        # Whatever it was, a new connection knows better than this one; but a store that refuses stays refused.
        self._writer.close()
        self._failure = failure
        self._failed_at = time.monotonic()

    def _resting(self) -> bool:
        refused = isinstance(self._failure, StoreRefusedError)
        return refused or time.monotonic() - self._failed_at < self._settings.retry_seconds

    def _whole(self, batch: Batch) -> list[object]:
        """Do a whole batch, in the thread."""
        if not self._writer.connected:
            self._writer.connect()
        if not isinstance(batch[0].job, Job):
            return [self._writer.operate(batch[0].job)]
        self._writer.begin(wait=True)
        try:
            results, changed = self._writer.apply(jobs(batch))
        except Exception as error:
            if is_of_request(error):
                return self._one_by_one(batch)
            raise
        if changed:
            self._writer.commit_and_tidy()
        else:
            self._writer.roll_back()
        return results

    def _one_by_one(self, batch: Batch) -> list[object]:
        """Do the jobs in a transaction each, since one of them spoils the transaction that they shared."""
        self._writer.roll_back()
        results: list[object] = []
        for job in jobs(batch):
            self._writer.begin(wait=True)
            try:
                done, _ = self._writer.apply((job,))
                self._writer.commit()
                results += done
            except Exception as error:
                self._writer.roll_back()
                if not is_of_request(error):
                    raise
                results.append(StoreUnavailableError(f"the store can't keep what was asked for: {error}"))
        return results


def jobs(batch: Batch) -> list[Job]:
    """Return the jobs of requests that share a transaction."""
    return [request.job for request in batch if isinstance(request.job, Job)]
