"""What a reconcile comes to: things to write, in the order in which the edge does them, and when to look again."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.reconcile.events import Happening
from aos.reconcile.observed_pod import ObservedPod


@dataclass(frozen=True, slots=True)
class ChildKey:
    """A child in its owner's namespace."""

    kind: str
    name: str

    @classmethod
    def of(cls, manifest: Mapping[str, JsonValue]) -> "ChildKey":
        """Return the key of a desired child."""
        metadata = manifest["metadata"]
        if not isinstance(metadata, dict):
            raise TypeError("a manifest has metadata")
        return cls(kind=str(manifest["kind"]), name=str(metadata["name"]))

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class ObservedChild:
    """A child as far as anybody asks: which one it is, and what it says (see `aos.reconcile.fingerprint`)."""

    uid: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Deletion:
    """An object to delete, and only the one with this uid."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class PodChange:
    """A change of a pod, to be made only if it still is as it was observed: a merge patch without the version."""

    pod: ObservedPod
    patch: JsonObject


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order.

    Attributes:
        apply: children to make or mend, whole manifests.
        create: a pod to create; None for none.
        keep: pods to create that wait for Tasks to come.
        claim: a pod that is there, to be claimed for the Task; None for none.
        adopt: a pod to be made the Task's own, once it is recorded; None for none.
        delete: objects to delete.
        status: all that the operator has to say in the object's status; None if it stands there already.
        events: what to tell people.
        requeue_after_seconds: when to look again though nothing changed; None for never.
        confirm: whether the edge must first read what is missing from its caches, since this plan would be final.
    """

    apply: tuple[JsonObject, ...] = ()
    create: JsonObject | None = None
    keep: tuple[JsonObject, ...] = ()
    claim: PodChange | None = None
    adopt: PodChange | None = None
    delete: tuple[Deletion, ...] = ()
    status: JsonObject | None = None
    events: tuple[Happening, ...] = ()
    requeue_after_seconds: float | None = None
    confirm: bool = False
