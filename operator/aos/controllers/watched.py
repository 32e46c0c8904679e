"""An informer with a callback: each change once, with what was there before."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from aos.kube.client import ApiClient, Selection
from aos.kube.informer import Informer
from aos.kube.resources import Resource
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey

T = TypeVar("T")
Changed = Callable[[ObjectKey, T | None, T | None], None]


class Cache(Protocol):
    """A watched collection as far as what it holds does not matter."""

    @property
    def resource(self) -> Resource:
        """The collection."""

    @property
    def synced(self) -> asyncio.Event:
        """Set once the cache is complete."""

    async def run(self) -> None:
        """Keep up with the API server until cancelled."""

    def staleness_seconds(self) -> float:
        """Return the seconds since the API server last confirmed the content."""


class Watched(Generic[T]):
    """The objects of one collection, lean, and whoever wants to hear of changes."""

    def __init__(
        self,
        client: ApiClient,
        resource: Resource,
        parse: Callable[[JsonObject], T],
        changed: Changed[T],
        selection: Selection | None = None,
    ) -> None:
        """Make it; nothing is read before `run`.

        Args:
            client: where from.
            resource: the collection.
            parse: what is kept of an object.
            changed: called with what was there before and what is there now.
            selection: which objects; None for all.
        """
        self._changed = changed
        self._informer = Informer(client, resource, parse, selection=selection or Selection())
        self._informer.add_handler(self)
        self._resource = resource

    @property
    def resource(self) -> Resource:
        """The collection."""
        return self._resource

    @property
    def synced(self) -> asyncio.Event:
        """Set once the cache is complete."""
        return self._informer.synced

    async def run(self) -> None:
        """Keep up with the API server until cancelled."""
        await self._informer.run()

    def get(self, namespace: str, name: str) -> T | None:
        """Return what is kept of one object."""
        return self._informer.items.get(ObjectKey(namespace=namespace, name=name))

    def values(self) -> Iterator[T]:
        """Yield what is kept of every object."""
        yield from tuple(self._informer.items.values())

    def staleness_seconds(self) -> float:
        """Return the seconds since the API server last confirmed the content."""
        return self._informer.staleness_seconds()

    def added(self, key: ObjectKey, new: T) -> None:
        """Pass on that an object appeared."""
        self._changed(key, None, new)

    def updated(self, key: ObjectKey, old: T, new: T) -> None:
        """Pass on that an object changed, unless nothing of it did that is kept."""
        if old != new:
            self._changed(key, old, new)

    def deleted(self, key: ObjectKey, old: T) -> None:
        """Pass on that an object is gone."""
        self._changed(key, old, None)
