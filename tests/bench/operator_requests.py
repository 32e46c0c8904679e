"""Requests for approval that wait, for the operator to look after: made as the gateway makes them, and decided by one person."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from aos.kube.client import ApiClient, Selection
from aos.kube.objects import child, metadata_of, text, uid_of
from aos.kube.resources import AGENTS, APPROVAL_REQUESTS, TASKS
from aos.model.base import JsonObject
from hack.cluster.handle import Handle
from tests.bench.cluster import create_all, manifest
from tests.bench.operator_process import GATEWAY_ACCOUNT
from tests.bench.operator_world import AgentName

PER_TASK = 20
"""Requests of one Task; the gateway holds as many calls of one agent at once."""
_POLL_SECONDS = 1.0
_DIGEST = "sha256:" + "0" * 64
_AT_ONCE = 16


async def ask(cluster: Handle, client: ApiClient, names: list[AgentName], folder: Path, count: int) -> None:
    """Make requests about calls of Tasks of these agents."""
    kubeconfig = folder / "gateway.kubeconfig"
    kubeconfig.write_bytes(cluster.user(GATEWAY_ACCOUNT, "system:masters").read_bytes())
    chosen = names[: -(-count // PER_TASK)]
    async with await ApiClient.connect(kubeconfig) as gateway:
        made = [await _task(client, name) for name in chosen]
        objects = [
            (APPROVAL_REQUESTS, _request(made[index % len(made)], f"apr-{index}")) for index in range(count)
        ]
        await create_all(gateway, objects)


async def approve_all(client: ApiClient) -> None:
    """Approve every request, in the name of whom the API server takes the client for."""
    who = (await client.self_subject_review()).username
    gate = asyncio.Semaphore(_AT_ONCE)

    async def approve(item: JsonObject) -> None:
        decision: JsonObject = {"approver": who, "verdict": "Approve"}
        metadata = metadata_of(item)
        async with gate:
            await client.merge_patch(
                APPROVAL_REQUESTS,
                text(metadata, "name"),
                {"spec": {"decisions": [decision]}},
                namespace=text(metadata, "namespace"),
            )

    async with asyncio.TaskGroup() as group:
        async for item in client.list(APPROVAL_REQUESTS, Selection()):
            group.create_task(approve(item))


async def until_all(
    client: ApiClient, count: int, holds: Callable[[JsonObject], bool], check: Callable[[], None]
) -> None:
    """Wait until so many requests have a status that ``holds``."""
    while True:
        check()
        found = [child(item, "status") async for item in client.list(APPROVAL_REQUESTS, Selection())]
        if sum(holds(status) for status in found) >= count:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _task(client: ApiClient, name: AgentName) -> tuple[JsonObject, JsonObject]:
    """Return an agent, and a Task of it that is open."""
    spec: JsonObject = {"agentRef": {"name": name.name}, "deadline": "24h"}
    task = await client.create(TASKS, manifest(TASKS, f"held-{name.name}", name.namespace, spec=spec))
    return await client.get(AGENTS, name.name, name.namespace), task


def _request(of: tuple[JsonObject, JsonObject], name: str) -> JsonObject:
    agent, task = of
    owner: JsonObject = {
        "apiVersion": TASKS.api_version,
        "kind": TASKS.kind,
        "name": text(metadata_of(task), "name"),
        "uid": uid_of(task),
    }
    status = child(agent, "status")
    spec: JsonObject = {
        "agent": {"name": text(metadata_of(agent), "name"), "revision": text(status, "revision")},
        "task": {"name": owner["name"], "uid": owner["uid"]},
        "requestedBy": "ada",
        "tool": "crm",
        "action": "update_contact",
        "access": "Write",
        "risk": "Medium",
        "summary": "update_contact of crm",
        "arguments": "{}",
        "argumentsDigest": _DIGEST,
        "definitionDigest": _DIGEST,
        "policyDigest": text(child(status, "policy"), "digest"),
        "quorums": [{"rule": "risk Medium", "required": 1}],
        "expiresAt": "2099-01-01T00:00:00Z",
    }
    namespace = text(metadata_of(task), "namespace")
    return manifest(APPROVAL_REQUESTS, name, namespace, {"ownerReferences": [owner]}, spec=spec)
