"""Does what the next steps of a run ask for: Tasks, runs, gates, and their ends."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from aos.controllers.keys import Key, Subject
from aos.controllers.world import World
from aos.kube.objects import child
from aos.model.base import JsonObject
from aos.model.workflow_run import WorkflowRun
from aos.reconcile.gate import gate_manifest
from aos.reconcile.run_children import is_child_of, step_manifest
from aos.workflow.actions import Action, CancelRun, CancelTask, CreateGate, CreateRun, CreateTask

AT_ONCE: Final = 8
"""So many Tasks or runs of one run are created at once."""


async def do(world: World, run: WorkflowRun, actions: Sequence[Action]) -> dict[str, str]:
    """Do ``actions``: first what ends something, in their order, then what is to be created, in no certain order.

    Returns:
        what the API server refused to create, by name, with its words.

    Raises:
        Conflict: a Task that was to be cancelled has changed.
        ApiError: it could not be reached.
    """
    namespace, refused = run.metadata.namespace, dict[str, str]()
    manifests = list[JsonObject]()
    for action in actions:
        match action:
            case CancelTask():
                await world.actor.cancel_task(namespace, action.name, action.uid, action.resource_version)
            case CancelRun():
                await world.actor.cancel_run(namespace, action.name, action.uid)
            case CreateGate():
                manifests.append(gate_manifest(run, action, world.now()))
            case CreateTask() | CreateRun():
                manifests.append(step_manifest(run, action))
    await _create_all(world, run, manifests, refused)
    return refused


async def _create_all(
    world: World, run: WorkflowRun, manifests: list[JsonObject], refused: dict[str, str]
) -> None:
    """Create objects, few at once: where many are started, one after the other would take the sum of their times.

    Raises:
        ApiError: one could not be tried; those that were under way then are done, and no other is begun.
    """
    left = deque(manifests)

    async def create() -> None:
        while left:
            try:
                await _create(world, run, left.popleft(), refused)
            except BaseException:
                left.clear()
                raise

    found = await asyncio.gather(
        *(create() for _ in range(min(AT_ONCE, len(manifests)))), return_exceptions=True
    )
    for error in found:
        if error is not None:
            raise error


async def _create(world: World, run: WorkflowRun, manifest: JsonObject, refused: dict[str, str]) -> None:
    kind, name = str(manifest["kind"]), str(child(manifest, "metadata").get("name", ""))
    made = await world.actor.create(manifest)
    if isinstance(made, str):
        refused[name] = made
    elif not is_child_of(run, made):
        refused[name] = f"{kind} {name} stands in the way and is not this run's: delete it"
    else:
        # One that was there already may have gone on since.
        is_new = not child(made, "status")
        key = Key(Subject.WORKFLOW_RUN, run.metadata.namespace, run.metadata.name)
        world.objects.observe(kind, made, by=key if is_new else None)
