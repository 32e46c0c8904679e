"""Time as the parts of this package see it, so that tests can hold it still."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None:
        """Never call it; no effect once it was called."""


class Clock(Protocol):
    """A monotonic clock that can wake its caller."""

    def monotonic(self) -> float:
        """Return seconds since a point that never moves."""

    def call_later(self, delay_seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once, in the event loop, after ``delay_seconds``."""


class SystemClock:
    """The machine's monotonic clock and the running event loop's timers."""

    def monotonic(self) -> float:
        """Return the machine's monotonic time in seconds."""
        return time.monotonic()

    def call_later(self, delay_seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` from the running event loop after ``delay_seconds``."""
        return asyncio.get_running_loop().call_later(delay_seconds, callback)


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait ``seconds``; zero or less still lets others run once."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    woken = asyncio.Event()
    timer = clock.call_later(seconds, woken.set)
    try:
        await woken.wait()
    finally:
        timer.cancel()


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T:
    """Await ``work``, and cancel it after ``seconds``.

    Raises:
        TimeoutError: the time ran out first; the work was cancelled and has ended.
    """
    task = asyncio.ensure_future(work)
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = task.cancel()

    timer = clock.call_later(seconds, expire)
    try:
        return await task
    except asyncio.CancelledError:
        if expired and not _is_cancelled():
            raise TimeoutError(f"not done within {seconds:g} s") from None
        raise
    finally:
        timer.cancel()


def _is_cancelled() -> bool:
    caller = asyncio.current_task()
    return caller is not None and caller.cancelling() > 0
