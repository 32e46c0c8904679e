"""A collection of the API server kept in memory by list and watch: always parsed, never written from here.

An object that can't be parsed is absent from the items and present in `Informer.invalid`. Whether absence is the safe
side depends on the kind (a missing Agent may do nothing, a missing Policy may forbid nothing), so that a caller
must look at both.
"""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, Protocol, TypeVar

from aos.kube.backoff import Backoff
from aos.kube.client import EVERYTHING, PAGE_SIZE, Page, Selection
from aos.kube.clock import Clock, SystemClock, sleep
from aos.kube.errors import ApiError, Gone, IdleWatch, Target, Unavailable
from aos.kube.objects import key_of, resource_version_of
from aos.kube.resources import Resource
from aos.kube.watching import WatchEvent, WatchType
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey

BACKOFF: Final = Backoff(initial_seconds=0.5, cap_seconds=30, jitter=0.5)
RELIST_AFTER_FAILURES: Final = 3
"""A position that failed so often in a row is not trusted any more: the store behind the API server may be another."""
SHORTEST_WATCH_SECONDS: Final = 5.0
"""A watch that ends in good order sooner than this is a failure, or a broken proxy would be asked without pause."""

_log = logging.getLogger(__name__)

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Source(Protocol):
    """What an informer needs of a client; `aos.kube.client.ApiClient` has it."""

    def list_pages(
        self, resource: Resource, selection: Selection = EVERYTHING, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[Page, None]:
        """Yield one consistent list in parts."""

    def watch(
        self, resource: Resource, selection: Selection = EVERYTHING, *, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield what happens after ``resource_version``."""


class Handler(Protocol[T_contra]):
    """Keeps an index in step with an informer. Calls are synchronous.

    If ``added`` or ``updated`` raises, the object counts as invalid, and every handler is told that what it knew of it is
    gone, even one that did not know of it. What ``deleted`` raises is logged.
    """

    def added(self, key: ObjectKey, new: T_contra) -> None:
        """An object appeared, or became valid."""

    def updated(self, key: ObjectKey, old: T_contra, new: T_contra) -> None:
        """An object changed; after a gap, ``new`` may be another object of the same name."""

    def deleted(self, key: ObjectKey, old: T_contra) -> None:
        """An object is gone, or became invalid."""


@dataclass(frozen=True, slots=True)
class InvalidObject:
    """An object that could not be parsed, or that a handler could not take.

    Attributes:
        key: its namespace and name.
        resource_version: the version that is invalid.
        error: why; also for people.
    """

    key: ObjectKey
    resource_version: str
    error: str


class Informer(Generic[T]):
    """The parsed objects of one collection.

    Attributes:
        items: what is there and valid; a live, read-only view.
        invalid: what is there and not valid; a live, read-only view.
        synced: set once the first list is complete; never cleared.
        last_contact: monotonic seconds when the API server last confirmed the content, by a complete list, an event,
            a bookmark or the orderly end of a watch; None before the first list.
    """

    def __init__(
        self,
        client: Source,
        resource: Resource,
        parse: Callable[[JsonObject], T],
        *,
        selection: Selection = EVERYTHING,
        on_invalid: Callable[[InvalidObject], None] | None = None,
        clock: Clock | None = None,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._client = client
        self._resource = resource
        self._parse = parse
        self._selection = selection
        self._on_invalid = on_invalid
        self._clock = clock or SystemClock()
        self._backoff = backoff
        self._handlers: list[Handler[T]] = []
        self._items: dict[ObjectKey, T] = {}
        self._invalid: dict[ObjectKey, InvalidObject] = {}
        self._versions: dict[ObjectKey, str] = {}
        self._position = ""
        self._failures = 0
        self._lists_whole = False
        self.items: Mapping[ObjectKey, T] = MappingProxyType(self._items)
        self.invalid: Mapping[ObjectKey, InvalidObject] = MappingProxyType(self._invalid)
        self.synced = asyncio.Event()
        self.last_contact: float | None = None

    def add_handler(self, handler: Handler[T]) -> None:
        """Call ``handler`` from now on; it is told at once of what is already there."""
        self._handlers.append(handler)
        for key, item in self._items.items():
            handler.added(key, item)

    def staleness_seconds(self) -> float:
        """Return the seconds since the last contact; infinite before the first list."""
        if self.last_contact is None:
            return math.inf
        return max(0.0, self._clock.monotonic() - self.last_contact)

    async def run(self) -> None:
        """Keep the items in step until cancelled; no error of the API server ends it."""
        while True:
            try:
                if not self._position:
                    await self._list()
                await self._watch()
            except ApiError as error:
                await self._recover(error)

    async def _list(self) -> None:
        seen: set[ObjectKey] = set()
        position = ""
        page_size = 0 if self._lists_whole else PAGE_SIZE
        try:
            async with aclosing(self._client.list_pages(self._resource, self._selection, page_size)) as pages:
                async for page in pages:
                    position = page.resource_version
                    seen.update(self._upsert(item) for item in page.items)
        except Gone:
            self._lists_whole = True
            raise
        self._lists_whole = False
        for key in self._versions.keys() - seen:
            self._remove(key)
        self._position = position
        self._contact()
        self.synced.set()

    async def _watch(self) -> None:
        started_at = self._clock.monotonic()
        events = self._client.watch(self._resource, self._selection, resource_version=self._position)
        async with aclosing(events):
            async for event in events:
                self._contact()  # before handlers hear of it: they may ask how fresh the content is
                self._take(event)
        if self._clock.monotonic() - started_at < SHORTEST_WATCH_SECONDS:
            target = Target("watch", self._resource.plural, self._selection.namespace)
            raise Unavailable(target, 0, "ShortWatch", "the API server ended the watch at once")
        self._contact()

    async def _recover(self, error: ApiError) -> None:
        self._failures += 1
        if isinstance(error, Gone | IdleWatch) or self._failures >= RELIST_AFTER_FAILURES:
            self._position = ""
        asked_seconds = error.retry_after_seconds if isinstance(error, Unavailable) else 0
        delay_seconds = self._backoff.delay_seconds(self._failures, asked_seconds)
        level = logging.INFO if isinstance(error, Gone) else logging.WARNING
        _log.log(level, "%s; next attempt in %.1f s", error, delay_seconds)
        await sleep(self._clock, delay_seconds)

    def _contact(self) -> None:
        self.last_contact = self._clock.monotonic()
        self._failures = 0

    def _take(self, event: WatchEvent) -> None:
        match event.type:
            case WatchType.ADDED | WatchType.MODIFIED:
                self._upsert(event.object)
            case WatchType.DELETED:
                self._remove(key_of(event.object))
            case WatchType.BOOKMARK:
                pass
        self._position = resource_version_of(event.object) or self._position

    def _upsert(self, raw: JsonObject) -> ObjectKey:
        key, version = key_of(raw), resource_version_of(raw)
        if version and self._versions.get(key) == version:
            return key
        self._versions[key] = version
        try:
            new = self._parse(raw)
        except Exception as error:  # noqa: BLE001 - what one object holds must not blind AOS to the others
            self._mark_invalid(key, error)
            if key in self._items:
                self._tell_end(self._handlers, key, self._items.pop(key))
            self._report(key)
        else:
            self._accept(key, new)
        return key

    def _accept(self, key: ObjectKey, new: T) -> None:
        known = key in self._items
        old = self._items.get(key, new)
        self._items[key] = new
        self._invalid.pop(key, None)
        for told, handler in enumerate(self._handlers):
            try:
                if known:
                    handler.updated(key, old, new)
                else:
                    handler.added(key, new)
            except Exception as error:  # noqa: BLE001 - as for what can't be parsed
                self._mark_invalid(key, error)
                del self._items[key]
                self._tell_end(self._handlers[:told], key, new)
                self._tell_end(self._handlers[told:], key, old)
                self._report(key)
                return

    def _remove(self, key: ObjectKey) -> None:
        self._versions.pop(key, None)
        self._invalid.pop(key, None)
        if key in self._items:
            self._tell_end(self._handlers, key, self._items.pop(key))

    def _mark_invalid(self, key: ObjectKey, error: Exception) -> None:
        said = f"{type(error).__name__}: {error}"
        self._invalid[key] = InvalidObject(key, self._versions[key], said)

    def _tell_end(self, handlers: Sequence[Handler[T]], key: ObjectKey, old: T) -> None:
        for handler in handlers:
            try:
                handler.deleted(key, old)
            except Exception:  # noqa: BLE001 - the object is gone, whatever an index makes of it
                _log.exception("a handler failed on the end of %s %s", self._resource.kind, key)

    def _report(self, key: ObjectKey) -> None:
        invalid = self._invalid[key]
        _log.warning("%s %s is not valid: %s", self._resource.kind, key, invalid.error)
        if self._on_invalid is None:
            return
        try:
            self._on_invalid(invalid)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("the report of invalid %s %s failed", self._resource.kind, key)
