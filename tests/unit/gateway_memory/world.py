"""Tools of type Memory, and agents that share what they keep."""

from collections.abc import Sequence
from dataclasses import replace

import httpx2
from mcp.types import CallToolResult
from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.model.base import JsonObject
from aos.model.policy import Policy
from aos.model.task import Task
from aos.model.tool import Tool
from aos.policy.effective import PolicyInputs, effective_policy
from tests.unit.gateway_mcp.make import ALLOW_ALL, NAMESPACE, agent, caller, task
from tests.unit.gateway_mcp.world import Gateway

ACCESS = {"get": "Read", "put": "Write", "delete": "Write"}


def memory_tool(
    name: str = "notes",
    *,
    scope: str = "Run",
    schema: JsonObject | None = None,
    ttl: str = "1h",
    max_bytes: int = 100,
    uid: str = "",
    namespace: str = NAMESPACE,
    risk: str = "Low",
    put: JsonObject | None = None,
) -> Tool:
    memory: JsonObject = {"scope": scope, "ttl": ttl, "maxBytes": max_bytes}
    if schema is not None:
        memory["schema"] = schema
    actions: list[JsonValue] = [
        {"name": action, "access": access, "risk": risk, **(put or {} if action == "put" else {})}
        for action, access in ACCESS.items()
    ]
    metadata: JsonObject = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-{name}",
        "generation": 1,
    }
    return Tool.parse(
        {"metadata": metadata, "spec": {"type": "Memory", "memory": memory, "actions": actions}}
    )


def at_work(
    tools: Sequence[Tool],
    of: Task | None = None,
    rules: Sequence[JsonObject] = (ALLOW_ALL,),
    **spec: JsonValue,
) -> Caller:
    """Return an agent that asks for ``tools``, at work on a Task, under a policy with ``rules`` and whatever else."""
    policy = {"agents": {}, "rules": [dict(rule) for rule in rules], **spec}
    effective = effective_policy(
        PolicyInputs(
            agent=agent(tools=[item.metadata.name for item in tools]),
            namespace_labels={},
            tools={item.metadata.name: item for item in tools},
            policies=[Policy.parse({"metadata": {"name": "p", "namespace": NAMESPACE}, "spec": policy})],
        )
    )
    return replace(caller(effective, of or task()), namespace=tools[0].metadata.namespace)


async def serve_for(front: Gateway, by: Caller) -> None:
    """Let the next calls be those of ``by``."""
    front.caller = front.held.people.caller = by
    for tool in by.policy.tools.values():
        front.registry.tool_objects[tool.metadata.name] = tool
        await front.catalogue.refresh(tool.key)


async def call(
    front: Gateway, action: str, arguments: JsonObject | None = None, tool: str = "notes"
) -> CallToolResult:
    async with front.client("auto") as client:
        return await client.call_tool(f"{tool}.{action}", arguments or {})


def said(result: CallToolResult) -> JsonObject:
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def version(result: CallToolResult) -> int:
    assert not result.is_error, result
    number = said(result)["version"]
    assert isinstance(number, int)
    return number


async def request(
    front: Gateway, method: str, tool: str = "notes", body: JsonValue = None, **headers: str
) -> httpx2.Response:
    """Make one request by plain HTTP; ``if_match`` is If-Match."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient() as client:
        url = f"{front.url}/v1/memory/{tool}"
        if method == "PUT":
            return await client.request(method, url, headers=named, json=body)
        return await client.request(method, url, headers=named)
