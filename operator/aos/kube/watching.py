"""The framing of a watch: bytes in, events out. No I/O and no retries."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson
from pydantic import JsonValue

from aos.kube.errors import Target, Unavailable, error_of
from aos.kube.objects import child, number, text
from aos.model.base import JsonObject

MAX_EVENT_BYTES: Final = 32 * 1024 * 1024
"""More than any object that the API server can store, with room for JSON's overhead."""


class WatchType(StrEnum):
    """What happened to the object of an event."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


_TYPES: Final = frozenset(WatchType)


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch; of a bookmark's object only the resource version means something."""

    type: WatchType
    object: JsonObject


class EventDecoder:
    """Cuts a watch's bytes into events."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[WatchEvent]:
        """Yield the events that ``chunk`` completes.

        Raises:
            Gone: the watch can't go on from where it is.
            ApiError: the API server ended the watch for another reason.
            Unavailable: what came is no event.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise self._broken(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        for line in lines:
            if line:
                yield self._event(line)

    def end(self) -> None:
        """Check that the watch ended between events.

        Raises:
            Unavailable: it was cut off within one.
        """
        if self._rest:
            raise self._broken("the watch was cut off within an event")

    def _event(self, line: bytes) -> WatchEvent:
        try:
            raw: JsonValue = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise self._broken(f"an event is not JSON: {error}") from error
        if not isinstance(raw, dict):
            raise self._broken("an event is not a JSON object")
        item = child(raw, "object")
        kind = text(raw, "type")
        if kind == "ERROR":
            raise error_of(self._target, number(item, "code"), item)
        if kind not in _TYPES:
            raise self._broken(f"event type {kind!r} is not known")
        return WatchEvent(WatchType(kind), item)

    def _broken(self, message: str) -> Unavailable:
        return Unavailable(self._target, 0, "BrokenWatch", message)
