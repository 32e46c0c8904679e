"""Everything that is not AOS's own as far as reconciles ask for it, and which work a change of it makes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aos.controllers.children import Children
from aos.controllers.objects import Objects, Touch
from aos.controllers.pods import Pods
from aos.controllers.views import (
    Endpoint,
    EndpointsView,
    address_view,
    config_map_view,
    endpoints_view,
    handler_view,
    labels_view,
)
from aos.controllers.watched import Cache, Watched
from aos.kube.client import ApiClient, Selection
from aos.kube.resources import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    NAMESPACES,
    RUNTIME_CLASSES,
    SERVICES,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from aos.model.meta import ObjectKey
from aos.model.names import GATEWAY_SERVICE, LABEL_INSTRUCTIONS, LABEL_PART_OF, MANAGED_BY
from aos.reconcile.guard import ObservedRule, observe_rule

_PART_OF_AOS: Final = Selection(label_selector=f"{LABEL_PART_OF}={MANAGED_BY}")


class Cluster:
    """Caches of Kubernetes' own objects.

    Attributes:
        children: what the operator made for Agents, Tools and Models.
        pods: agent pods and their nodes.
    """

    def __init__(
        self, client: ApiClient, objects: Objects, namespace: str, touch: Touch, changed: Callable[[], None]
    ) -> None:
        """Make empty caches.

        Args:
            client: where from.
            objects: the AOS objects, to find whom a change concerns.
            namespace: of the operator and the gateway.
            touch: hears of the work that changes make.
            changed: called when the gateway's address or replicas, or the admission policies, changed.
        """
        self._objects = objects
        self._changed = changed
        self.children = Children(client, touch, objects.revision_gone)
        self.pods = Pods(client, touch)
        self._namespaces = Watched(client, NAMESPACES, labels_view, self._namespace_changed)
        self._config_maps = Watched(
            client,
            CONFIG_MAPS,
            config_map_view,
            self._config_map_changed,
            Selection(label_selector=f"{LABEL_INSTRUCTIONS}=true"),
        )
        # Nobody waits for one: a pod that is made later asks anew.
        self._runtime_classes = Watched(client, RUNTIME_CLASSES, handler_view, lambda *_: None)
        self._policies = Watched(
            client, VALIDATING_ADMISSION_POLICIES, observe_rule, self._rule_changed, _PART_OF_AOS
        )
        self._bindings = Watched(
            client, VALIDATING_ADMISSION_POLICY_BINDINGS, observe_rule, self._rule_changed, _PART_OF_AOS
        )
        self._service = Watched(
            client,
            SERVICES,
            address_view,
            self._address_changed,
            Selection(namespace=namespace, field_selector=f"metadata.name={GATEWAY_SERVICE}"),
        )
        self._endpoints = Watched(
            client,
            ENDPOINT_SLICES,
            endpoints_view,
            self._endpoints_changed,
            Selection(namespace=namespace, label_selector=f"kubernetes.io/service-name={GATEWAY_SERVICE}"),
        )

    def caches(self) -> Sequence[Cache]:
        """Return every cache."""
        return (
            *self.children.caches(),
            *self.pods.caches(),
            self._namespaces,
            self._config_maps,
            self._runtime_classes,
            self._policies,
            self._bindings,
            self._service,
            self._endpoints,
        )

    async def run(self) -> None:
        """Keep all caches up until cancelled."""
        async with asyncio.TaskGroup() as group:
            for cache in self.caches():
                group.create_task(cache.run(), name=f"watch {cache.resource.plural}")
                # One first list at a time: together they would take several times the memory and no less time.
                await cache.synced.wait()

    async def synced(self) -> None:
        """Return once every cache is complete."""
        for cache in self.caches():
            await cache.synced.wait()

    def unsynced(self) -> str:
        """Return which cache is not complete yet; empty if all are."""
        return next((item.resource.plural for item in self.caches() if not item.synced.is_set()), "")

    def staleness_seconds(self) -> float:
        """Return how long ago the API server last confirmed the cache that it confirmed longest ago."""
        return max(item.staleness_seconds() for item in self.caches())

    def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        """Return the labels of a namespace."""
        return self._namespaces.get("", namespace) or {}

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return the texts of a ConfigMap that may hold instructions; None if there is no such one."""
        return self._config_maps.get(namespace, name)

    def can_own_users(self, runtime_class: str) -> bool:
        """Return whether a pod of this RuntimeClass (empty for the default) can have users of its own wherever it may land."""
        handler = self._runtime_classes.get("", runtime_class) if runtime_class else ""
        return handler is not None and handler in self.pods.handlers_with_own_users()

    def rules(self) -> tuple[ObservedRule, ...]:
        """Return the admission policies and bindings that are part of AOS."""
        return (*self._policies.values(), *self._bindings.values())

    def gateway_address(self) -> str:
        """Return the address of the gateway's Service; empty if it has none."""
        return next(self._service.values(), "")

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the gateway's replicas."""
        found = {item.replica: item for view in self._endpoints.values() for item in view.replicas}
        return tuple(found[name] for name in sorted(found))

    def _namespace_changed(
        self, key: ObjectKey, old: Mapping[str, str] | None, new: Mapping[str, str] | None
    ) -> None:
        # An agent may have been seen before its namespace was.
        if (old or {}) != (new or {}):
            self._objects.namespace_changed(key.name, old or {}, new or {})

    def _config_map_changed(
        self, key: ObjectKey, _old: Mapping[str, str] | None, _new: Mapping[str, str] | None
    ) -> None:
        self._objects.touch_agents_told_by(key.namespace, key.name)

    def _rule_changed(self, _key: ObjectKey, _old: ObservedRule | None, _new: ObservedRule | None) -> None:
        self._changed()

    def _address_changed(self, _key: ObjectKey, _old: str | None, _new: str | None) -> None:
        self._changed()

    def _endpoints_changed(
        self, _key: ObjectKey, _old: EndpointsView | None, _new: EndpointsView | None
    ) -> None:
        self._changed()
