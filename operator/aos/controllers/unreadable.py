"""Objects that can't be read: their status says so."""

import logging

from pydantic import ValidationError

from aos.controllers.keys import Key
from aos.controllers.world import World
from aos.kube.objects import child, metadata_of
from aos.model.meta import ObjectMeta
from aos.reconcile.unreadable import REPORTED_KINDS, reconcile_unreadable

_log = logging.getLogger(__name__)


async def reconcile_if_unreadable(world: World, key: Key) -> bool:
    """Write the status of an object that can't be read; return whether it is one."""
    shelf = world.objects.shelves[key.subject.value]
    problem = shelf.problem(key.namespace, key.name)
    if not problem:
        return False
    raw = shelf.raw(key.namespace, key.name)
    _log.warning("%s can't be read: %s", key, problem)
    if key.subject.value not in REPORTED_KINDS:
        return True
    try:
        metadata = ObjectMeta.model_validate(metadata_of(raw))
    except ValidationError:
        return True
    plan = reconcile_unreadable(metadata, child(raw, "status"), problem, world.now())
    if plan.status is not None:
        await world.actor.write_status(key.subject.value, raw, plan.status)
    world.actor.tell(raw, plan.events)
    return True
