"""Policies and ClusterPolicies: gather, reconcile, act."""

from collections.abc import Mapping

from aos.controllers.keys import Key
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World
from aos.model.cluster_policy import ClusterPolicy
from aos.model.policy import Policy
from aos.reconcile.policy import ObservedPolicy, reconcile_policy


async def reconcile(world: World, key: Key) -> None:
    """Bring one Policy's status to what is so.

    Raises:
        ApiError: the API server could not be reached, or the Policy changed meanwhile.
    """
    if await reconcile_if_unreadable(world, key):
        return
    policy = world.objects.policies.get(key.namespace, key.name)
    if policy is not None:
        await _act(world, key, policy, _labels_of_agents(world, key.namespace))


async def reconcile_one_cluster_policy(world: World, key: Key) -> None:
    """Bring one ClusterPolicy's status to what is so.

    Raises:
        ApiError: the API server could not be reached, or the ClusterPolicy changed meanwhile.
    """
    if await reconcile_if_unreadable(world, key):
        return
    policy = world.objects.cluster_policies.get("", key.name)
    if policy is None:
        return
    labels = [
        labels
        for namespace in world.objects.agents.namespaces()
        if policy.spec.namespaces.matches(world.cluster.namespace_labels(namespace))
        for labels in _labels_of_agents(world, namespace)
    ]
    await _act(world, key, policy, labels)


async def _act(
    world: World, key: Key, policy: Policy | ClusterPolicy, labels: list[Mapping[str, str]]
) -> None:
    kind = key.subject.value
    raw = world.objects.shelves[kind].raw(key.namespace, key.name)
    plan = reconcile_policy(ObservedPolicy(policy, labels), world.now())
    if plan.status is not None:
        await world.actor.write_status(kind, raw, plan.status)
    world.actor.tell(raw, plan.events)


def _labels_of_agents(world: World, namespace: str) -> list[Mapping[str, str]]:
    entries = world.objects.agents.within(namespace).values()
    return [entry.facts.labels for entry in entries if entry.facts is not None]
