"""A call that is made for another agent is judged, listed and bound by that one's policy, too."""

from dataclasses import replace

import pytest
from mcp.types import CallToolResult
from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.task import Task
from aos.model.tool import Tool
from aos.policy.effective import EffectivePolicy
from tests.unit.gateway_mcp.make import ALLOW_ALL, NAMESPACE, agent, definition, merged, tool
from tests.unit.gateway_mcp.world import Gateway, answer, gateway, scripted

BOTH = [definition("get_contact"), definition("update_contact")]
READ_ONLY: JsonObject = {
    "name": "read",
    "effect": "Allow",
    "tools": [{"name": "crm", "actions": ["get_*"]}],
}
ON_TUESDAYS: JsonObject = {**ALLOW_ALL, "name": "tuesdays", "when": "args.id == 'tuesday'"}
NO_TOOLS = agent(tools=())


async def answers(_: str, body: JsonObject, send: object) -> None:
    await answer(send, body, {"content": [{"type": "text", "text": "done"}]})  # type: ignore[arg-type]


def reason(result: CallToolResult) -> JsonValue:
    return result.structured_content["reason"] if result.structured_content else ""


async def call(front: Gateway, action: str) -> CallToolResult:
    async with front.client("auto") as client:
        return await client.call_tool(f"crm.{action}", {"id": "7"})


def acting_for(front: Gateway, *ancestors: EffectivePolicy) -> None:
    lineage: list[JsonValue] = [
        {"agent": "enricher", "task": f"t{number}", "taskUID": f"u{number}"}
        for number in range(len(ancestors))
    ]
    spec: JsonObject = {"agentRef": {"name": "enricher"}, "lineage": lineage}
    task = Task.parse({"metadata": {"name": "t9", "namespace": NAMESPACE, "uid": "u9"}, "spec": spec})
    front.caller = replace(front.caller, task=task, ancestors=ancestors)


async def test_attack_19_a_call_is_denied_that_an_agent_that_led_there_may_not_make() -> None:
    async with scripted(BOTH, answers) as (url, _, _), gateway() as front:
        crm: Tool = tool(url)
        await front.offer(crm)
        assert not (await call(front, "update_contact")).is_error
        acting_for(front, merged([crm], ALLOW_ALL), merged([crm], READ_ONLY))
        denied = await call(front, "update_contact")
        assert (denied.is_error, reason(denied)) == (True, "NotAllowed")
        assert "made for agent enricher" in str(denied.structured_content)
        assert not (await call(front, "get_contact")).is_error
        async with front.client("auto") as client:
            listed = [item.name for item in (await client.list_tools()).tools]
    assert listed == ["crm.get_contact"]


@pytest.mark.parametrize(
    ("ancestor", "expected"),
    [
        (lambda crm: merged([crm]), "NoPolicy"),
        (lambda crm: merged([], ALLOW_ALL, of=NO_TOOLS), "ToolUnknown"),
        (lambda crm: merged([crm], ALLOW_ALL, of=agent(suspend=True)), "AgentSuspended"),
        (lambda crm: merged([crm], ON_TUESDAYS), "NotAllowed"),
    ],
    ids=["no policy", "no tools", "suspended", "a condition"],
)
async def test_whatever_keeps_an_ancestor_from_a_call_keeps_its_delegate_from_it(
    ancestor: object, expected: str
) -> None:
    assert callable(ancestor)
    async with scripted(BOTH, answers) as (url, _, _), gateway() as front:
        crm: Tool = tool(url)
        await front.offer(crm)
        acting_for(front, ancestor(crm))
        denied = await call(front, "get_contact")
    assert (denied.is_error, reason(denied)) == (True, expected)


async def test_of_what_an_ancestor_may_never_call_nothing_is_said_of_the_tool() -> None:
    async with gateway() as front:
        crm: Tool = tool("http://127.0.0.1:9/mcp")
        await front.offer(crm)
        assert reason(await call(front, "get_contact")) == "UpstreamUnreachable"
        acting_for(front, merged([], ALLOW_ALL, of=NO_TOOLS))
        assert reason(await call(front, "get_contact")) == "ToolUnknown"
