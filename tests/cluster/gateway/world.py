"""A gateway on loopback before a real API server, and agents whose pods the tests make by hand."""

import asyncio
import base64
import contextlib
import secrets
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
import orjson
from pydantic import JsonValue

from aos.gateway.main import Gateway, Ports
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.outbound import open_client
from aos.kube.client import ApiClient, Selection
from aos.kube.objects import child, text, uid_of
from aos.kube.resources import (
    AGENTS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    POLICIES,
    SECRETS,
    SERVICE_ACCOUNTS,
    TASKS,
    Resource,
)
from aos.model.base import JsonObject
from aos.model.names import (
    AUDIENCE_GATEWAY,
    FIELD_MANAGER_OPERATOR,
    GATEWAY_TLS_SECRET,
    LABEL_AGENT,
    LABEL_MANAGED_BY,
    LABEL_TASK,
    MANAGED_BY,
    agent_service_account,
)
from aos.store.opening import open_store
from tests.unit.gateway.certificates import Authority, Pair

LOOPBACK = "127.0.0.1"
ELSEWHERE = "127.0.0.2"
WAIT_SECONDS = 30
OUTPUT_SCHEMA: JsonObject = {
    "type": "object",
    "required": ["score"],
    "properties": {"score": {"type": "number"}},
}
AGENT_SPEC: JsonObject = {
    "owner": {"team": "revops"},
    "instructions": "Enrich the lead.",
    "tools": [{"name": "crm", "actions": ["*"]}],
    "output": {"schema": OUTPUT_SCHEMA},
}
POLICY_SPEC: JsonObject = {
    "agents": {},
    "rules": [{"name": "read", "effect": "Allow", "tools": [{"name": "crm", "access": ["Read"]}]}],
}


@dataclass(frozen=True)
class Answer:
    """What the gateway answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> JsonObject:
        value = orjson.loads(self.content)
        assert isinstance(value, dict)
        return value

    @property
    def code(self) -> str:
        return text(child(self.json, "error"), "code")


@dataclass(frozen=True)
class Worker:
    """A pod that works on a Task."""

    agent: str
    task: str
    pod: str
    pod_uid: str


@dataclass
class World:
    """The cluster and the gateway, as tests act on them."""

    client: ApiClient
    namespace: str
    system: str
    settings: GatewaySettings
    authority: Authority
    gateway: Gateway
    ports: Ports
    _sessions: dict[str, aiohttp.ClientSession] = field(default_factory=dict)

    async def create(
        self, resource: Resource, name: str, namespace: str = "", **parts: JsonValue
    ) -> JsonObject:
        extra = parts.pop("metadata", {})
        assert isinstance(extra, dict)
        return await self.client.create(
            resource,
            {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"name": name, "namespace": namespace or self.namespace, **extra},
                **parts,
            },
        )

    async def agent(self, name: str = "enricher", **spec: JsonValue) -> str:
        """An agent as the operator leaves it: with its service account and revision."""
        full: JsonObject = {**AGENT_SPEC, **spec}
        await self.create(AGENTS, name, spec=full)
        await self.service_account(agent_service_account(name))
        await self.create(
            CONTROLLER_REVISIONS,
            f"{name}-1",
            metadata={"labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_AGENT: name}},
            revision=1,
            data={"instructions": text(full, "instructions"), "spec": full, "image": "agent:1"},
        )
        return name

    async def service_account(self, name: str) -> None:
        await self.create(SERVICE_ACCOUNTS, name, metadata={"labels": {LABEL_MANAGED_BY: MANAGED_BY}})

    async def policy(self, name: str = "baseline", **spec: JsonValue) -> None:
        await self.create(POLICIES, name, spec={**POLICY_SPEC, **spec})

    async def task(self, name: str = "t1", agent: str = "enricher", **spec: JsonValue) -> JsonObject:
        return await self.create(
            TASKS, name, spec={"agentRef": {"name": agent}, "input": {"lead": "ada"}, **spec}
        )

    async def service_pod(self, agent: str = "enricher") -> Worker:
        """The pod of a Service, which no Task names yet, as a Deployment makes it."""
        labels: JsonObject = {LABEL_AGENT: agent}
        spec: JsonObject = {
            "serviceAccountName": agent_service_account(agent),
            "automountServiceAccountToken": False,
            "containers": [{"name": "agent", "image": "agent:1"}],
        }
        template: JsonObject = {"metadata": {"labels": labels}, "spec": spec}
        await self.create(
            DEPLOYMENTS,
            agent,
            spec={"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        )
        made: list[JsonObject] = []

        async def is_there() -> bool:
            selection = Selection(namespace=self.namespace, label_selector=f"{LABEL_AGENT}={agent}")
            made.extend(
                [item async for page in self.client.list_pages(PODS, selection) for item in page.items]
            )
            return bool(made)

        await eventually(is_there)
        worker = Worker(agent, "", text(child(made[0], "metadata"), "name"), uid_of(made[0]))
        await self.pod_status(worker, podIP=LOOPBACK, podIPs=[{"ip": LOOPBACK}], phase="Running")
        return worker

    async def pod(
        self, task: JsonObject, name: str = "", *, agent: str = "enricher", owned: bool = True
    ) -> Worker:
        """The Task's pod as the operator makes it, with the address that a node would report."""
        task_name = text(child(task, "metadata"), "name")
        owner: JsonObject = {
            "apiVersion": TASKS.api_version,
            "kind": TASKS.kind,
            "name": task_name,
            "uid": uid_of(task),
            "controller": True,
        }
        made = await self.create(
            PODS,
            name or f"{task_name}-pod",
            metadata={
                "labels": {LABEL_AGENT: agent, LABEL_TASK: task_name},
                "ownerReferences": [owner] if owned else [],
            },
            spec={
                "serviceAccountName": agent_service_account(agent),
                "automountServiceAccountToken": False,
                "containers": [{"name": "agent", "image": "agent:1"}],
            },
        )
        worker = Worker(agent, task_name, text(child(made, "metadata"), "name"), uid_of(made))
        await self.pod_status(worker, podIP=LOOPBACK, podIPs=[{"ip": LOOPBACK}], phase="Running")
        return worker

    async def pod_status(self, worker: Worker, **status: JsonValue) -> None:
        await self.client.merge_patch(
            PODS, worker.pod, {"status": status}, namespace=self.namespace, subresource="status"
        )

    async def record(self, worker: Worker) -> None:
        """What the operator says of the Task once its pod exists."""
        await self.client.apply_status(
            TASKS,
            {
                "apiVersion": TASKS.api_version,
                "kind": TASKS.kind,
                "metadata": {"name": worker.task, "namespace": self.namespace},
                "status": {
                    "observedGeneration": 1,
                    "revision": f"{worker.agent}-1",
                    "pod": {"name": worker.pod, "uid": worker.pod_uid},
                },
            },
            field_manager=FIELD_MANAGER_OPERATOR,
        )

    async def worker(self, task: str = "t1", agent: str = "enricher", **spec: JsonValue) -> Worker:
        """A Task with its recorded pod."""
        worker = await self.pod(await self.task(task, agent, **spec), agent=agent)
        await self.record(worker)
        return worker

    async def token(
        self,
        worker: Worker | None = None,
        *,
        account: str = "",
        namespace: str = "",
        audience: str = AUDIENCE_GATEWAY,
    ) -> str:
        """A token as the kubelet would project it."""
        spec: JsonObject = {"audiences": [audience], "expirationSeconds": 600}
        if worker is not None:
            spec["boundObjectRef"] = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": worker.pod,
                "uid": worker.pod_uid,
            }
            account = account or agent_service_account(worker.agent)
        path = SERVICE_ACCOUNTS.object_path(namespace or self.namespace, account, "token")
        review: JsonObject = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return text(child(await self.client.request("POST", path, body=review), "status"), "token")

    async def ask(
        self,
        method: str,
        path: str,
        token: str = "",
        *,
        json: JsonValue = None,
        headers: Mapping[str, str] | None = None,
        address: str = LOOPBACK,
        port: int | None = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"https://{LOOPBACK}:{port or self.ports.agents.port}{path}"
        body = None if json is None else orjson.dumps(json)
        if body is not None:
            sent["Content-Type"] = "application/json"
        async with self.session(address).request(
            method, url, data=body, headers={**sent, **(headers or {})}
        ) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def ask_until(self, code: str | int, method: str, path: str, token: str = "") -> Answer:
        """Ask until the answer has this code or status: what the API server knows, the gateway knows a moment later."""
        answer: Answer | None = None

        async def holds() -> bool:
            nonlocal answer
            answer = await self.ask(method, path, token)
            return (
                answer.status == code
                if isinstance(code, int)
                else answer.status >= 400 and answer.code == code
            )

        try:
            await eventually(holds)
        except TimeoutError:
            raise AssertionError(f"the last answer was {answer}, not {code}") from None
        assert answer is not None
        return answer

    def session(self, address: str) -> aiohttp.ClientSession:
        """A client whose connections come from ``address``."""
        if address not in self._sessions:
            context = ssl.create_default_context(cadata=self.authority.certificate.decode())
            connector = aiohttp.TCPConnector(ssl=context, local_addr=(address, 0))
            self._sessions[address] = aiohttp.ClientSession(connector=connector)
        return self._sessions[address]

    async def keep_certificate(self, pair: Pair) -> None:
        await self.client.apply(
            SECRETS,
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": GATEWAY_TLS_SECRET, "namespace": self.system},
                "type": "kubernetes.io/tls",
                "data": {
                    "tls.crt": base64.b64encode(pair.certificate).decode(),
                    "tls.key": base64.b64encode(pair.key).decode(),
                    "ca.crt": base64.b64encode(self.authority.certificate).decode(),
                },
            },
            field_manager=FIELD_MANAGER_OPERATOR,
        )

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        # The next gateway shall not find them; the namespace stays, for it would take longer to go than a test.
        for resource in (TASKS, AGENTS, POLICIES, DEPLOYMENTS, PODS):
            await self.client.request("DELETE", resource.path(self.namespace))


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until ``holds`` does."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():  # noqa: ASYNC110 - a cluster sets no event of ours
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running_world(
    client: ApiClient, gateways: ApiClient | None = None, **settings: JsonValue
) -> AsyncIterator[World]:
    """Give two namespaces and a gateway that is ready.

    Args:
        client: the tests' own.
        gateways: the gateway's; None for the tests'.
        settings: of the gateway, besides those of a gateway on loopback.
    """
    token = secrets.token_hex(4)
    folder = tempfile.mkdtemp()
    said = GatewaySettings.model_validate(
        {
            "namespace": f"system-{token}",
            "listen_address": LOOPBACK,
            "port": 0,
            "admin_port": 0,
            "health_port": 0,
            "hook_port": 0,
            "stop_delay_seconds": 0,
            "drain_seconds": 2,
            "store_url": f"sqlite://{folder}/store.db",
            **settings,
        }
    )
    for namespace in (f"sales-{token}", said.namespace):
        await client.create(NAMESPACES, {"metadata": {"name": namespace}})
    async with open_client(said) as http:
        store = open_store(said.store_url, f"gateway-{token}")
        gateway = Gateway(gateways or client, http, store, said)
        world = World(client, f"sales-{token}", said.namespace, said, Authority(), gateway, gateway.bind())
        await world.keep_certificate(world.authority.issue())
        stop = asyncio.Event()
        serving = asyncio.create_task(gateway.serve(world.ports, stop))
        try:
            await until_ready(world)
            yield world
        finally:
            stop.set()
            await asyncio.wait((serving,))
            await world.close()
            shutil.rmtree(folder)
        await serving


async def until_ready(world: World) -> None:
    """Wait until the gateway says that it is ready, and answers."""

    async def is_ready() -> bool:
        url = f"http://{LOOPBACK}:{world.ports.health.port}/readyz"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return response.status == 200
        except aiohttp.ClientConnectorError:
            return False

    await eventually(is_ready)
