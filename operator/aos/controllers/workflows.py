"""Workflows: gather, reconcile, act."""

from dataclasses import replace
from datetime import datetime, timedelta

from aos.controllers.acting import RefusedError
from aos.controllers.executions import RunFacts
from aos.controllers.keys import Key
from aos.controllers.run_gathering import agents_meant_by
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World
from aos.kube.objects import child, key_of
from aos.model.base import JsonObject
from aos.model.duration import duration_seconds
from aos.model.workflow import Workflow
from aos.reconcile.events import EventReason, Happening
from aos.reconcile.plan import ChildKey
from aos.reconcile.run_history import KeptRun
from aos.reconcile.workflow import ObservedWorkflow, reconcile_workflow


async def reconcile(world: World, key: Key) -> None:
    """Bring one Workflow to its desired state.

    Raises:
        RefusedError: the API server refused a child, or a run that was due.
        ApiError: it could not be reached, or the Workflow changed meanwhile.
    """
    if await reconcile_if_unreadable(world, key):
        return
    workflow = world.objects.executions.workflows.get(key.namespace, key.name)
    if workflow is None:
        return
    raw = world.objects.executions.workflows.raw(key.namespace, key.name)
    observed = gather(world, workflow)
    now = world.now()
    found = reconcile_workflow(observed, world.settings, now)
    refused = await world.actor.apply(found.plan.apply)
    if refused:
        found = reconcile_workflow(replace(observed, refused=refused), world.settings, now)
    await _start(world, raw, found.start)
    await world.actor.delete(key.namespace, found.plan.delete)
    if found.plan.status is not None:
        await world.actor.write_status("Workflow", raw, found.plan.status)
    world.actor.tell(raw, found.plan.events)
    if found.plan.requeue_after_seconds is not None:
        world.later(key, found.plan.requeue_after_seconds)
    if refused:
        raise RefusedError(refused)


def gather(world: World, workflow: Workflow) -> ObservedWorkflow:
    """Return what is observed of a Workflow."""
    namespace, name = workflow.metadata.namespace, workflow.metadata.name
    children = world.cluster.children
    revisions = children.revisions_of_workflow(namespace, name)
    keys = [
        *(ChildKey("ControllerRevision", item.name) for item in revisions),
        *children.roles_of(namespace, name),
    ]
    executions = world.objects.executions
    workflows = executions.workflows.within(namespace)
    return ObservedWorkflow(
        workflow=workflow,
        agents=agents_meant_by(world, namespace, executions.with_those_below(workflow)),
        workflows={other: entry.facts for other, entry in workflows.items() if entry.facts is not None},
        runs=tuple(
            _kept(world, workflow, run, uid, facts)
            for run, uid, facts in executions.runs_of(namespace, name)
            if not facts.parent or facts.ended_at is None
        ),
        revisions=revisions,
        children=children.owned_by(workflow.metadata.uid, namespace, keys),
        webhooks=world.gateways.webhooks(namespace, name),
    )


def _kept(world: World, workflow: Workflow, run: str, uid: str, facts: RunFacts) -> KeptRun:
    has_ended = facts.ended_at is not None
    return KeptRun(
        name=run,
        uid=uid,
        revision=facts.revision,
        ended_at=facts.ended_at,
        succeeded=facts.succeeded,
        is_needed=has_ended and world.objects.is_under_review(workflow.metadata.namespace, uid),
        kept_until=_told_again_until(workflow, facts),
    )


def _told_again_until(workflow: Workflow, facts: RunFacts) -> datetime | None:
    """Return until when the request that started a run may come again: its time may be as far ahead as it may be behind."""
    hooks = [trigger.webhook for trigger in workflow.spec.triggers if trigger.name == facts.trigger]
    if not hooks or hooks[0] is None or facts.created_at is None:
        return None
    return facts.created_at + timedelta(seconds=2 * duration_seconds(hooks[0].replay_window))


async def _start(world: World, raw: JsonObject, manifests: tuple[JsonObject, ...]) -> None:
    """Create runs that are due; those that exist already are the same.

    Raises:
        RefusedError: the API server refused one; what is due stays due.
    """
    for manifest in manifests:
        made = await world.actor.create(manifest)
        if isinstance(made, str):
            world.actor.tell(raw, (Happening(EventReason.TRIGGER_FAILED, made),))
            raise RefusedError(f"WorkflowRun {key_of(manifest)}: {made}")
        world.objects.observe("WorkflowRun", made)
        if _trigger(made) != _trigger(manifest):
            # Its name can be foretold, so whoever may make runs may have come first.
            told = f"WorkflowRun {key_of(manifest)} stands in the way and was not started by this trigger; delete it"
            world.actor.tell(raw, (Happening(EventReason.TRIGGER_FAILED, told),))


def _trigger(run: JsonObject) -> JsonObject:
    return child(child(run, "spec"), "trigger")
