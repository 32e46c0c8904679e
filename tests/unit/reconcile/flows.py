"""Short ways to write Workflows, runs and their agents as reconciles observe them."""

from collections.abc import Mapping

from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.workflow import Workflow
from aos.model.workflow_run import WorkflowRun
from tests.unit.reconcile.make import agent, condition, metadata

Raw = Mapping[str, JsonValue]
STEPS: list[JsonValue] = [{"name": "enrich", "agent": "enricher", "input": {"lead": "${input.lead}"}}]
READY: list[JsonValue] = [condition("Ready", "True", "Ready")]


def workflow(spec: Raw | None = None, *, status: Raw | None = None, meta: Raw | None = None) -> Workflow:
    """Return a Workflow that is ready, of one step, unless told otherwise."""
    said: JsonObject = {"revision": "workflow-outreach-1", "conditions": READY, "observedGeneration": 1}
    return Workflow.parse(
        {
            "metadata": metadata("outreach", meta),
            "spec": {"steps": STEPS, **(spec or {})},
            "status": said if status is None else dict(status),
        }
    )


def run(spec: Raw | None = None, *, status: Raw | None = None, meta: Raw | None = None) -> WorkflowRun:
    """Return a run that has not started, unless told otherwise."""
    raw: JsonObject = {
        "metadata": metadata("r1", meta),
        "spec": {"workflowRef": {"name": "outreach"}, "input": {"lead": "Ada"}, **(spec or {})},
    }
    return WorkflowRun.parse(raw | {"status": dict(status)} if status else raw)


def able(name: str = "enricher", revision: str = "enricher-1", **spec: JsonValue) -> Agent:
    """Return an Agent that is ready and has a revision."""
    status: JsonObject = {"observedGeneration": 1, "revision": revision, "conditions": READY}
    return agent(spec, status=status, meta={"name": name, "uid": f"{name}-uid"})
