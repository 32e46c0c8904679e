"""Each field of Policy and ClusterPolicy, one case each: calls of a real client to a REST system behind the gateway."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from aos.model.base import JsonObject
from aos.model.tool import Tool
from tests.unit.gateway_mcp.make import NAMESPACE
from tests.unit.gateway_mcp.policy_bench import HASTY, Answered, Halves, check, of, telling
from tests.unit.gateway_mcp.policy_cases import READ, WRITE, Case, Made
from tests.unit.gateway_mcp.world import Gateway, gateway
from tests.unit.gateway_openapi.documents import Desk, desk

TELLING = telling()
CONTACTS: JsonObject = {
    "openapi": "3.1.0",
    "info": {"title": "CRM", "version": "1"},
    "paths": {
        "/contacts/{id}": {
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                {"name": "note", "in": "query", "schema": {"type": "string"}},
            ],
            "get": {"operationId": "get_contact", "responses": {}},
            "put": {"operationId": "update_contact", "responses": {}},
        }
    },
}


@dataclass
class RestBench:
    """A gateway before a REST system that answers what the case says."""

    front: Gateway
    target: Tool
    system: Desk

    @property
    def sent(self) -> int:
        return len(self.system.asked)

    async def call(self, case: Case, made: Made) -> Answered:
        self.front.caller = of(case, made, self.target)
        is_text = isinstance(case.result, str)
        self.system.answer = (str(case.result) if is_text else json.dumps(case.result)).encode()
        self.system.headers = {"content-type": "text/plain" if is_text else "application/json"}
        async with self.front.client("2026-07-28", "crm") as client:
            result = await client.call_tool(made.action, dict(made.arguments))
        facts = (result.structured_content or {}) if result.is_error else {}
        return Answered(
            facts.get("reason", ""), result.model_dump_json(by_alias=True), facts.get("retryAfterSeconds")
        )


@pytest.fixture
async def bench() -> AsyncIterator[RestBench]:
    async with desk() as (url, system), gateway(HASTY, sampler=Halves()) as front:
        system.document = json.dumps(CONTACTS).encode()
        target = Tool.parse(
            {
                "metadata": {"name": "crm", "namespace": NAMESPACE, "uid": "uid-crm", "generation": 1},
                "spec": {
                    "type": "OpenAPI",
                    "url": url,
                    "openapi": {"path": "/openapi.json"},
                    "actions": [READ, WRITE],
                },
            }
        )
        await front.offer(target)
        yield RestBench(front, target, system)


@pytest.mark.parametrize(
    ("path", "case"),
    [
        pytest.param(path, case, id=f"{path}-{number}")
        for path, cases in TELLING.items()
        for number, case in enumerate(cases)
    ],
)
async def test_a_field_holds_calls_of_rest_systems(bench: RestBench, path: str, case: Case) -> None:
    await check(bench, path, case)
