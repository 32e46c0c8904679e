"""What both backends have in common: the queue of requests, failing and recovering, and what is read by the same SQL."""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Generic, TypeVar, cast

from aos.audit.chain import read_row
from aos.audit.codec import decode_event
from aos.audit.event import AuditEvent, AuditRow
from aos.audit.marks import Gap, gap_of
from aos.audit.query import AuditQuery
from aos.store.cells import decode_lease
from aos.store.interface import (
    Admission,
    AdmissionResult,
    Completion,
    Lease,
    LegalHold,
    MemoryValue,
    StoreRefusedError,
    StoreUnavailableError,
)
from aos.store.memory import MEMORY, SELECT_MEMORY, SELECT_OWNERS, value_of
from aos.store.queries import DOCUMENT, GAPS, HOLDS, LEASES, SEQUENCES_PER_CHAIN, matches, page
from aos.store.requests import Job, Request, Requests, Rows, answer
from aos.store.settings import StoreSettings

Operation = TypeVar("Operation")


class QueuedStore(ABC, Generic[Operation]):
    """A store that does one batch of requests after the other; every method belongs to one event loop."""

    _has_blocks = False
    """Whether Tasks and records are found by `aos.store.blocks`."""

    def __init__(self, settings: StoreSettings) -> None:
        """Nothing is asked for before `_opened`."""
        self._settings = settings
        self._requests: Requests[Operation] = Requests(settings, self._next)
        self._open = False
        self._busy = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_crowded = False
        self._gathering: asyncio.TimerHandle | None = None
        self._failed_at = 0.0
        self._failure: StoreUnavailableError | None = None

    async def admit(self, admission: Admission) -> AdmissionResult:
        """Take everything that the call needs and write its intent, durably; or nothing, and say why."""
        return cast("AdmissionResult", await self._submit(admission))

    def finish(self, completion: Completion) -> "asyncio.Future[None]":
        """Settle a call and write its outcome; nothing if it is not open any more."""
        try:
            answer = self._submit(completion)
        except StoreUnavailableError as error:
            answer = asyncio.get_running_loop().create_future()
            answer.set_exception(error)
        return cast("asyncio.Future[None]", answer)

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Write rows that belong to no admission."""
        if events:
            await self._submit(Rows(tuple(events)))

    async def leases(self, namespace: str) -> Sequence[Lease]:
        """Return the leases held by Tasks of the namespace; of all namespaces if empty."""
        rows = await self._read(LEASES, (await self._now_ms(), namespace))
        return [decode_lease(cast("str", value)).lease() for (value,) in rows]

    async def memory(self, key: str) -> MemoryValue | None:
        """Return a value that agents share."""
        now_ms = await self._now_ms()
        return value_of(await self._read(SELECT_MEMORY, (MEMORY + key,)), now_ms)

    async def memory_owners(self) -> frozenset[str]:
        """Return the owners of values."""
        return frozenset(cast("str", owner) for (owner,) in await self._read(SELECT_OWNERS, ()))

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
            asked = page(query, after, self._settings.page_rows, blocks=self._has_blocks)
            found = await self._read(asked.sql, asked.parameters)
            for at, number, chain, previous, digest, event in cast("list[_RowTuple]", found):
                after = (at, number)
                row = read_row(chain, number % SEQUENCES_PER_CHAIN, previous.hex(), digest.hex(), event)
                if matches(query, row.event):
                    yield row
                    left -= 1
                    if not left:
                        return
            if len(found) < self._settings.page_rows:
                return

    async def document(self, digest: str) -> bytes | None:
        """Return a kept document."""
        rows = await self._read(DOCUMENT, (digest,))
        return cast("bytes", rows[0][0]) if rows else None

    async def holds(self) -> Sequence[LegalHold]:
        """Return all legal holds."""
        rows = await self._read(HOLDS, ())
        return [LegalHold(*cast("tuple[str, str, str, str, float]", tuple(row))) for row in rows]

    @abstractmethod
    async def close(self) -> None:
        """Finish the batch under way, refuse what waits, and disconnect."""

    @abstractmethod
    async def _read(self, sql: str, parameters: Sequence[int | str]) -> Sequence[Sequence[object]]:
        """Return what a query selects; its parameters are ``$1`` and so on."""

    @abstractmethod
    async def _now_ms(self) -> int:
        """Return the time by the store's clock, in milliseconds since the epoch."""

    @abstractmethod
    def _begin(self, batch: Sequence[Request[Operation]]) -> None:
        """Begin a batch; call `_done` when it has ended."""

    @abstractmethod
    def _unavailable(self, error: BaseException) -> StoreUnavailableError:
        """Return the error that callers get."""

    @property
    @abstractmethod
    def _connected(self) -> bool:
        """Whether a batch can be tried without connecting first."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Give up the connection, which has failed."""

    def _submit(self, job: Job | Operation) -> "asyncio.Future[object]":
        if not self._open:
            raise StoreUnavailableError("the store is not open")
        return self._requests.submit(job)

    async def _first(self, probe: Operation) -> None:
        """Take up work, and see whether it works."""
        self._open = True
        self._failure = None
        try:
            await self._submit(probe)
        except StoreRefusedError:
            await self.close()
            raise

    async def _last(self) -> bool:
        """Take no more work, and wait a bounded time until the batch under way has ended; whether it has."""
        self._open = False
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        self._requests.fail_waiting(StoreUnavailableError("the store is closed"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.answer_seconds):
                await self._idle.wait()
        return not self._busy

    def _check_document(self, digest: str, content: bytes) -> None:
        if len(content) > self._settings.max_document_bytes:
            raise StoreUnavailableError(
                f"document {digest} has {len(content)} bytes; the store keeps {self._settings.max_document_bytes}"
            )

    def _next(self) -> None:
        """Begin the next batch, if none is under way."""
        if self._busy or not len(self._requests):
            return
        if self._failure is not None and not self._connected and self._resting():
            self._requests.fail_waiting(self._failure)
            return
        if self._gathers():
            return
        batch = self._requests.take()
        if batch:
            self._is_crowded = sum(isinstance(request.job, Admission) for request in batch) > 1
            self._busy = True
            self._idle.clear()
            self._begin(batch)

    def _gathers(self) -> bool:
        """Whether the next batch waits a moment for more: so it is where the last one was for several callers at once.

        A transaction costs more than what it holds. Whoever calls alone never waits.
        """
        if self._gathering is None and self._is_crowded:
            seconds = self._settings.gather_seconds
            self._gathering = asyncio.get_running_loop().call_later(seconds, self._gathered)
        return self._gathering is not None

    def _gathered(self) -> None:
        self._gathering = None
        self._is_crowded = False
        self._next()

    def _done(
        self,
        batch: Sequence[Request[Operation]],
        results: Sequence[object] | None,
        error: BaseException | None,
    ) -> None:
        """Answer everybody in the batch, and go on with the next."""
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

    def _fail(self, batch: Sequence[Request[Operation]], error: BaseException) -> None:
        failure = error if isinstance(error, StoreUnavailableError) else self._unavailable(error)
        for request in batch:
            answer(request, failure)
        # Whatever it was, a new connection knows better than this one; but a store that refuses stays refused.
        self._disconnect()
        self._failure = failure
        self._failed_at = time.monotonic()

    def _resting(self) -> bool:
        refused = isinstance(self._failure, StoreRefusedError)
        return refused or time.monotonic() - self._failed_at < self._settings.retry_seconds


def jobs(batch: Sequence[Request[Operation]]) -> list[Job]:
    """Return the jobs of requests that share a transaction."""
    return [request.job for request in batch if isinstance(request.job, Job)]


_RowTuple = tuple[int, int, str, bytes, bytes, bytes]
