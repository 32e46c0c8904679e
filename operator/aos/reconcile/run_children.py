"""The Tasks and runs by which a run's steps are done, as manifests, and a run's status as the API server stores it."""

from collections.abc import Mapping

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.names import API_VERSION, LABEL_MANAGED_BY, LABEL_RUN, LABEL_STEP, LABEL_WORKFLOW, MANAGED_BY
from aos.model.workflow_run import WorkflowRun, WorkflowRunStatus
from aos.reconcile.children import owner_reference
from aos.workflow.actions import CreateRun, CreateTask


def step_manifest(run: WorkflowRun, action: CreateTask | CreateRun) -> JsonObject:
    """Return the Task or run to create; it goes when ``run`` does."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Task" if isinstance(action, CreateTask) else "WorkflowRun",
        "metadata": {
            "name": action.name,
            "namespace": run.metadata.namespace,
            "labels": {
                LABEL_RUN: run.metadata.name,
                LABEL_STEP: action.step,
                LABEL_WORKFLOW: run.spec.workflow_ref.name,
                LABEL_MANAGED_BY: MANAGED_BY,
            },
            "ownerReferences": [owner_reference("WorkflowRun", run.metadata)],
        },
        "spec": action.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def is_child_of(run: WorkflowRun, raw: Mapping[str, JsonValue]) -> bool:
    """Whether an object that was found under the name of a step's Task, run or gate is that one, and nobody else's.

    Anybody may give what they make an owner; of which run it is only AOS says in its spec.
    """
    metadata, spec = raw.get("metadata"), raw.get("spec")
    owners = metadata.get("ownerReferences") if isinstance(metadata, dict) else None
    return (
        isinstance(owners, list)
        and any(
            isinstance(owner, dict)
            and owner.get("controller") is True
            and owner.get("uid") == run.metadata.uid
            for owner in owners
        )
        and isinstance(spec, dict)
        and run.metadata.uid in (_said(spec, "run", "uid"), _said(spec, "parent", "runUID"))
    )


def _said(spec: JsonObject, about: str, field: str) -> JsonValue:
    said = spec.get(about)
    return said.get(field) if isinstance(said, dict) else None


def status_json(status: WorkflowRunStatus) -> JsonObject:
    """Return a status as it is applied: what is empty is left out."""
    said: JsonObject = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    steps = said.get("steps")
    if isinstance(steps, list):
        said["steps"] = [_without_empty(step) if isinstance(step, dict) else step for step in steps]
    return _without_empty(said)


def _without_empty(said: JsonObject) -> JsonObject:
    return {name: value for name, value in said.items() if value not in ("", [])}
