"""Workflows and their runs on a real API server. Results of Tasks are handed in as the gateway would; there is no kubelet."""

from pydantic import JsonValue

from aos.kube.objects import child, children, text, uid_of
from aos.kube.resources import AGENTS, CONTROLLER_REVISIONS, TASKS, WORKFLOW_RUNS, WORKFLOWS
from aos.model.base import JsonObject
from tests.cluster.operator.flow import ENRICH, SEND, Flow
from tests.cluster.operator.rig import Rig


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
        "undoing": False,
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


async def test_a_step_that_is_another_workflow_is_a_run_of_it(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, name="inner", output={"found": "${steps.enrich.output.summary}"})
    outer: JsonObject = {"name": "research", "workflow": "inner", "input": {"lead": "${input.lead}"}}
    await flow.make(
        outer,
        budget={"calls": 9},
        output={"told": "${steps.research.output.found}"},
    )
    await flow.run("r1")
    below: list[str] = []

    async def is_there() -> bool:
        runs = await running.all(WORKFLOW_RUNS, "aos.dev/run=r1")
        below[:] = [text(child(run, "metadata"), "name") for run in runs]
        return bool(below)

    await running.eventually(is_there)
    task = await flow.task(below[0], "enrich")
    run, above = await running.get(WORKFLOW_RUNS, below[0]), await running.get(WORKFLOW_RUNS, "r1")
    parent = child(child(run, "spec"), "parent")
    assert (parent["run"], parent["runUID"], parent["step"], parent["depth"]) == (
        "r1",
        uid_of(above),
        "research",
        1,
    )
    assert [owner["uid"] for owner in children(child(run, "metadata"), "ownerReferences")] == [uid_of(above)]
    step = child(child(await running.get(TASKS, task), "spec"), "run")
    assert step["rootUID"] == uid_of(above)
    assert step["budgets"] == [{"runUID": uid_of(above), "workflow": "outreach", "calls": 9}]
    await flow.hand_in(task, {"summary": "a lead"})
    status = await flow.ended("r1", "True", "Completed")
    assert status["output"] == {"told": "a lead"}
    assert child(status, "usage")["calls"] == 2


async def test_a_run_that_is_cancelled_cancels_those_below(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, name="inner")
    await flow.make({"name": "research", "workflow": "inner", "input": {"lead": "${input.lead}"}})
    await flow.run("r1")

    async def is_there() -> bool:
        return bool(await running.all(WORKFLOW_RUNS, "aos.dev/run=r1"))

    await running.eventually(is_there)
    below = text(child((await running.all(WORKFLOW_RUNS, "aos.dev/run=r1"))[0], "metadata"), "name")
    await flow.task(below, "enrich")
    await running.admin.merge_patch(
        WORKFLOW_RUNS, "r1", {"spec": {"cancel": True}}, namespace=running.namespace
    )
    await flow.ended("r1", "False", "Cancelled")
    await flow.ended(below, "False", "Cancelled")
    assert await flow.tasks(below, "enrich") == []


async def test_large_outputs_are_handed_on_though_no_cache_keeps_them(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, SEND)
    await flow.run("r1")
    large = "x" * 100_000
    await flow.do("r1", "enrich", {"summary": large})
    second = await flow.task("r1", "send")
    assert child(await running.get(TASKS, second), "spec")["input"] == {"lead": large}


async def test_a_suspended_run_starts_nothing_until_it_is_resumed(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, SEND)
    await flow.run("r1")
    first = await flow.task("r1", "enrich")

    async def suspend(*, is_suspended: bool) -> None:
        patch: JsonObject = {"spec": {"suspend": is_suspended}}
        await running.admin.merge_patch(WORKFLOW_RUNS, "r1", patch, namespace=running.namespace)

    await suspend(is_suspended=True)
    await running.until(WORKFLOW_RUNS, "r1", "Suspended", "True", "Suspended")
    await flow.hand_in(first, {"summary": "a lead"})

    async def first_is_done() -> bool:
        status = child(await running.get(WORKFLOW_RUNS, "r1"), "status")
        return children(status, "steps")[0]["state"] == "Succeeded"

    await running.eventually(first_is_done)
    assert await flow.tasks("r1", "send") == []
    await suspend(is_suspended=False)
    await flow.do("r1", "send", {"summary": "sent"})
    await flow.ended("r1", "True", "Completed")


async def test_a_failed_attempt_is_made_again_and_counts_once(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make({**ENRICH, "retry": {"attempts": 2, "backoff": "1s"}})
    await flow.run("r1")
    await running.hand_in(await flow.task("r1", "enrich"), "Failed")
    await flow.do("r1", "enrich", {"summary": "a lead"}, attempt=2)
    status = await flow.ended("r1", "True", "Completed")
    assert children(status, "steps")[0]["attempt"] == 2


async def test_what_does_not_fit_the_workflows_input_is_not_run(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    schema: JsonObject = {"type": "object", "required": ["lead"], "properties": {"lead": {"type": "string"}}}
    await flow.make(ENRICH, input={"schema": schema})
    await flow.run("r1", {"lead": 7})
    status = await flow.ended("r1", "False", "InputInvalid")
    assert "7" not in text(children(status, "conditions")[-1], "message")


async def test_a_workflow_takes_its_runs_with_it(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH)
    await flow.run("r1")
    await flow.task("r1", "enrich")
    await running.admin.delete(WORKFLOWS, "outreach", namespace=running.namespace)

    async def is_gone() -> bool:
        return not await running.get(WORKFLOW_RUNS, "r1")

    await running.eventually(is_gone)
