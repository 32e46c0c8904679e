"""Telling people what happened, as events.k8s.io/v1; telling never holds up or fails what it tells about."""

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from pydantic import JsonValue

from aos.kube.backoff import Backoff
from aos.kube.clock import Clock, SystemClock, sleep
from aos.kube.errors import ApiError, NotFound, Unavailable
from aos.kube.objects import metadata_of, text
from aos.kube.resources import EVENTS, Resource
from aos.kube.timestamps import micro_time
from aos.model.base import JsonObject

MAX_NOTE_BYTES: Final = 1024
MAX_WORD_LENGTH: Final = 128
"""Of a reason, an action and a reporting instance."""
BUFFER_EVENTS: Final = 1024
WINDOW_EVENTS: Final = 2048
WINDOW_SECONDS: Final = 360.0
"""The same event within this time of the last one joins its series."""
SERIES_SECONDS: Final = 30.0
"""A series' count is written at most this often."""
_ATTEMPTS: Final = 3
_BACKOFF: Final = Backoff(initial_seconds=1, cap_seconds=10)
_DEFAULT_NAMESPACE: Final = "default"
_MAX_NAME_PREFIX_LENGTH: Final = 230

_log = logging.getLogger(__name__)


class EventType(StrEnum):
    """Whether somebody should look."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object that an event is about."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""
    uid: str = ""

    @classmethod
    def of(cls, item: Mapping[str, JsonValue]) -> "ObjectReference":
        """Return the reference to an object with ``apiVersion`` and ``kind``."""
        metadata = metadata_of(item)
        return cls(
            api_version=text(item, "apiVersion"),
            kind=text(item, "kind"),
            name=text(metadata, "name"),
            namespace=text(metadata, "namespace"),
            uid=text(metadata, "uid"),
        )


class EventClient(Protocol):
    """What a recorder needs of a client; `aos.kube.client.ApiClient` has it."""

    async def create(self, resource: Resource, manifest: Mapping[str, JsonValue]) -> JsonObject:
        """Create an object."""

    async def merge_patch(
        self, resource: Resource, name: str, patch: Mapping[str, JsonValue], *, namespace: str = ""
    ) -> JsonObject:
        """Merge ``patch`` into an object."""


@dataclass(frozen=True, slots=True)
class Happening:
    """What makes two events the same."""

    regarding: ObjectReference
    type: EventType
    reason: str
    action: str
    note: str


@dataclass(slots=True)
class _Series:
    """How often something happened, and what of that is written."""

    first_time: str
    last_time: str
    last_at: float
    count: int = 1
    tried_at: float | None = None
    name: str = ""
    is_waiting: bool = False


class EventRecorder:
    """Collects events and writes them from `run`.

    Attributes:
        dropped: events that were lost, because too many waited or the API server did not take them.
    """

    def __init__(
        self,
        client: EventClient,
        *,
        controller: str,
        instance: str,
        clock: Clock | None = None,
        buffer_events: int = BUFFER_EVENTS,
        window_events: int = WINDOW_EVENTS,
    ) -> None:
        """Make a recorder; nothing is written before `run`.

        Args:
            client: where to.
            controller: who reports, as a qualified name such as ``aos.dev/operator``.
            instance: which replica reports; cut at 128 characters.
            clock: for tests.
            buffer_events: most events that wait to be written; further ones are dropped.
            window_events: most events that are remembered for series; the oldest are forgotten.
        """
        self._client = client
        self._controller = controller
        self._instance = instance[:MAX_WORD_LENGTH]
        self._clock = clock or SystemClock()
        self._buffer_events = buffer_events
        self._window_events = window_events
        self._window: OrderedDict[Happening, _Series] = OrderedDict()
        self._waiting: OrderedDict[Happening, _Series] = OrderedDict()
        self._arrived = asyncio.Event()
        self.dropped = 0

    def record(
        self,
        regarding: ObjectReference,
        *,
        reason: str,
        action: str,
        note: str,
        type: EventType = EventType.NORMAL,  # noqa: A002 - the API's own word
    ) -> None:
        """Note that something happened. Returns at once and never raises.

        Args:
            regarding: the object that it happened to.
            reason: why, one word in CamelCase; cut at 128 characters.
            action: what was done, one word in CamelCase; cut at 128 characters.
            note: for people; cut at 1 KiB.
            type: whether somebody should look.
        """
        happening = Happening(
            regarding, type, reason[:MAX_WORD_LENGTH], action[:MAX_WORD_LENGTH], _cut(note, MAX_NOTE_BYTES)
        )
        now = self._clock.monotonic()
        series = self._window.get(happening)
        if series is None or now - series.last_at > WINDOW_SECONDS:
            moment = micro_time()
            series = _Series(first_time=moment, last_time=moment, last_at=now)
            self._remember(happening, series)
            self._enqueue(happening, series)
            return
        series.count += 1
        series.last_time = micro_time()
        series.last_at = now
        self._window.move_to_end(happening)
        self._enqueue_in_time(happening, series)

    async def run(self) -> None:
        """Write events as they come, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write the events that wait now, each with few attempts; for the end of a process, beside `run` or after it."""
        while self._waiting:
            happening, series = self._waiting.popitem(last=False)
            await self._write(happening, series)

    def _remember(self, happening: Happening, series: _Series) -> None:
        self._window[happening] = series
        self._window.move_to_end(happening)
        while len(self._window) > self._window_events:
            self._window.popitem(last=False)

    def _enqueue_in_time(self, happening: Happening, series: _Series) -> None:
        if series.is_waiting or happening in self._waiting:
            return
        if series.tried_at is None:
            self._enqueue(happening, series)
            return
        series.is_waiting = True
        delay_seconds = series.tried_at + SERIES_SECONDS - self._clock.monotonic()
        self._clock.call_later(delay_seconds, lambda: self._enqueue(happening, series))

    def _enqueue(self, happening: Happening, series: _Series) -> None:
        series.is_waiting = False
        if len(self._waiting) >= self._buffer_events and happening not in self._waiting:
            self.dropped += 1
            return
        self._waiting[happening] = series
        self._arrived.set()

    async def _write(self, happening: Happening, series: _Series) -> None:
        series.tried_at = self._clock.monotonic()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._send(happening, series)
            except Unavailable as error:
                if attempt < _ATTEMPTS:
                    await sleep(self._clock, _BACKOFF.delay_seconds(attempt, error.retry_after_seconds))
                    continue
                self._drop(error)
            except (ApiError, ValueError, TypeError) as error:
                self._drop(error)
            return

    async def _send(self, happening: Happening, series: _Series) -> None:
        count, last_time = series.count, series.last_time
        if series.name:
            try:
                await self._extend(happening, series.name, count, last_time)
            except NotFound:
                series.name = ""
                series.first_time = last_time
        if not series.name:
            series.name = await self._create(happening, series.first_time, count, last_time)

    async def _create(self, happening: Happening, first_time: str, count: int, last_time: str) -> str:
        regarding = happening.regarding
        name = f"{regarding.name[:_MAX_NAME_PREFIX_LENGTH]}.{secrets.token_hex(8)}"
        about: JsonObject = {
            "apiVersion": regarding.api_version,
            "kind": regarding.kind,
            "name": regarding.name,
            "namespace": regarding.namespace,
            "uid": regarding.uid,
        }
        manifest: JsonObject = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": _namespace(regarding)},
            "eventTime": first_time,
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "regarding": {field: value for field, value in about.items() if value},
            "type": happening.type,
            "reason": happening.reason,
            "action": happening.action,
            "note": happening.note,
        }
        if count > 1:
            manifest["series"] = {"count": count, "lastObservedTime": last_time}
        await self._client.create(EVENTS, manifest)
        return name

    async def _extend(self, happening: Happening, name: str, count: int, last_time: str) -> None:
        patch: JsonObject = {"series": {"count": count, "lastObservedTime": last_time}}
        await self._client.merge_patch(EVENTS, name, patch, namespace=_namespace(happening.regarding))

    def _drop(self, error: Exception) -> None:
        self.dropped += 1
        _log.info("an event is lost: %s", error)


def _namespace(regarding: ObjectReference) -> str:
    return regarding.namespace or _DEFAULT_NAMESPACE


def _cut(note: str, max_bytes: int) -> str:
    encoded = note.encode(errors="replace")
    if len(encoded) <= max_bytes:
        return encoded.decode()
    ending = "…"
    return encoded[: max_bytes - len(ending.encode())].decode(errors="ignore") + ending
