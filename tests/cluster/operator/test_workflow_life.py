"""Runs that outlive operators, wait for people, and are started by schedules, on a real API server."""

import pytest
from pydantic import JsonValue

from aos.kube.objects import child, children, text, uid_of
from aos.kube.resources import APPROVAL_REQUESTS, EVENTS, ROLES, WORKFLOW_RUNS, WORKFLOWS
from aos.model.base import JsonObject
from aos.model.names import triggered_run
from tests.cluster.operator.approvals import LEADS, Desk, approve
from tests.cluster.operator.conftest import operating
from tests.cluster.operator.fake_gateway import FakeGateway
from tests.cluster.operator.flow import ENRICH, SEND, Flow
from tests.cluster.operator.rig import Rig

YEARLY: JsonObject = {"cron": "0 0 1 1 *", "missedRuns": "RunOnce"}


async def test_a_run_goes_on_where_the_last_operator_left_it(rig: Rig, gateway: FakeGateway) -> None:
    assert not gateway.paused
    flow = Flow(rig)
    async with operating(rig.settings):
        await rig.sales()
        await rig.ready_agent()
        await flow.make(ENRICH, SEND)
        await flow.run("r1")
        first = await flow.task("r1", "enrich")
    await flow.hand_in(first, {"summary": "a lead"})
    async with operating(rig.settings):
        await flow.do("r1", "send", {"summary": "sent"})
        await flow.ended("r1", "True", "Completed")
    assert [len(await flow.tasks("r1", step)) for step in ("enrich", "send")] == [1, 1]


async def test_nothing_is_written_while_runs_wait_or_have_ended(rig: Rig, gateway: FakeGateway) -> None:
    assert not gateway.paused
    flow = Flow(rig)
    async with operating(rig.settings):
        await rig.eventually(rig.is_leading)
        await rig.sales()
        await rig.ready_agent()
        hourly: list[JsonValue] = [{"name": "yearly", "schedule": YEARLY}]
        await flow.make(ENRICH, triggers=hourly)
        for name in ("r1", "r2"):
            await flow.run(name)
        await flow.do("r1", "enrich", {"summary": "a lead"})
        await flow.ended("r1", "True", "Completed")
        await rig.pod_of(await flow.task("r2", "enrich"))
        await rig.settled()
        before = await rig.metric("aos_operator_api_writes_total")
        for name in ("r1", "r2"):
            await rig.admin.merge_patch(
                WORKFLOW_RUNS, name, {"metadata": {"annotations": {"a": "b"}}}, namespace=rig.namespace
            )
        await rig.settled()
        assert await rig.metric("aos_operator_api_writes_total") == before
    async with operating(rig.settings):
        await rig.eventually(rig.is_leading)

        async def has_looked() -> bool:
            return await rig.metric("aos_operator_reconciles_total") > 0

        await rig.eventually(has_looked)
        await rig.settled()
        assert await rig.metric("aos_operator_api_writes_total") == 0


async def test_a_gate_holds_the_run_until_people_have_agreed(running: Rig, desk: Desk) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    gate: JsonObject = {
        "name": "review",
        "approval": {"approvers": {"groups": [LEADS]}, "show": "${steps.enrich.output}"},
    }
    send: JsonObject = {
        "name": "send",
        "agent": "enricher",
        "input": {"lead": "${steps.review.output.approvers[0]}"},
    }
    await flow.make(ENRICH, gate, send)
    await flow.run("r1")
    await flow.do("r1", "enrich", {"summary": "a lead"})
    await running.until(WORKFLOW_RUNS, "r1", "Succeeded", "Unknown", "WaitingForPeople")
    request = (await running.all(APPROVAL_REQUESTS))[0]
    name = text(child(request, "metadata"), "name")
    assert child(request, "spec")["type"] == "Gate"
    await running.until(APPROVAL_REQUESTS, name, "EnforcementActive", "True", "Guarded")
    # Nobody knows who asked for the run, so it takes one person more than the step says.
    for person in ("grace", "linus"):
        assert await flow.tasks("r1", "send") == []
        await desk.decide(await desk.lead(person), approve(person, LEADS), name)
    task = await flow.task("r1", "send")
    await flow.hand_in(task, {"summary": "sent"})
    status = await flow.ended("r1", "True", "Completed")
    assert "waitingFor" not in status


async def test_a_run_that_somebody_put_under_a_schedules_name_is_told_of(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    await flow.make(ENRICH, triggers=[{"name": "yearly", "schedule": YEARLY, "input": {"lead": "${time}"}}])
    uid = uid_of(await running.get(WORKFLOWS, "outreach"))
    name = triggered_run("outreach", uid, "yearly", "2026-01-01T00:00:00Z")
    await flow.run(name)
    status: JsonObject = {"status": {"triggers": [{"name": "yearly", "nextDue": "2024-01-01T00:00:00Z"}]}}
    await running.operator.merge_patch(
        WORKFLOWS, "outreach", status, namespace=running.namespace, subresource="status"
    )

    async def told() -> bool:
        return any(
            text(event, "reason") == "TriggerFailed" and f"{name} stands in the way" in text(event, "note")
            for event in await running.all(EVENTS)
        )

    await running.eventually(told)


async def test_a_schedule_starts_one_run_for_the_times_that_were_missed(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    flow = Flow(running)
    trigger: JsonObject = {"name": "yearly", "schedule": YEARLY, "input": {"lead": "${time}"}}
    await flow.make(ENRICH, triggers=[trigger])

    async def look_from(time: str) -> None:
        status: JsonObject = {"status": {"triggers": [{"name": "yearly", "nextDue": time}]}}
        await running.operator.merge_patch(
            WORKFLOWS, "outreach", status, namespace=running.namespace, subresource="status"
        )

    async def has_passed() -> bool:
        status = child(await running.get(WORKFLOWS, "outreach"), "status")
        return children(status, "triggers")[0].get("lastDue") == last

    last = "2026-01-01T00:00:00Z"
    for _ in range(2):
        # As an operator that was stopped before it had recorded the start would look again.
        await look_from("2024-01-01T00:00:00Z")
        await running.eventually(has_passed)
    runs = await running.all(WORKFLOW_RUNS)
    assert len(runs) == 1
    spec = child(runs[0], "spec")
    assert spec["input"] == {"lead": last}
    assert spec["requestedBy"] == "aos:trigger/yearly"
    assert spec["trigger"] == {"name": "yearly", "id": last}
    await flow.do(text(child(runs[0], "metadata"), "name"), "enrich", {"summary": "a lead"})


@pytest.mark.parametrize(
    "schedule",
    [{"cron": "61 * * * *"}, {"cron": "0 0 30 2 *"}, {"cron": "0 0 * * *", "timeZone": "Moon/Sea"}],
)
async def test_a_schedule_that_can_not_be_kept_is_not_accepted(running: Rig, schedule: JsonObject) -> None:
    await running.sales()
    steps: list[JsonValue] = [ENRICH]
    triggers: list[JsonValue] = [{"name": "broken", "schedule": schedule}]
    await running.make(WORKFLOWS, "outreach", {"steps": steps, "triggers": triggers})
    await running.until(WORKFLOWS, "outreach", "Accepted", "False", "TriggerInvalid")


def keys_of(rig: Rig, generation: int, problem: str) -> JsonObject:
    """Return what a gateway says of the webhooks of ``outreach``."""
    said: JsonObject = {"generation": generation, "problem": problem}
    return {"namespace": rig.namespace, "workflow": "outreach", "webhooks": said}


async def test_a_workflow_whose_webhook_has_no_key_says_so_until_it_has_one_and_runs_all_the_same(
    running: Rig, gateway: FakeGateway
) -> None:
    await running.sales()
    await running.ready_agent()
    hook: JsonObject = {"name": "new-lead", "webhook": {"secretRef": {"name": "hooks", "key": "key"}}}
    await running.make(WORKFLOWS, "outreach", {"steps": [ENRICH], "triggers": [hook]})
    await running.until(WORKFLOWS, "outreach", "Ready", "Unknown", "NotObserved")
    gateway.webhooks = [keys_of(running, 1, "trigger new-lead: Secret hooks is not there")]
    await running.until(WORKFLOWS, "outreach", "Ready", "False", "CredentialsMissing")
    await Flow(running).run("r1")
    await running.until(WORKFLOW_RUNS, "r1", "Succeeded", "Unknown", "Running")
    gateway.webhooks = [keys_of(running, 1, "")]
    await running.until(WORKFLOWS, "outreach", "Ready", "True", "Ready")


async def test_the_secrets_of_webhooks_are_opened_to_the_gateway_while_they_are_named(
    running: Rig, gateway: FakeGateway
) -> None:
    await running.sales()
    await running.ready_agent()
    gateway.webhooks = [keys_of(running, 1, "")]
    hooks: list[JsonValue] = [
        {"name": f"hook-{number}", "webhook": {"secretRef": {"name": secret, "key": "key"}}}
        for number, secret in enumerate(("a", "a", "b"))
    ]
    await Flow(running).make(ENRICH, triggers=hooks)

    async def opened() -> set[str]:
        rules = [children(role, "rules")[0] for role in await running.all(ROLES)]
        return {str(name) for rule in rules for name in rule["resourceNames"]} - {"crm-credentials"}  # type: ignore[union-attr]

    assert await opened() == {"a", "b"}
    patch: JsonObject = {"spec": {"triggers": hooks[:1]}}
    await running.admin.merge_patch(WORKFLOWS, "outreach", patch, namespace=running.namespace)

    async def is_closed() -> bool:
        return await opened() == {"a"}

    await running.eventually(is_closed)
