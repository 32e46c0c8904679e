"""Short ways to write what the gateway is tested with."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.facts import PodFacts
from aos.gateway.identity import Facts
from aos.gateway.settings import GatewaySettings
from aos.gateway.tokens import Claims
from aos.kube.client import EVERYTHING, PAGE_SIZE, Page, Selection
from aos.kube.errors import ApiError
from aos.kube.objects import key_of
from aos.kube.resources import Resource
from aos.kube.watching import WatchEvent, WatchType
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.task import Task
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy

SETTINGS = GatewaySettings(
    namespace="aos-system", listen_address="127.0.0.1", port=0, admin_port=0, health_port=0, hook_port=0
)
CREATED = "2026-01-02T03:04:05Z"
TASK_UID = "task-uid"
POD_UID = "pod-uid"
ACCOUNT_UID = "account-uid"


def with_settings(**changes: JsonValue) -> GatewaySettings:
    return GatewaySettings.model_validate({**SETTINGS.model_dump(), **changes})


def raw(kind: str, name: str, namespace: str = "sales", **parts: JsonValue) -> JsonObject:
    """An object as the API server sends it; ``metadata`` among the parts is added to."""
    extra = parts.pop("metadata", {})
    assert isinstance(extra, dict)
    metadata: JsonObject = {"name": name, "uid": f"{name}-uid", "resourceVersion": "1", "generation": 1}
    if namespace:
        metadata["namespace"] = namespace
    version = {
        "Pod": "v1",
        "Secret": "v1",
        "Namespace": "v1",
        "ServiceAccount": "v1",
        "ControllerRevision": "apps/v1",
    }
    return {
        "apiVersion": version.get(kind, "aos.dev/v1alpha1"),
        "kind": kind,
        "metadata": {**metadata, **extra},
        **parts,
    }


def raw_agent(name: str = "enricher", *, metadata: JsonObject | None = None, **spec: JsonValue) -> JsonObject:
    return raw(
        "Agent",
        name,
        metadata=metadata or {},
        spec={
            "owner": {"team": "revops"},
            "instructions": "Enrich.",
            "tools": [{"name": "crm", "actions": ["*"]}],
            **spec,
        },
    )


def raw_policy(name: str = "baseline", **spec: JsonValue) -> JsonObject:
    rules: JsonValue = [{"name": "read", "effect": "Allow", "tools": [{"name": "crm", "access": ["Read"]}]}]
    return raw("Policy", name, spec={"agents": {}, "rules": rules, **spec})


def raw_cluster_policy(name: str = "ceiling", **spec: JsonValue) -> JsonObject:
    allow: JsonObject = {"name": "all", "effect": "Allow", "tools": [{"name": "*"}]}
    said: JsonObject = {"namespaces": {"matchLabels": {"aos.dev/tenant": "emea"}}, "rules": [allow], **spec}
    return raw("ClusterPolicy", name, "", spec=said)


def raw_tool(name: str = "crm", secret: str = "", **spec: JsonValue) -> JsonObject:
    action: JsonObject = {"name": "get_contact", "access": "Read", "risk": "Low"}
    auth: JsonObject = {"auth": {"secretRef": {"name": secret, "key": "token"}}} if secret else {}
    return raw(
        "Tool", name, spec={"type": "MCP", "url": "http://crm/mcp", "actions": [action], **auth, **spec}
    )


def raw_task(name: str = "t1", *, status: JsonObject | None = None, **spec: JsonValue) -> JsonObject:
    return raw(
        "Task",
        name,
        metadata={"uid": TASK_UID, "creationTimestamp": CREATED, "resourceVersion": "7"},
        spec={"agentRef": {"name": "enricher"}, **spec},
        status={
            "revision": "enricher-1",
            "pod": {"name": "t1-pod", "uid": POD_UID},
            **(status or {}),
        },
    )


def raw_pod(name: str = "t1-pod", *, metadata: JsonObject | None = None, **status: JsonValue) -> JsonObject:
    owner: JsonObject = {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Task",
        "name": "t1",
        "uid": TASK_UID,
        "controller": True,
    }
    return raw(
        "Pod",
        name,
        metadata={
            "uid": POD_UID,
            "labels": {"aos.dev/agent": "enricher", "aos.dev/task": "t1"},
            "ownerReferences": [owner],
            **(metadata or {}),
        },
        spec={"serviceAccountName": "aos-agent-enricher"},
        status={"phase": "Running", "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}], **status},
    )


def task(**parts: JsonValue) -> Task:
    return Task.parse(raw_task(**parts))  # type: ignore[arg-type] # tests name what they mean


def policy(**spec: JsonValue) -> EffectivePolicy:
    agent = Agent.parse(raw_agent(**spec))  # type: ignore[arg-type] # as above
    return effective_policy(PolicyInputs(agent=agent, namespace_labels={}, tools={}, policies=()))


def caller(**parts: JsonValue) -> Caller:
    found = task(**parts)
    return Caller("sales", "enricher", found, "t1-pod", POD_UID, found.status.revision, policy())


CLAIMS = Claims("sales", "aos-agent-enricher", ACCOUNT_UID, "t1-pod", POD_UID, 2_000_000_000.0)
POD = PodFacts.parse(raw_pod())


def facts(**changes: object) -> Facts:
    whole = Facts(
        claims=CLAIMS,
        service_account_uid=ACCOUNT_UID,
        pod=POD,
        pod_has_ended=False,
        task=task(),
        policy=policy(),
    )
    return replace(whole, **changes)  # type: ignore[arg-type] # as above


class FakeApiServer:
    """Lists and watches from memory; what is put or removed is watched at once."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, ObjectKey], JsonObject] = {}
        self.refusals: dict[str, ApiError] = {}
        self.watched: list[tuple[str, Selection]] = []
        self._events: list[tuple[str, WatchEvent]] = []
        self._changed: list[object] = []
        self._version = 100

    def put(self, resource: Resource, item: Mapping[str, JsonValue]) -> None:
        key = (resource.plural, key_of(item))
        self._version += 1
        metadata = item["metadata"]
        assert isinstance(metadata, dict)
        kept = {**item, "metadata": {**metadata, "resourceVersion": str(self._version)}}
        kind = WatchType.MODIFIED if key in self.objects else WatchType.ADDED
        self.objects[key] = kept
        self._events.append((resource.plural, WatchEvent(kind, kept)))

    def remove(self, resource: Resource, name: str, namespace: str = "sales") -> None:
        item = self.objects.pop((resource.plural, ObjectKey(namespace=namespace, name=name)))
        self._events.append((resource.plural, WatchEvent(WatchType.DELETED, item)))

    async def list_pages(
        self, resource: Resource, selection: Selection = EVERYTHING, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[Page, None]:
        refusal = self.refusals.get(resource.plural)
        if refusal is not None:
            raise refusal
        items = [item for (plural, _), item in self.objects.items() if plural == resource.plural]
        yield Page(tuple(item for item in items if _selected(item, selection)), str(len(self._events)))

    async def watch(
        self, resource: Resource, selection: Selection = EVERYTHING, *, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        self.watched.append((resource.plural, selection))
        position = int(resource_version) if int(resource_version) < 100 else 0
        while True:
            while position < len(self._events):
                plural, event = self._events[position]
                position += 1
                if plural == resource.plural and _selected(event.object, selection):
                    yield event
            await asyncio.sleep(0)


def _selected(item: JsonObject, selection: Selection) -> bool:
    key = key_of(item)
    wanted = selection.field_selector.removeprefix("metadata.name=")
    return selection.namespace in ("", key.namespace) and wanted in ("", key.name)
