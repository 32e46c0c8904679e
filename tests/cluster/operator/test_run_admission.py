"""Who writes what of runs and their Tasks, on a real API server."""

import pytest
from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.errors import Forbidden
from aos.kube.objects import child, uid_of
from aos.kube.resources import ROLE_BINDINGS, ROLES, TASKS, WORKFLOW_RUNS, WORKFLOWS
from aos.model.base import JsonObject
from aos.model.meta import ObjectMeta
from aos.model.names import LABEL_RUN
from aos.model.workflow import MAX_TRIGGERS
from aos.reconcile.children import owner_reference, webhook_access
from aos.reconcile.settings import OperatorSettings
from tests.cluster.operator.rig import HOME, Rig
from tests.cluster.operator.test_admission import author

STEP: JsonObject = {"name": "r", "uid": "u", "rootUID": "u", "workflow": "w", "step": "enrich"}
RUN_SPEC: JsonObject = {"workflowRef": {"name": "outreach"}}
PARENT: JsonObject = {"run": "above", "runUID": "u", "rootUID": "u", "step": "enrich", "depth": 1}
TRIGGER: JsonObject = {"name": "nightly", "id": "2026-01-01T00:00:00Z"}


def task(rig: Rig, name: str, run: JsonObject | None = None, **spec: JsonValue) -> JsonObject:
    return rig.manifest(
        TASKS, name, {"agentRef": {"name": "enricher"}, **({"run": run} if run else {}), **spec}
    )


def owned(manifest: JsonObject, owner: JsonObject) -> JsonObject:
    metadata = ObjectMeta.model_validate(child(owner, "metadata"))
    about: JsonObject = {
        **child(manifest, "metadata"),
        "ownerReferences": [owner_reference("WorkflowRun", metadata)],
        "labels": {LABEL_RUN: metadata.name},
    }
    return {**manifest, "metadata": about}


def step_of(run: JsonObject) -> JsonObject:
    return {**STEP, "name": "r1", "uid": uid_of(run), "rootUID": uid_of(run)}


@pytest.mark.parametrize("made", [{"run": STEP}, {"revision": "enricher-1"}])
async def test_attack_20_a_user_makes_no_task_of_a_run(rig: Rig, made: JsonObject) -> None:
    with pytest.raises(Forbidden, match="leave it out"):
        await rig.make(TASKS, "forged", {"agentRef": {"name": "enricher"}, **made})


async def test_attack_20_a_user_gives_no_task_the_labels_of_a_run(rig: Rig) -> None:
    labelled = task(rig, "forged")
    child(labelled, "metadata")["labels"] = {LABEL_RUN: "r1"}
    with pytest.raises(Forbidden, match="leave them out"):
        await rig.admin.create(TASKS, labelled)
    await rig.admin.create(TASKS, task(rig, "plain"))
    with pytest.raises(Forbidden, match="leave them out"):
        await rig.admin.merge_patch(
            TASKS, "plain", {"metadata": {"labels": {LABEL_RUN: "r1"}}}, namespace=rig.namespace
        )


async def test_the_operator_makes_tasks_of_a_run_that_owns_them(rig: Rig) -> None:
    run = await rig.make(WORKFLOW_RUNS, "r1", RUN_SPEC)
    made = task(rig, "t1", step_of(run), revision="enricher-1")
    with pytest.raises(Forbidden, match="as its controller"):
        await rig.operator.create(TASKS, made)
    await rig.operator.create(TASKS, owned(made, run))


@pytest.mark.parametrize(
    "patch", [{"ownerReferences": None}, {"labels": {LABEL_RUN: None}}, {"labels": {LABEL_RUN: "another"}}]
)
async def test_nobody_takes_a_task_from_its_run(rig: Rig, patch: JsonObject) -> None:
    run = await rig.make(WORKFLOW_RUNS, "r1", RUN_SPEC)
    await rig.operator.create(TASKS, owned(task(rig, "t1", step_of(run)), run))
    with pytest.raises(Forbidden, match="stays with its run"):
        await rig.admin.merge_patch(TASKS, "t1", {"metadata": patch}, namespace=rig.namespace)


async def test_the_gateway_makes_no_task_of_a_step(rig: Rig) -> None:
    run = await rig.make(WORKFLOW_RUNS, "r1", RUN_SPEC)
    with pytest.raises(Forbidden):
        await rig.gateway.create(TASKS, owned(task(rig, "t1", step_of(run)), run))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"parent": PARENT}, "spec.parent"),
        ({"trigger": TRIGGER, "requestedBy": "aos:trigger/nightly"}, "spec.trigger"),
        ({"requestedBy": "somebody-else"}, "your own user name"),
        ({"requestedBy": "aos:trigger/nightly"}, "your own user name"),
    ],
)
async def test_a_user_starts_runs_in_their_own_name_alone(rig: Rig, spec: JsonObject, said: str) -> None:
    with pytest.raises(Forbidden, match=said):
        await rig.make(WORKFLOW_RUNS, "forged", {**RUN_SPEC, **spec})


async def test_a_user_names_no_run_as_the_one_above(rig: Rig) -> None:
    with pytest.raises(Forbidden, match="leave them out"):
        await rig.make(WORKFLOW_RUNS, "forged", RUN_SPEC, {LABEL_RUN: "r1"})


async def test_a_run_of_a_trigger_is_asked_for_by_the_trigger(rig: Rig) -> None:
    spec = {**RUN_SPEC, "trigger": TRIGGER}
    with pytest.raises(Forbidden, match="asked for by the trigger"):
        await rig.operator.create(WORKFLOW_RUNS, rig.manifest(WORKFLOW_RUNS, "r1", spec))
    named = {**spec, "requestedBy": "aos:trigger/nightly"}
    await rig.operator.create(WORKFLOW_RUNS, rig.manifest(WORKFLOW_RUNS, "r1", named))


async def test_a_run_that_a_step_starts_belongs_to_the_run_above(rig: Rig) -> None:
    above = await rig.make(WORKFLOW_RUNS, "above", RUN_SPEC)
    spec = {**RUN_SPEC, "parent": {**PARENT, "runUID": uid_of(above), "rootUID": uid_of(above)}}
    made = rig.manifest(WORKFLOW_RUNS, "below", spec)
    with pytest.raises(Forbidden, match="belongs to the run"):
        await rig.operator.create(WORKFLOW_RUNS, made)
    await rig.operator.create(WORKFLOW_RUNS, owned(made, above))
    with pytest.raises(Forbidden, match="stays with the run above"):
        await rig.admin.merge_patch(
            WORKFLOW_RUNS, "below", {"metadata": {"ownerReferences": None}}, namespace=rig.namespace
        )
    for label in (None, "another"):
        with pytest.raises(Forbidden, match="leave them as they are"):
            await rig.admin.merge_patch(
                WORKFLOW_RUNS, "below", {"metadata": {"labels": {LABEL_RUN: label}}}, namespace=rig.namespace
            )
    # Pausing and cancelling are left to people.
    await rig.admin.merge_patch(WORKFLOW_RUNS, "below", {"spec": {"cancel": True}}, namespace=rig.namespace)


async def test_only_the_operator_says_what_became_of_a_run(rig: Rig) -> None:
    await rig.make(WORKFLOW_RUNS, "r1", RUN_SPEC)

    async def say(client: ApiClient, status: JsonObject) -> None:
        await client.merge_patch(
            WORKFLOW_RUNS, "r1", {"status": status}, namespace=rig.namespace, subresource="status"
        )

    for client in (rig.admin, rig.gateway):
        with pytest.raises(Forbidden):
            await say(client, {"revision": "workflow-outreach-1"})
    await say(rig.operator, {"revision": "workflow-outreach-1"})
    with pytest.raises(Forbidden, match="final"):
        await say(rig.operator, {"revision": "workflow-outreach-2"})
    ended: JsonObject = {
        "type": "Succeeded",
        "status": "False",
        "reason": "Cancelled",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    await say(rig.operator, {"conditions": [ended]})
    with pytest.raises(Forbidden, match="end is final"):
        await say(rig.operator, {"conditions": [{**ended, "status": "True", "reason": "Completed"}]})


async def test_a_webhooks_secret_is_opened_to_the_gateway_and_nothing_more(rig: Rig) -> None:
    settings = OperatorSettings(namespace=HOME, agent_image="x")
    metadata = ObjectMeta.model_validate(
        {"name": "outreach", "namespace": rig.namespace, "uid": "0b3d0f7c-0000-4000-8000-000000000000"}
    )
    made = webhook_access(metadata, "hooks", settings)
    for manifest in made:
        resource = next(item for item in (ROLES, ROLE_BINDINGS) if item.kind == manifest["kind"])
        await rig.operator.apply(resource, manifest, field_manager="aos-operator")
    renamed = {**made[0], "metadata": {**child(made[0], "metadata"), "name": "aos-workflow-outreach-x"}}
    with pytest.raises(Forbidden, match="a Tool, a Model or a Workflow"):
        await rig.operator.apply(ROLES, renamed, field_manager="aos-operator")


async def test_who_names_a_webhooks_secret_may_read_it(rig: Rig) -> None:
    def workflow(name: str, *secrets: str) -> JsonObject:
        hooks: list[JsonValue] = [
            {"name": f"hook-{place}", "webhook": {"secretRef": {"name": secret, "key": "key"}}}
            for place, secret in enumerate(secrets)
        ]
        steps: list[JsonValue] = [{"name": "enrich", "agent": "enricher"}]
        return rig.manifest(WORKFLOWS, name, {"steps": steps, "triggers": hooks})

    async with await author(rig, reads="own") as writer:
        await writer.create(WORKFLOWS, workflow("most", *["own"] * MAX_TRIGGERS))
        for secrets in (["theirs"], [*["own"] * (MAX_TRIGGERS - 1), "theirs"]):
            with pytest.raises(Forbidden, match="a Secret that you may not read"):
                await writer.create(WORKFLOWS, workflow("thief", *secrets))
