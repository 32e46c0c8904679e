"""Work for the store that outlives the request that began it: nobody's going away can leave it half done."""

import asyncio
import logging
import traceback
from collections.abc import Coroutine
from typing import TypeVar

from aos.store.interface import StoreUnavailableError

T = TypeVar("T")

_log = logging.getLogger(__name__)


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
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, StoreUnavailableError):
            # Only where it failed: messages of errors quote the data that they are about.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("work for the store failed with %s:\n%s", type(error).__name__, where)

    async def quiet(self, timeout_seconds: float) -> None:
        """Wait for what is under way now, at most so long."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=timeout_seconds)

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
