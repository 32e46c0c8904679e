"""Agents: gather, reconcile, act."""

from collections.abc import Mapping
from dataclasses import replace

from aos.controllers.acting import RefusedError
from aos.controllers.keys import Key
from aos.controllers.store import Entry, F
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World
from aos.model.agent import Agent
from aos.model.model import Model
from aos.model.names import agent_network_policy, agent_service_account
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.reconcile.agent import ObservedAgent, reconcile_agent
from aos.reconcile.plan import ChildKey


async def reconcile(world: World, key: Key) -> None:
    """Bring one Agent to its desired state.

    Raises:
        RefusedError: the API server refused a child.
        ApiError: it could not be reached, or the Agent changed meanwhile.
    """
    if await reconcile_if_unreadable(world, key):
        return
    agent = world.objects.agents.get(key.namespace, key.name)
    if agent is None:
        return
    raw = world.objects.agents.raw(key.namespace, key.name)
    observed = gather(world, agent)
    now = world.now()
    plan = reconcile_agent(observed, world.settings, now)
    refused = await world.actor.apply(plan.apply)
    if refused:
        plan = reconcile_agent(replace(observed, refused=refused), world.settings, now)
    await world.actor.delete(key.namespace, plan.delete)
    if plan.status is not None:
        await world.actor.write_status("Agent", raw, plan.status)
    world.actor.tell(raw, plan.events)
    if refused:
        raise RefusedError(refused)


def gather(world: World, agent: Agent) -> ObservedAgent:
    """Return what is observed of an Agent."""
    namespace, name = agent.metadata.namespace, agent.metadata.name
    source = agent.spec.instructions_from
    children = world.cluster.children
    agents = world.objects.agents.within(namespace)
    revisions = children.revisions_of(namespace, name)
    keys = [
        ChildKey("ServiceAccount", agent_service_account(name)),
        ChildKey("NetworkPolicy", agent_network_policy(name)),
        *(ChildKey("ControllerRevision", item.name) for item in revisions),
    ]
    open_tasks = [facts for _, facts in world.objects.tasks_of(namespace, name) if facts.ended_at is None]
    run = {revision for facts in open_tasks for revision in (facts.revision, facts.pinned)}
    return ObservedAgent(
        agent=agent,
        namespace_labels=world.cluster.namespace_labels(namespace),
        tools=_tools(world, namespace),
        models=_models(world, namespace),
        agents=frozenset(other for other, entry in agents.items() if not entry.problem),
        policies=_policies(world, namespace),
        unreadable=_unreadable(world.objects.policies.within(namespace)),
        cluster_policies=[
            entry.facts for entry in world.objects.cluster_policies.within("").values() if entry.facts
        ],
        unreadable_cluster=_unreadable(world.objects.cluster_policies.within("")),
        instructions=world.cluster.config_map(namespace, source.config_map_key_ref.name) if source else None,
        children=children.present(namespace, keys),
        revisions=revisions,
        revisions_in_use=world.objects.executions.pinned(namespace, name) | run,
        gateways=world.gateways.reports(namespace, name),
        guard=world.state.guard,
        judged={
            uid: facts.judged
            for uid, facts in world.objects.requests.of_agent(namespace, name)
            if facts.judged is not None
        },
    )


def _tools(world: World, namespace: str) -> dict[str, Tool]:
    entries = world.objects.tools.within(namespace)
    return {name: entry.facts for name, entry in entries.items() if entry.facts is not None}


def _models(world: World, namespace: str) -> dict[str, Model]:
    entries = world.objects.models.within(namespace)
    return {name: entry.facts for name, entry in entries.items() if entry.facts is not None}


def _unreadable(entries: Mapping[str, Entry[F]]) -> list[str]:
    return [name for name, entry in entries.items() if entry.problem]


def _policies(world: World, namespace: str) -> list[Policy]:
    entries = world.objects.policies.within(namespace)
    return [entry.facts for entry in entries.values() if entry.facts is not None]
