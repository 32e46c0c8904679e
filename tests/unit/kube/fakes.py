"""A clock that stands still until it is told to go on."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

_TURNS = 30


async def settle() -> None:
    """Let every task run until all of them wait for something."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


@dataclass(order=True)
class FakeTimer:
    due_at: float
    order: int
    callback: Callable[[], None] = field(compare=False)
    is_cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list[FakeTimer] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self.now

    def call_later(self, delay_seconds: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.now + max(0.0, delay_seconds), next(self._order), callback)
        heapq.heappush(self._timers, timer)
        return timer

    @property
    def pending(self) -> int:
        return sum(not timer.is_cancelled for timer in self._timers)

    async def advance(self, seconds: float) -> None:
        """Go on by ``seconds``, stopping at each timer that is due on the way."""
        end = self.now + seconds
        await settle()
        while self._timers and self._timers[0].due_at <= end:
            timer = heapq.heappop(self._timers)
            if timer.is_cancelled:
                continue
            self.now = max(self.now, timer.due_at)
            timer.callback()
            await settle()
        self.now = end
