"""Tools and Models: gather, reconcile, act."""

from collections.abc import Callable
from dataclasses import replace

from aos.controllers.acting import RefusedError
from aos.controllers.keys import Key, Subject
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World
from aos.model.meta import ObjectMeta
from aos.model.names import credential_role
from aos.reconcile.model import ObservedModel, reconcile_model
from aos.reconcile.plan import ChildKey, ObservedChild, Plan
from aos.reconcile.tool import ObservedTool, reconcile_tool


async def reconcile_one_tool(world: World, key: Key) -> None:
    """Bring one Tool to its desired state.

    Raises:
        RefusedError: the API server refused a child.
        ApiError: it could not be reached, or the Tool changed meanwhile.
    """
    if await reconcile_if_unreadable(world, key):
        return
    tool = world.objects.tools.get(key.namespace, key.name)
    if tool is None:
        return
    observed = ObservedTool(tool, _children(world, Subject.TOOL, tool.metadata))

    def plan(refused: str) -> Plan:
        return reconcile_tool(replace(observed, refused=refused), world.settings, world.now())

    await _act(world, key, plan)


async def reconcile_one_model(world: World, key: Key) -> None:
    """Bring one Model to its desired state.

    Raises:
        RefusedError: the API server refused a child.
        ApiError: it could not be reached, or the Model changed meanwhile.
    """
    if await reconcile_if_unreadable(world, key):
        return
    model = world.objects.models.get(key.namespace, key.name)
    if model is None:
        return
    observed = ObservedModel(model, _children(world, Subject.MODEL, model.metadata))

    def plan(refused: str) -> Plan:
        return reconcile_model(replace(observed, refused=refused), world.settings, world.now())

    await _act(world, key, plan)


def _children(world: World, subject: Subject, metadata: ObjectMeta) -> dict[ChildKey, ObservedChild]:
    name = credential_role(subject, metadata.name)
    keys = [ChildKey(kind, name) for kind in ("Role", "RoleBinding")]
    return world.cluster.children.owned_by(metadata.uid, metadata.namespace, keys)


async def _act(world: World, key: Key, plan_for: Callable[[str], Plan]) -> None:
    kind = key.subject.value
    raw = world.objects.shelves[kind].raw(key.namespace, key.name)
    plan = plan_for("")
    refused = await world.actor.apply(plan.apply)
    if refused:
        plan = plan_for(refused)
    await world.actor.delete(key.namespace, plan.delete)
    if plan.status is not None:
        await world.actor.write_status(kind, raw, plan.status)
    world.actor.tell(raw, plan.events)
    if refused:
        raise RefusedError(refused)
