"""WorkflowRuns: gather, reconcile, act."""

import logging
from dataclasses import replace

from aos.controllers.keys import Key
from aos.controllers.run_acting import do
from aos.controllers.run_gathering import confirm, gather, gather_start
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World
from aos.kube.errors import Conflict
from aos.model.base import JsonObject
from aos.model.workflow import WorkflowSpec
from aos.model.workflow_run import WorkflowRun, WorkflowRunStatus
from aos.reconcile.run_children import status_json
from aos.reconcile.run_events import run_events
from aos.reconcile.run_start import lost_run, start_run
from aos.workflow.actions import Advance, CancelRun, CancelTask
from aos.workflow.advance import advance
from aos.workflow.problem import WorkflowError

_log = logging.getLogger(__name__)


async def reconcile(world: World, key: Key) -> None:
    """Bring one WorkflowRun a step further.

    Raises:
        ApiError: the API server could not be reached.
    """
    if await reconcile_if_unreadable(world, key):
        return
    runs = world.objects.executions.runs
    run = await _newest(world, key)
    if run is None or run.metadata.deletion_timestamp is not None:
        # Deleting is cancelling: its Tasks go with it.
        return
    if run.ended and not world.objects.has_open_attempts(key.namespace, key.name, run.metadata.uid):
        return
    raw = runs.raw(key.namespace, key.name)
    try:
        if run.status.revision:
            await _go_on(world, key, run, raw)
        elif not run.ended:
            await _start(world, key, run, raw)
    except Conflict as error:
        # What changed was read anew.
        _log.debug("%s: something changed meanwhile: %s", key, error)
        world.later(key, 0)


async def _newest(world: World, key: Key) -> WorkflowRun | None:
    """Return the run, and never an older version than the last that another operator wrote: what it recorded stands there."""
    executions = world.objects.executions
    run = executions.runs.get(key.namespace, key.name)
    if run is None or run.ended or run.metadata.uid in executions.confirmed:
        return run
    await world.actor.reread("WorkflowRun", key.namespace, key.name)
    run = executions.runs.get(key.namespace, key.name)
    if run is not None:
        executions.confirmed.add(run.metadata.uid)
    return run


async def _start(world: World, key: Key, run: WorkflowRun, raw: JsonObject) -> None:
    found = start_run(gather_start(world, run), world.now())
    claims, complete = world.objects.executions.claims, world.objects.executions.complete
    if found.has_started:
        # Until the status says so, or two might take the last place.
        claims.add(run.metadata.uid)
    try:
        if found.has_started:
            raw = await world.actor.give_owner(raw, world.objects.executions.reference(key.namespace, run))
        await _write(world, run, raw, found.status)
        if found.has_started:
            complete.add(run.metadata.uid)
    finally:
        claims.discard(run.metadata.uid)
    if found.look_again_seconds is not None:
        world.later(key, found.look_again_seconds)


async def _go_on(world: World, key: Key, run: WorkflowRun, raw: JsonObject) -> None:
    spec = await world.contents.workflow(key.namespace, run.spec.workflow_ref.name, run.status.revision)
    revision = f"ControllerRevision {run.status.revision}"
    if spec is None:
        await _give_up(world, key, run, raw, f"{revision} was removed")
        return
    try:
        found = await _done(world, run, spec)
    except WorkflowError as error:
        # Accepted once, by an operator of another version.
        await _give_up(world, key, run, raw, f"{revision} can't be run any more: {error}")
        return
    await _write(world, run, raw, found.status)
    if found.requeue_after_seconds is not None:
        world.later(key, found.requeue_after_seconds)


async def _done(world: World, run: WorkflowRun, spec: WorkflowSpec) -> Advance:
    """Do what comes next in a run, and return where it goes from there.

    Raises:
        WorkflowError: nobody could have accepted the spec.
    """
    observed = await gather(world, run, spec)
    found = advance(observed)
    if found.confirm:
        observed = await confirm(world, observed)
        found = advance(observed)
    complete = world.objects.executions.complete
    is_complete = run.metadata.uid in complete
    # Until all of it is answered: what is not may be there all the same.
    complete.discard(run.metadata.uid)
    with world.objects.trees.claiming(found.actions):
        refused = await do(world, run, found.actions)
    if is_complete:
        complete.add(run.metadata.uid)
    return replace(advance(replace(observed, refused=refused)), actions=()) if refused else found


async def _give_up(world: World, key: Key, run: WorkflowRun, raw: JsonObject, why: str) -> None:
    """End a run whose revision is of no use any more, with all that is being done for it."""
    namespace, uid = key.namespace, run.metadata.uid
    tasks = [item.attempt for item, _ in world.objects.attempts_of(namespace, uid)]
    await do(
        world, run, [CancelTask(item.name, item.uid, item.resource_version) for item in tasks if item.is_open]
    )
    below = list(world.objects.executions.below(namespace, key.name, uid))
    await do(world, run, [CancelRun(name, of) for name, of, facts in below if facts.ended_at is None])
    if not run.ended:
        await _write(world, run, raw, lost_run(run, why, world.now()))


async def _write(world: World, run: WorkflowRun, raw: JsonObject, status: WorkflowRunStatus) -> None:
    """Write the status if it is another, and tell what happened.

    Raises:
        Conflict: the run changed meanwhile.
    """
    if status != run.status:
        await world.actor.write_status("WorkflowRun", raw, status_json(status))
        world.actor.tell(raw, run_events(run.status, status))
