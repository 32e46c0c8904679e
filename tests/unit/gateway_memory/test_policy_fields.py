"""Each field of Policy and ClusterPolicy, one case each: requests to ``/v1/memory`` for a value that agents share."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

import pytest
from pydantic import JsonValue

from aos.gateway.mcp.system import SystemCall, SystemResult
from aos.gateway.memory.places import key_of, owner_of
from aos.gateway.memory.system import MemorySystem
from aos.model.base import JsonObject
from aos.model.tool import Tool, ToolType
from aos.store.interface import MemoryPut, Store
from tests.unit.gateway_control.world import opened
from tests.unit.gateway_mcp.make import NAMESPACE
from tests.unit.gateway_mcp.policy_bench import HASTY, Answered, Halves, check, of, telling
from tests.unit.gateway_mcp.policy_cases import READ, WRITE, Case, Made
from tests.unit.gateway_mcp.world import Gateway, gateway
from tests.unit.gateway_memory.world import request

SPELLED: Mapping[str, JsonValue] = {
    "get_*": "get",
    "update_*": "put",
    "args.id == '7'": "args.value.id == '7'",
    "args.id == '8'": "args.value.id == '8'",
    "id": "value.id",
    "contact/${args.id}": "contact/${args.value.id}",
}
"""What policies of other systems say, as it is said of a value that is put."""


def spelled(value: JsonValue) -> JsonValue:
    """Return part of a policy, or of a Tool, as it is written for a memory."""
    if isinstance(value, dict):
        return {name: spelled(part) for name, part in value.items()}
    if isinstance(value, list):
        return [spelled(part) for part in value]
    return SPELLED.get(value, value) if isinstance(value, str) else value


def _of_a_memory(case: Case) -> Case:
    parts = {name: spelled(value) for name, value in case.parts.items()}
    cluster = case.cluster and {name: spelled(value) for name, value in case.cluster.items()}
    # What a put answers is its version, and nothing of the value.
    says = "" if case.hides and case.calls[-1].action == "update_contact" else case.says
    return replace(case, parts=parts, cluster=cluster, says=says)


NOT_OF_A_MEMORY = ("conflicts.duplicateWindowSeconds",)
TELLING = {
    path: [_of_a_memory(case) for case in cases]
    for path, cases in telling().items()
    if path not in NOT_OF_A_MEMORY
}


class Counted(MemorySystem):
    """The system, with its calls counted."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.calls = 0

    async def call(self, call: SystemCall) -> SystemResult:
        self.calls += 1
        return await super().call(call)


@dataclass
class MemoryBench:
    """A gateway that keeps what the case says."""

    front: Gateway
    target: Tool
    store: Store
    system: Counted

    @property
    def sent(self) -> int:
        return self.system.calls

    async def call(self, case: Case, made: Made) -> Answered:
        """Make a call; one that says anything of its own is a put."""
        self.front.caller = of(case, made, self.target)
        if made.action == "get_contact" and made.arguments == {"id": "7"}:
            await self._keep(case.result)
            answer = await request(self.front, "GET", "crm")
        else:
            answer = await request(self.front, "PUT", "crm", {"value": dict(made.arguments)})
        error = answer.json().get("error", {})
        after = answer.headers.get("retry-after")
        return Answered(error.get("code", ""), answer.text, int(after) if after else None)

    async def _keep(self, value: JsonValue) -> None:
        by = self.front.caller.task
        key, owner = key_of(self.target, by), owner_of(self.target, by)
        await self.store.put_memory(MemoryPut(key, owner, NAMESPACE, json.dumps(value).encode(), 60, None))


@pytest.fixture
async def bench() -> AsyncIterator[MemoryBench]:
    async with opened() as store, gateway(HASTY, store, sampler=Halves()) as front:
        system = Counted(store)
        assert isinstance(front.systems, dict)
        front.systems[ToolType.MEMORY] = system
        target = Tool.parse(
            {
                "metadata": {"name": "crm", "namespace": NAMESPACE, "uid": "uid-crm", "generation": 1},
                "spec": {"type": "Memory", "memory": {"scope": "Namespace"}, "actions": _actions()},
            }
        )
        await front.offer(target)
        yield MemoryBench(front, target, store, system)


def _actions() -> list[JsonValue]:
    write: JsonObject = {name: spelled(value) for name, value in WRITE.items()}
    return [{**READ, "name": "get"}, {**write, "name": "put"}]


@pytest.mark.parametrize(
    ("path", "case"),
    [
        pytest.param(path, case, id=f"{path}-{number}")
        for path, cases in TELLING.items()
        for number, case in enumerate(cases)
    ],
)
async def test_a_field_holds_what_agents_share(bench: MemoryBench, path: str, case: Case) -> None:
    await check(bench, path, case)
