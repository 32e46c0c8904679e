"""Tasks: gather, reconcile, act. The pod is created or claimed first and then recorded, both decided by the same pure step."""

import logging
from dataclasses import replace
from typing import Final

from aos.controllers.acting import Actor
from aos.controllers.keys import Key
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World
from aos.kube.errors import Conflict, NotFound
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.meta import ObjectMeta
from aos.model.names import task_pod
from aos.model.task import Task
from aos.reconcile.claim import is_service
from aos.reconcile.observed_pod import ObservedPod
from aos.reconcile.plan import Plan, PodChange
from aos.reconcile.revision import PinnedRevision
from aos.reconcile.task import reconcile_task
from aos.reconcile.task_step import ObservedTask
from aos.reconcile.turns import Waiter

_log = logging.getLogger(__name__)

_CLAIM_TRIES: Final = 3
_CLAIM_PAUSE_SECONDS: Final = 0.5


async def reconcile(world: World, key: Key) -> None:
    """Bring one Task a step further.

    Raises:
        ApiError: the API server could not be reached.
    """
    if await reconcile_if_unreadable(world, key):
        return
    task = world.objects.tasks.get(key.namespace, key.name)
    if task is None:
        return
    raw = world.objects.tasks.raw(key.namespace, key.name)
    plan = await _decide(world, gather(world, task, await _pinned(world, task)))
    if not await _write(world.actor, key, raw, plan):
        return
    # Only after the record is written is it certain which pod is the Task's one pod.
    if plan.adopt is not None:
        is_adopted = await _change(world, task.metadata, plan.adopt)
        if not is_adopted:
            world.later(key, _CLAIM_PAUSE_SECONDS)
    await world.actor.delete(key.namespace, plan.delete)
    world.actor.tell(raw, plan.events)
    if plan.requeue_after_seconds is not None:
        world.later(key, plan.requeue_after_seconds)


async def _pinned(world: World, task: Task) -> PinnedRevision | None:
    """Return what the agent was at the revision that a Task has to run, where that is not the current one."""
    namespace, name, wanted = task.metadata.namespace, task.spec.agent_ref.name, task.spec.revision
    agent = world.objects.agents.entry(namespace, name)
    if wanted is None or not task.open or task.status.pod is not None or agent is None:
        return None
    if agent.facts is not None and agent.facts.revision == wanted:
        return None
    return await world.contents.agent(namespace, name, wanted)


def gather(world: World, task: Task, pinned: PinnedRevision | None = None) -> ObservedTask:
    """Return what is observed of a Task; ``pinned`` is what its agent was, if it does not do it as it is now."""
    namespace = task.metadata.namespace
    agent = world.objects.agents.get(namespace, task.spec.agent_ref.name)
    source = agent.spec.instructions_from if agent is not None else None
    spec = pinned.spec if pinned is not None else agent.spec if agent is not None else None
    revisions = world.cluster.children.revisions_of(namespace, task.spec.agent_ref.name)
    pods = world.cluster.pods.of_task(namespace, task.metadata.name)
    is_waiting = task.open and task.status.pod is None
    # For the others nobody is ahead: each gets a pod of its own.
    is_in_line = is_waiting and agent is not None and is_service(agent)
    return ObservedTask(
        task=task,
        agent=agent,
        pinned=pinned,
        instructions=world.cluster.config_map(namespace, source.config_map_key_ref.name) if source else None,
        revisions=frozenset(item.name for item in revisions),
        pods=pods,
        spares=world.pool.unclaimed(namespace, task.spec.agent_ref.name) if is_waiting else (),
        ahead=world.pool.ahead(namespace, task.spec.agent_ref.name, task.metadata.name) if is_in_line else 0,
        nodes=world.cluster.pods.nodes_of(pods),
        platform=world.state.platform,
        can_own_users=spec is not None and world.cluster.can_own_users(spec.runtime.runtime_class_name),
        guard=world.state.guard,
        parent=world.objects.tasks.get(namespace, task.parent.task) if task.parent else None,
        waits=tuple(world.objects.waits_of(namespace, task.metadata.name)),
    )


async def _decide(world: World, observed: ObservedTask) -> Plan:
    """Return the plan, after reading what is missing, and claiming or creating the pod if the plan asks for it."""
    now = world.now()
    plan = reconcile_task(observed, world.settings, now)
    if plan.confirm:
        observed = await _confirmed(world, observed)
        plan = reconcile_task(observed, world.settings, now)
    for _ in range(_CLAIM_TRIES):
        if plan.claim is None:
            break
        await _change(world, observed.task.metadata, plan.claim)
        # Whatever came of it, the cache has it.
        observed = gather(world, observed.task, observed.pinned)
        plan = reconcile_task(observed, world.settings, now)
    if plan.claim is not None:
        return Plan(requeue_after_seconds=_CLAIM_PAUSE_SECONDS)
    if plan.create is None:
        world.turns.leave(observed.task.metadata.namespace, observed.task.metadata.name)
        return plan
    return reconcile_task(await _created(world, observed, plan.create), world.settings, now)


async def _change(world: World, metadata: ObjectMeta, change: PodChange) -> bool:
    """Change a pod for a Task if it still is as it was observed; if not, see how it is now, and return False."""
    pods = world.cluster.pods
    with world.pool.claiming(metadata.namespace, change.pod, metadata.name):
        try:
            changed = await world.actor.change_pod(metadata.namespace, change)
        except Conflict:
            found = await world.actor.read_pod(metadata.namespace, change.pod.name)
            if found is not None:
                pods.wrote(metadata.namespace, found)
        except NotFound:
            pods.gone(metadata.namespace, change.pod.name)
        else:
            pods.wrote(metadata.namespace, changed)
            return True
    return False


async def _created(world: World, observed: ObservedTask, manifest: JsonObject) -> ObservedTask:
    """Return what is observed once the pod was created, as soon as it is the Task's turn."""
    metadata = observed.task.metadata
    waiter = Waiter(
        namespace=metadata.namespace,
        name=metadata.name,
        priority=observed.task.spec.priority,
        created=metadata.creation_timestamp or world.now(),
    )
    turn = world.turns.ask(waiter)
    if turn is not None:
        return replace(observed, turn=turn)
    try:
        made = await world.actor.create_pod(manifest)
    except Exception:
        world.turns.leave(waiter.namespace, waiter.name)
        raise
    if isinstance(made, ObservedPod):
        world.cluster.pods.wrote(waiter.namespace, made)
        world.turns.got(waiter.namespace, waiter.name)
        return replace(observed, pods=_with(observed, made))
    if made.reason is Reason.QUOTA_EXCEEDED:
        world.turns.refused(waiter)
    else:
        world.turns.leave(waiter.namespace, waiter.name)
    return replace(observed, rejection=made)


async def _confirmed(world: World, observed: ObservedTask) -> ObservedTask:
    metadata, recorded = observed.task.metadata, observed.task.status.pod
    name = recorded.name if recorded is not None else task_pod(metadata.name, metadata.uid)
    found = await world.actor.read_pod(metadata.namespace, name)
    if found is None:
        return replace(observed, confirmed=True)
    pods = _with(observed, found)
    return replace(observed, pods=pods, nodes=world.cluster.pods.nodes_of(pods), confirmed=True)


def _with(observed: ObservedTask, pod: ObservedPod) -> tuple[ObservedPod, ...]:
    return (*(item for item in observed.pods if item.uid != pod.uid), pod)


async def _write(actor: Actor, key: Key, raw: JsonObject, plan: Plan) -> bool:
    """Write the status; return whether the plan still holds."""
    if plan.status is None:
        return True
    try:
        await actor.write_status("Task", raw, plan.status)
    except Conflict as error:
        # The Task was read anew, which brings it back to the queue.
        _log.debug("%s changed meanwhile: %s", key, error)
        return False
    return True
