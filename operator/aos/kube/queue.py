"""A queue of keys to reconcile: each once, one worker a key, failures come back later. No I/O of its own."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, Protocol, TypeVar

from aos.kube.backoff import Backoff
from aos.kube.clock import Clock, SystemClock, Timer, within
from aos.kube.errors import ApiError, Unavailable

BACKOFF: Final = Backoff(initial_seconds=0.25, cap_seconds=120, jitter=0.3)
WORKERS: Final = 8

_log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)


class QueueMetrics(Protocol):
    """Hears what the queue does."""

    def depth(self, keys: int) -> None:
        """So many keys wait for a worker."""

    def added(self) -> None:
        """A key was asked for, whether or not it waited already."""

    def retried(self) -> None:
        """A key failed and will come back."""

    def waited(self, seconds: float) -> None:
        """A key waited so long from being ready to its worker."""

    def worked(self, seconds: float, *, failed: bool) -> None:
        """A key was processed for so long."""


class NoMetrics:
    """Hears nothing."""

    def depth(self, keys: int) -> None:
        """Ignore it."""

    def added(self) -> None:
        """Ignore it."""

    def retried(self) -> None:
        """Ignore it."""

    def waited(self, seconds: float) -> None:
        """Ignore it."""

    def worked(self, seconds: float, *, failed: bool) -> None:
        """Ignore it."""


class WorkQueue(Generic[K]):
    """Runs ``process`` for each key that was added, until nothing is left to do for it.

    A key waits at most once and is processed by at most one worker. A key added while it is processed runs
    once more afterwards. A key whose processing raises comes back after a growing delay, at least the one that
    an `Unavailable` asks for; success forgets its failures. Keys are taken first in, first out.
    """

    def __init__(
        self,
        process: Callable[[K], Awaitable[None]],
        *,
        workers: int = WORKERS,
        backoff: Backoff = BACKOFF,
        clock: Clock | None = None,
        metrics: QueueMetrics | None = None,
    ) -> None:
        """Make a queue; nothing runs before `run`.

        Args:
            process: brings one key to its desired state; to come back later it calls `add_after`.
            workers: most keys processed at once; 1 or more.
            backoff: delays after failures.
            clock: for tests.
            metrics: hears what happens.
        """
        self._process = process
        self._workers = workers
        self._backoff = backoff
        self._clock = clock or SystemClock()
        self._metrics = metrics or NoMetrics()
        self._ready: deque[K] = deque()
        self._ready_at: dict[K, float] = {}
        self._running: dict[K, asyncio.Task[None]] = {}
        self._again: set[K] = set()
        self._timers: dict[K, tuple[float, Timer]] = {}
        self._failures: dict[K, int] = {}
        self._started = False
        self._draining = False
        self._idle = asyncio.Event()

    def __len__(self) -> int:
        """Keys that wait for a worker, without those that wait for their time."""
        return len(self._ready)

    def add(self, key: K) -> None:
        """Process ``key`` as soon as a worker is free; ignored once the queue drains."""
        if self._draining:
            return
        self._metrics.added()
        if key in self._running:
            self._again.add(key)
        else:
            self._push(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Add ``key`` after ``seconds``, or sooner if an earlier time is set for it already."""
        if self._draining:
            return
        due_at = self._clock.monotonic() + seconds
        if waiting := self._timers.get(key):
            if waiting[0] <= due_at:
                return
            waiting[1].cancel()
        self._timers[key] = (due_at, self._clock.call_later(seconds, lambda: self._due(key)))

    def forget(self, key: K) -> None:
        """Let ``key`` not come back at the time set for it: what it names is gone. What is asked for already is done."""
        self._failures.pop(key, None)
        if waiting := self._timers.pop(key, None):
            waiting[1].cancel()

    @property
    def set_times(self) -> int:
        """Keys that wait for their time."""
        return len(self._timers)

    def failures(self, key: K) -> int:
        """Return how often ``key`` failed in a row."""
        return self._failures.get(key, 0)

    async def run(self) -> None:
        """Process keys until `drain` has finished, or until cancelled, which cancels what is being processed."""
        self._started = True
        self._dispatch()
        try:
            await self._idle.wait()
        finally:
            await self._abandon()

    async def drain(self, timeout_seconds: float) -> None:
        """Take no more keys, drop those that wait for their time, finish the others, and end `run`.

        Args:
            timeout_seconds: what is unfinished by then is cancelled.
        """
        self._draining = True
        self._stop_timers()
        self._again.clear()
        self._settle()
        if not self._started:
            return
        try:
            await within(self._clock, timeout_seconds, self._idle.wait())
        except TimeoutError:
            _log.warning("%d keys were cancelled at the end of the drain", len(self._running))
            await self._abandon()
            self._idle.set()

    def _push(self, key: K) -> None:
        if key in self._ready_at:
            return
        self._ready_at[key] = self._clock.monotonic()
        self._ready.append(key)
        self._metrics.depth(len(self._ready))
        self._dispatch()

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _dispatch(self) -> None:
        while self._started and self._ready and len(self._running) < self._workers:
            key = self._ready.popleft()
            self._metrics.depth(len(self._ready))
            self._metrics.waited(self._clock.monotonic() - self._ready_at.pop(key))
            self._running[key] = asyncio.create_task(self._work(key), name=f"reconcile {key}")

    async def _work(self, key: K) -> None:
        started_at = self._clock.monotonic()
        failed = True
        try:
            await self._process(key)
            failed = False
            self._failures.pop(key, None)
        except Exception as error:  # noqa: BLE001 - whatever one key brings, the others go on
            self._retry(key, error)
        finally:
            self._metrics.worked(self._clock.monotonic() - started_at, failed=failed)
            self._finish(key)

    def _retry(self, key: K, error: Exception) -> None:
        failures = self._failures[key] = self.failures(key) + 1
        asked_seconds = error.retry_after_seconds if isinstance(error, Unavailable) else 0
        delay_seconds = self._backoff.delay_seconds(failures, asked_seconds)
        trace = None if isinstance(error, ApiError) else error
        _log.warning(
            "%s failed %d times, again in %.1f s: %s", key, failures, delay_seconds, error, exc_info=trace
        )
        if not self._draining:
            self._metrics.retried()
            self.add_after(key, delay_seconds)

    def _finish(self, key: K) -> None:
        del self._running[key]
        if key in self._again:
            self._again.discard(key)
            self._push(key)
        self._dispatch()
        self._settle()

    def _settle(self) -> None:
        if self._draining and not self._ready and not self._running:
            self._idle.set()

    def _stop_timers(self) -> None:
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def _abandon(self) -> None:
        self._draining = True
        self._stop_timers()
        self._ready.clear()
        self._ready_at.clear()
        self._again.clear()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
