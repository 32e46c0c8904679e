"""The certificate authority, the gateway's certificate and its sampling key: gather, decide, make, write."""

from aos.controllers import sampling
from aos.controllers.authority import Kept
from aos.controllers.keys import Key
from aos.controllers.world import World
from aos.model.base import JsonObject
from aos.model.names import CA_SECRET, GATEWAY_TLS_SECRET
from aos.reconcile.certificates import Renewal, next_look, renewal
from aos.reconcile.events import EventReason, Happening, happenings

CHECK_SECONDS = 60.0
"""The Secrets are not watched; what becomes of them is seen after so long."""


async def reconcile(world: World, key: Key) -> None:
    """Make what is due, and tell the rest of the operator whom to trust.

    Raises:
        ApiError: the API server could not be reached, or another operator was faster.
    """
    # Before the certificate, without which no gateway answers anybody.
    await sampling.keep(world)
    namespace = world.settings.namespace
    kept = Kept.parse(
        await world.actor.read_secret(namespace, CA_SECRET),
        await world.actor.read_secret(namespace, GATEWAY_TLS_SECRET),
    )
    now = world.now()
    due = renewal(kept.observed(), namespace, now)
    kept = _renewed(world, kept, due)
    if due.changes_authority:
        written = await world.actor.apply_secret(kept.authority_manifest(namespace))
        world.actor.tell(_about(written), _authority_events(due))
    if due.changes_serving:
        written = await world.actor.apply_secret(kept.serving_manifest(namespace))
        world.actor.tell(_about(written), _serving_events(due))
    world.state.trust(kept.bundle(), world.objects, world.gateways)
    until_due = (next_look(kept.observed(), now) - now).total_seconds()
    world.later(key, min(CHECK_SECONDS, max(1.0, until_due)))


def _renewed(world: World, kept: Kept, due: Renewal) -> Kept:
    now = world.now()
    if due.create_authority:
        kept = kept.with_new_authority(now)
    if due.prepare_authority:
        kept = kept.with_next_authority(now)
    if due.promote_authority:
        kept = kept.with_promoted_authority()
    kept = kept.without_expired(now)
    return kept.with_serving(world.settings.namespace, now) if due.issue_serving else kept


def _about(secret: JsonObject) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": secret["metadata"]}


def _authority_events(due: Renewal) -> tuple[Happening, ...]:
    return happenings(
        Happening(EventReason.AUTHORITY_CREATED, "a certificate authority was made")
        if due.create_authority
        else None,
        Happening(EventReason.AUTHORITY_PREPARED, "the next certificate authority is trusted from now on")
        if due.prepare_authority
        else None,
        Happening(EventReason.AUTHORITY_REPLACED, "the next certificate authority signs from now on")
        if due.promote_authority
        else None,
    )


def _serving_events(due: Renewal) -> tuple[Happening, ...]:
    return happenings(
        Happening(EventReason.CERTIFICATE_ISSUED, "the gateway got a new certificate")
        if due.issue_serving
        else None
    )
