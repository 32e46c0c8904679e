"""The admission policies on a real API server, and what they are there to stop."""

import asyncio

import pytest
from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.errors import ApiError, Forbidden
from aos.kube.objects import child, text, uid_of
from aos.kube.resources import (
    AGENTS,
    MODELS,
    PODS,
    POLICIES,
    ROLE_BINDINGS,
    ROLES,
    TASKS,
    TOOLS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    Resource,
)
from aos.model.base import JsonObject
from aos.model.meta import ObjectMeta
from aos.reconcile.admission.policies import admission_policies
from aos.reconcile.children import credential_access
from tests.cluster.operator.conftest import wait_until_heeded
from tests.cluster.operator.rig import GATEWAY, HOME, OPERATOR, TOOL_SPEC, Rig

CONDITION: JsonObject = {
    "type": "Ready",
    "status": "True",
    "reason": "Forged",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


async def write(client: ApiClient, rig: Rig, resource: Resource, name: str, status: JsonObject) -> None:
    manifest = rig.manifest(resource, name, status=status)
    metadata: JsonObject = {"name": name, "namespace": rig.namespace}
    # One manager for each writer: apply drops what the same manager said before and does not say again.
    manager = f"test-{id(client)}"
    await client.apply_status(resource, {**manifest, "metadata": metadata}, field_manager=manager)


@pytest.mark.parametrize("resource", [AGENTS, TOOLS, MODELS, POLICIES, TASKS], ids=lambda one: one.plural)
async def test_nobody_forges_a_status(rig: Rig, resource: Resource) -> None:
    await rig.sales()
    await rig.task("t1")
    name = {"agents": "enricher", "tools": "crm", "models": "default", "policies": "baseline", "tasks": "t1"}
    with pytest.raises(Forbidden, match="written by AOS itself"):
        await write(rig.admin, rig, resource, name[resource.plural], {"conditions": [CONDITION]})


@pytest.mark.parametrize("resource", [AGENTS, POLICIES], ids=lambda one: one.plural)
async def test_the_gateway_writes_no_status_of_agents_and_policies(rig: Rig, resource: Resource) -> None:
    await rig.sales()
    name = {"agents": "enricher", "policies": "baseline"}[resource.plural]
    with pytest.raises(Forbidden):
        await write(rig.gateway, rig, resource, name, {"conditions": [CONDITION]})


AVAILABLE: JsonObject = {**CONDITION, "type": "Available", "reason": "Available"}
ACTIONS: list[JsonValue] = [{"name": "get_contact", "state": "Offered"}]


@pytest.mark.parametrize(
    ("who", "status", "allowed"),
    [
        ("gateway", {"conditions": [AVAILABLE], "actions": ACTIONS}, True),
        ("gateway", {"conditions": [CONDITION]}, False),
        ("gateway", {"observedGeneration": 7}, False),
        ("operator", {"observedGeneration": 1, "conditions": [CONDITION]}, True),
        ("operator", {"conditions": [AVAILABLE]}, False),
        ("operator", {"actions": ACTIONS}, False),
    ],
)
async def test_operator_and_gateway_each_write_their_part_of_a_tools_status(
    rig: Rig, who: str, status: JsonObject, *, allowed: bool
) -> None:
    await rig.make(TOOLS, "crm", TOOL_SPEC)
    client = rig.gateway if who == "gateway" else rig.operator
    if allowed:
        await write(client, rig, TOOLS, "crm", status)
    else:
        with pytest.raises(Forbidden, match="gateway"):
            await write(client, rig, TOOLS, "crm", status)


POD: JsonObject = {"name": "p", "uid": "u"}
END: JsonObject = {**CONDITION, "type": "Succeeded", "status": "False", "reason": "NoResult"}
RESULT: JsonObject = {"outcome": "Succeeded", "time": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("who", "status", "message"),
    [
        ("gateway", {"pod": POD}, "result and usage alone"),
        ("gateway", {"conditions": [END]}, "result and usage alone"),
        ("gateway", {"completionTime": "2026-01-01T00:00:00Z"}, "result and usage alone"),
        ("operator", {"result": RESULT}, "are the gateway's"),
        ("operator", {"usage": {"calls": 1}}, "are the gateway's"),
    ],
)
async def test_operator_and_gateway_each_write_their_part_of_a_tasks_status(
    rig: Rig, who: str, status: JsonObject, message: str
) -> None:
    await rig.task("t1")
    client = rig.gateway if who == "gateway" else rig.operator
    with pytest.raises(Forbidden, match=message):
        await write(client, rig, TASKS, "t1", status)


async def test_what_a_tasks_pod_ran_is_final_even_for_its_writer(rig: Rig) -> None:
    await rig.task("t1")
    await write(rig.operator, rig, TASKS, "t1", {"pod": POD, "imageID": "agent@sha256:12"})
    for other in ({"imageID": "agent@sha256:34"}, {}):
        with pytest.raises(Forbidden, match="what a Task's pod ran is final"):
            await write(rig.operator, rig, TASKS, "t1", {"pod": POD, **other})


async def test_a_tasks_pod_result_and_end_are_final_even_for_their_writers(rig: Rig) -> None:
    await rig.task("t1")
    await write(rig.operator, rig, TASKS, "t1", {"pod": POD, "conditions": [END]})
    await write(rig.gateway, rig, TASKS, "t1", {"result": RESULT, "usage": {"calls": 1}})
    with pytest.raises(Forbidden, match="one pod"):
        await write(rig.operator, rig, TASKS, "t1", {"pod": {**POD, "uid": "v"}, "conditions": [END]})
    with pytest.raises(Forbidden, match="one pod"):
        await write(rig.operator, rig, TASKS, "t1", {"conditions": [END]})
    better: JsonObject = {**END, "status": "True", "reason": "Completed"}
    with pytest.raises(Forbidden, match="end is final"):
        await write(rig.operator, rig, TASKS, "t1", {"pod": POD, "conditions": [better]})
    with pytest.raises(Forbidden, match="end is final"):
        await write(rig.operator, rig, TASKS, "t1", {"pod": POD})
    with pytest.raises(Forbidden, match="result is final"):
        await write(rig.gateway, rig, TASKS, "t1", {"result": {**RESULT, "outcome": "Failed"}})


async def test_a_task_is_asked_for_under_ones_own_name(rig: Rig) -> None:
    spec: JsonObject = {"agentRef": {"name": "enricher"}}
    with pytest.raises(Forbidden, match="your own user name"):
        await rig.make(TASKS, "forged", {**spec, "requestedBy": "somebody"})
    await rig.make(TASKS, "own", {**spec, "requestedBy": "admin"})
    await rig.make(TASKS, "silent", spec)


HANDED_OVER: JsonObject = {"agentRef": {"name": "writer"}, "requestedBy": "ada"}


async def handoff(rig: Rig, changes: JsonObject | None = None) -> JsonObject:
    """Return a Task ``t2`` as the gateway hands it over from the Task ``t1``, which is made here."""
    parent = await rig.get(TASKS, "t1") or await rig.task("t1")
    uid = uid_of(parent)
    entry: JsonObject = {"agent": "enricher", "task": "t1", "taskUID": uid}
    owner: JsonObject = {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Task",
        "name": "t1",
        "uid": uid,
        "controller": True,
    }
    manifest = rig.manifest(TASKS, "t2", {**HANDED_OVER, "lineage": [{**entry, **(changes or {})}]})
    return {**manifest, "metadata": {**child(manifest, "metadata"), "ownerReferences": [owner]}}


async def test_the_gateway_hands_over_a_task_in_the_name_of_who_asked_first(rig: Rig) -> None:
    await rig.gateway.create(TASKS, await handoff(rig))
    await rig.gateway.delete(TASKS, "t2", namespace=rig.namespace)


async def test_attack_20_nobody_but_the_gateway_says_where_a_task_comes_from(rig: Rig) -> None:
    forged = await handoff(rig)
    spec = {**child(forged, "spec"), "requestedBy": ""}
    with pytest.raises(Forbidden, match="written by the AOS gateway"):
        await rig.admin.create(TASKS, {**forged, "spec": spec})


async def test_attack_20_a_lineage_is_never_changed(rig: Rig) -> None:
    await rig.gateway.create(TASKS, await handoff(rig))
    others: list[list[JsonValue]] = [[], [{"agent": "lead", "task": "t1", "taskUID": "another"}]]
    for other in others:
        with pytest.raises(ApiError, match="a Task can't be changed"):
            await rig.admin.merge_patch(TASKS, "t2", {"spec": {"lineage": other}}, namespace=rig.namespace)


@pytest.mark.parametrize("change", [{"task": "t9"}, {"taskUID": "another"}], ids=["name", "uid"])
async def test_attack_20_a_task_that_was_handed_over_belongs_to_the_one_it_came_from(
    rig: Rig, change: JsonObject
) -> None:
    with pytest.raises(Forbidden, match="belongs to the Task"):
        await rig.gateway.create(TASKS, await handoff(rig, change))
    orphan = await handoff(rig)
    loose = {name: value for name, value in child(orphan, "metadata").items() if name != "ownerReferences"}
    with pytest.raises(Forbidden, match="belongs to the Task"):
        await rig.gateway.create(TASKS, {**orphan, "metadata": loose})


async def test_attack_20_the_gateway_makes_and_deletes_no_task_that_nobody_handed_over(rig: Rig) -> None:
    with pytest.raises(Forbidden, match="only Tasks that an agent hands over"):
        await rig.gateway.create(TASKS, rig.manifest(TASKS, "own", {"agentRef": {"name": "enricher"}}))
    await rig.task("t1")
    with pytest.raises(Forbidden, match="only Tasks that an agent hands over"):
        await rig.gateway.delete(TASKS, "t1", namespace=rig.namespace)


def credential(rig: Rig, kind: str = "Tool", name: str = "crm", namespace: str = "") -> list[JsonObject]:
    metadata = ObjectMeta(name=name, namespace=namespace or rig.namespace, uid="tool-uid")
    return list(credential_access(kind, metadata, "crm-credentials", rig.settings.operator))


async def test_the_operator_may_lend_one_secret_to_the_gateway(rig: Rig) -> None:
    role, binding = credential(rig)
    await rig.operator.create(ROLES, role)
    await rig.operator.create(ROLE_BINDINGS, binding)


@pytest.mark.parametrize(
    "rules",
    [
        [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}],
        [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
        [
            {
                "apiGroups": [""],
                "resources": ["secrets"],
                "resourceNames": ["a", "b"],
                "verbs": ["get", "list", "watch"],
            }
        ],
        [
            {
                "apiGroups": [""],
                "resources": ["pods"],
                "resourceNames": ["a"],
                "verbs": ["get", "list", "watch"],
            }
        ],
        [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["update"]}],
        [],
    ],
)
async def test_the_operator_writes_no_wider_role(rig: Rig, rules: list[JsonValue]) -> None:
    role, _ = credential(rig)
    with pytest.raises(ApiError, match="one named Secret"):
        await rig.operator.create(ROLES, {**role, "rules": rules})


@pytest.mark.parametrize(
    "change",
    [
        {"subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]},
        {"subjects": [{"kind": "User", "name": "admin", "apiGroup": "rbac.authorization.k8s.io"}]},
        {
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            }
        },
        {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "other"}},
    ],
)
async def test_the_operator_binds_nobody_else(rig: Rig, change: JsonObject) -> None:
    _, binding = credential(rig)
    with pytest.raises(ApiError, match=r"to the gateway alone|not currently held"):
        await rig.operator.create(ROLE_BINDINGS, {**binding, **change})


async def test_the_operator_writes_no_role_without_a_tool_or_model(rig: Rig) -> None:
    role, _ = credential(rig)
    orphan = {name: value for name, value in child(role, "metadata").items() if name != "ownerReferences"}
    with pytest.raises(Forbidden, match="belong to a Tool, a Model or a Workflow"):
        await rig.operator.create(ROLES, {**role, "metadata": orphan})
    with pytest.raises(Forbidden, match="belong to a Tool, a Model or a Workflow"):
        await rig.operator.create(ROLES, {**role, "metadata": {**child(role, "metadata"), "name": "admin"}})


async def test_the_operator_lends_out_no_secret_of_its_own_namespace(rig: Rig) -> None:
    role, _ = credential(rig, namespace=HOME)
    with pytest.raises(Forbidden, match="its own namespace"):
        await rig.operator.create(ROLES, role)


async def author(rig: Rig, *, reads: str) -> ApiClient:
    """Return a client of somebody who writes Tools, Models and Workflows, and reads the Secret of that name."""
    rules: list[JsonValue] = [
        {"apiGroups": ["aos.dev"], "resources": ["tools", "models", "workflows"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [reads], "verbs": ["get"]},
    ]
    await rig.admin.create(ROLES, rig.manifest(ROLES, "author") | {"rules": rules})
    reference: JsonObject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "author"}
    subject: JsonObject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "author"}
    binding = rig.manifest(ROLE_BINDINGS, "author") | {"roleRef": reference, "subjects": [subject]}
    await rig.admin.create(ROLE_BINDINGS, binding)
    return await ApiClient.connect(rig.cluster.user("author", "system:authenticated"))


@pytest.mark.parametrize(
    ("resource", "spec"),
    [
        (TOOLS, TOOL_SPEC),
        (MODELS, {"url": "http://model/v1", "model": "m", "auth": TOOL_SPEC["auth"]}),
    ],
    ids=["Tool", "Model"],
)
async def test_nobody_sends_a_secret_that_they_may_not_read(
    rig: Rig, resource: Resource, spec: JsonObject
) -> None:
    async with await author(rig, reads="own") as writer:
        with pytest.raises(Forbidden, match="a Secret that you may not read"):
            await writer.create(resource, rig.manifest(resource, "thief", spec))
        await rig.make(resource, "lent", spec)
        with pytest.raises(Forbidden, match="a Secret that you may not read"):
            await writer.merge_patch(
                resource, "lent", {"spec": {"url": "http://elsewhere/v1"}}, namespace=rig.namespace
            )
        labels: JsonObject = {"metadata": {"labels": {"team": "a"}}}
        await writer.merge_patch(resource, "lent", labels, namespace=rig.namespace)
        own: JsonObject = {"auth": {"secretRef": {"name": "own", "key": "token"}}}
        await writer.create(resource, rig.manifest(resource, "own", {**spec, **own}))


async def test_the_policies_read_back_as_they_are_made_and_type_check(rig: Rig) -> None:
    for manifest in admission_policies(OPERATOR, GATEWAY):
        is_policy = manifest["kind"] == "ValidatingAdmissionPolicy"
        resource = VALIDATING_ADMISSION_POLICIES if is_policy else VALIDATING_ADMISSION_POLICY_BINDINGS
        stored = await rig.admin.get(resource, text(child(manifest, "metadata"), "name"))
        assert stored["spec"] == manifest["spec"]
        assert not child(child(stored, "status"), "typeChecking").get("expressionWarnings")


@pytest.mark.last(2)
async def test_agents_are_not_ready_while_a_policy_is_missing_or_altered(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    binding = admission_policies(OPERATOR, GATEWAY)[1]
    name = text(child(binding, "metadata"), "name")
    audit: JsonObject = {"spec": {"validationActions": ["Audit"]}}
    await running.admin.merge_patch(VALIDATING_ADMISSION_POLICY_BINDINGS, name, audit)
    try:
        await running.until(AGENTS, "enricher", "AdmissionGuarded", "False", "PolicyMissing")
        await running.until(AGENTS, "enricher", "Ready", "False", "PolicyMissing")
        assert await running.metric("aos_operator_guarded") == 0
        await running.task("t1")
        await running.until(TASKS, "t1", "Started", "False", "AgentNotReady")
        assert await running.all(PODS) == []
    finally:
        await running.admin.delete(VALIDATING_ADMISSION_POLICY_BINDINGS, name)
        await running.admin.create(VALIDATING_ADMISSION_POLICY_BINDINGS, binding)
        # The API server of the tests that come next is this one.
        await asyncio.to_thread(wait_until_heeded, running.cluster)
    assert await running.pod_of("t1")
