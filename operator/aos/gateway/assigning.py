"""Pods that ask for a Task before there is one for them: each waits a while, within bounds. Nothing is decided here."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from aos.gateway.caller import Caller
from aos.gateway.http import ClientDisconnected, HttpRequest
from aos.gateway.identity import Unassigned
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.registry import Listener
from aos.gateway.settings import GatewaySettings
from aos.model.meta import ObjectKey
from aos.model.task import Task


class TaskFeed(Protocol):
    """What is asked of the registry."""

    def task(self, namespace: str, name: str) -> Task | None:
        """Return the Task, or None."""

    def on_task_change(self, listener: Listener) -> None:
        """Call ``listener`` with the key of a Task that appears, changes or goes."""


@dataclass(slots=True)
class _Waiter:
    """One request that waits; its first look is at once."""

    agent: tuple[str, str]
    is_over: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        self.is_over = True
        self.changed.set()


class TaskWaiting:
    """Requests of pods that no Task names, one of each pod."""

    def __init__(self, registry: TaskFeed, settings: GatewaySettings) -> None:
        self._registry = registry
        self._wait_seconds = settings.task_wait_seconds
        self._max_per_agent = settings.max_waiting_pods_per_agent
        self._max = settings.max_waiting_pods
        self._waiters: dict[str, _Waiter] = {}
        self._by_agent: Counter[tuple[str, str]] = Counter()
        self._has_ended = False
        registry.on_task_change(self._changed)

    def __len__(self) -> int:
        return len(self._waiters)

    async def until_assigned(
        self, request: HttpRequest, unassigned: Unassigned, authenticate: Callable[[], Awaitable[Caller]]
    ) -> Caller | None:
        """Return the caller once a Task names its pod; None if none did in time, or the pod asked once more.

        Args:
            request: waits no longer than its client.
            unassigned: whose pod it is.
            authenticate: judges the request anew, by what there is then.

        Raises:
            Refusal: too many wait (429), or the pod may not call any more.
            ClientDisconnected: the client went away.
        """
        await request.body()
        with self._entered(unassigned) as waiter:
            leaving = asyncio.ensure_future(request.disconnected())
            leaving.add_done_callback(lambda _: waiter.changed.set())
            try:
                async with asyncio.timeout(self._wait_seconds):
                    return await _watched(waiter, leaving, authenticate)
            except TimeoutError:
                return None
            finally:
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)

    def end(self) -> None:
        """Let go of all that wait, and keep nobody waiting any more: the gateway stops."""
        self._has_ended = True
        for waiter in self._waiters.values():
            waiter.end()

    @contextlib.contextmanager
    def _entered(self, unassigned: Unassigned) -> Iterator[_Waiter]:
        uid, agent = unassigned.pod.uid, (unassigned.namespace, unassigned.agent)
        earlier = self._waiters.get(uid)
        if earlier is not None:
            # Its connection may be dead without anybody having noticed.
            earlier.end()
        elif self._by_agent[agent] >= self._max_per_agent or len(self._waiters) >= self._max:
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                RefusalCode.TOO_MANY_CALLS,
                f"too many pods of agent {unassigned.agent}, or of all agents, wait for a Task",
                retry_after_seconds=5,
            )
        waiter = self._waiters[uid] = _Waiter(agent)
        self._by_agent[agent] += 1
        # What changed before it was noted down is seen by the first look.
        waiter.changed.set()
        if self._has_ended:
            waiter.end()
        try:
            yield waiter
        finally:
            if self._waiters.get(uid) is waiter:
                del self._waiters[uid]
            self._by_agent[agent] -= 1
            if not self._by_agent[agent]:
                del self._by_agent[agent]

    def _changed(self, key: ObjectKey) -> None:
        task = self._registry.task(key.namespace, key.name)
        if task is not None and task.status.pod is not None:
            waiter = self._waiters.get(task.status.pod.uid)
            if waiter is not None:
                waiter.changed.set()


async def _watched(
    waiter: _Waiter, leaving: asyncio.Future[None], authenticate: Callable[[], Awaitable[Caller]]
) -> Caller | None:
    while True:
        await waiter.changed.wait()
        if leaving.done():
            raise ClientDisconnected
        if waiter.is_over:
            return None
        waiter.changed.clear()
        with contextlib.suppress(Unassigned):
            return await authenticate()
