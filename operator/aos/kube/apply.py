"""Writing what is desired by server-side apply, and nothing where it is so already."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.difference import covers, status_differs
from aos.kube.objects import child, key_of, metadata_of, resource_version_of
from aos.kube.resources import Resource
from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.model.names import ANNOTATION_CHILD_DIGEST


class Applied(StrEnum):
    """What became of a desired object."""

    UNCHANGED = "Unchanged"
    CREATED = "Created"
    CONFIGURED = "Configured"


def with_digest(manifest: Mapping[str, JsonValue]) -> JsonObject:
    """Return the manifest with its own digest as an annotation."""
    metadata = metadata_of(manifest)
    annotations = {**child(metadata, "annotations"), ANNOTATION_CHILD_DIGEST: json_digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def is_applied(stamped: JsonObject, known: Mapping[str, JsonValue]) -> bool:
    """Whether ``known`` is what applying ``stamped``, a manifest with its digest, would make of it.

    The digest tells that nothing was taken out of the manifest since; the comparison, that nobody changed what it says.
    """
    return covers(dict(known), stamped)


async def apply_child(
    client: ApiClient,
    resource: Resource,
    manifest: Mapping[str, JsonValue],
    known: Mapping[str, JsonValue] | None,
    *,
    field_manager: str,
) -> Applied:
    """Make the child as the manifest says, without a request if the one that is known already is.

    Args:
        client: where to.
        resource: the manifest's kind.
        manifest: the whole child as this manager wants it, without the digest.
        known: the child as a cache has it; None if it has none.
        field_manager: in whose name; its fields are taken over from others.

    Raises:
        ApiError: as `ApiClient.apply`.
    """
    stamped = with_digest(manifest)
    if known is not None and is_applied(stamped, known):
        return Applied.UNCHANGED
    await client.apply(resource, stamped, field_manager=field_manager)
    return Applied.CREATED if known is None else Applied.CONFIGURED


async def apply_status(
    client: ApiClient,
    resource: Resource,
    observed: Mapping[str, JsonValue],
    status: Mapping[str, JsonValue],
    *,
    field_manager: str,
) -> Applied:
    """Make the status of ``observed`` as desired, without a request if it already is.

    Args:
        client: where to.
        resource: the object's kind.
        observed: the object as last read; what has changed since, or has its name now, is not written to.
        status: all of the status that this manager has to say, without nulls.
        field_manager: in whose name; its fields are taken over from others.

    Raises:
        NotFound: the object is not there any more.
        Conflict: it changed since, or is another one: decide again from what is there now. (A uid would be the lesser
            condition, but the API server does not heed it for a status.)
    """
    if not status_differs(observed, status, field_manager):
        return Applied.UNCHANGED
    key = key_of(observed)
    metadata: JsonObject = {"name": key.name, "resourceVersion": resource_version_of(observed)}
    if key.namespace:
        metadata["namespace"] = key.namespace
    manifest: JsonObject = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": metadata,
        "status": dict(status),
    }
    await client.apply_status(resource, manifest, field_manager=field_manager)
    return Applied.CONFIGURED
