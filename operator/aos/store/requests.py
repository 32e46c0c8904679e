"""Requests that wait for a transaction: a bounded queue, gathered into batches, each answered once and in time."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from aos.audit.event import AuditEvent
from aos.store.interface import Admission, Completion, StoreUnavailableError
from aos.store.settings import StoreSettings

Operation = TypeVar("Operation")


@dataclass(frozen=True, slots=True)
class Rows:
    """Audit rows that belong to no admission."""

    events: tuple[AuditEvent, ...]


Job = Admission | Completion | Rows


@dataclass(slots=True, eq=False)
class Request(Generic[Operation]):
    """A job, or an operation that takes a transaction of its own, and who waits for its result."""

    job: Job | Operation
    future: "asyncio.Future[object]"
    deadline: float


class Requests(Generic[Operation]):
    """The queue of one store; used from its event loop alone.

    An admission whose waiter has gone before its transaction began is not made. Every other job is done all the same, and
    what it reserved stays charged.
    """

    def __init__(self, settings: StoreSettings, wake: Callable[[], None]) -> None:
        """``wake`` is called soon after a request came, to take a batch if none is under way."""
        self._settings = settings
        self._wake = wake
        self._queue: deque[Request[Operation]] = deque()
        self._taken: Sequence[Request[Operation]] = ()
        self._woken = False
        self._watch: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many wait for a transaction to begin."""
        return len(self._queue)

    def submit(self, job: Job | Operation) -> "asyncio.Future[object]":
        """Queue a job; the future gets its result.

        Raises:
            StoreUnavailableError: too many wait.
        """
        if len(self._queue) >= self._settings.max_waiting:
            raise StoreUnavailableError(
                f"the store is too slow for what is asked of it: {len(self._queue)} requests wait already"
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[object] = loop.create_future()
        deadline = loop.time() + self._settings.answer_seconds
        self._queue.append(Request(job, future, deadline))
        if not self._woken:
            # Soon, not now: what else is asked for in this round of the loop shares the transaction.
            self._woken = True
            loop.call_soon(self._awake)
        if self._watch is None:
            self._watch = loop.call_at(deadline, self._expire, loop)
        return future

    def take(self) -> Sequence[Request[Operation]]:
        """Return the next batch: jobs that share a transaction, or one operation alone; empty if nobody waits."""
        batch: list[Request[Operation]] = []
        while self._queue and len(batch) < self._settings.max_batch:
            request = self._queue[0]
            shared = isinstance(request.job, Job)
            if batch and not shared:
                break
            self._queue.popleft()
            if isinstance(request.job, Admission) and request.future.done():
                # Nobody waits for it any more, and nothing of it was begun.
                continue
            batch.append(request)
            if not shared:
                break
        self._taken = batch
        return batch

    def done(self) -> None:
        """The batch taken last is answered."""
        self._taken = ()

    def fail_waiting(self, error: Exception) -> None:
        """Answer everybody whose transaction has not begun with an error."""
        while self._queue:
            answer(self._queue.popleft(), error)

    def _awake(self) -> None:
        self._woken = False
        self._wake()

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watch = None
        late = StoreUnavailableError(
            f"the store gave no answer within {self._settings.answer_seconds:g} s; what was asked for may still be done"
            " and is charged then"
        )
        now = loop.time()
        for request in self._taken:
            if request.deadline <= now:
                answer(request, late)
        while self._queue and self._queue[0].deadline <= now:
            # Not begun: it will not be done.
            answer(self._queue.popleft(), late)
        waiting = [request for request in [*self._taken, *self._queue] if not request.future.done()]
        if waiting:
            self._watch = loop.call_at(waiting[0].deadline, self._expire, loop)


def answer(request: Request[Operation], result: object) -> None:
    """Give a waiter its result, or raise it there if it is an exception; nothing if the waiter has gone."""
    if request.future.done():
        return
    if isinstance(result, BaseException):
        request.future.set_exception(result)
    else:
        request.future.set_result(result)
