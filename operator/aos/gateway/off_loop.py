"""Long texts are looked through beside the event loop, so that one agent's texts keep nobody else waiting."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar
from weakref import WeakValueDictionary

import orjson
from pydantic import JsonValue

from aos.inspection.sizes import DataTooLargeError

Result = TypeVar("Result")

MAX_BYTES_ON_LOOP: Final = 32 * 1024
"""Of text that is looked through at once, on the event loop: a few milliseconds."""
WAIT_SECONDS: Final = 20.0
"""For a longer text, the texts before it included."""
MAX_WAITING: Final = 64
"""Longer texts at a time, of all agents; each is held in memory."""
MAX_WAITING_OF_ONE: Final = 16
"""Of those, of one owner: a few that send many must not take all places."""
_THREADS: Final = 2


def size_of(value: JsonValue) -> int:
    """Return the bytes of ``value`` as JSON; 0 where it can't be written, which its inspection will say."""
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return 0


class OffLoop:
    """Threads that look through long texts: few for all agents, and one at a time for each of them."""

    def __init__(
        self,
        threads: int = _THREADS,
        wait_seconds: float = WAIT_SECONDS,
        max_waiting: int = MAX_WAITING,
        max_waiting_of_one: int = MAX_WAITING_OF_ONE,
    ) -> None:
        self._threads = ThreadPoolExecutor(threads, "aos-inspect")
        self._wait_seconds = wait_seconds
        self._max_waiting = max_waiting
        self._max_waiting_of_one = max_waiting_of_one
        self._waiting: Counter[str] = Counter()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def do(self, owner: str, size: int, work: Callable[[], Result]) -> Result:
        """Return what ``work`` gives; it runs in a thread where ``size`` is above MAX_BYTES_ON_LOOP.

        Work that takes too long can't be stopped: it keeps its thread and its owner's turn until it ends, and nothing else.

        Args:
            owner: whose text it is.
            size: of the text, in bytes.
            work: looks through it; it may change nothing that others read.

        Raises:
            DataTooLargeError: it did not end in time, or too much waits already.
        """
        if size <= MAX_BYTES_ON_LOOP:
            return work()
        own, all_ = self._waiting[owner], self._waiting.total()
        if own >= self._max_waiting_of_one or all_ >= self._max_waiting:
            raise DataTooLargeError(
                f"it has {size} bytes, and {all_} long texts, {own} of them of this Task, are being looked through already;"
                " send less at once, or try again later"
            )
        self._waiting[owner] += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await self._in_turn(owner, work)
        except TimeoutError:
            raise DataTooLargeError(
                f"it has {size} bytes, and looking through them took more than {self._wait_seconds:g} seconds; send or ask"
                " for less at once"
            ) from None
        finally:
            self._waiting[owner] -= 1
            if not self._waiting[owner]:
                del self._waiting[owner]

    async def _in_turn(self, owner: str, work: Callable[[], Result]) -> Result:
        turn = self._turns.get(owner)
        if turn is None:
            turn = self._turns[owner] = asyncio.Lock()
        await turn.acquire()
        try:
            job = self._threads.submit(work)
        except BaseException:
            turn.release()
            raise
        loop = asyncio.get_running_loop()

        def ended(_: Future[Result]) -> None:
            # A loop that is closed has nobody left who waits for a turn.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(turn.release)

        job.add_done_callback(ended)
        return await asyncio.wrap_future(job)


OFF_LOOP: Final = OffLoop()
"""The gateway's own. Its threads start with the first long text."""
