"""Workflows and what they run on: agents that are ready, a gateway replica that says so, and Tasks that are answered at once."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.objects import child, children, metadata_of, text, uid_of
from aos.kube.resources import (
    AGENTS,
    ENDPOINT_SLICES,
    NAMESPACES,
    POLICIES,
    SERVICES,
    TASKS,
    TOOLS,
    WORKFLOW_RUNS,
    WORKFLOWS,
)
from aos.model.base import JsonObject
from aos.model.names import FIELD_MANAGER_GATEWAY
from tests.bench.cluster import create_all, manifest
from tests.bench.operator_process import HOME

NAMESPACE = "team-0"
WORKFLOW = "chain"
FAN = "fan"
WAIT_SECONDS = 1800.0
_POLL_SECONDS = 0.2
_AT_ONCE = 16

Check = Callable[[], None]
"""Raises what makes waiting senseless."""


@dataclass
class Answerer:
    """Plays the agents: hands in each Task's output as soon as the operator has recorded its pod.

    Attributes:
        answered: when the result of each step of each run was in, by the run's name and the step's place.
        delays: seconds from one step's result to the Task of the step after it.
        tasks: how many Tasks there were.
    """

    client: ApiClient
    steps: tuple[str, ...]
    answered: dict[tuple[str, int], float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def follow(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            version = ""
            async for page in self.client.list_pages(TASKS):
                version = page.resource_version
                for item in page.items:
                    self._take(item, group)
            while True:
                async with contextlib.aclosing(self.client.watch(TASKS, resource_version=version)) as events:
                    async for event in events:
                        version = text(metadata_of(event.object), "resourceVersion")
                        if event.type in ("ADDED", "MODIFIED"):
                            self._take(event.object, group)

    def _take(self, task: JsonObject, group: asyncio.TaskGroup) -> None:
        uid = uid_of(task)
        run = child(child(task, "spec"), "run")
        place = self.steps.index(text(run, "step"))
        if uid not in self.seen:
            self.seen.add(uid)
            before = self.answered.get((text(run, "name"), place - 1))
            if before is not None:
                self.delays.append(time.perf_counter() - before)
        if uid in self.done or not child(child(task, "status"), "pod"):
            return
        self.done.add(uid)
        group.create_task(self._answer(task, (text(run, "name"), place)))

    async def _answer(self, task: JsonObject, key: tuple[str, int]) -> None:
        metadata = metadata_of(task)
        moment = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        result: JsonObject = {"outcome": "Succeeded", "output": {"value": key[1]}, "time": moment}
        usage: JsonObject = {"calls": 1, "promptTokens": 100, "completionTokens": 20, "costMicroUSD": 50}
        said = manifest(
            TASKS,
            text(metadata, "name"),
            text(metadata, "namespace"),
            {"uid": uid_of(task)},
            status={"result": result, "usage": usage},
        )
        async with self._gate:
            await self.client.apply_status(TASKS, said, field_manager=FIELD_MANAGER_GATEWAY)
        self.answered[key] = time.perf_counter()


@contextlib.asynccontextmanager
async def answering(client: ApiClient, steps: tuple[str, ...]) -> AsyncIterator[Answerer]:
    """Give agents that answer all Tasks for the time of a block."""
    answerer = Answerer(client, steps)
    following = asyncio.create_task(answerer.follow())
    try:
        yield answerer
    finally:
        following.cancel()
        await asyncio.wait((following,))


def steps_of(count: int) -> tuple[str, ...]:
    """Return the names of the steps of a chain."""
    return tuple(f"step{index}" for index in range(count))


async def create_world(client: ApiClient, address: str, steps: tuple[str, ...]) -> None:
    """Make the gateway's Service, agents, and a Workflow in which each step takes the output of the one before."""
    service: JsonObject = {"ports": [{"name": "agents", "port": 8443, "protocol": "TCP"}]}
    endpoints: list[JsonValue] = [{"addresses": [address], "conditions": {"ready": True}}]
    labels: JsonObject = {"labels": {"kubernetes.io/service-name": "aos-gateway"}}
    await client.create(SERVICES, manifest(SERVICES, "aos-gateway", HOME, spec=service))
    await client.create(
        ENDPOINT_SLICES,
        manifest(
            ENDPOINT_SLICES,
            "aos-gateway",
            HOME,
            labels,
            addressType="IPv4",
            endpoints=endpoints,
            ports=[{"name": "agents", "port": 8443, "protocol": "TCP"}],
        ),
    )
    await client.create(NAMESPACES, manifest(NAMESPACES, NAMESPACE, ""))
    rules: list[JsonValue] = [{"name": "read", "effect": "Allow", "tools": [{"name": "crm"}]}]
    actions: list[JsonValue] = [{"name": "get_contact", "access": "Read", "risk": "Low"}]
    crm: JsonObject = {"type": "MCP", "url": "http://crm.invalid/mcp", "actions": actions}
    await client.create(TOOLS, manifest(TOOLS, "crm", NAMESPACE, spec=crm))
    await client.create(POLICIES, manifest(POLICIES, "all", NAMESPACE, spec={"agents": {}, "rules": rules}))
    output: JsonObject = {
        "type": "object",
        "required": ["value"],
        "properties": {"value": {"type": "integer"}},
    }
    for step in steps:
        agent: JsonObject = {
            "owner": {"team": "bench"},
            "instructions": "Count.",
            "tools": [{"name": "crm", "actions": ["get_contact"]}],
            "output": {"schema": output},
        }
        await client.create(AGENTS, manifest(AGENTS, step, NAMESPACE, spec=agent))
    made: list[JsonValue] = [
        {"name": step, "agent": step, "input": {"value": f"${{steps.{steps[index - 1]}.output.value}}"}}
        if index
        else {"name": step, "agent": step, "input": {"value": "${input.value}"}}
        for index, step in enumerate(steps)
    ]
    spec: JsonObject = {
        "input": {
            "schema": {"type": "object", "required": ["value"], "properties": {"value": {"type": "integer"}}}
        },
        "steps": made,
        "output": {"value": f"${{steps.{steps[-1]}.output.value}}"},
        "timeout": "24h",
        "history": {"succeeded": 1000, "failed": 1000},
    }
    await client.create(WORKFLOWS, manifest(WORKFLOWS, WORKFLOW, NAMESPACE, spec=spec))
    value: JsonObject = {"value": "${item}"}
    each: JsonObject = {
        "name": steps[0],
        "agent": steps[0],
        "forEach": "${input.values}",
        "maxParallel": 100,
        "input": value,
    }
    last: JsonObject = {"count": f"${{steps.{steps[0]}.output.size()}}"}
    fan: JsonObject = {"steps": [each], "output": last, "timeout": "24h"}
    await client.create(WORKFLOWS, manifest(WORKFLOWS, FAN, NAMESPACE, spec=fan))


async def start_fan(client: ApiClient, items: int) -> None:
    """Start a run that does one step for each of so many items."""
    spec: JsonObject = {"workflowRef": {"name": FAN}, "input": {"values": list(range(items))}}
    await client.create(WORKFLOW_RUNS, manifest(WORKFLOW_RUNS, FAN, NAMESPACE, spec=spec))


async def start_runs(client: ApiClient, count: int) -> None:
    """Start runs."""
    spec: JsonObject = {"workflowRef": {"name": WORKFLOW}, "input": {"value": 1}}
    await create_all(
        client,
        [
            (WORKFLOW_RUNS, manifest(WORKFLOW_RUNS, f"run-{index}", NAMESPACE, spec=spec))
            for index in range(count)
        ],
    )


async def until_ready(client: ApiClient, check: Check) -> None:
    """Wait until runs can be started.

    Raises:
        TimeoutError: they can't in time.
    """
    async with asyncio.timeout(WAIT_SECONDS):
        while condition(await client.get(WORKFLOWS, WORKFLOW, NAMESPACE), "Ready") != "True":
            check()
            await asyncio.sleep(_POLL_SECONDS)


def condition(raw: JsonObject, kind: str) -> str:
    """Return the status of a condition; empty if it is not set."""
    for item in children(child(raw, "status"), "conditions"):
        if text(item, "type") == kind:
            return text(item, "status")
    return ""
