"""Does what a plan says: children, pods, deletions, the status once at the end, events. Decides nothing."""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Final

from aos.controllers.children import Children
from aos.controllers.metrics import OperatorMetrics
from aos.controllers.objects import Objects
from aos.kube.client import ApiClient, Selection
from aos.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
)
from aos.kube.events import EventRecorder, EventType, ObjectReference
from aos.kube.objects import metadata_of, uid_of
from aos.kube.resources import (
    AGENTS,
    APPROVAL_REQUESTS,
    CLUSTER_POLICIES,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    MODELS,
    NETWORK_POLICIES,
    PODS,
    POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    TASKS,
    TOOLS,
    WORKFLOW_RUNS,
    WORKFLOWS,
    Resource,
)
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.names import API_VERSION, FIELD_MANAGER_OPERATOR
from aos.reconcile.conditions import shortened
from aos.reconcile.events import Happening
from aos.reconcile.observed_pod import ObservedPod, observe_pod
from aos.reconcile.plan import ChildKey, Deletion, PodChange
from aos.reconcile.task_step import Rejection

RESOURCES: Final[Mapping[str, Resource]] = {
    resource.kind: resource
    for resource in (
        AGENTS,
        TASKS,
        TOOLS,
        MODELS,
        POLICIES,
        CLUSTER_POLICIES,
        WORKFLOWS,
        WORKFLOW_RUNS,
        APPROVAL_REQUESTS,
        PODS,
        SERVICE_ACCOUNTS,
        NETWORK_POLICIES,
        CONTROLLER_REVISIONS,
        DEPLOYMENTS,
        ROLES,
        ROLE_BINDINGS,
    )
}

_LARGE_PAGE_SIZE: Final = 50
_log = logging.getLogger(__name__)


class NotLeadingError(Exception):
    """The lease is not held any more: nothing may be written."""


class RefusedError(Exception):
    """The API server refused a child; its owner's status says so, and it is tried again later."""


class Actor:
    """Writes in the operator's name, and only while it leads."""

    def __init__(
        self,
        client: ApiClient,
        objects: Objects,
        children: Children,
        recorder: EventRecorder,
        metrics: OperatorMetrics,
        is_leader: Callable[[], bool],
    ) -> None:
        """Make an actor.

        Args:
            client: where to.
            objects: takes what statuses come back as.
            children: takes what children come back as.
            recorder: takes events.
            metrics: counts writes.
            is_leader: asked before each write.
        """
        self._client = client
        self._objects = objects
        self._children = children
        self._recorder = recorder
        self._metrics = metrics
        self._is_leader = is_leader

    async def apply(self, manifests: Sequence[JsonObject]) -> str:
        """Make children as the manifests say; return what the API server refused and why, empty if nothing."""
        refused = []
        for manifest in manifests:
            key = ChildKey.of(manifest)
            resource = RESOURCES[key.kind]
            self._count("apply", key.kind)
            try:
                raw = await self._client.apply(resource, manifest, field_manager=FIELD_MANAGER_OPERATOR)
            except (Forbidden, Invalid, Conflict, NotFound) as error:
                refused.append(shortened(f"{key}: {error.message}"))
            else:
                self._children.applied(resource, raw)
        return "; ".join(refused)

    async def create_pod(self, manifest: JsonObject) -> ObservedPod | Rejection:
        """Create a pod, or find the one that has its name; or say why the API server does not take it."""
        key = ChildKey.of(manifest)
        namespace = _namespace(manifest)
        self._count("create", key.kind)
        try:
            return observe_pod(await self._client.create(PODS, manifest))
        except AlreadyExists:
            return observe_pod(await self._client.get(PODS, key.name, namespace))
        except QuotaExceeded as error:
            return Rejection(Reason.QUOTA_EXCEEDED, error.message)
        except (Forbidden, Invalid) as error:
            return Rejection(Reason.POD_REJECTED, error.message)

    async def change_pod(self, namespace: str, change: PodChange) -> ObservedPod:
        """Change a pod that still is as it was observed, and return it.

        Raises:
            Conflict: it is not.
            NotFound: it is gone.
        """
        metadata = change.patch["metadata"]
        if not isinstance(metadata, dict):
            raise TypeError("a patch of a pod has metadata")
        patch = {**change.patch, "metadata": {**metadata, "resourceVersion": change.pod.version}}
        self._count("patch", PODS.kind)
        return observe_pod(await self._client.merge_patch(PODS, change.pod.name, patch, namespace=namespace))

    async def read_task_uid(self, namespace: str, name: str) -> str:
        """Return which Task of that name the API server has now; empty for none."""
        try:
            return uid_of(await self._client.get(TASKS, name, namespace))
        except NotFound:
            return ""

    async def read_pod(self, namespace: str, name: str) -> ObservedPod | None:
        """Return a pod as the API server has it now."""
        try:
            return observe_pod(await self._client.get(PODS, name, namespace))
        except NotFound:
            return None

    async def create(self, manifest: JsonObject) -> JsonObject | str:
        """Create an object, or find the one that has its name; or say why the API server does not take it."""
        key, resource = ChildKey.of(manifest), RESOURCES[str(manifest["kind"])]
        self._count("create", key.kind)
        try:
            return await self._client.create(resource, manifest)
        except AlreadyExists:
            return await self._client.get(resource, key.name, _namespace(manifest))
        except (Forbidden, Invalid) as error:
            return error.message

    async def cancel_task(self, namespace: str, name: str, uid: str, resource_version: str) -> None:
        """Delete a Task that is as it was seen.

        Raises:
            Conflict: it is not; it was read anew, and the change makes its own reconcile.
        """
        self._count("delete", TASKS.kind)
        try:
            await self._client.delete(
                TASKS, name, namespace=namespace, uid=uid, resource_version=resource_version
            )
        except NotFound:
            _log.debug("Task %s/%s is gone already", namespace, name)
        except Conflict:
            await self._refresh(TASKS.kind, namespace, name)
            raise

    async def cancel_run(self, namespace: str, name: str, uid: str) -> None:
        """Cancel a WorkflowRun that is still the same."""
        self._count("patch", WORKFLOW_RUNS.kind)
        patch: JsonObject = {"metadata": {"uid": uid}, "spec": {"cancel": True}}
        try:
            raw = await self._client.merge_patch(WORKFLOW_RUNS, name, patch, namespace=namespace)
        except (NotFound, Conflict, Invalid):
            _log.debug("WorkflowRun %s/%s is gone already", namespace, name)
        else:
            self._objects.observe(WORKFLOW_RUNS.kind, raw)

    async def give_owner(self, raw: JsonObject, owner: JsonObject | None) -> JsonObject:
        """Add an owner to a WorkflowRun that has none, and return what it is then.

        Raises:
            Conflict: it is not as it was observed; it was read anew.
        """
        owners = metadata_of(raw).get("ownerReferences")
        if owners or owner is None:
            return raw
        self._count("patch", WORKFLOW_RUNS.kind)
        identity = _identity(raw)
        metadata: JsonObject = {
            "resourceVersion": identity["resourceVersion"],
            "ownerReferences": [owner],
        }
        namespace, name = str(identity.get("namespace", "")), str(identity["name"])
        try:
            made = await self._client.merge_patch(
                WORKFLOW_RUNS, name, {"metadata": metadata}, namespace=namespace
            )
        except Conflict:
            await self._refresh(WORKFLOW_RUNS.kind, namespace, name)
            raise
        self._objects.observe(WORKFLOW_RUNS.kind, made, own=True)
        return made

    async def read_each(self, kind: str, namespace: str, selector: str) -> AsyncGenerator[JsonObject, None]:
        """Yield the objects of a namespace that have these labels, as the API server has them now; few at a time, as they may be large."""
        selection = Selection(namespace=namespace, label_selector=selector)
        async for raw in self._client.list(RESOURCES[kind], selection, _LARGE_PAGE_SIZE):
            yield raw

    async def reread(self, kind: str, namespace: str, name: str) -> None:
        """Bring one cached object in step with the API server.

        Raises:
            ApiError: it could not be reached.
        """
        known = self._objects.shelves[kind].identity(namespace, name)
        try:
            self._objects.observe(kind, await self._client.get(RESOURCES[kind], name, namespace))
        except NotFound:
            if known is not None:
                self._objects.forget(kind, namespace, name, known.uid)

    async def delete(self, namespace: str, deletions: Sequence[Deletion]) -> None:
        """Delete objects that are still the same; what is not the operator's own it may not delete, and leaves."""
        for item in deletions:
            self._count("delete", item.kind)
            try:
                await self._client.delete(RESOURCES[item.kind], item.name, namespace=namespace, uid=item.uid)
            except (NotFound, Conflict):
                _log.debug("%s %s/%s is gone already", item.kind, namespace, item.name)
            except Forbidden as error:
                _log.warning("%s %s/%s stays: %s", item.kind, namespace, item.name, error.message)

    async def write_status(self, kind: str, raw: JsonObject, status: JsonObject) -> None:
        """Write the operator's part of a status, provided that the object is still as it was observed.

        Raises:
            Conflict: it is not; it was read anew, and the change makes its own reconcile.
        """
        identity = _identity(raw)
        manifest: JsonObject = {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": identity,
            "status": status,
        }
        self._count("apply", f"{kind}/status")
        resource = RESOURCES[kind]
        try:
            written = await self._client.apply_status(
                resource, manifest, field_manager=FIELD_MANAGER_OPERATOR
            )
        except NotFound:
            return
        except Conflict:
            await self._refresh(kind, str(identity.get("namespace", "")), str(identity["name"]))
            raise
        self._objects.observe(kind, written, own=True)

    async def apply_secret(self, manifest: JsonObject) -> JsonObject:
        """Make one of the operator's own Secrets as the manifest says, and return it.

        Raises:
            Conflict: it is not what the manifest was made from.
        """
        self._count("apply", SECRETS.kind)
        return await self._client.apply(SECRETS, manifest, field_manager=FIELD_MANAGER_OPERATOR)

    async def read_secret(self, namespace: str, name: str) -> JsonObject | None:
        """Return one of the operator's own Secrets; None if it is not there."""
        try:
            return await self._client.get(SECRETS, name, namespace)
        except NotFound:
            return None

    async def apply_config_map(self, manifest: JsonObject) -> JsonObject:
        """Make the operator's own ConfigMap as the manifest says, and return it.

        Raises:
            Conflict: it is not what the manifest was made from.
        """
        self._count("apply", CONFIG_MAPS.kind)
        return await self._client.apply(CONFIG_MAPS, manifest, field_manager=FIELD_MANAGER_OPERATOR)

    async def read_config_map(self, namespace: str, name: str) -> JsonObject | None:
        """Return the operator's own ConfigMap; None if it is not there."""
        try:
            return await self._client.get(CONFIG_MAPS, name, namespace)
        except NotFound:
            return None

    def tell(self, raw: JsonObject, events: Sequence[Happening]) -> None:
        """Record events about an object."""
        if not events:
            return
        regarding = ObjectReference.of(raw)
        for event in events:
            self._recorder.record(
                regarding,
                reason=event.reason,
                action=event.doc.action,
                note=event.note,
                type=EventType(event.doc.type),
            )

    def decided(self, seconds: float) -> None:
        """Take note of how long people took over a request."""
        self._metrics.decided(seconds)

    async def _refresh(self, kind: str, namespace: str, name: str) -> None:
        try:
            self._objects.observe(kind, await self._client.get(RESOURCES[kind], name, namespace))
        except ApiError as error:
            _log.debug("%s %s/%s can't be read anew: %s", kind, namespace, name, error)

    def _count(self, verb: str, kind: str) -> None:
        if not self._is_leader():
            raise NotLeadingError(f"{verb} {kind}: the lease is not held any more")
        self._metrics.wrote(verb, kind)


def _identity(raw: JsonObject) -> JsonObject:
    metadata = raw["metadata"]
    if not isinstance(metadata, dict):
        raise TypeError("an object has metadata")
    # What is cluster-wide has no namespace.
    return {name: metadata[name] for name in ("namespace", "name", "resourceVersion") if name in metadata}


def _namespace(manifest: JsonObject) -> str:
    metadata = manifest["metadata"]
    return str(metadata["namespace"]) if isinstance(metadata, dict) else ""
