"""Tasks: gather, reconcile, act. The pod is created first and then recorded, both decided by the same pure step."""

import logging
from dataclasses import replace

from aos.controllers.acting import Actor
from aos.controllers.keys import Key
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World
from aos.kube.errors import Conflict
from aos.model.base import JsonObject
from aos.model.names import task_pod
from aos.model.task import Task
from aos.reconcile.observed_pod import ObservedPod
from aos.reconcile.plan import Plan
from aos.reconcile.task import reconcile_task
from aos.reconcile.task_step import ObservedTask

_log = logging.getLogger(__name__)


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
    plan = await _decide(world, gather(world, task))
    if not await _write(world.actor, key, raw, plan):
        return
    # Only after the record is written is it certain which pod is the Task's one pod.
    await world.actor.delete(key.namespace, plan.delete)
    world.actor.tell(raw, plan.events)
    if plan.requeue_after_seconds is not None:
        world.later(key, plan.requeue_after_seconds)


def gather(world: World, task: Task) -> ObservedTask:
    """Return what is observed of a Task."""
    namespace = task.metadata.namespace
    agent = world.objects.agents.get(namespace, task.spec.agent_ref.name)
    source = agent.spec.instructions_from if agent is not None else None
    revisions = world.cluster.children.revisions_of(namespace, task.spec.agent_ref.name)
    pods = world.cluster.pods.of_task(namespace, task.metadata.name)
    return ObservedTask(
        task=task,
        agent=agent,
        instructions=world.cluster.config_map(namespace, source.config_map_key_ref.name) if source else None,
        revisions=frozenset(item.name for item in revisions),
        pods=pods,
        nodes=world.cluster.pods.nodes_of(pods),
        platform=world.state.platform,
        can_own_users=agent is not None
        and world.cluster.can_own_users(agent.spec.runtime.runtime_class_name),
        guard=world.state.guard,
        parent=world.objects.tasks.get(namespace, task.parent.task) if task.parent else None,
        waits=tuple(world.objects.waits_of(namespace, task.metadata.name)),
    )


async def _decide(world: World, observed: ObservedTask) -> Plan:
    """Return the plan, after reading what is missing and creating the pod if the plan asks for it."""
    now = world.now()
    plan = reconcile_task(observed, world.settings, now)
    if plan.confirm:
        observed = await _confirmed(world, observed)
        plan = reconcile_task(observed, world.settings, now)
    if plan.create is None:
        return plan
    made = await world.actor.create_pod(plan.create)
    if isinstance(made, ObservedPod):
        observed = replace(observed, pods=_with(observed, made))
    else:
        observed = replace(observed, rejection=made)
    return reconcile_task(observed, world.settings, now)


async def _confirmed(world: World, observed: ObservedTask) -> ObservedTask:
    metadata = observed.task.metadata
    found = await world.actor.read_pod(metadata.namespace, task_pod(metadata.name, metadata.uid))
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
