"""A whole gateway over an API server in memory, one agent's pod in front of it, and tokens that live as long as a test says."""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from aos.agent.helper.main import run_helper
from aos.agent.helper.settings import A2aServer, Bounds, HelperSettings
from aos.gateway.main import Gateway
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.outbound import open_client
from aos.kube.client import EVERYTHING, ApiClient, Selection
from aos.kube.errors import Target, Unavailable
from aos.kube.objects import child, key_of, text
from aos.kube.resources import (
    AGENTS,
    CONTROLLER_REVISIONS,
    MODELS,
    NAMESPACES,
    PODS,
    POLICIES,
    SECRETS,
    SERVICE_ACCOUNTS,
    TASKS,
    TOOLS,
    Resource,
)
from aos.kube.reviews import TokenReview, UserInfo
from aos.kube.watching import WatchEvent
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.names import AUDIENCE_GATEWAY, GATEWAY_TLS_SECRET
from aos.model.pod_tasks import PodTasks
from aos.store.sqlite import SqliteStore
from tests.unit.gateway.certificates import Authority
from tests.unit.gateway.make import ACCOUNT_UID, POD_UID, _selected, raw, raw_agent, raw_pod, raw_policy
from tests.unit.gateway.signing import ISSUER, USERNAME, Key, claims
from tests.unit.gateway_a2a.world import READY, TaskApi

LOOPBACK = "127.0.0.1"
WAIT_SECONDS = 30
ALLOW_ALL: JsonObject = {"name": "all", "effect": "Allow", "tools": [{"name": "*"}]}
QUICK = Bounds(
    connect_patience_seconds=5,
    retry_pause_seconds=0.02,
    first_poll_seconds=0.01,
    max_poll_seconds=0.05,
    task_check_seconds=0.1,
    lost_seconds=0.3,
    ready_seconds=10,
    report_patience_seconds=5,
)
_KEY = Key("one")


class Api(TaskApi):
    """The API server: of what agents and gateways use, and no more."""

    def __init__(self) -> None:
        super().__init__()
        self._moved = asyncio.Event()
        self.refuses_statuses = False
        self.refused = 0

    def put(self, resource: Resource, item: Mapping[str, JsonValue]) -> None:
        super().put(resource, item)
        self._move()

    def remove(self, resource: Resource, name: str, namespace: str = "sales") -> None:
        super().remove(resource, name, namespace)
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def watch(
        self, resource: Resource, selection: Selection = EVERYTHING, *, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        position = int(resource_version) if int(resource_version) < 100 else 0
        while True:
            moved = self._moved
            while position < len(self._events):
                plural, event = self._events[position]
                position += 1
                if plural == resource.plural and _selected(event.object, selection):
                    yield event
            await moved.wait()

    async def apply_status(
        self, resource: Resource, manifest: JsonObject, *, field_manager: str, force: bool = True
    ) -> JsonObject:
        key = (resource.plural, key_of(manifest))
        if self.refuses_statuses:
            self.refused += 1
            raise Unavailable(Target("apply", resource.plural), 503, "ServiceUnavailable", "not now")
        there = self.objects[key]
        self.put(resource, {**there, "status": {**child(there, "status"), **child(manifest, "status")}})
        return self.objects[key]

    async def merge_patch(
        self, resource: Resource, name: str, patch: JsonObject, *, namespace: str = ""
    ) -> JsonObject:
        key = (resource.plural, ObjectKey(namespace=namespace, name=name))
        there = self.objects[key]
        self.put(resource, {**there, "spec": {**child(there, "spec"), **child(patch, "spec")}})
        return self.objects[key]

    async def request(self, method: str, path: str) -> JsonObject:
        return {"keys": [_KEY.jwk()]} if path == "/openid/v1/jwks" else {"issuer": ISSUER}

    async def token_review(self, token: str, audiences: tuple[str, ...] = ()) -> TokenReview:
        user = UserInfo(USERNAME, ACCOUNT_UID, (), {"authentication.kubernetes.io/pod-uid": (POD_UID,)})
        return TokenReview(authenticated=True, user=user, audiences=(AUDIENCE_GATEWAY,), error="")


@dataclass
class Cluster:
    """The gateway, and the agent ``enricher`` of the namespace ``sales`` with its one pod."""

    api: Api
    folder: Path
    gateway: Gateway
    url: str = ""
    tokens: list[str] = field(default_factory=list)

    @property
    def token_file(self) -> Path:
        """The pod's projected token."""
        return self.folder / "token"

    def issue(self, seconds: int = 600) -> None:
        """Put a new token into the pod, in place of the old one, as the kubelet does."""
        now = int(time.time())
        said = claims(iat=now, nbf=now, exp=now + seconds, jti=str(len(self.tokens)))
        self.tokens.append(_KEY.sign(said).decode())
        draft = self.token_file.with_suffix(".new")
        draft.write_text(self.tokens[-1])
        draft.replace(self.token_file)

    def task(self, uid: str, given: JsonObject, *, recorded: bool = True, deadline: str = "1h") -> None:
        """A Task of the agent, on its pod."""
        metadata: JsonObject = {"uid": uid, "creationTimestamp": datetime.now(UTC).isoformat()}
        spec: JsonObject = {"agentRef": {"name": "enricher"}, "input": given, "deadline": deadline}
        status: JsonObject = {"revision": "enricher-1"}
        if recorded:
            status["pod"] = {"name": "t1-pod", "uid": POD_UID}
        self.api.put(TASKS, raw("Task", uid, metadata=metadata, spec=spec, status=status))

    def end(self, uid: str, reason: str) -> None:
        """End a Task as the operator does."""
        condition: JsonObject = {**READY, "type": "Succeeded", "status": "False", "reason": reason}
        self.api.status(uid, conditions=[condition])

    async def result(self, uid: str) -> JsonObject:
        """What was handed in for a Task, once it was; the operator ends it then."""
        key = ("tasks", ObjectKey(namespace="sales", name=uid))
        async with asyncio.timeout(WAIT_SECONDS):
            while not (result := child(child(self.api.objects[key], "status"), "result")):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        succeeded = text(result, "outcome") == "Succeeded"
        condition: JsonObject = {
            **READY,
            "type": "Succeeded",
            "status": str(succeeded),
            "reason": "Completed",
        }
        self.api.status(uid, conditions=[condition])
        return result

    def helper_settings(
        self, port: int = 0, tasks: PodTasks = PodTasks.MANY, bounds: Bounds = QUICK, path: str = "/"
    ) -> HelperSettings:
        """What the pod's helper is told, beside an A2A server on ``port``, if there is one."""
        _, _, at = self.url.rpartition(":")
        return HelperSettings(
            gateway_host=LOOPBACK,
            gateway_port=int(at),
            token_file=self.token_file,
            ca_file=self.folder / "ca.crt",
            tasks=tasks,
            server=A2aServer(port, path) if port else None,
            marker=self.folder / "marker",
            port=0,
            bounds=bounds,
        )

    @asynccontextmanager
    async def helper(
        self, port: int = 0, tasks: PodTasks = PodTasks.MANY, bounds: Bounds = QUICK, path: str = "/"
    ) -> AsyncGenerator[str]:
        """Run the pod's helper; yield its URL."""
        settings = self.helper_settings(port, tasks, bounds, path)
        stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
        running = asyncio.create_task(run_helper(settings, stop, listening))
        try:
            yield f"http://{LOOPBACK}:{await listening}"
        finally:
            stop.set()
            await running


def _objects(
    tool_url: str, model_url: str, spec: JsonObject, owner: JsonObject
) -> list[tuple[Resource, JsonObject]]:
    full: JsonObject = {"model": {"name": "default"}, "delegates": ["writer"], **spec}
    agent = raw_agent(**full)  # type: ignore[arg-type] # parts of a spec
    actions: list[JsonValue] = [
        {"name": name, "access": "Read", "risk": "Low"} for name in ("search_contacts", "get_contact")
    ]
    labels: JsonObject = {"labels": {"app.kubernetes.io/managed-by": "aos"}}
    ownership: JsonObject = {"labels": {"aos.dev/agent": "enricher"}, "ownerReferences": [owner]}
    writer: JsonObject = {
        **raw_agent("writer"),
        "status": {"observedGeneration": 1, "conditions": [READY]},
    }
    pod = raw_pod(podIP=LOOPBACK, podIPs=[{"ip": LOOPBACK}], metadata=ownership)
    frozen = child(agent, "spec")
    revision: JsonObject = {"instructions": frozen["instructions"], "spec": frozen, "image": "own:1"}
    return [
        (NAMESPACES, raw("Namespace", "sales", "")),
        (POLICIES, raw_policy(rules=[ALLOW_ALL])),
        (AGENTS, agent),
        (AGENTS, writer),
        (TOOLS, raw("Tool", "crm", spec={"type": "MCP", "url": tool_url, "actions": actions})),
        (MODELS, raw("Model", "default", spec={"url": model_url, "model": "scripted-1"})),
        (
            SERVICE_ACCOUNTS,
            raw("ServiceAccount", "aos-agent-enricher", metadata={"uid": ACCOUNT_UID, **labels}),
        ),
        (CONTROLLER_REVISIONS, raw("ControllerRevision", "enricher-1", metadata=labels, data=revision)),
        (PODS, pod),
    ]


SERVICE: JsonObject = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "name": "r",
    "uid": "r",
    "controller": True,
}


@asynccontextmanager
async def cluster(
    folder: Path,
    tool_url: str = "http://127.0.0.1:9/mcp",
    model_url: str = "http://127.0.0.1:9/v1",
    owner: JsonObject = SERVICE,
    settings: Mapping[str, JsonValue] | None = None,
    credential: str = "",
    **spec: JsonValue,
) -> AsyncGenerator[Cluster]:
    """Run a gateway; its agent's one pod is a Service's unless ``owner`` says otherwise.

    Args:
        folder: for the pod's files and the gateway's store.
        tool_url: the Tool ``crm``.
        model_url: the Model ``default``.
        owner: the pod's controller.
        settings: of the gateway.
        credential: what Tool and Model are called with.
        spec: more of the agent's.
    """
    api, authority = Api(), Authority()
    for resource, item in _objects(tool_url, model_url, spec, owner):
        is_called = credential and resource in (TOOLS, MODELS)
        more: JsonObject = (
            {"auth": {"secretRef": {"name": "credentials", "key": "token"}}} if is_called else {}
        )
        api.put(resource, {**item, "spec": {**child(item, "spec"), **more}})
    held: JsonObject = {"token": base64.b64encode(credential.encode()).decode()}
    api.put(SECRETS, raw("Secret", "credentials", data=held))
    pair = authority.issue()
    data: JsonObject = {
        "tls.crt": base64.b64encode(pair.certificate).decode(),
        "tls.key": base64.b64encode(pair.key).decode(),
    }
    api.put(SECRETS, raw("Secret", GATEWAY_TLS_SECRET, "aos-system", data=data))
    (folder / "ca.crt").write_bytes(authority.certificate)
    said = GatewaySettings.model_validate(
        {
            "namespace": "aos-system",
            "listen_address": LOOPBACK,
            "port": 0,
            "admin_port": 0,
            "health_port": 0,
            "hook_port": 0,
            "stop_delay_seconds": 0,
            "drain_seconds": 1,
            **(settings or {}),
        }
    )
    store = SqliteStore(folder / "store.db", "gateway-0-1")
    await store.open()
    async with open_client(said) as http:
        gateway = Gateway(cast("ApiClient", api), http, store, said)
        ports, stop = gateway.bind(), asyncio.Event()
        serving = asyncio.create_task(gateway.serve(ports, stop))
        made = Cluster(api, folder, gateway, f"https://{LOOPBACK}:{ports.agents.port}")
        made.issue()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not ports.agents.is_serving:
                    if serving.done():
                        await serving
                    await asyncio.sleep(0.005)
            yield made
        finally:
            stop.set()
            await serving
