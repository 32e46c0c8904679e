"""Does what the next steps of a run ask for: Tasks, runs, gates, and their ends."""

from collections.abc import Sequence

from aos.controllers.world import World
from aos.model.base import JsonObject
from aos.model.workflow_run import WorkflowRun
from aos.reconcile.gate import gate_manifest
from aos.reconcile.run_children import is_child_of, step_manifest
from aos.workflow.actions import Action, CancelRun, CancelTask, CreateGate


async def do(world: World, run: WorkflowRun, actions: Sequence[Action]) -> dict[str, str]:
    """Do ``actions`` in their order.

    Returns:
        what the API server refused to create, by name, with its words.

    Raises:
        Conflict: a Task that was to be cancelled has changed.
        ApiError: it could not be reached.
    """
    namespace, refused = run.metadata.namespace, dict[str, str]()
    for action in actions:
        match action:
            case CancelTask():
                await world.actor.cancel_task(namespace, action.name, action.uid, action.resource_version)
            case CancelRun():
                await world.actor.cancel_run(namespace, action.name, action.uid)
            case CreateGate():
                await _create(world, run, gate_manifest(run, action, world.now()), refused)
            case _:
                await _create(world, run, step_manifest(run, action), refused)
    return refused


async def _create(world: World, run: WorkflowRun, manifest: JsonObject, refused: dict[str, str]) -> None:
    kind, metadata = str(manifest["kind"]), manifest["metadata"]
    name = str(metadata["name"]) if isinstance(metadata, dict) else ""
    made = await world.actor.create(manifest)
    if isinstance(made, str):
        refused[name] = made
    elif not is_child_of(run, made):
        refused[name] = f"{kind} {name} stands in the way and is not this run's: delete it"
    else:
        world.objects.observe(kind, made)
