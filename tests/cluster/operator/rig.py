"""What the tests of this folder hold: clients of three users, a namespace, and short ways to make and move things."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from pydantic import JsonValue

from aos.controllers.settings import ControllerSettings
from aos.kube.client import ApiClient, Selection
from aos.kube.errors import ApiError, NotFound
from aos.kube.objects import child, children, text, uid_of
from aos.kube.resources import (
    AGENTS,
    APPROVAL_REQUESTS,
    CONFIG_MAPS,
    MODELS,
    PODS,
    POLICIES,
    SERVICE_ACCOUNTS,
    TASKS,
    TOOLS,
    WORKFLOW_RUNS,
    WORKFLOWS,
    Resource,
)
from aos.model.base import JsonObject
from hack.cluster.handle import Handle

HOME: Final = "aos-system"
OPERATOR: Final = f"system:serviceaccount:{HOME}:aos-operator"
GATEWAY: Final = f"system:serviceaccount:{HOME}:aos-gateway"
LIMIT_SECONDS: Final = 60
_PAUSE_SECONDS: Final = 0.05

AGENT_SPEC: Final[JsonObject] = {
    "owner": {"team": "revops"},
    "instructions": "Enrich the lead.",
    "model": {"name": "default", "temperature": 0},
    "tools": [{"name": "crm", "actions": ["get_contact"]}],
    "input": {"schema": {"type": "object", "required": ["lead"]}},
}
TOOL_SPEC: Final[JsonObject] = {
    "type": "MCP",
    "url": "http://crm/mcp",
    "auth": {"secretRef": {"name": "crm-credentials", "key": "token"}},
    "actions": [{"name": "get_contact", "access": "Read", "risk": "Low"}],
}
POLICY_SPEC: Final[JsonObject] = {
    "agents": {"matchLabels": {"role": "research"}},
    "rules": [{"name": "read", "effect": "Allow", "tools": [{"name": "crm", "access": ["Read"]}]}],
}


@dataclass(frozen=True)
class Rig:
    """Everything that a test needs.

    Attributes:
        cluster: the API server.
        admin: a client that may do everything.
        operator: a client with the operator's name and rights.
        gateway: a client with the gateway's name and rights.
        settings: of the operator.
        namespace: the test's own.
    """

    cluster: Handle
    admin: ApiClient
    operator: ApiClient
    gateway: ApiClient
    settings: ControllerSettings
    namespace: str

    async def eventually(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait until ``holds`` does; a test that waits in vain fails by the limit."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not await holds():  # noqa: ASYNC110 - a cluster sets no event of ours
                await asyncio.sleep(_PAUSE_SECONDS)

    async def make(
        self,
        resource: Resource,
        name: str,
        spec: Mapping[str, JsonValue] | None = None,
        labels: Mapping[str, str] | None = None,
        **parts: JsonValue,
    ) -> JsonObject:
        """Create an object in the test's namespace."""
        return await self.admin.create(resource, self.manifest(resource, name, spec, labels, **parts))

    def manifest(
        self,
        resource: Resource,
        name: str,
        spec: Mapping[str, JsonValue] | None = None,
        labels: Mapping[str, str] | None = None,
        **parts: JsonValue,
    ) -> JsonObject:
        """Return a manifest in the test's namespace."""
        metadata: JsonObject = {"name": name, "namespace": self.namespace, "labels": dict(labels or {})}
        made: JsonObject = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata,
            **parts,
        }
        return made if spec is None else {**made, "spec": dict(spec)}

    async def sales(self, agent: Mapping[str, JsonValue] | None = None) -> None:
        """Make a Tool, a Policy and the agent ``enricher``."""
        await self.make(TOOLS, "crm", TOOL_SPEC)
        await self.make(MODELS, "default", {"url": "http://model/v1", "model": "scripted"})
        await self.make(POLICIES, "baseline", POLICY_SPEC)
        await self.make(AGENTS, "enricher", AGENT_SPEC | dict(agent or {}), {"role": "research"})

    async def task(self, name: str, deadline: str = "5m") -> JsonObject:
        """Create a Task for ``enricher``."""
        spec: JsonObject = {"agentRef": {"name": "enricher"}, "input": {"lead": "Ada"}, "deadline": deadline}
        return await self.make(TASKS, name, spec)

    async def get(self, resource: Resource, name: str) -> JsonObject:
        """Return an object of the test's namespace; empty if it is not there."""
        try:
            return await self.admin.get(resource, name, self.namespace)
        except NotFound:
            return {}

    async def all(self, resource: Resource, selector: str = "") -> list[JsonObject]:
        """Return the objects of the test's namespace."""
        selection = Selection(namespace=self.namespace, label_selector=selector)
        return [item async for item in self.admin.list(resource, selection)]

    async def condition(self, resource: Resource, name: str, type_: str) -> tuple[str, str]:
        """Return status and reason of a condition."""
        found = await self.get(resource, name)
        for item in children(child(found, "status"), "conditions"):
            if text(item, "type") == type_:
                return text(item, "status"), text(item, "reason")
        return "", ""

    async def until(self, resource: Resource, name: str, type_: str, status: str, reason: str) -> None:
        """Wait until a condition has this status and reason."""
        last = ("", "")
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                while last != (status, reason):
                    last = await self.condition(resource, name, type_)
                    await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError:
            raise AssertionError(f"{resource.kind} {name}: {type_} stayed {last}") from None

    async def ready_agent(self) -> None:
        """Wait until ``enricher`` takes Tasks."""
        await self.until(AGENTS, "enricher", "Ready", "True", "Ready")

    async def pod_of(self, task: str) -> JsonObject:
        """Wait for the pod that is recorded for a Task, and return it."""

        async def recorded() -> bool:
            return bool(text(child(child(await self.get(TASKS, task), "status"), "pod"), "uid"))

        await self.eventually(recorded)
        record = child(child(await self.get(TASKS, task), "status"), "pod")
        pod = await self.get(PODS, text(record, "name"))
        assert uid_of(pod) == text(record, "uid")
        return pod

    async def set_pod(self, pod: JsonObject, status: JsonObject) -> None:
        """Do as a kubelet would: say how a pod fares."""
        await self.admin.merge_patch(
            PODS,
            text(child(pod, "metadata"), "name"),
            {"status": status},
            namespace=self.namespace,
            subresource="status",
        )

    async def hand_in(self, task: str, outcome: str = "Succeeded") -> None:
        """Do as the gateway would: record a Task's result."""
        result: JsonObject = {"outcome": outcome, "time": "2026-01-01T00:00:00Z"}
        if outcome == "Failed":
            result |= {"reason": "ModelRefused", "message": "I won't"}
        metadata: JsonObject = {"name": task, "namespace": self.namespace}
        await self.gateway.apply_status(
            TASKS,
            {
                "apiVersion": TASKS.api_version,
                "kind": TASKS.kind,
                "metadata": metadata,
                "status": {"result": result},
            },
            field_manager="aos-gateway",
        )

    async def has_default_account(self) -> bool:
        """Whether pods can be made in the namespace."""
        return bool(await self.get(SERVICE_ACCOUNTS, "default"))

    async def page(self, path: str) -> tuple[int, str]:
        """Return status and text of a page of the operator's health port; 0 if nobody answers."""
        url = f"http://127.0.0.1:{self.settings.health_port}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return response.status, await response.text()
        except aiohttp.ClientError:
            return 0, ""

    async def is_ready(self) -> bool:
        """Whether the operator's caches are complete."""
        return (await self.page("/readyz"))[0] == 200

    async def is_leading(self) -> bool:
        """Whether the operator leads."""
        return await self.metric("aos_operator_leader") == 1

    async def metric(self, name: str) -> float:
        """Return the sum of a metric over all labels."""
        lines = (await self.page("/metrics"))[1].splitlines()
        values = [line.rpartition(" ")[2] for line in lines if line.partition("{")[0].split(" ")[0] == name]
        return sum(float(value) for value in values)

    async def settled(self) -> None:
        """Wait until nothing has been reconciled for a while."""
        last = -1.0
        while (now := await self.metric("aos_operator_reconciles_total")) != last:
            last = now
            await asyncio.sleep(1)

    async def clear(self) -> None:
        """Remove what the test made, so that the next operator has nothing to do with it."""
        kinds = (WORKFLOWS, WORKFLOW_RUNS, TASKS, APPROVAL_REQUESTS, AGENTS, TOOLS, MODELS, POLICIES)
        for resource in (*kinds, CONFIG_MAPS, PODS):
            for item in await self.all(resource):
                with contextlib.suppress(ApiError):
                    await self.admin.delete(
                        resource,
                        text(child(item, "metadata"), "name"),
                        namespace=self.namespace,
                        grace_period_seconds=0 if resource is PODS else None,
                    )
