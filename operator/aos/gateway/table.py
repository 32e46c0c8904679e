"""An informer's objects by namespace and name in plain dictionaries, for lookups on every call."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from aos.model.meta import ObjectKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """What happened to an object: it appeared (no old), changed, or went (no new)."""

    key: ObjectKey
    old: T | None
    new: T | None


class Table(Generic[T]):
    """Follows one informer as its handler, and tells of each change."""

    __slots__ = ("_changed", "_namespaces")

    def __init__(self, changed: Callable[[Change[T]], None] | None = None) -> None:
        self._namespaces: dict[str, dict[str, T]] = {}
        self._changed = changed

    def get(self, namespace: str, name: str) -> T | None:
        """Return the object, or None."""
        found = self._namespaces.get(namespace)
        return None if found is None else found.get(name)

    def of(self, namespace: str) -> Mapping[str, T]:
        """Return the namespace's objects by name; do not keep it."""
        return self._namespaces.get(namespace) or {}

    def __iter__(self) -> Iterator[T]:
        for objects in self._namespaces.values():
            yield from objects.values()

    def __len__(self) -> int:
        return sum(len(objects) for objects in self._namespaces.values())

    def added(self, key: ObjectKey, new: T) -> None:
        """Take an object in."""
        self._namespaces.setdefault(key.namespace, {})[key.name] = new
        if self._changed:
            self._changed(Change(key, None, new))

    def updated(self, key: ObjectKey, old: T, new: T) -> None:
        """Replace an object."""
        self._namespaces.setdefault(key.namespace, {})[key.name] = new
        if self._changed:
            self._changed(Change(key, old, new))

    def deleted(self, key: ObjectKey, old: T) -> None:
        """Drop an object."""
        objects = self._namespaces.get(key.namespace)
        if objects is not None:
            objects.pop(key.name, None)
            if not objects:
                del self._namespaces[key.namespace]
        if self._changed:
            self._changed(Change(key, old, None))
