"""The Tasks that one Task handed over: looked up, waited for, and made into manifests. Nobody sees those of another."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from datetime import UTC, datetime
from math import floor
from typing import Final, Protocol

from aos.gateway.a2a.views import view_of
from aos.gateway.caller import Caller
from aos.gateway.identity import deadline_of
from aos.gateway.registry import Listener
from aos.kube.errors import NotFound
from aos.kube.resources import TASKS, Resource
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.names import handoff_task
from aos.model.task import MAX_DEADLINE_SECONDS, Ancestor, Task
from aos.reconcile.children import owner_reference

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_NAME: Final = re.compile(r"(?P<agent>.+)-[0-9a-f]{16}")


class TaskSource(Protocol):
    """What is asked of the registry."""

    def task(self, namespace: str, name: str) -> Task | None:
        """Return the Task, or None."""

    def tasks(self, namespace: str) -> Iterable[Task]:
        """Return the namespace's Tasks."""

    def on_task_change(self, listener: Listener) -> None:
        """Call ``listener`` when a Task appears, changes or goes."""


class TaskReader(Protocol):
    """What is asked of a client; `aos.kube.client.ApiClient` has it."""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        """Return one object."""


class Children:
    """Finds Tasks that were handed over, for the one Task that did."""

    def __init__(self, source: TaskSource, reader: TaskReader, clock: Callable[[], float]) -> None:
        self._source = source
        self._reader = reader
        self._clock = clock
        self._waiting: dict[ObjectKey, set[asyncio.Event]] = {}
        source.on_task_change(self._changed)

    def known(self, caller: Caller, agent: str, name: str) -> Task | None:
        """Return the Task that the caller handed to ``agent`` under this name, as far as the gateway has heard of it."""
        found = self._source.task(caller.namespace, name)
        return found if found is not None and is_child(caller, agent, found) else None

    async def find(self, caller: Caller, agent: str, name: str) -> Task | None:
        """Return the same, and ask the API server for what the gateway may not have heard of yet.

        Raises:
            ApiError: it could not be asked.
            pydantic.ValidationError: it can't be read.
        """
        found = self.known(caller, agent, name)
        if found is not None or not _may_be_named(agent, name):
            return found
        try:
            there = Task.parse(await self._reader.get(TASKS, name, caller.namespace))
        except NotFound:
            return None
        return there if is_child(caller, agent, there) else None

    def all(self, caller: Caller, agent: str) -> list[Task]:
        """Return all that the caller handed to ``agent``, newest first."""
        own = [task for task in self._source.tasks(caller.namespace) if is_child(caller, agent, task)]
        own.sort(key=lambda task: task.metadata.name)
        own.sort(key=lambda task: task.metadata.creation_timestamp or _NEVER, reverse=True)
        return own

    async def follow(self, task: Task, seconds: float) -> AsyncGenerator[Task | None]:
        """Yield the Task now and at each change until it is final or ``seconds`` have passed; None once it is gone."""
        until = self._clock() + seconds
        was_known = False
        with self._told_of(task.key) as changed:
            while True:
                changed.clear()
                found = self._source.task(task.metadata.namespace, task.metadata.name)
                if found is not None and found.metadata.uid == task.metadata.uid:
                    task, was_known = found, True
                elif was_known:
                    yield None
                    return
                yield task
                if view_of(task).state.is_final:
                    return
                try:
                    async with asyncio.timeout(until - self._clock()):
                        await changed.wait()
                except TimeoutError:
                    return

    def _changed(self, key: ObjectKey) -> None:
        for event in self._waiting.get(key, ()):
            event.set()

    @contextlib.contextmanager
    def _told_of(self, key: ObjectKey) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        waiting = self._waiting.setdefault(key, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(key, None)


def is_child(caller: Caller, agent: str, task: Task) -> bool:
    """Whether the caller's Task handed ``task`` to ``agent``: by its lineage, which only the gateway writes."""
    parent = task.parent
    return (
        parent is not None
        and parent.task_uid == caller.task.metadata.uid
        and task.spec.agent_ref.name == agent
    )


def child_name(caller: Caller, agent: str, message_id: str) -> str:
    """Return the name of the Task that this message makes, however often it is sent."""
    return handoff_task(agent, caller.task.metadata.uid, message_id)


def child_manifest(
    caller: Caller, agent: str, message_id: str, content: JsonObject, now: float
) -> JsonObject | None:
    """Return the Task to make; None if the caller's own Task has no time left to wait for it.

    It is asked for by who asked for the caller's, for the same step of the same run, and its time is up when the caller's is.
    """
    task = caller.task
    # The caller's time may be longer than any Task may ask for, since it moves while people decide.
    left_seconds = min(floor(deadline_of(task) - now), MAX_DEADLINE_SECONDS)
    if left_seconds < 1:
        return None
    lineage = [
        *task.spec.lineage,
        Ancestor(agent=caller.agent, task=task.metadata.name, task_uid=task.metadata.uid),
    ]
    spec: JsonObject = {
        "agentRef": {"name": agent},
        "input": content,
        "deadline": f"{left_seconds}s",
        "lineage": [entry.model_dump(mode="json", by_alias=True) for entry in lineage],
    }
    if task.spec.requested_by:
        spec["requestedBy"] = task.spec.requested_by
    if task.spec.run is not None:
        spec["run"] = task.spec.run.model_dump(mode="json", by_alias=True, exclude_none=True)
    if task.spec.priority:
        spec["priority"] = task.spec.priority
    return {
        "apiVersion": TASKS.api_version,
        "kind": TASKS.kind,
        "metadata": {
            "name": child_name(caller, agent, message_id),
            "namespace": caller.namespace,
            "ownerReferences": [owner_reference(TASKS.kind, task.metadata)],
        },
        "spec": spec,
    }


def _may_be_named(agent: str, name: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and agent.startswith(found["agent"])
