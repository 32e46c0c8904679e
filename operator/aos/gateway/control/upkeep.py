"""What keeps the store in order beside the calls: whether it answers, what died, what has ended, what is too old."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from aos.gateway.metrics import GatewayMetrics
from aos.gateway.settings import GatewaySettings
from aos.store.interface import Store, StoreUnavailableError

PURGE_SECONDS: Final = 3600.0
MAX_ENDED_TASKS: Final = 100_000
"""Tasks whose end is remembered, so that it is told to the store once."""
MANY_TASKS: Final = 100
"""Ends of Tasks that come at once, above which each is looked at before it costs a transaction."""
MAX_SECONDS: Final = 60.0
"""Longest time for one piece of upkeep; what was not done then is done the next time."""

_HOUR_SECONDS: Final = 3600

_log = logging.getLogger(__name__)

StoreListener = Callable[[str], None]
"""Told what is wrong with the store; an empty text if nothing is."""


class Upkeep:
    """Runs beside the calls; all that it does may be done by several gateways at once."""

    def __init__(
        self,
        store: Store,
        metrics: GatewayMetrics,
        settings: GatewaySettings,
        told: StoreListener,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._settings = settings
        self._told = told
        self._clock = clock
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MAX_ENDED_TASKS)
        self._problem = "the store was not reached yet"

    @property
    def problem(self) -> str:
        """Why the store can't be used; empty if it can."""
        return self._problem

    def task_ended(self, uid: str) -> None:
        """Note that a Task has ended: its records are free, and its own counters are done with."""
        if uid in self._ended:
            return
        self._ended[uid] = None
        while len(self._ended) > MAX_ENDED_TASKS:
            self._ended.popitem(last=False)
        # What does not fit is freed by time: leases run out, and the store drops counters that nobody uses.
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(uid)

    async def run(self) -> None:
        """Open the store, and do all of it until cancelled."""
        await self._open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._settings.store_ping_seconds, self.check), name="ping")
            group.create_task(self._repeat(self._settings.store_sweep_seconds, self._sweep), name="sweep")
            group.create_task(self._repeat(PURGE_SECONDS, self._purge), name="purge")
            group.create_task(self._end_tasks(), name="ended tasks")

    async def check(self) -> None:
        """Find out whether the store can be written."""
        problem = ""
        try:
            await self._store.ping()
        except StoreUnavailableError as error:
            problem = f"the store can't be used: {error}"
        if problem:
            self._metrics.store_failure("ping")
        self._state(problem)

    async def _open(self) -> None:
        while True:
            try:
                await self._store.open()
            except StoreUnavailableError as error:
                self._metrics.store_failure("open")
                self._state(f"the store can't be opened: {error}")
            else:
                return
            await asyncio.sleep(self._settings.store_ping_seconds)

    def _state(self, problem: str) -> None:
        if problem != self._problem:
            _log.log(logging.ERROR if problem else logging.INFO, "%s", problem or "the store can be used")
        self._problem = problem
        self._told(problem)

    async def _repeat(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await work()
            await asyncio.sleep(seconds)

    async def _sweep(self) -> None:
        closed = await self._tried("sweep", self._store.sweep())
        if closed:
            _log.warning("%d calls were closed whose gateway did not finish them; they stay charged", closed)

    async def _purge(self) -> None:
        before = self._clock() - self._settings.audit_retention_hours * _HOUR_SECONDS
        deleted = await self._tried("purge", self._store.purge(before))
        if deleted:
            _log.info("%d audit rows were older than the retention and are deleted", deleted)

    async def _end_tasks(self) -> None:
        while True:
            uids = [await self._waiting.get()]
            while not self._waiting.empty():
                uids.append(self._waiting.get_nowait())
            for uid in await self._worth_ending(uids):
                if not await self._ends(uid):
                    with suppress(asyncio.QueueFull):
                        self._waiting.put_nowait(uid)
                    await asyncio.sleep(self._settings.store_ping_seconds)

    async def _worth_ending(self, uids: list[str]) -> list[str]:
        """Return the Tasks to tell the store of; of very many, as at the start, only those that hold records.

        The counters of the others are dropped by the store when nobody has used them for long.
        """
        if len(uids) <= MANY_TASKS:
            return uids
        try:
            holders = {lease.task_uid for lease in await self._store.leases("")}
        except StoreUnavailableError:
            self._metrics.store_failure("leases")
            return uids
        return [uid for uid in uids if uid in holders]

    async def _ends(self, uid: str) -> bool:
        try:
            async with asyncio.timeout(MAX_SECONDS):
                await self._store.end_task(uid)
        except (StoreUnavailableError, TimeoutError):
            self._metrics.store_failure("end_task")
            return False
        return True

    async def _tried(self, operation: str, work: Awaitable[int]) -> int:
        try:
            async with asyncio.timeout(MAX_SECONDS):
                return await work
        except (StoreUnavailableError, TimeoutError):
            self._metrics.store_failure(operation)
            return 0
