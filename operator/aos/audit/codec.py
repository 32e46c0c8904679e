"""The one form of an audit event: canonical JSON (RFC 8785), without what is empty. What is stored is what is hashed."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from operator import attrgetter
from typing import Final

import orjson

from aos.audit.event import AuditEvent, Phase

_NAMES: Final = tuple(sorted(field.name for field in fields(AuditEvent)))
_VALUES: Final = attrgetter(*_NAMES)
_INTEGERS: Final = frozenset(field.name for field in fields(AuditEvent) if field.default == 0)
_LISTS: Final = frozenset(
    field.name for field in fields(AuditEvent) if field.default == () or field.name == "lineage"
)
_EMPTY: Final[Mapping[str, object]] = {
    field.name: () if field.name in _LISTS else ""
    for field in fields(AuditEvent)
    if field.default is MISSING and field.name != "phase"
}
_MOST: Final = 2**53 - 1


class EventError(ValueError):
    """What was given is no audit event that can be written or read; the message says why."""


def encode_event(event: AuditEvent) -> bytes:
    """Return the event as RFC 8785 JSON.

    orjson writes the same bytes as RFC 8785 here: the keys are ASCII and in order, and the values are strings, lists of
    strings and integers within 53 bits.

    Raises:
        EventError: a string is no Unicode text, or an integer is beyond 2**53 - 1.
    """
    try:
        return orjson.dumps(
            {name: value for name, value in zip(_NAMES, _VALUES(event), strict=True) if value},
            option=orjson.OPT_STRICT_INTEGER,
        )
    except orjson.JSONEncodeError as error:
        raise EventError(f"the audit event of call {event.call!r} can't be written: {error}") from error


def decode_event(content: bytes) -> AuditEvent:
    """Return the event that `encode_event` wrote.

    Raises:
        EventError: ``content`` is not what `encode_event` writes.
    """
    try:
        said = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise EventError(f"an audit event is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise EventError("an audit event is not a JSON object")
    return event_from(said)


def event_from(said: Mapping[str, object]) -> AuditEvent:
    """Return the event that decoded JSON says.

    Raises:
        EventError: a field is unknown or has the wrong type.
    """
    known: dict[str, object] = dict(_EMPTY)
    for name, value in said.items():
        known[name] = _checked(name, value)
    try:
        # Every value was checked against its field just now; the type checker can't follow names that are data.
        return AuditEvent(**known)  # type: ignore[arg-type]
    except TypeError as error:
        raise EventError(f"an audit event has other fields than this program knows: {error}") from error


def _checked(name: str, value: object) -> object:
    if name == "phase" and isinstance(value, str):
        try:
            return Phase(value)
        except ValueError as error:
            raise EventError(f"an audit event has the unknown phase {value!r}") from error
    if name in _INTEGERS:
        if type(value) is int and 0 < value <= _MOST:
            return value
    elif name in _LISTS:
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif isinstance(value, str) and value:
        return value
    raise EventError(f"field {name} of an audit event is not as `encode_event` writes it")
