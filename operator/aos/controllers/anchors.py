"""Anchors of the audit trail: gather the heads that the gateways signed, and keep the newest outside their store."""

import logging
from typing import Final

from aos.audit.anchors import Anchors
from aos.audit.signing import HeadError
from aos.controllers.keys import Key
from aos.controllers.world import World
from aos.kube.objects import child, resource_version_of, text
from aos.model.base import JsonObject
from aos.model.names import AUDIT_ANCHORS, LABEL_MANAGED_BY, LABEL_NAME, LABEL_PART_OF, MANAGED_BY

ANCHOR_SECONDS: Final = 60.0
"""Between two looks: rows that are younger than this are not anchored yet."""
HEADS: Final = "heads"
"""Key of the ConfigMap: the newest signed head of each chain, one a line."""
EARLIER: Final = "earlier"
"""Key of the ConfigMap: heads that newer ones replaced, as far as there is room."""

_log = logging.getLogger(__name__)


async def reconcile(world: World, key: Key) -> None:
    """Anchor the heads that are newer than what is anchored, and bring the copies up to that.

    Raises:
        ApiError: the API server could not be reached, or another operator was faster.
    """
    namespace = world.settings.namespace
    raw = await world.actor.read_config_map(namespace, AUDIT_ANCHORS) or {}
    before = _parsed(raw)
    after = before.with_heads(world.gateways.heads())
    if after != before:
        raw = await world.actor.apply_config_map(manifest(namespace, after, resource_version_of(raw)))
    # The next anchors wait for no copy.
    world.later(key, ANCHOR_SECONDS)
    told = await world.anchor_copies.keep(after.newest)
    if told:
        world.actor.tell({**raw, "apiVersion": "v1", "kind": "ConfigMap"}, told)


def manifest(namespace: str, anchors: Anchors, version: str) -> JsonObject:
    """Return the ConfigMap.

    Args:
        namespace: of the operator.
        anchors: what it holds.
        version: of the ConfigMap that they were made from; empty if there was none.
    """
    heads, earlier = anchors.texts()
    metadata: JsonObject = {
        "name": AUDIT_ANCHORS,
        "namespace": namespace,
        "labels": {LABEL_NAME: MANAGED_BY, LABEL_MANAGED_BY: MANAGED_BY, LABEL_PART_OF: MANAGED_BY},
    }
    if version:
        metadata["resourceVersion"] = version
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {HEADS: heads, EARLIER: earlier},
    }


def _parsed(raw: JsonObject) -> Anchors:
    data = child(raw, "data")
    try:
        return Anchors.parse(text(data, HEADS), text(data, EARLIER))
    except HeadError as error:
        # Admission lets nobody else write it. Going on with what the gateways say now is better than no anchors at all.
        _log.error("ConfigMap %s: %s; it is begun anew", AUDIT_ANCHORS, error)
        return Anchors()
