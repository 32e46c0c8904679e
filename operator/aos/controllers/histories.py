"""The ended Tasks of an agent: gather, reconcile, act."""

from aos.controllers.keys import Key
from aos.controllers.world import World
from aos.reconcile.history import EndedTask, expired_tasks


async def reconcile(world: World, key: Key) -> None:
    """Delete the oldest ended Tasks of one agent beyond the limit.

    Raises:
        ApiError: the API server could not be reached.
    """
    ended = []
    for name, facts in world.objects.tasks_of(key.namespace, key.name):
        entry = world.objects.tasks.entry(key.namespace, name)
        if entry is not None and facts.ended_at is not None:
            ended.append(EndedTask(name, entry.uid, facts.ended_at))
    expired = expired_tasks(ended, world.settings.task_history_limit)
    await world.actor.delete(key.namespace, expired)
