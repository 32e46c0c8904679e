"""The key that the gateways draw samples with: made once, and anew only where it is missing or can't be used."""

import base64
import binascii
import secrets

from aos.controllers.world import World
from aos.kube.objects import child, resource_version_of, text
from aos.model.base import JsonObject
from aos.model.names import (
    LABEL_MANAGED_BY,
    LABEL_NAME,
    LABEL_PART_OF,
    MANAGED_BY,
    SAMPLING_KEY,
    SAMPLING_KEY_BYTES,
    SAMPLING_SECRET,
)
from aos.reconcile.events import EventReason, Happening


async def keep(world: World) -> None:
    """See to it that there is a key.

    Raises:
        ApiError: the API server could not be reached, or another operator was faster.
    """
    namespace = world.settings.namespace
    found = await world.actor.read_secret(namespace, SAMPLING_SECRET)
    if found is not None and _is_usable(found):
        return
    written = await world.actor.apply_secret(_manifest(namespace, resource_version_of(found or {})))
    about: JsonObject = {"apiVersion": "v1", "kind": "Secret", "metadata": written["metadata"]}
    made = Happening(
        EventReason.SAMPLING_KEY_CREATED, "the key that samples of calls are drawn with was made"
    )
    world.actor.tell(about, (made,))


def _is_usable(secret: JsonObject) -> bool:
    try:
        key = base64.b64decode(text(child(secret, "data"), SAMPLING_KEY), validate=True)
    except binascii.Error:
        return False
    return len(key) >= SAMPLING_KEY_BYTES


def _manifest(namespace: str, version: str) -> JsonObject:
    metadata: JsonObject = {
        "name": SAMPLING_SECRET,
        "namespace": namespace,
        "labels": {LABEL_NAME: MANAGED_BY, LABEL_MANAGED_BY: MANAGED_BY, LABEL_PART_OF: MANAGED_BY},
    }
    if version:
        metadata["resourceVersion"] = version
    key = base64.b64encode(secrets.token_bytes(SAMPLING_KEY_BYTES)).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": {SAMPLING_KEY: key},
    }
