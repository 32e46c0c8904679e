"""Policies: gather, reconcile, act."""

from aos.controllers.keys import Key
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World
from aos.reconcile.policy import ObservedPolicy, reconcile_policy


async def reconcile(world: World, key: Key) -> None:
    """Bring one Policy's status to what is so.

    Raises:
        ApiError: the API server could not be reached, or the Policy changed meanwhile.
    """
    if await reconcile_if_unreadable(world, key):
        return
    policy = world.objects.policies.get(key.namespace, key.name)
    if policy is None:
        return
    entries = world.objects.agents.within(key.namespace).values()
    labels = [entry.facts.labels for entry in entries if entry.facts is not None]
    plan = reconcile_policy(ObservedPolicy(policy, labels), world.now())
    raw = world.objects.policies.raw(key.namespace, key.name)
    if plan.status is not None:
        await world.actor.write_status("Policy", raw, plan.status)
    world.actor.tell(raw, plan.events)
