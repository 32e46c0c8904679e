"""Workflows and their runs in tests: short ways to start them, and to hand in results as the gateway would."""

from collections.abc import Mapping

from pydantic import JsonValue

from aos.kube.objects import child, text
from aos.kube.resources import TASKS, WORKFLOW_RUNS, WORKFLOWS
from aos.model.base import JsonObject
from tests.cluster.operator.rig import Rig

ENRICH: JsonObject = {"name": "enrich", "agent": "enricher", "input": {"lead": "${input.lead}"}}
SEND: JsonObject = {"name": "send", "agent": "enricher", "input": {"lead": "${steps.enrich.output.summary}"}}


class Flow:
    """A Workflow and its runs, and who stands for the gateway."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    async def make(self, *steps: JsonObject, name: str = "outreach", **spec: JsonValue) -> None:
        """Create a Workflow and wait until it can be run."""
        await self.rig.make(WORKFLOWS, name, {"steps": list(steps), **spec})
        await self.rig.until(WORKFLOWS, name, "Ready", "True", "Ready")

    async def run(
        self, name: str, given: Mapping[str, JsonValue] | None = None, workflow: str = "outreach"
    ) -> None:
        """Start a run."""
        spec: JsonObject = {"workflowRef": {"name": workflow}, "input": dict(given or {"lead": "Ada"})}
        await self.rig.make(WORKFLOW_RUNS, name, spec)

    async def tasks(self, run: str, step: str) -> list[JsonObject]:
        """Return the Tasks of a step."""
        return await self.rig.all(TASKS, f"aos.dev/run={run},aos.dev/step={step}")

    async def task(self, run: str, step: str, attempt: int = 1) -> str:
        """Wait for the Task of a step that waits for its agent, and return its name."""
        found: list[str] = []

        async def is_there() -> bool:
            found[:] = [
                text(child(task, "metadata"), "name")
                for task in await self.tasks(run, step)
                if child(child(task, "spec"), "run").get("attempt", 1) == attempt
            ]
            return bool(found)

        await self.rig.eventually(is_there)
        return found[0]

    async def hand_in(self, task: str, output: JsonObject) -> None:
        """Do as the gateway would: record what an agent gave."""
        result: JsonObject = {"outcome": "Succeeded", "output": output, "time": "2026-01-01T00:00:00Z"}
        manifest: JsonObject = {
            "apiVersion": TASKS.api_version,
            "kind": TASKS.kind,
            "metadata": {"name": task, "namespace": self.rig.namespace},
            "status": {"result": result, "usage": {"calls": 2, "costMicroUSD": 50}},
        }
        await self.rig.gateway.apply_status(TASKS, manifest, field_manager="aos-gateway")

    async def do(self, run: str, step: str, output: JsonObject, attempt: int = 1) -> None:
        """Wait for the Task of a step, and hand in what it gave."""
        await self.hand_in(await self.task(run, step, attempt), output)

    async def ended(self, run: str, status: str, reason: str) -> JsonObject:
        """Wait for the end of a run, and return its status."""
        await self.rig.until(WORKFLOW_RUNS, run, "Succeeded", status, reason)
        return child(await self.rig.get(WORKFLOW_RUNS, run), "status")
