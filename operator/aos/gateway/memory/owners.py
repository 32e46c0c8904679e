"""Whose end is the end of what agents share: runs and Tasks, and which of them are open."""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol

from aos.gateway.settings import GatewaySettings
from aos.gateway.table import Change, Table
from aos.kube.informer import Informer, Source
from aos.kube.objects import child, children, text, uid_of
from aos.kube.resources import WORKFLOW_RUNS
from aos.model.base import JsonObject
from aos.model.conditions import ConditionType
from aos.model.meta import ConditionStatus
from aos.model.task import Task
from aos.store.interface import Store, StoreUnavailableError

MAX_STALENESS_SECONDS: Final = 60.0
"""Of what is known of runs and Tasks; whoever knows less ends nothing."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is kept of a WorkflowRun."""

    uid: str
    ended: bool

    @classmethod
    def parse(cls, raw: JsonObject) -> "RunFacts":
        """Return the facts of a run as the API server sends it; of one that is not sound, too: it is no less there."""
        ended = any(
            text(condition, "type") == ConditionType.SUCCEEDED
            and text(condition, "status") in (ConditionStatus.TRUE, ConditionStatus.FALSE)
            for condition in children(child(raw, "status"), "conditions")
        )
        return cls(uid_of(raw), ended)


class Tasks(Protocol):
    """What is asked of the registry."""

    def all_tasks(self) -> Collection[Task]:
        """Return all Tasks."""

    def staleness_seconds(self) -> float:
        """Return the age of the oldest knowledge of them."""


class Owners:
    """Follows runs, and ends in the store what has ended in the cluster. Make it, and run it, within a running event loop."""

    def __init__(
        self,
        client: Source,
        tasks: Tasks,
        store: Store,
        settings: GatewaySettings,
        ended: Callable[[str], None],
    ) -> None:
        """Make it; nothing runs yet.

        Args:
            client: where runs are read.
            tasks: all of them.
            store: where what is shared is kept.
            settings: of the process.
            ended: told the uid of each run that has ended or is gone.
        """
        self._tasks = tasks
        self._store = store
        self._sweep_seconds = settings.store_sweep_seconds
        self._ended = ended
        self._runs: Table[RunFacts] = Table(self._changed)
        self._informer = Informer(client, WORKFLOW_RUNS, RunFacts.parse)
        self._informer.add_handler(self._runs)
        self._missed: frozenset[str] = frozenset()

    async def follow(self) -> None:
        """Follow runs until cancelled."""
        await self._informer.run()

    async def run(self) -> None:
        """Sweep until cancelled."""
        await self._informer.synced.wait()
        while True:
            await asyncio.sleep(self._sweep_seconds)
            await self.sweep()

    async def sweep(self) -> None:
        """End what belongs to runs and Tasks that ended while nobody looked.

        An owner that is not known may be one that is not known yet: it must be missed twice in a row.
        """
        staleness = max(self._informer.staleness_seconds(), self._tasks.staleness_seconds())
        if staleness > MAX_STALENESS_SECONDS:
            self._missed = frozenset()
            return
        try:
            missed = await self._store.memory_owners() - self._open()
            for owner in missed & self._missed:
                await self._store.end_task(owner)
                _log.info("what was shared within %s is gone, as that is", owner)
        except StoreUnavailableError as error:
            _log.warning("what agents share can't be swept: %s", error)
            return
        self._missed = missed

    def _open(self) -> frozenset[str]:
        runs = (run.uid for run in self._runs if not run.ended)
        return frozenset((*runs, *(task.metadata.uid for task in self._tasks.all_tasks() if not task.ended)))

    def _changed(self, change: Change[RunFacts]) -> None:
        old, new = change.old, change.new
        if old is not None and (new is None or new.uid != old.uid):
            self._ended(old.uid)
        if new is not None and new.ended and (old is None or not old.ended):
            self._ended(new.uid)
