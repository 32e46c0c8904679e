"""Objects of one AOS kind in memory: as compact JSON, parsed when asked, with a few facts at hand for look-ups."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import orjson
from pydantic import JsonValue, ValidationError

from aos.kube.objects import metadata_of, number, text
from aos.model.base import JsonObject
from aos.model.meta import ApiObject
from aos.reconcile.unreadable import problem_of

T = TypeVar("T", bound=ApiObject)
F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Entry(Generic[F]):
    """One object.

    Attributes:
        uid: which object of that name.
        version: its resource version; of two versions of one object the greater is the newer.
        generation: of its spec.
        content: JSON without ``managedFields``, and without what the store is told to leave out.
        facts: what look-ups need; None if it can't be read.
        problem: why it can't be read; empty if it can.
    """

    uid: str
    version: int
    generation: int
    content: bytes
    facts: F | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Change(Generic[F]):
    """An object before and after; None where it was or is not there."""

    namespace: str
    name: str
    before: Entry[F] | None
    after: Entry[F] | None

    @property
    def touches_spec(self) -> bool:
        """Whether more than metadata and status is another."""
        before, after = self.before, self.after
        if before is None or after is None:
            return True
        return (before.uid, before.generation, before.problem) != (after.uid, after.generation, after.problem)

    def facts(self) -> Iterator[F]:
        """Yield the facts before and after, where there are any."""
        for entry in (self.before, self.after):
            if entry is not None and entry.facts is not None:
                yield entry.facts


@dataclass(frozen=True, slots=True)
class Identity:
    """Which object, and which version of it, whatever its kind."""

    namespace: str
    name: str
    uid: str
    version: int


class Shelf(Protocol):
    """A store as far as the kind does not matter."""

    @property
    def kind(self) -> str:
        """Name of the kind."""

    def __len__(self) -> int:
        """How many objects are there."""

    def identities(self) -> Iterator[Identity]:
        """Yield what is there."""

    def identity(self, namespace: str, name: str) -> Identity | None:
        """Return what is there under a name."""

    def raw(self, namespace: str, name: str) -> JsonObject:
        """Return an object's JSON; empty if it is not here."""

    def problem(self, namespace: str, name: str) -> str:
        """Return why an object can't be read; empty if it can, or is not here."""


class Store(Generic[T, F]):
    """The objects of one kind, of all namespaces."""

    def __init__(
        self,
        kind: str,
        parse: Callable[[Mapping[str, object]], T],
        facts: Callable[[T], F],
        trim: Callable[[JsonObject], JsonObject] = lambda raw: raw,
    ) -> None:
        """Make an empty store.

        Args:
            kind: name of the kind.
            parse: reads an object; raises `pydantic.ValidationError`.
            facts: what look-ups need of an object.
            trim: what of an object's JSON is kept; facts are taken from the whole.
        """
        self.kind = kind
        self._parse = parse
        self._facts = facts
        self._trim = trim
        self._entries: dict[str, dict[str, Entry[F]]] = {}

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._entries.values())

    def put(self, raw: Mapping[str, JsonValue]) -> Change[F] | None:
        """Take an object as the API server has it; None if what is here is the same or newer."""
        metadata = metadata_of(raw)
        namespace, name = text(metadata, "namespace"), text(metadata, "name")
        after = self._entry(raw, metadata)
        before = self._entries.get(namespace, {}).get(name)
        if before is not None and before.version >= after.version:
            return None
        self._entries.setdefault(namespace, {})[name] = after
        return Change(namespace, name, before, after)

    def remove(self, namespace: str, name: str, uid: str) -> Change[F] | None:
        """Forget an object; None if it is not here, or another one has its name."""
        before = self._entries.get(namespace, {}).get(name)
        if before is None or before.uid != uid:
            return None
        del self._entries[namespace][name]
        if not self._entries[namespace]:
            del self._entries[namespace]
        return Change(namespace, name, before, None)

    def entry(self, namespace: str, name: str) -> Entry[F] | None:
        """Return an object's entry; None if it is not here."""
        return self._entries.get(namespace, {}).get(name)

    def get(self, namespace: str, name: str) -> T | None:
        """Return an object; None if it is not here or can't be read."""
        entry = self.entry(namespace, name)
        return self._parse(orjson.loads(entry.content)) if entry is not None and not entry.problem else None

    def raw(self, namespace: str, name: str) -> JsonObject:
        """Return an object's JSON; empty if it is not here."""
        entry = self.entry(namespace, name)
        found: JsonObject = orjson.loads(entry.content) if entry is not None else {}
        return found

    def problem(self, namespace: str, name: str) -> str:
        """Return why an object can't be read; empty if it can, or is not here."""
        entry = self.entry(namespace, name)
        return entry.problem if entry is not None else ""

    def within(self, namespace: str) -> Mapping[str, Entry[F]]:
        """Return a live view of a namespace's entries by name."""
        return self._entries.get(namespace, {})

    def namespaces(self) -> tuple[str, ...]:
        """Return the namespaces that have such objects."""
        return tuple(self._entries)

    def identities(self) -> Iterator[Identity]:
        """Yield what is there; what changes meanwhile does not disturb."""
        for namespace, entries in list(self._entries.items()):
            for name, entry in list(entries.items()):
                yield Identity(namespace, name, entry.uid, entry.version)

    def identity(self, namespace: str, name: str) -> Identity | None:
        """Return what is there under a name."""
        entry = self.entry(namespace, name)
        return Identity(namespace, name, entry.uid, entry.version) if entry else None

    def _entry(self, raw: Mapping[str, JsonValue], metadata: JsonObject) -> Entry[F]:
        lean: JsonObject = {
            **raw,
            "metadata": {name: value for name, value in metadata.items() if name != "managedFields"},
        }
        facts, problem = None, ""
        try:
            facts = self._facts(self._parse(lean))
        except ValidationError as error:
            problem = problem_of(error)
        version = text(metadata, "resourceVersion")
        return Entry(
            uid=text(metadata, "uid"),
            version=int(version) if version.isdecimal() else 0,
            generation=number(metadata, "generation"),
            content=orjson.dumps(self._trim(lean)),
            facts=facts,
            problem=problem,
        )
