"""Workflows and their runs on a real API server. Results of Tasks are handed in as the gateway would; there is no kubelet."""

from collections.abc import Mapping

from pydantic import JsonValue

from aos.kube.objects import child, children, text, uid_of
from aos.kube.resources import AGENTS, CONTROLLER_REVISIONS, TASKS, WORKFLOW_RUNS, WORKFLOWS
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


async def test_a_run_does_its_steps_one_after_the_other(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, SEND, output={"told": "${steps.send.output.summary}"})
    await flow.run("r1")
    await flow.do("r1", "enrich", {"summary": "a lead"})
    second = await flow.task("r1", "send")
    assert child(await running.get(TASKS, second), "spec")["input"] == {"lead": "a lead"}
    await flow.hand_in(second, {"summary": "sent"})
    status = await flow.ended("r1", "True", "Completed")
    assert status["output"] == {"told": "sent"}
    assert status["progress"] == "2/2"
    assert child(status, "usage") == {"calls": 4, "costMicroUSD": 100, "denied": 0} | {
        "promptTokens": 0,
        "completionTokens": 0,
    }
    assert [(step["name"], step["state"]) for step in children(status, "steps")] == [
        ("enrich", "Succeeded"),
        ("send", "Succeeded"),
    ]


async def test_a_task_of_a_run_says_what_it_is_done_for_and_goes_with_it(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, budget={"microUSD": 1000}, priority=7)
    await flow.run("r1")
    task = await running.get(TASKS, await flow.task("r1", "enrich"))
    run = await running.get(WORKFLOW_RUNS, "r1")
    assert child(child(task, "spec"), "run") == {
        "name": "r1",
        "uid": uid_of(run),
        "rootUID": uid_of(run),
        "workflow": "outreach",
        "step": "enrich",
        "attempt": 1,
        "budgets": [{"runUID": uid_of(run), "workflow": "outreach", "microUSD": 1000}],
    }
    assert child(task, "spec")["priority"] == 7
    owners = children(child(task, "metadata"), "ownerReferences")
    assert [(owner["kind"], owner["uid"], owner["controller"]) for owner in owners] == [
        ("WorkflowRun", uid_of(run), True)
    ]
    above = children(child(run, "metadata"), "ownerReferences")
    assert [(owner["kind"], owner["name"]) for owner in above] == [("Workflow", "outreach")]


async def test_a_run_goes_on_with_the_revisions_that_it_started_with(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, SEND)
    await flow.run("r1")
    first = await flow.task("r1", "enrich")
    pinned = text(child(await running.get(TASKS, first), "spec"), "revision")
    changed: JsonObject = {"spec": {"instructions": "Do something else.", "runtime": {"image": "own:2"}}}
    await running.admin.merge_patch(AGENTS, "enricher", changed, namespace=running.namespace)
    other: JsonObject = {"spec": {"steps": [ENRICH]}}
    await running.admin.merge_patch(WORKFLOWS, "outreach", other, namespace=running.namespace)

    async def revised() -> bool:
        status = child(await running.get(AGENTS, "enricher"), "status")
        return text(status, "revision") not in ("", pinned)

    await running.eventually(revised)
    await running.ready_agent()
    await flow.hand_in(first, {"summary": "a lead"})
    second = await flow.task("r1", "send")
    assert child(await running.get(TASKS, second), "spec")["revision"] == pinned
    pod = await running.pod_of(second)
    assert child(child(pod, "metadata"), "annotations")["aos.dev/revision"] == pinned
    assert [item["image"] for item in children(child(pod, "spec"), "containers")] == [
        running.settings.agent_image
    ]
    await flow.hand_in(second, {"summary": "sent"})
    await flow.ended("r1", "True", "Completed")


async def test_a_task_whose_pinned_revision_is_gone_is_lost(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, SEND)
    await flow.run("r1")
    first = await flow.task("r1", "enrich")
    pinned = text(child(await running.get(TASKS, first), "spec"), "revision")
    changed: JsonObject = {"spec": {"instructions": "Do something else."}}
    await running.admin.merge_patch(AGENTS, "enricher", changed, namespace=running.namespace)

    async def revised() -> bool:
        status = child(await running.get(AGENTS, "enricher"), "status")
        return text(status, "revision") not in ("", pinned)

    await running.eventually(revised)
    await running.admin.delete(CONTROLLER_REVISIONS, pinned, namespace=running.namespace)
    await running.until(TASKS, first, "Succeeded", "False", "RevisionLost")
    status = await flow.ended("r1", "False", "StepFailed")
    assert text(children(status, "steps")[0], "reason") == "RevisionLost"


async def test_runs_beyond_the_most_wait_for_their_turn(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, concurrency={"maxRuns": 1})
    await flow.run("r1")
    first = await flow.task("r1", "enrich")
    await flow.run("r2")
    await running.until(WORKFLOW_RUNS, "r2", "Succeeded", "Unknown", "Queued")
    assert await flow.tasks("r2", "enrich") == []
    await flow.hand_in(first, {"summary": "a"})
    await flow.ended("r1", "True", "Completed")
    await flow.do("r2", "enrich", {"summary": "b"})
    await flow.ended("r2", "True", "Completed")


async def test_a_run_that_is_cancelled_leaves_nothing_at_work(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH)
    await flow.run("r1")
    task = await flow.task("r1", "enrich")
    await running.pod_of(task)
    await running.admin.merge_patch(
        WORKFLOW_RUNS, "r1", {"spec": {"cancel": True}}, namespace=running.namespace
    )
    await flow.ended("r1", "False", "Cancelled")
    assert await flow.tasks("r1", "enrich") == []


async def test_a_task_that_somebody_deletes_is_not_made_again(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make({**ENRICH, "retry": {"attempts": 3, "backoff": "1s"}})
    await flow.run("r1")
    task = await flow.task("r1", "enrich")
    await running.pod_of(task)
    await running.admin.delete(TASKS, task, namespace=running.namespace)
    status = await flow.ended("r1", "False", "StepFailed")
    assert text(children(status, "steps")[0], "state") == "Cancelled"
    assert await flow.tasks("r1", "enrich") == []


async def test_ended_runs_beyond_the_history_go(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, history={"succeeded": 1, "failed": 0})
    for name in ("r1", "r2"):
        await flow.run(name)
        await flow.do(name, "enrich", {"summary": "a"})

    async def only_the_last_is_left() -> bool:
        runs = {text(child(run, "metadata"), "name") for run in await running.all(WORKFLOW_RUNS)}
        return runs == {"r2"}

    await running.eventually(only_the_last_is_left)
    assert await flow.tasks("r2", "enrich")


async def test_a_workflow_is_refused_until_what_it_names_is_there(running: Rig) -> None:
    steps: list[JsonValue] = [ENRICH]
    await running.make(WORKFLOWS, "outreach", {"steps": steps})
    await running.until(WORKFLOWS, "outreach", "Accepted", "False", "AgentNotFound")
    await Flow(running).run("r1")
    await running.until(WORKFLOW_RUNS, "r1", "Succeeded", "Unknown", "WorkflowNotReady")
    await running.sales()
    await running.until(WORKFLOWS, "outreach", "Ready", "True", "Ready")
    await Flow(running).task("r1", "enrich")
