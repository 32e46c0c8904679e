"""Whether the admission policies that guard agents and approvals stand in the cluster as the operator would write them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic.alias_generators import to_camel

from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.reconcile.plan import ChildKey


@dataclass(frozen=True, slots=True)
class Guard:
    """What is found: a problem for people, or nothing; and which state of the policies and bindings that is.

    Attributes:
        problem: what is wrong; empty if nothing is.
        fingerprint: digest over name, uid and generation of each of them: it never comes back once one was changed or removed.
        changed_at: when one of them was written last, by the API server's clock; None where that can't be told.
        seen_at: since when the operator finds it so; None while it was not looked at.
    """

    problem: str = ""
    fingerprint: str = ""
    changed_at: datetime | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ObservedRule:
    """An admission policy or binding: which one it is, which version of it, and the digest of its spec."""

    key: ChildKey
    digest: str
    uid: str = ""
    generation: int = 0
    changed_at: datetime | None = None


class _Write(BaseModel):
    """When somebody wrote what part of an object."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    time: datetime | None = None
    subresource: str = ""


class _Metadata(BaseModel):
    """What counts of the metadata of a policy or binding."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    uid: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    managed_fields: tuple[_Write, ...] = ()

    @property
    def changed_at(self) -> datetime | None:
        """When more than the status was written last; None where that can't be told."""
        times = [item.time for item in self.managed_fields if not item.subresource]
        known = [time for time in (self.creation_timestamp, *times) if time is not None]
        return max(known) if times and len(known) == len(times) + 1 else None


def observe_rule(raw: Mapping[str, JsonValue]) -> ObservedRule:
    """Return what counts of an admission policy or binding."""
    metadata = _Metadata.model_validate(raw["metadata"])
    return ObservedRule(
        ChildKey.of(raw), _digest(raw), metadata.uid, metadata.generation, metadata.changed_at
    )


def guard(
    expected: Sequence[JsonObject], observed: Iterable[ObservedRule], expected_user: str, actual_user: str
) -> Guard:
    """Return whether every expected policy and binding is there and says what it should.

    Args:
        expected: the manifests that the chart installs.
        observed: what is in the cluster.
        expected_user: whom the policies let do what only the operator may.
        actual_user: whom the API server takes the operator for.
    """
    if expected_user != actual_user:
        return Guard(
            f"the admission policies guard agents for {expected_user}, and the operator runs as {actual_user}:"
            " run it under that service account"
        )
    found = {item.key: item for item in observed}
    known = {key: item.digest for key, item in found.items()}
    missing = [str(key) for key in (ChildKey.of(item) for item in expected) if key not in known]
    if missing:
        return Guard(f"missing: {', '.join(missing)}; install them with the chart")
    altered = [str(ChildKey.of(item)) for item in expected if known[ChildKey.of(item)] != _digest(item)]
    if altered:
        return Guard(f"altered: {', '.join(altered)}; restore them with the chart")
    return _whole([found[ChildKey.of(item)] for item in expected])


def _whole(rules: Sequence[ObservedRule]) -> Guard:
    times = [item.changed_at for item in rules]
    known = [time for time in times if time is not None]
    return Guard(
        fingerprint=json_digest([[str(item.key), item.uid, item.generation] for item in rules]),
        changed_at=max(known) if known and len(known) == len(times) else None,
    )


def _digest(manifest: Mapping[str, JsonValue]) -> str:
    return json_digest([manifest.get("spec")])
