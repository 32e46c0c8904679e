"""What the gateway needs to find in a cluster before it lets one agent's call through."""

import base64
from dataclasses import dataclass

import orjson
from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.objects import child, text, uid_of
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
from hack.cluster.pki import Credential
from tests.bench.cluster import manifest
from tests.bench.gateway_servers import ACTIONS
from tests.bench.load import Request
from tests.bench.processes import LOOPBACK

SYSTEM = "aos-system"
TEAM = "sales"
AGENT = "enricher"
TASK = "bench"
CREDENTIAL = "bench-credential"
REQUESTER = "ana@example.com"
TOKEN_SECONDS = 7200
OURS: JsonObject = {"labels": {LABEL_MANAGED_BY: MANAGED_BY}}

AGENT_SPEC: JsonObject = {
    "owner": {"team": "revops"},
    "instructions": "Enrich the lead.",
    "model": {"name": "default"},
    "tools": [{"name": "crm", "actions": ["*"]}],
}
RULES: list[JsonValue] = [
    {
        "name": "read-own-territory",
        "effect": "Allow",
        "tools": [{"name": "crm", "access": ["Read"]}],
        "when": 'args.id.startsWith(agent.labels.territory + "-")',
    },
    {"name": "no-export", "effect": "Deny", "tools": [{"name": "*", "actions": ["export_*"]}]},
]
MOST = 1_000_000_000
"""No bound is ever met: what is measured is what it costs to count."""
BOUNDS: JsonObject = {
    "limits": [{"name": "calls", "calls": MOST, "per": "1m"}],
    "budgets": [{"name": "daily", "calls": MOST, "tokens": MOST, "per": "24h", "scope": "Namespace"}],
    "loops": {"maxIdenticalCalls": MOST, "maxCallsPerTask": MOST},
    "data": {"redact": ["pii"], "block": ["secret"], "maxResponseBytes": 262_144},
}


@dataclass(frozen=True)
class Pod:
    """The pod that calls."""

    name: str
    uid: str


READS: list[JsonValue] = [{"name": name, "access": "Read", "risk": "Low"} for name in ACTIONS]
POLICY: JsonObject = {"agents": {}, "rules": RULES, **BOUNDS}


async def build(
    client: ApiClient,
    tool_port: int,
    certificate: Credential,
    actions: list[JsonValue] = READS,
    policy: JsonObject = POLICY,
) -> str:
    """Create every object; return the pod's token."""
    for namespace in (SYSTEM, TEAM):
        await client.create(NAMESPACES, manifest(NAMESPACES, namespace, ""))
    await _keep_certificate(client, certificate)
    await _systems(client, f"http://{LOOPBACK}:{tool_port}", actions, policy)
    await _agent(client)
    pod = await _task(client)
    return await _token(client, pod)


def call(token: str, action: str, identifier: str = "emea-0001") -> Request:
    """Return the call of an action, as an agent's client sends it."""
    return _request(
        token,
        "tools/call",
        {
            "name": f"crm.{action}",
            "arguments": {
                "id": identifier,
                "territory": "emea",
                "fields": ["name", "email", "stage", "score"],
                "limit": 10,
            },
        },
        {"Mcp-Name": f"crm.{action}"},
    )


def listing(token: str) -> Request:
    """Return the request for the actions that the agent may call."""
    return _request(token, "tools/list", {}, {})


def _request(token: str, method: str, params: JsonObject, headers: dict[str, str]) -> Request:
    meta: JsonObject = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    return Request(
        "/mcp",
        {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "Mcp-Protocol-Version": "2026-07-28",
            "Mcp-Method": method,
            **headers,
        },
        orjson.dumps(message),
    )


async def _keep_certificate(client: ApiClient, certificate: Credential) -> None:
    content = {"tls.crt": certificate.certificate, "tls.key": certificate.key}
    data: JsonObject = {name: base64.b64encode(value).decode() for name, value in content.items()}
    await client.create(
        SECRETS, manifest(SECRETS, GATEWAY_TLS_SECRET, SYSTEM, type="kubernetes.io/tls", data=data)
    )


async def _systems(client: ApiClient, url: str, actions: list[JsonValue], policy: JsonObject) -> None:
    for name in ("crm", "model"):
        secret = manifest(SECRETS, f"{name}-credentials", TEAM, stringData={"token": f"{CREDENTIAL}-{name}"})
        await client.create(SECRETS, secret)
    await client.create(
        TOOLS,
        manifest(
            TOOLS,
            "crm",
            TEAM,
            spec={
                "type": "MCP",
                "url": f"{url}/mcp",
                "auth": {"type": "Bearer", "secretRef": {"name": "crm-credentials", "key": "token"}},
                "actions": actions,
            },
        ),
    )
    await client.create(
        MODELS,
        manifest(
            MODELS,
            "default",
            TEAM,
            spec={
                "url": f"{url}/v1",
                "model": "bench-1",
                "auth": {"type": "Bearer", "secretRef": {"name": "model-credentials", "key": "token"}},
            },
        ),
    )
    await client.create(POLICIES, manifest(POLICIES, "baseline", TEAM, spec=policy))


async def _agent(client: ApiClient) -> None:
    labels: JsonObject = {"labels": {"territory": "emea"}}
    await client.create(AGENTS, manifest(AGENTS, AGENT, TEAM, labels, spec=AGENT_SPEC))
    account = manifest(SERVICE_ACCOUNTS, agent_service_account(AGENT), TEAM, OURS)
    await client.create(SERVICE_ACCOUNTS, account)
    revision = manifest(
        CONTROLLER_REVISIONS,
        f"{AGENT}-1",
        TEAM,
        {"labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_AGENT: AGENT}},
        revision=1,
        data={"instructions": text(AGENT_SPEC, "instructions"), "spec": AGENT_SPEC, "image": "agent:1"},
    )
    await client.create(CONTROLLER_REVISIONS, revision)


async def _task(client: ApiClient) -> Pod:
    """Create the Task and its pod, and say of both what a node and the operator would."""
    task = await client.create(
        TASKS,
        manifest(
            TASKS, TASK, TEAM, spec={"agentRef": {"name": AGENT}, "deadline": "24h", "requestedBy": REQUESTER}
        ),
    )
    owner: JsonObject = {
        "apiVersion": TASKS.api_version,
        "kind": TASKS.kind,
        "name": TASK,
        "uid": uid_of(task),
        "controller": True,
    }
    made = await client.create(
        PODS,
        manifest(
            PODS,
            f"{TASK}-pod",
            TEAM,
            {"labels": {LABEL_AGENT: AGENT, LABEL_TASK: TASK}, "ownerReferences": [owner]},
            spec={
                "serviceAccountName": agent_service_account(AGENT),
                "automountServiceAccountToken": False,
                "containers": [{"name": "agent", "image": "agent:1"}],
            },
        ),
    )
    pod = Pod(f"{TASK}-pod", uid_of(made))
    running: JsonObject = {"phase": "Running", "podIP": LOOPBACK, "podIPs": [{"ip": LOOPBACK}]}
    await client.merge_patch(PODS, pod.name, {"status": running}, namespace=TEAM, subresource="status")
    status: JsonObject = {
        "observedGeneration": 1,
        "revision": f"{AGENT}-1",
        "pod": {"name": pod.name, "uid": pod.uid},
    }
    await client.apply_status(
        TASKS, manifest(TASKS, TASK, TEAM, status=status), field_manager=FIELD_MANAGER_OPERATOR
    )
    return pod


async def _token(client: ApiClient, pod: Pod) -> str:
    """Return a token as the kubelet projects it, but valid for the whole benchmark."""
    review: JsonObject = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": [AUDIENCE_GATEWAY],
            "expirationSeconds": TOKEN_SECONDS,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid},
        },
    }
    path = SERVICE_ACCOUNTS.object_path(TEAM, agent_service_account(AGENT), "token")
    return text(child(await client.request("POST", path, body=review), "status"), "token")
