"""What Tools and Models have in common: a system behind the gateway, perhaps with a credential in a Secret."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aos.model.base import JsonObject
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import Condition, ConditionStatus, ObjectMeta
from aos.model.names import credential_role
from aos.model.tool import Auth
from aos.reconcile.children import credential_access
from aos.reconcile.conditions import Verdict, as_json, conditions, find, no, unchanged, unknown, yes
from aos.reconcile.events import EventReason, Happening, happenings, restored
from aos.reconcile.fingerprint import fingerprint
from aos.reconcile.plan import ChildKey, Deletion, ObservedChild, Plan
from aos.reconcile.settings import OperatorSettings
from aos.reconcile.transitions import ACCEPTING, transitions


@dataclass(frozen=True, slots=True)
class Connected:
    """A Tool or Model, as far as they are alike.

    ``rejected`` says why what is its own is not accepted, which leaves its credential alone; None where it is.
    """

    kind: str
    metadata: ObjectMeta
    auth: Auth | None
    observed_generation: int
    conditions: Sequence[Condition]
    children: Mapping[ChildKey, ObservedChild]
    refused: str
    rejected: Verdict | None = None


def reconcile_connected(observed: Connected, settings: OperatorSettings, now: datetime) -> Plan:
    """Return what it needs."""
    if observed.metadata.deletion_timestamp is not None:
        return Plan()
    barred = _barred(observed, settings)
    accepted = barred or observed.rejected or yes(Reason.ACCEPTED)
    desired = _children(observed, settings) if barred is None else {}
    missing = {
        key: child
        for key, child in desired.items()
        if key not in observed.children or observed.children[key].fingerprint != fingerprint(child)
    }
    obsolete = tuple(
        Deletion(key.kind, key.name, child.uid)
        for key, child in observed.children.items()
        if key not in desired
    )
    after = _conditions(observed, accepted, now)
    return Plan(
        apply=tuple(missing.values()),
        delete=obsolete,
        status=_status(observed, after),
        events=(
            *_child_events(observed, missing, obsolete),
            *transitions(observed.conditions, after, ACCEPTING),
        ),
    )


def _barred(observed: Connected, settings: OperatorSettings) -> Verdict | None:
    """Return why its Secret is not lent out; None if it may be."""
    if observed.auth is not None and observed.metadata.namespace == settings.namespace:
        return no(
            Reason.INVALID,
            f"spec.auth: Secrets of the operator's own namespace are never lent out; put this {observed.kind} and its"
            " Secret into another namespace",
        )
    return None


def _children(observed: Connected, settings: OperatorSettings) -> dict[ChildKey, JsonObject]:
    if observed.auth is None:
        return {}
    secret = observed.auth.secret_ref.name
    made = credential_access(observed.kind, observed.metadata, secret, settings)
    return {ChildKey.of(child): child for child in made}


def _conditions(observed: Connected, accepted: Verdict, now: datetime) -> tuple[Condition, ...]:
    verdicts = {
        ConditionType.ACCEPTED: accepted,
        ConditionType.READY: _ready(observed, accepted),
    }
    return conditions(observed.conditions, verdicts, observed.metadata.generation, now)


def _ready(observed: Connected, accepted: Verdict) -> Verdict:
    if not accepted.holds:
        return no(Reason.NOT_ACCEPTED, accepted.message)
    if observed.refused:
        return no(Reason.PROVISIONING, observed.refused)
    available = find(observed.conditions, ConditionType.AVAILABLE)
    if available is None:
        return unknown(Reason.NOT_OBSERVED, "no gateway has looked yet")
    if available.observed_generation != observed.metadata.generation:
        return unknown(Reason.NOT_OBSERVED, "no gateway has looked at this generation yet")
    if available.status is ConditionStatus.TRUE:
        return yes(Reason.READY)
    return no(Reason.UNAVAILABLE, f"{available.reason}: {available.message}")


def _status(observed: Connected, after: tuple[Condition, ...]) -> JsonObject | None:
    generation = observed.metadata.generation
    if unchanged(observed.conditions, after) and observed.observed_generation == generation:
        return None
    # Available and the actions are the gateway's; what is left out here stays as the gateway wrote it.
    return {"observedGeneration": generation, "conditions": list(as_json(after))}


def _child_events(
    observed: Connected, missing: Mapping[ChildKey, JsonObject], obsolete: Sequence[Deletion]
) -> tuple[Happening, ...]:
    role = ChildKey("Role", credential_role(observed.kind, observed.metadata.name))
    is_granted = role in missing and role not in observed.children
    is_revoked = any(item.kind == role.kind for item in obsolete)
    secret = observed.auth.secret_ref.name if observed.auth else ""
    return (
        *restored(key for key in missing if key in observed.children),
        *happenings(
            Happening(EventReason.CREDENTIAL_GRANTED, f"the gateway may read Secret {secret}")
            if is_granted
            else None,
            Happening(EventReason.CREDENTIAL_REVOKED, "the gateway may no longer read the Secret")
            if is_revoked
            else None,
            Happening(EventReason.CHILD_REFUSED, observed.refused) if observed.refused else None,
        ),
    )
