"""Agents: gather, reconcile, act."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aos.controllers.acting import RefusedError
from aos.controllers.keys import Key
from aos.controllers.store import Entry, F
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.model import Model
from aos.model.names import agent_deployment, agent_network_policy, agent_service_account
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.reconcile.agent import ObservedAgent, reconcile_agent
from aos.reconcile.claim import Hold
from aos.reconcile.observed_pod import ObservedPod
from aos.reconcile.plan import ChildKey
from aos.reconcile.warm import WarmBounds, share_of

_log = logging.getLogger(__name__)


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
    if plan.confirm:
        observed = await _confirmed(world, observed)
        plan = reconcile_agent(observed, world.settings, now)
    refused = await world.actor.apply(plan.apply)
    if refused:
        plan = reconcile_agent(replace(observed, refused=refused), world.settings, now)
    await world.actor.delete(key.namespace, plan.delete)
    await _keep_warm(world, key, plan.keep)
    if plan.status is not None:
        await world.actor.write_status("Agent", raw, plan.status)
    world.actor.tell(raw, plan.events)
    if plan.requeue_after_seconds is not None:
        world.later(key, plan.requeue_after_seconds)
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
        ChildKey("Deployment", agent_deployment(name)),
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
        platform=world.state.platform,
        can_own_users=world.cluster.can_own_users(agent.spec.runtime.runtime_class_name),
        spares=world.pool.spares(namespace, name),
        warm=_warm_bounds(world, namespace, name),
        judged={
            uid: facts.judged
            for uid, facts in world.objects.requests.of_agent(namespace, name)
            if facts.judged is not None
        },
    )


def _warm_bounds(world: World, namespace: str, name: str) -> WarmBounds:
    asked = world.objects.warm_asked(namespace)
    if name not in asked:
        return WarmBounds()
    share = share_of(name, asked, world.settings.max_warm_pods)
    return WarmBounds(share, world.turns.warm_room(namespace, name, share))


async def _confirmed(world: World, observed: ObservedAgent) -> ObservedAgent:
    """Return what is observed once the API server was asked for the Tasks that the cache does not know."""
    namespace, spares = observed.agent.metadata.namespace, []
    for spare in observed.spares:
        claim = spare.pod.claim
        if spare.hold is Hold.LOST and claim is not None:
            found = await world.actor.read_task_uid(namespace, claim.task)
            spares.append(replace(spare, hold=Hold.HELD if found == claim.uid else Hold.LOST))
        else:
            spares.append(spare)
    return replace(observed, spares=spares, confirmed=True)


async def _keep_warm(world: World, key: Key, manifests: Sequence[JsonObject]) -> None:
    for manifest in manifests:
        if not world.turns.take_warm(key.namespace):
            return
        try:
            made = await world.actor.create_pod(manifest)
            if isinstance(made, ObservedPod):
                world.cluster.pods.wrote(key.namespace, made)
        finally:
            world.turns.warmed(key.namespace)
        if not isinstance(made, ObservedPod):
            _log.info("%s: a warm pod is tried again: %s", key, made.message)
            world.later(key, world.settings.pod_retry_seconds)
            return


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
