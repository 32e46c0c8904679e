"""Runs of Workflows as the API server has them."""

from collections.abc import Sequence

from pydantic import JsonValue

from aos.model.workflow_run import WorkflowRun

Object = dict[str, JsonValue]
START = "2026-01-02T03:00:00Z"


def condition(status: str, reason: str, message: str = "", kind: str = "Succeeded") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": START,
        "observedGeneration": 1,
    }


def step(name: str, state: str = "Pending", **said: JsonValue) -> Object:
    return {"name": name, "state": state, **said}


def run(
    *steps: Object,
    conditions: Sequence[Object] = (),
    name: str = "outreach-b2c4d",
    uid: str = "run-1",
    parent: Object | None = None,
    **status: JsonValue,
) -> WorkflowRun:
    spec: Object = {"workflowRef": {"name": "outreach"}}
    if parent is not None:
        spec["parent"] = parent
    return WorkflowRun.parse(
        {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": "WorkflowRun",
            "metadata": {"name": name, "namespace": "sales", "uid": uid, "creationTimestamp": START},
            "spec": spec,
            "status": {
                "observedGeneration": 1,
                "conditions": list(conditions),
                "steps": list(steps),
                "startTime": START,
                **status,
            },
        }
    )
