"""Compares the stores with lists of the API server.

Kopf tells of what is there and of what happens, but neither when its first list is complete nor what went away while it could not
watch. A census answers both.
"""

import asyncio
from typing import Final

from aos.controllers.acting import RESOURCES
from aos.controllers.objects import Objects
from aos.controllers.store import Shelf
from aos.kube.client import ApiClient
from aos.kube.objects import key_of, uid_of

KINDS: Final = (
    "ClusterPolicy",
    "Policy",
    "Tool",
    "Model",
    "Agent",
    "Workflow",
    "WorkflowRun",
    "Task",
    "ApprovalRequest",
)
_POLL_SECONDS: Final = 0.1
_SHOWN: Final = 3
PAGE_OBJECTS: Final = 100
"""Objects of one answer: what is counted is thrown away at once."""


class Census:
    """What the API server has of the kinds of AOS, against what the stores have.

    Attributes:
        complete: set once the stores hold all that was there at the start; never cleared.
    """

    def __init__(self, client: ApiClient, objects: Objects) -> None:
        self._client = client
        self._objects = objects
        self.complete = asyncio.Event()
        self._missing: dict[str, set[tuple[str, str, str]]] = {kind: {("", "", "")} for kind in KINDS}

    def unsynced(self) -> str:
        """Return which kind is not complete yet; empty if all are."""
        return next((kind for kind in KINDS if self._missing[kind]), "")

    async def synced(self) -> None:
        """Return once the stores hold all that was there when this was called.

        Raises:
            ApiError: the API server could not be reached.
        """
        for kind in KINDS:
            self._missing[kind] = await self._count(kind)
        while kind := self.unsynced():
            await asyncio.sleep(_POLL_SECONDS)
            self._missing[kind] = {item for item in self._missing[kind] if not self._has(kind, item)}
            if self._missing[kind] and len(self._missing[kind]) <= _SHOWN:
                # The last few may have been deleted since; whoever is not there is not missing.
                self._missing[kind] = await self._count(kind)
        self.complete.set()

    async def take(self) -> None:
        """Forget what is no longer there.

        Raises:
            ApiError: the API server could not be reached.
        """
        for kind in KINDS:
            await self._count(kind)

    async def _count(self, kind: str) -> set[tuple[str, str, str]]:
        """Forget what the API server does not have, and return what it has and the store has not."""
        shelf = self._objects.shelves[kind]
        before = {(item.namespace, item.name, item.uid) for item in shelf.identities()}
        there = set()
        async for page in self._client.list_pages(RESOURCES[kind], page_size=PAGE_OBJECTS):
            there |= {(key_of(item).namespace, key_of(item).name, uid_of(item)) for item in page.items}
        # Only what was here before the list was read: what came since may be missing from the list.
        for namespace, name, uid in before - there:
            self._objects.forget(kind, namespace, name, uid)
        return {item for item in there if not _holds(shelf, item)}

    def _has(self, kind: str, item: tuple[str, str, str]) -> bool:
        return _holds(self._objects.shelves[kind], item)


def _holds(shelf: Shelf, item: tuple[str, str, str]) -> bool:
    namespace, name, uid = item
    found = shelf.identity(namespace, name)
    return found is not None and found.uid == uid
