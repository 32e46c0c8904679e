"""The gateway's port with handoffs behind it, over a real store, and agents that talk to it with the official client."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
from a2a.client import ClientConfig, create_client
from a2a.client.client import Client
from opentelemetry import trace
from pydantic import JsonValue

from aos.audit.event import AuditEvent
from aos.gateway.a2a.endpoint import A2aEndpoint
from aos.gateway.app import AgentApp, Endpoints
from aos.gateway.caller import Caller
from aos.gateway.cluster_registry import ClusterRegistry
from aos.gateway.http import HttpRequest
from aos.gateway.identity import Identity
from aos.gateway.journal import Journal
from aos.gateway.server import Port
from aos.gateway.settings import GatewaySettings
from aos.gateway.tls import Certificate
from aos.gateway.usage import Usage
from aos.kube.errors import AlreadyExists, ApiError, NotFound, Target
from aos.kube.objects import child, key_of, uid_of
from aos.kube.resources import AGENTS, NAMESPACES, POLICIES, TASKS, Resource
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from tests.unit.gateway.certificates import Authority
from tests.unit.gateway.make import SETTINGS, FakeApiServer, raw, raw_agent, raw_policy
from tests.unit.gateway_control.world import Held, controlled, opened

WAIT_SECONDS = 20
INPUT_SCHEMA: JsonObject = {
    "type": "object",
    "required": ["facts"],
    "properties": {"facts": {"type": "string"}},
}
READY: JsonObject = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-02T03:04:05Z",
}


def ended(reason: str, status: str = "False", message: str = "") -> JsonObject:
    return {
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-02T03:04:06Z",
    }


class TaskApi(FakeApiServer):
    """Takes Tasks as the API server does, and may be told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.created: list[JsonObject] = []
        self.failure: ApiError | None = None
        self.is_hidden = False

    async def create(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        if self.failure is not None:
            raise self.failure
        key = (resource.plural, key_of(manifest))
        target = Target("create", resource.plural, str(key[1]))
        if key in self.objects:
            raise AlreadyExists(target, 409, "AlreadyExists", "it is there")
        self.created.append(manifest)
        metadata: JsonObject = {
            **child(manifest, "metadata"),
            "uid": f"{key[1].name}-uid",
            "creationTimestamp": datetime.now(UTC).isoformat(),
        }
        self.put(resource, {**manifest, "metadata": metadata})
        return self.objects[key]

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        if self.failure is not None:
            raise self.failure
        found = self.objects.get((resource.plural, ObjectKey(namespace=namespace, name=name)))
        if found is None:
            raise NotFound(Target("get", resource.plural, name), 404, "NotFound", "it is not there")
        return found

    async def delete(self, resource: Resource, name: str, *, namespace: str = "", uid: str = "") -> None:
        found = await self.get(resource, name, namespace)
        assert uid_of(found) == uid
        self.remove(resource, name, namespace)

    def status(self, name: str, **status: JsonValue) -> None:
        """Set parts of a Task's status."""
        item = self.objects["tasks", ObjectKey(namespace="sales", name=name)]
        self.put(TASKS, {**item, "status": {**child(item, "status"), **status}})


class ByTask(Identity):
    """Takes a Task's name for the token of its pod; what the Task and its lineage are is read as ever."""

    def __init__(self, registry: ClusterRegistry) -> None:
        self._known = registry

    async def authenticate(self, request: HttpRequest, *, must_be_open: bool = True) -> Caller:
        name = request.header(b"authorization").decode().removeprefix("Bearer ")
        task = self._known.task("sales", name)
        assert task is not None
        agent = task.spec.agent_ref.name
        policies = [self._known.policy("sales", item.agent) for item in task.spec.lineage]
        policy = self._known.policy("sales", agent)
        assert policy is not None
        ancestors = tuple(item for item in policies if item is not None)
        return Caller("sales", agent, task, f"{name}-pod", f"{name}-pod-uid", "r-1", policy, ancestors)


class _Nothing:
    """Endpoints that these tests do not come to."""

    async def handle(self, *_: object) -> None:
        raise AssertionError("not asked for")

    async def until_assigned(self, *_: object) -> Caller | None:
        raise AssertionError("not asked for")


@dataclass
class World:
    """Agents in the namespace ``sales``, and the port that they talk to."""

    api: TaskApi
    registry: ClusterRegistry
    held: Held
    authority: Authority
    lines: list[bytes]
    url: str = ""
    _clients: list[Client] = field(default_factory=list)

    async def agent(self, name: str, **spec: JsonValue) -> None:
        """Put an agent that is ready, or a new version of one."""
        before = self.registry.agent("sales", name)
        generation = before.metadata.generation + 1 if before else 1
        labels = spec.pop("labels", {})
        item = raw_agent(name, metadata={"generation": generation, "labels": labels}, **spec)
        ready: JsonObject = {**READY, "observedGeneration": generation}
        self.api.put(AGENTS, {**item, "status": {"observedGeneration": generation, "conditions": [ready]}})
        await self.until(lambda: self.registry.agent("sales", name) is not before)

    async def policy(self, **spec: JsonValue) -> None:
        """Put another version of the one Policy."""
        item = raw_policy(**spec)  # type: ignore[arg-type] # parts of a spec
        before = self.registry.policy("sales", "lead")
        self.api.put(POLICIES, {**item, "metadata": {**child(item, "metadata"), "generation": 2}})
        await self.until(lambda: self.registry.policy("sales", "lead") is not before)

    async def task(self, name: str, agent: str, **spec: JsonValue) -> None:
        """Put a Task that an agent works on."""
        metadata: JsonObject = {"uid": f"{name}-uid", "creationTimestamp": datetime.now(UTC).isoformat()}
        full: JsonObject = {"agentRef": {"name": agent}, "requestedBy": "ada", "deadline": "1h", **spec}
        self.api.put(TASKS, raw("Task", name, metadata=metadata, spec=full))
        await self.until(lambda: self.registry.task("sales", name) is not None)

    async def until(self, holds: object) -> None:
        """Wait until the registry has heard of it."""
        assert callable(holds)
        async with asyncio.timeout(WAIT_SECONDS):
            while not holds():  # noqa: ASYNC110 - watches set no event of a test's
                await asyncio.sleep(0.001)

    def http(self, task: str) -> httpx.AsyncClient:
        """The connection of the pod that works on ``task``."""
        trust = ssl.create_default_context(cadata=self.authority.certificate.decode())
        return httpx.AsyncClient(
            verify=trust, headers={"Authorization": f"Bearer {task}"}, timeout=WAIT_SECONDS
        )

    @contextlib.asynccontextmanager
    async def client(
        self, task: str, agent: str, *, streaming: bool = True, polling: bool = False
    ) -> AsyncGenerator[Client]:
        """The official client, as it comes."""
        async with self.http(task) as http:
            config = ClientConfig(httpx_client=http, streaming=streaming, polling=polling)
            yield await create_client(f"{self.url}/a2a/sales/{agent}", client_config=config)

    async def rpc(
        self, task: str, agent: str, method: str, params: JsonValue, namespace: str = "sales"
    ) -> JsonObject:
        """Post one message by hand."""
        async with self.http(task) as http:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            response = await http.post(f"{self.url}/a2a/{namespace}/{agent}", json=body)
            found = response.json()
            assert isinstance(found, dict)
            return found

    async def rows(self) -> list[AuditEvent]:
        """What is on record."""
        return await self.held.rows()


@contextlib.asynccontextmanager
async def running(**settings: JsonValue) -> AsyncGenerator[World]:
    """Serve handoffs: ``lead`` may hand work to ``writer``, which may hand work back; other names are strangers."""
    said = GatewaySettings.model_validate({**SETTINGS.model_dump(), **settings})
    api = TaskApi()
    api.put(NAMESPACES, raw("Namespace", "sales", "", metadata={"labels": {"tier": "one"}}))
    api.put(POLICIES, raw_policy())
    registry = ClusterRegistry(api, said)
    following = asyncio.create_task(registry.run())
    authority, certificate = Authority(), Certificate()
    pair = authority.issue()
    certificate.load(pair.certificate, pair.key)
    async with opened() as store, controlled(store, said) as held:
        lines: list[bytes] = []
        journal = Journal(Usage(), held.metrics, lines.append, trace.NoOpTracer())
        endpoint = A2aEndpoint(registry, api, held.calls, journal, said)
        nothing = _Nothing()
        app = AgentApp(
            ByTask(registry), Endpoints(nothing, nothing, nothing, endpoint, nothing), said, journal
        )
        port = Port(app, said, 0, certificate.context)
        serving = asyncio.create_task(port.serve())
        world = World(api, registry, held, authority, lines, f"https://127.0.0.1:{port.port}")
        try:
            await registry.synced()
            await world.agent("lead", delegates=["writer"], labels={"unit": "one"})
            await world.agent("writer", delegates=["lead"], input={"schema": INPUT_SCHEMA})
            await world.task("t1", "lead")
            yield world
        finally:
            for task in (serving, following):
                task.cancel()
            await asyncio.wait((serving, following))
