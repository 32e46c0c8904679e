"""Whether the admission policies that guard agent identities stand in the cluster as the operator would write them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.reconcile.plan import ChildKey


@dataclass(frozen=True, slots=True)
class Guard:
    """What is found: a problem for people, or nothing."""

    problem: str = ""


@dataclass(frozen=True, slots=True)
class ObservedRule:
    """An admission policy or binding: which one it is, and the digest of its spec."""

    key: ChildKey
    digest: str


def observe_rule(raw: Mapping[str, JsonValue]) -> ObservedRule:
    """Return what counts of an admission policy or binding."""
    return ObservedRule(ChildKey.of(raw), _digest(raw))


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
    known = {item.key: item.digest for item in observed}
    missing = [str(key) for key in (ChildKey.of(item) for item in expected) if key not in known]
    if missing:
        return Guard(f"missing: {', '.join(missing)}; install them with the chart")
    altered = [str(ChildKey.of(item)) for item in expected if known[ChildKey.of(item)] != _digest(item)]
    if altered:
        return Guard(f"altered: {', '.join(altered)}; restore them with the chart")
    return Guard()


def _digest(manifest: Mapping[str, JsonValue]) -> str:
    return json_digest([manifest.get("spec")])
