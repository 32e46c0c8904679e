"""The store in one SQLite file: for one gateway replica with a volume.

The event loop applies a batch to SQLite's memory, which costs microseconds, and one thread commits it, which waits for
the disk; what is asked for meanwhile is the next batch. See docs/decisions/0005-one-transaction-admission.md.
"""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

from aos.audit.head import ChainHead
from aos.store import sqlite_operations as operations
from aos.store.cells import COUNTER
from aos.store.counter import Counter
from aos.store.interface import (
    Completion,
    Lease,
    LegalHold,
    MemoryConflict,
    MemoryPut,
    MemoryValue,
    StoreRefusedError,
    StoreUnavailableError,
)
from aos.store.queued import QueuedStore, jobs
from aos.store.requests import Job, Request
from aos.store.settings import StoreSettings
from aos.store.sqlite_errors import is_busy, is_of_request, unavailable
from aos.store.sqlite_memory import delete_memory, put_memory
from aos.store.sqlite_reader import SqliteReader
from aos.store.sqlite_writer import SqliteWriter
from aos.store.worker import Worker

_READING_THREADS = 2
_DEFAULTS = StoreSettings()

Result = TypeVar("Result")
Batch = Sequence[Request[operations.Operation]]


class SqliteStore(QueuedStore[operations.Operation]):
    """`aos.store.interface.Store` in a file."""

    _has_blocks = True

    def __init__(self, path: Path, chain: str, settings: StoreSettings = _DEFAULTS) -> None:
        """``chain`` is new with each start of a gateway; nothing is opened before `open`."""
        super().__init__(settings)
        self._path = path
        self._writer = SqliteWriter(path, chain, settings)
        self._reader = SqliteReader(path, settings.lock_wait_seconds)
        self._worker: Worker | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._synchronising: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Open the file and migrate it.

        Raises:
            StoreRefusedError: the schema is not known, or the chain has been written already; the store stays closed.
            StoreUnavailableError: the file can't be used now; every later call tries again.
        """
        if self._worker is None:
            self._worker = Worker("aos-store")
            self._threads = ThreadPoolExecutor(_READING_THREADS, "aos-store-read")
        await self._first(operations.ping)

    async def close(self) -> None:
        """Finish the batch under way, refuse what waits, and close the file."""
        ended = await self._last()
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
        if ended:
            self._writer.close()

    async def ping(self) -> None:
        """Write, and read what was written; fails while there is room yet, so that somebody may make some in time."""
        free = await self._in_thread(lambda: shutil.disk_usage(self._path.parent).free)
        if free < self._settings.min_free_bytes:
            raise StoreUnavailableError(
                f"the store {self._path} has {free} bytes left on its volume, and needs"
                f" {self._settings.min_free_bytes}: free space or enlarge the volume"
            )
        await self._submit(operations.ping)

    async def used(self, counters: Sequence[tuple[str, int]]) -> Mapping[str, int]:
        """Return units in use, by counter."""
        now_ms = await self._now_ms()
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

    async def free_lease(self, record: str, namespace: str) -> Lease | None:
        """Take a record from its holder."""
        return cast("Lease | None", await self._submit(operations.free_lease(record, namespace)))

    async def put_memory(self, put: MemoryPut) -> MemoryValue | MemoryConflict:
        """Keep a value that agents share."""
        return cast("MemoryValue | MemoryConflict", await self._submit(put_memory(put)))

    async def delete_memory(self, key: str, if_version: int | None) -> MemoryConflict | None:
        """Delete a value that agents share."""
        return cast("MemoryConflict | None", await self._submit(delete_memory(key, if_version)))

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

    def written(self) -> ChainHead | None:
        """Return the newest row that this process wrote and knows to be on disk."""
        return self._writer.trail.head

    async def heads(self) -> Sequence[ChainHead]:
        """Return the newest row of every chain; what they say is on disk."""
        if not self._writer.synchronised:
            await self._submit(operations.ping)
        return await self._in_thread(self._reader.heads)

    async def put_document(self, digest: str, content: bytes) -> None:
        """Keep a document by its digest."""
        self._check_document(digest, content)
        await self._submit(operations.put_document(digest, content))

    async def hold(self, hold: LegalHold) -> None:
        """Keep rows from retention."""
        await self._submit(operations.put_hold(hold))

    async def release_hold(self, name: str) -> bool:
        """Let retention have them again; whether there was such a hold."""
        return bool(await self._submit(operations.release_hold(name)))

    async def purge(self, before: float) -> int:
        """Delete rows older than ``before`` that no hold keeps; return how many."""
        rows = self._settings.purge_rows
        total = 0
        while True:
            deleted = cast("int", await self._submit(operations.purge(int(before * 1_000_000), rows)))
            total += deleted
            if deleted < rows:
                return total

    async def _read(self, sql: str, parameters: Sequence[int | str]) -> Sequence[Sequence[object]]:
        return await self._in_thread(lambda: self._reader.rows(sql, parameters))

    async def _now_ms(self) -> int:
        return time.time_ns() // 1_000_000

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
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: BaseException) -> StoreUnavailableError:
        return unavailable(self._path, error)

    @property
    def _connected(self) -> bool:
        return self._writer.connected

    def _disconnect(self) -> None:
        self._writer.drop()
        if self._worker is not None:
            # Closing may wait for the disk that has just failed.
            self._worker.do(self._writer.close, lambda *_: None)

    def _begin(self, batch: Batch) -> None:
        if not self._writer.connected or not isinstance(batch[0].job, Job):
            self._in_worker(batch, lambda: self._whole(batch))
            return
        synchronous = not all(isinstance(request.job, Completion) for request in batch)
        try:
            self._writer.begin(wait=False, synchronous=synchronous)
        except (sqlite3.Error, StoreRefusedError) as error:
            if is_busy(error):
                self._in_worker(batch, lambda: self._whole(batch))
            else:
                self._done(batch, None, error)
            return
        self._apply(batch, synchronous=synchronous)

    def _apply(self, batch: Batch, *, synchronous: bool) -> None:
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
                self._in_worker(batch, lambda: self._one_by_one(batch))
            else:
                self._done(batch, None, error)
            return
        if changed and synchronous:
            commit = self._writer.commit_and_tidy
            self._work(commit, lambda _, error: self._done(batch, results, error))
        else:
            self._done(batch, results, None)

    def _in_worker(self, batch: Batch, function: Callable[[], list[object]]) -> None:
        self._work(function, lambda results, error: self._done(batch, results, error))

    def _work(
        self, function: Callable[[], Result], done: Callable[[Result | None, Exception | None], None]
    ) -> None:
        if self._worker is None:
            raise RuntimeError("the store has no thread while it is open")
        self._worker.do(function, done)

    def _synchronise_soon(self) -> None:
        if self._synchronising is None:
            loop = asyncio.get_running_loop()
            self._synchronising = loop.call_later(self._settings.outcome_sync_seconds, self._synchronise)

    def _synchronise(self) -> None:
        self._synchronising = None
        if not self._writer.synchronised and self._open:
            # Nobody waits for it; the next request meets whatever it met.
            self._requests.submit(operations.ping).add_done_callback(lambda done: done.exception())

    def _whole(self, batch: Batch) -> list[object]:
        """Do a whole batch, in the thread."""
        if not self._writer.connected:
            self._writer.connect()
        first = batch[0].job
        if not isinstance(first, Job):
            return [self._writer.operate(first)]
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
