"""Agents for the operator to look after, and how a benchmark sees from outside that it has done so."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from pydantic import JsonValue

from aos.kube.client import ApiClient, Selection
from aos.kube.objects import child, children, metadata_of, number, text, uid_of
from aos.kube.resources import (
    AGENTS,
    CONTROLLER_REVISIONS,
    MODELS,
    NAMESPACES,
    NETWORK_POLICIES,
    POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    TOOLS,
    Resource,
)
from aos.model.base import JsonObject
from aos.model.names import LABEL_MANAGED_BY, MANAGED_BY
from tests.bench.cluster import create_all, manifest

AGENTS_PER_NAMESPACE = 100
SETTLE_SECONDS = 600.0
CHECK_SECONDS = 1.0
OURS = Selection(label_selector=f"{LABEL_MANAGED_BY}={MANAGED_BY}")
WRITTEN: tuple[tuple[Resource, Selection], ...] = (
    (AGENTS, Selection()),
    (TOOLS, Selection()),
    (MODELS, Selection()),
    (POLICIES, Selection()),
    (SERVICE_ACCOUNTS, OURS),
    (NETWORK_POLICIES, OURS),
    (CONTROLLER_REVISIONS, OURS),
    (ROLES, OURS),
    (ROLE_BINDINGS, OURS),
)
"""Everything that the operator writes, but for its lease and its certificates."""


@dataclass(frozen=True)
class AgentName:
    """One agent."""

    namespace: str
    name: str


def agent_names(count: int) -> list[AgentName]:
    """Return the agents of a benchmark, a hundred to a namespace."""
    return [AgentName(f"team-{index // AGENTS_PER_NAMESPACE}", f"agent-{index}") for index in range(count)]


async def create_agents(client: ApiClient, names: list[AgentName]) -> None:
    """Create the agents, and what they refer to."""
    namespaces = sorted({name.namespace for name in names})
    await create_all(client, [(NAMESPACES, manifest(NAMESPACES, name, "")) for name in namespaces])
    shared = [item for namespace in namespaces for item in _shared(namespace)]
    await create_all(client, shared)
    await create_all(
        client,
        [
            (AGENTS, manifest(AGENTS, name.name, name.namespace, spec=agent_spec("Enrich the lead.")))
            for name in names
        ],
    )


def agent_spec(instructions: str) -> JsonObject:
    """Return what an agent is."""
    return {
        "owner": {"team": "revops"},
        "instructions": instructions,
        "model": {"name": "default"},
        "tools": [{"name": "crm", "actions": ["get_contact", "update_contact"]}],
        "output": {"schema": {"type": "object", "properties": {"score": {"type": "number"}}}},
    }


async def resource_versions(client: ApiClient) -> dict[str, str]:
    """Return the version of every object that the operator writes, by uid."""
    versions: dict[str, str] = {}
    for resource, selection in WRITTEN:
        async for item in client.list(resource, selection):
            versions[uid_of(item)] = text(metadata_of(item), "resourceVersion")
    return versions


@dataclass
class Seen:
    """What one watch has seen of one agent.

    Attributes:
        generation: of the spec.
        expected: generation that is known to exist.
        changed_at: when that generation came by.
        observed: generation that the status is about.
        accepted: whether the status says so.
    """

    generation: int = 0
    expected: int = 0
    changed_at: float = 0.0
    observed: int = 0
    accepted: bool = False


@dataclass
class Observer:
    """Follows all agents by one watch.

    Attributes:
        agents: by namespace and name.
        delays: seconds from each change of a spec to the status about it, both as the watch tells them.
    """

    agents: dict[AgentName, Seen] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, holds: Callable[[], bool], check: Callable[[], None]) -> None:
        """Return once ``holds`` does.

        Args:
            holds: asked after each event.
            check: called now and then; raises what makes waiting senseless.
        """
        async with asyncio.timeout(SETTLE_SECONDS):
            while not holds():
                self._moved.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), CHECK_SECONDS)
                check()

    def settled(self) -> int:
        """Return how many agents have an up-to-date status that accepts them."""
        return sum(
            item.accepted and item.observed == item.generation >= item.expected
            for item in self.agents.values()
        )

    def expect(self, name: AgentName, generation: int) -> None:
        """Take an agent for settled from this generation on only."""
        seen = self.agents[name]
        seen.expected = max(seen.expected, generation)

    def take(self, raw: JsonObject) -> None:
        """Take note of an agent as it is now."""
        metadata, status = metadata_of(raw), child(raw, "status")
        key = AgentName(text(metadata, "namespace"), text(metadata, "name"))
        seen = self.agents.setdefault(key, Seen())
        generation, observed = number(metadata, "generation"), number(status, "observedGeneration")
        now = time.perf_counter()
        if generation > seen.generation:
            seen.generation, seen.changed_at = generation, now
        if observed == generation and seen.observed != observed:
            self.delays.append(now - seen.changed_at)
        seen.observed = observed
        seen.accepted = any(
            text(item, "type") == "Accepted" and text(item, "status") == "True"
            for item in children(status, "conditions")
        )
        self._moved.set()


@contextlib.asynccontextmanager
async def observing(client: ApiClient) -> AsyncIterator[Observer]:
    """Give an observer that has seen every agent and goes on to look."""
    observer = Observer()
    version = ""
    async for page in client.list_pages(AGENTS):
        version = page.resource_version
        for item in page.items:
            observer.take(item)

    async def follow(since: str) -> None:
        while True:
            async with contextlib.aclosing(client.watch(AGENTS, resource_version=since)) as events:
                async for event in events:
                    since = text(metadata_of(event.object), "resourceVersion")
                    if event.type in ("ADDED", "MODIFIED"):
                        observer.take(event.object)

    following = asyncio.create_task(follow(version))
    try:
        yield observer
    finally:
        following.cancel()
        await asyncio.wait((following,))


def _shared(namespace: str) -> list[tuple[Resource, JsonObject]]:
    actions: list[JsonValue] = [
        {"name": "get_contact", "access": "Read", "risk": "Low"},
        {"name": "update_contact", "access": "Write", "risk": "Medium"},
    ]
    rules: list[JsonValue] = [
        {"name": "read", "effect": "Allow", "tools": [{"name": "crm", "access": ["Read"]}]},
        {"name": "no-export", "effect": "Deny", "tools": [{"name": "*", "actions": ["export_*"]}]},
    ]
    specs: list[tuple[Resource, str, JsonObject]] = [
        (TOOLS, "crm", {"type": "MCP", "url": "http://crm.invalid/mcp", "actions": actions}),
        (MODELS, "default", {"url": "http://model.invalid/v1", "model": "bench-1"}),
        (POLICIES, "baseline", {"agents": {}, "rules": rules}),
    ]
    return [(resource, manifest(resource, name, namespace, spec=spec)) for resource, name, spec in specs]
