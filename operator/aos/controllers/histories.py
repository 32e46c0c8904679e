"""The ended Tasks of an agent: gather, reconcile, act."""

from aos.controllers.keys import Key
from aos.controllers.objects import Objects
from aos.controllers.world import World
from aos.reconcile.history import EndedTask, expired_tasks


async def reconcile(world: World, key: Key) -> None:
    """Delete the oldest ended Tasks of one agent beyond the limit.

    Raises:
        ApiError: the API server could not be reached.
    """
    ended = gather(world.objects, key.namespace, key.name)
    expired = expired_tasks(ended, world.settings.task_history_limit)
    await world.actor.delete(key.namespace, expired)


def gather(objects: Objects, namespace: str, agent: str) -> list[EndedTask]:
    """Return the agent's ended Tasks that nobody waits for.

    What an open Task handed over may still be asked for, and the calls of a Task may still be reviewed: the requests go with it.
    The Tasks of a run hold what its steps gave, and go with the run.
    """
    ended = []
    for name, facts in objects.tasks_of(namespace, agent):
        entry = objects.tasks.entry(namespace, name)
        if (
            entry is not None
            and facts.ended_at is not None
            and not facts.run
            and not _is_open(objects, namespace, facts.parent)
            and not any(item.is_open for item in objects.requests.of_task(namespace, name, entry.uid))
        ):
            ended.append(EndedTask(name, entry.uid, facts.ended_at))
    return ended


def _is_open(objects: Objects, namespace: str, task: str) -> bool:
    entry = objects.tasks.entry(namespace, task) if task else None
    return entry is not None and entry.facts is not None and entry.facts.ended_at is None
