"""Each field of Policy and ClusterPolicy, one case each: calls of a real client to an MCP server behind the gateway."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from pydantic import JsonValue
from starlette.types import Send

from aos.model.base import JsonObject
from aos.model.tool import Tool
from tests.unit.gateway_mcp.make import NAMESPACE, definition
from tests.unit.gateway_mcp.policy_bench import HASTY, Answered, Halves, check, of
from tests.unit.gateway_mcp.policy_cases import CASES, READ, WRITE, Case, Made
from tests.unit.gateway_mcp.world import Gateway, Seen, answer, gateway, scripted

ANYTHING: JsonObject = {"id": {"type": "string"}, "note": {"type": "string"}}


def tool(url: str) -> Tool:
    return Tool.parse(
        {
            "metadata": {"name": "crm", "namespace": NAMESPACE, "uid": "uid-crm", "generation": 1},
            "spec": {"type": "MCP", "url": url, "actions": [READ, WRITE]},
        }
    )


@dataclass
class McpBench:
    """A gateway before an MCP server that answers what the case says."""

    front: Gateway
    target: Tool
    seen: Seen
    answers: list[JsonValue]

    @property
    def sent(self) -> int:
        return len(self.seen.of("tools/call"))

    async def call(self, case: Case, made: Made) -> Answered:
        self.front.caller = of(case, made, self.target)
        self.answers[:] = [case.result]
        async with self.front.client("2026-07-28", "crm") as client:
            result = await client.call_tool(made.action, dict(made.arguments))
        facts = (result.structured_content or {}) if result.is_error else {}
        return Answered(
            facts.get("reason", ""), result.model_dump_json(by_alias=True), facts.get("retryAfterSeconds")
        )


@pytest.fixture
async def bench() -> AsyncIterator[McpBench]:
    answers: list[JsonValue] = []

    async def on_call(_: str, message: JsonObject, send: Send) -> None:
        result = answers[0]
        said = result if isinstance(result, str) else json.dumps(result)
        content: JsonObject = {"content": [{"type": "text", "text": said}]}
        if isinstance(result, dict):
            content["structuredContent"] = result
        await answer(send, message, content)

    definitions = [definition(str(action["name"]), ANYTHING) for action in (READ, WRITE)]
    async with scripted(definitions, on_call) as (url, _, seen), gateway(HASTY, sampler=Halves()) as front:
        target = tool(url)
        await front.offer(target)
        yield McpBench(front, target, seen, answers)


@pytest.mark.parametrize(
    ("path", "case"),
    [
        pytest.param(path, case, id=f"{path}-{number}")
        for path, cases in CASES.items()
        for number, case in enumerate(cases)
    ],
)
async def test_a_field_holds_calls_of_tools(bench: McpBench, path: str, case: Case) -> None:
    await check(bench, path, case)
