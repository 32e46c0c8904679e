"""Anchors of the audit trail: gather the heads that the gateways signed, and keep the newest outside their store."""

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aos.audit.anchors import Anchors
from aos.audit.signing import HeadError, SignedHead
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
    """Anchor the heads that are newer than what is anchored.

    Raises:
        ApiError: the API server could not be reached, or another operator was faster.
    """
    namespace = world.settings.namespace
    raw = await world.actor.read_config_map(namespace, AUDIT_ANCHORS) or {}
    before = _parsed(raw)
    after = before.with_heads(world.gateways.heads())
    if after != before:
        await world.actor.apply_config_map(manifest(namespace, after, resource_version_of(raw)))
        await _copy(world.settings.audit_anchor_file, _added(before, after))
    world.later(key, ANCHOR_SECONDS)


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


def _added(before: Anchors, after: Anchors) -> Sequence[SignedHead]:
    known = set(before.newest)
    return [head for head in after.newest if head not in known]


async def _copy(file: Path | None, heads: Sequence[SignedHead]) -> None:
    """Add the heads to a file, durably; the next ones stand for what could not be written."""
    if file is None:
        return
    try:
        await asyncio.to_thread(_append, file, b"".join(head.encode() + b"\n" for head in heads))
    except OSError as error:
        _log.error("anchors can't be copied to %s: %s", file, error)


def _append(file: Path, content: bytes) -> None:
    with file.open("ab") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
