"""Reading decoded JSON of the API server without trusting its shape: what is missing or odd reads as empty."""

from collections.abc import Mapping

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.meta import ObjectKey


def child(parent: Mapping[str, JsonValue], name: str) -> JsonObject:
    """Return the object under ``name``, or an empty one."""
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def children(parent: Mapping[str, JsonValue], name: str) -> tuple[JsonObject, ...]:
    """Return the objects in the list under ``name``; anything else in it is left out."""
    value = parent.get(name)
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def text(parent: Mapping[str, JsonValue], name: str) -> str:
    """Return the string under ``name``, or an empty one."""
    value = parent.get(name)
    return value if isinstance(value, str) else ""


def texts(parent: Mapping[str, JsonValue], name: str) -> tuple[str, ...]:
    """Return the strings in the list under ``name``; anything else in it is left out."""
    value = parent.get(name)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def number(parent: Mapping[str, JsonValue], name: str) -> int:
    """Return the whole number under ``name``, or 0."""
    value = parent.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def metadata_of(item: Mapping[str, JsonValue]) -> JsonObject:
    """Return the object's metadata."""
    return child(item, "metadata")


def key_of(item: Mapping[str, JsonValue]) -> ObjectKey:
    """Return the object's namespace and name."""
    metadata = metadata_of(item)
    return ObjectKey(namespace=text(metadata, "namespace"), name=text(metadata, "name"))


def uid_of(item: Mapping[str, JsonValue]) -> str:
    """Return the object's uid; empty if it has none yet."""
    return text(metadata_of(item), "uid")


def resource_version_of(item: Mapping[str, JsonValue]) -> str:
    """Return the version of the object or list, to compare for equality only."""
    return text(metadata_of(item), "resourceVersion")


def annotation_of(item: Mapping[str, JsonValue], name: str) -> str:
    """Return the annotation's value; empty if it is not there."""
    return text(child(metadata_of(item), "annotations"), name)
