"""Work for the store that outlives the request that began it: nobody's going away can leave it half done."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class Background:
    """Runs work to its end, whoever waits for it or not."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Start ``work``; it goes on if its caller is cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self, timeout_seconds: float) -> int:
        """Wait until nothing is under way, at most so long; return how much was given up then."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_seconds
        while self._tasks and loop.time() < until:
            await asyncio.wait(tuple(self._tasks), timeout=until - loop.time())
        left = tuple(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)
