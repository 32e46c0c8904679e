"""A client of the shared API server, a namespace for each test, and a kind with a status."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from aos.kube.client import ApiClient
from aos.kube.errors import AlreadyExists, NotFound, Unavailable
from aos.kube.objects import child, children, text
from aos.kube.resources import CONFIG_MAPS, NAMESPACES, Resource
from aos.model.base import JsonObject
from hack.cluster.handle import Handle
from tests.cluster.kube.waiting import eventually

DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
WIDGETS = Resource("test.aos.dev", "v1", "widgets", "Widget")
_CONDITIONS: JsonObject = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    "items": {
        "type": "object",
        "required": ["type"],
        "properties": {
            name: {"type": "string"} for name in ("type", "status", "reason", "message", "lastTransitionTime")
        },
    },
}
_DEFINITION: JsonObject = {
    "apiVersion": DEFINITIONS.api_version,
    "kind": DEFINITIONS.kind,
    "metadata": {"name": f"{WIDGETS.plural}.{WIDGETS.group}"},
    "spec": {
        "group": WIDGETS.group,
        "scope": "Namespaced",
        "names": {"plural": WIDGETS.plural, "singular": "widget", "kind": WIDGETS.kind},
        "versions": [
            {
                "name": WIDGETS.version,
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer", "maximum": 9}},
                            },
                            "status": {
                                "type": "object",
                                "properties": {"phase": {"type": "string"}, "conditions": _CONDITIONS},
                            },
                        },
                    }
                },
            }
        ],
    },
}


@dataclass(frozen=True)
class Place:
    """A namespace of a test's own, and short ways to make things in it."""

    client: ApiClient
    namespace: str

    def manifest(self, resource: Resource, name: str, **parts: JsonObject) -> JsonObject:
        metadata: JsonObject = {"name": name, "namespace": self.namespace}
        extra = parts.pop("metadata", {})
        return {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata | extra,
            **parts,
        }

    async def config_map(self, name: str, **data: str) -> JsonObject:
        return await self.client.create(CONFIG_MAPS, self.manifest(CONFIG_MAPS, name, data=dict(data)))


@pytest.fixture
async def client(control_plane: Handle) -> AsyncIterator[ApiClient]:
    async with await ApiClient.connect(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
async def place(client: ApiClient) -> Place:
    name = f"kube-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, {"metadata": {"name": name}})

    async def has_own_config_map() -> bool:
        with contextlib.suppress(NotFound):
            await client.get(CONFIG_MAPS, "kube-root-ca.crt", name)
            return True
        return False

    # Kubernetes adds it at a time of its own; no test shall see it come.
    await eventually(has_own_config_map)
    return Place(client, name)


@pytest.fixture
async def widgets(client: ApiClient) -> Resource:
    """A kind with a status subresource, served."""
    with contextlib.suppress(AlreadyExists):
        await client.create(DEFINITIONS, _DEFINITION)

    async def is_served() -> bool:
        definition = await client.get(DEFINITIONS, f"{WIDGETS.plural}.{WIDGETS.group}")
        established = any(
            text(condition, "type") == "Established" and text(condition, "status") == "True"
            for condition in children(child(definition, "status"), "conditions")
        )
        if not established:
            return False
        try:
            await client.request("GET", WIDGETS.path())
        except (NotFound, Unavailable):
            return False
        return True

    await eventually(is_served)
    return WIDGETS
