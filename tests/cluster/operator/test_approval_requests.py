"""Who makes ApprovalRequests, that nothing of them changes, and who says what became of them."""

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.errors import ApiError, Forbidden
from aos.kube.objects import child, children, uid_of
from aos.kube.resources import APPROVAL_REQUESTS, WORKFLOW_RUNS, Resource
from aos.model.approval_request import ApprovalRequestSpec, ApprovalRequestStatus
from aos.model.base import JsonObject
from tests.cluster.operator.approvals import DIGEST, LEADS, STAFF, Desk, approve
from tests.cluster.operator.rig import Rig

DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
TIME = "2026-01-01T00:00:00Z"
CALL: JsonObject = {"call": "gw-1/7", "time": TIME}
CALLS: JsonObject = {"use": CALL, "overtaken": CALL, "outcome": "Succeeded"}
"""A value of each field of a request's status that the gateway writes."""


async def test_attack_20_nobody_but_aos_asks_people(desk: Desk) -> None:
    asked = await desk.manifest()
    with pytest.raises(Forbidden, match="made by the AOS gateway when one has to wait"):
        await desk.rig.admin.create(APPROVAL_REQUESTS, asked)
    await desk.rig.gateway.create(APPROVAL_REQUESTS, asked)


async def test_attack_20_no_request_comes_with_decisions(desk: Desk) -> None:
    with pytest.raises(Forbidden, match="a new ApprovalRequest has no decisions"):
        await desk.ask(decisions=[approve("grace", LEADS)])


@pytest.mark.parametrize(
    "change",
    [{"uid": "another"}, {"name": "t9"}, {"kind": "Agent"}, {"apiVersion": "example.com/v1"}, None],
    ids=json.dumps,
)
async def test_attack_20_a_request_belongs_to_the_task_that_it_names(
    desk: Desk, change: JsonObject | None
) -> None:
    asked = await desk.manifest()
    metadata = child(asked, "metadata")
    owners: list[JsonValue] = [
        {**owner, **change} for owner in children(metadata, "ownerReferences") if change is not None
    ]
    with pytest.raises(Forbidden, match="belongs to the Task that"):
        await desk.rig.gateway.create(
            APPROVAL_REQUESTS, {**asked, "metadata": {**metadata, "ownerReferences": owners}}
        )


OTHER: JsonObject = {
    "type": "Review",
    "run": {"name": "r1", "uid": "r1-uid", "workflow": "outreach", "step": "review"},
    "agent": {"name": "enricher", "revision": "enricher-1"},
    "task": {"name": "t1", "uid": "another"},
    "requestedBy": None,
    "tool": "erp",
    "action": "get_contact",
    "access": "Read",
    "risk": "Low",
    "record": "contact/8",
    "summary": "nothing to see",
    "arguments": "[]",
    "argumentsDigest": DIGEST.replace("0", "1"),
    "definitionDigest": DIGEST.replace("0", "1"),
    "policyDigest": DIGEST.replace("0", "1"),
    "preview": {"before": "1", "after": "2"},
    "call": "gw-1/7",
    "quorums": [{"rule": "outbound", "required": 1, "approvers": {"groups": [LEADS]}}],
    "expiresAt": "2100-01-01T00:00:00Z",
}
"""Another value of each field of a request's spec."""


async def refused_changes(desk: Desk) -> None:
    """Try to change each field, in the name of each who could."""
    fields = {field.alias or name for name, field in ApprovalRequestSpec.model_fields.items()}
    assert set(OTHER) == fields - {"decisions"}
    # Of the operator and the gateway RBAC would refuse it already; an administrator alone comes so far as admission.
    for name, value in OTHER.items():
        with pytest.raises(ApiError, match="nothing of an ApprovalRequest can be changed"):
            await desk.rig.admin.merge_patch(
                APPROVAL_REQUESTS, "apr-1", {"spec": {name: value}}, namespace=desk.rig.namespace
            )


async def test_attack_21_what_people_decide_on_is_never_changed(desk: Desk) -> None:
    asked = await desk.ask()
    await refused_changes(desk)
    grace = await desk.lead("grace")
    swapped: JsonObject = {**child(asked, "spec"), "arguments": "[]", "decisions": [approve("grace", LEADS)]}
    with pytest.raises(ApiError, match="nothing of an ApprovalRequest can be changed"):
        await grace.merge_patch(APPROVAL_REQUESTS, "apr-1", {"spec": swapped}, namespace=desk.rig.namespace)
    for client in (desk.rig.operator, desk.rig.gateway):
        with pytest.raises(Forbidden, match="cannot patch resource"):
            await client.merge_patch(
                APPROVAL_REQUESTS, "apr-1", {"spec": {"risk": "Low"}}, namespace=desk.rig.namespace
            )
    assert child(await desk.rig.get(APPROVAL_REQUESTS, "apr-1"), "spec") == child(asked, "spec")


@pytest.fixture
async def loosened(desk: Desk) -> AsyncIterator[Desk]:
    """The kind without the rules of its schema, as somebody who may change kinds could leave it."""
    admin = desk.rig.admin
    name = f"approvalrequests.{APPROVAL_REQUESTS.group}"
    path = DEFINITIONS.object_path("", name)
    kind = await admin.get(DEFINITIONS, name)
    version = children(child(kind, "spec"), "versions")[0]
    schema = child(child(version, "schema"), "openAPIV3Schema")
    spec = child(child(schema, "properties"), "spec")
    rules = spec.pop("x-kubernetes-validations")
    await admin.request("PUT", path, body=kind)
    yield desk
    kind = await admin.get(DEFINITIONS, name)
    version = children(child(kind, "spec"), "versions")[0]
    schema = child(child(version, "schema"), "openAPIV3Schema")
    child(child(schema, "properties"), "spec")["x-kubernetes-validations"] = rules
    await admin.request("PUT", path, body=kind)


@pytest.mark.last(1)
async def test_attack_21_the_admission_policies_hold_where_the_schemas_own_rules_are_gone(
    loosened: Desk,
) -> None:
    await loosened.ask()

    async def judged_by_policy() -> bool:
        with pytest.raises(ApiError) as refused:
            await loosened.rig.admin.merge_patch(
                APPROVAL_REQUESTS, "apr-1", {"spec": {"risk": "Low"}}, namespace=loosened.rig.namespace
            )
        return "aos-approval-requests" in str(refused.value)

    await loosened.rig.eventually(judged_by_policy)
    await refused_changes(loosened)
    await loosened.decide(await loosened.lead("grace"), approve("grace", LEADS))
    linus = await loosened.lead("linus")
    for tried in ([], [approve("linus", LEADS)], [approve("linus", LEADS), *await loosened.decisions()]):
        with pytest.raises(Forbidden, match=r"aos-approval-decisions.*never changed, removed or moved"):
            await loosened.put(linus, tried)


@pytest.mark.parametrize(
    "change",
    [
        {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "none"}]},
        {"ownerReferences": None},
        {"finalizers": ["example.com/for-ever"]},
        {"labels": {"aos.dev/agent": "another"}},
    ],
    ids=json.dumps,
)
async def test_attack_21_who_decides_makes_no_request_vanish_and_none_stay(
    desk: Desk, change: JsonObject
) -> None:
    await desk.ask()
    grace = await desk.lead("grace")
    with pytest.raises(Forbidden, match="only who may delete it may change them"):
        await grace.merge_patch(
            APPROVAL_REQUESTS, "apr-1", {"metadata": change}, namespace=desk.rig.namespace
        )
    note: JsonObject = {"metadata": {"annotations": {"example.com/seen": "yes"}}}
    await grace.merge_patch(APPROVAL_REQUESTS, "apr-1", note, namespace=desk.rig.namespace)


async def test_controllers_may_still_change_metadata_and_end_a_request(desk: Desk) -> None:
    await desk.ask()
    await desk.decide(await desk.lead("grace"), approve("grace", LEADS))
    await desk.set_state("Expired")
    rig = desk.rig
    changes: list[JsonObject] = [
        {"finalizers": ["example.com/wait"]},
        {"finalizers": None},
        {"ownerReferences": None},
    ]
    for metadata in changes:
        await rig.admin.merge_patch(
            APPROVAL_REQUESTS, "apr-1", {"metadata": metadata}, namespace=rig.namespace
        )
    await rig.admin.delete(APPROVAL_REQUESTS, "apr-1", namespace=rig.namespace)
    assert await rig.get(APPROVAL_REQUESTS, "apr-1") == {}


async def write(rig: Rig, client: ApiClient, status: JsonObject) -> None:
    """Merge into a request's status."""
    await client.merge_patch(
        APPROVAL_REQUESTS, "apr-1", {"status": status}, namespace=rig.namespace, subresource="status"
    )


STATUS: JsonObject = {
    "observedGeneration": 1,
    "conditions": [{"type": "Stale", "status": "True", "reason": "Forged", "lastTransitionTime": TIME}],
    "state": "Approved",
    "need": 1,
    "have": 1,
    "quorums": [{"rule": "outbound", "required": 1, "approved": 1}],
    "counted": [{"approver": "grace", "verdict": "Approve", "time": TIME, "rules": ["outbound"]}],
    "guard": DIGEST,
    "notices": [{"webhook": "chat", "event": "Asked", "time": TIME}],
    "tallied": True,
}
"""A value of each field of a request's status that the operator writes."""


async def test_operator_and_gateway_each_write_their_part_of_a_requests_status(desk: Desk) -> None:
    fields = {field.alias or name for name, field in ApprovalRequestStatus.model_fields.items()}
    assert set(STATUS) == fields - set(CALLS)
    rig = desk.rig
    await desk.ask()
    for name, value in STATUS.items():
        with pytest.raises(Forbidden, match="the gateway writes use, overtaken and outcome alone"):
            await write(rig, rig.gateway, {name: value})
    for name, value in CALLS.items():
        with pytest.raises(
            Forbidden, match="use, overtaken and outcome of an ApprovalRequest are the gateway's"
        ):
            await write(rig, rig.operator, {name: value})
    for client in (rig.admin, await desk.person("root", "system:masters")):
        with pytest.raises(Forbidden, match="written by AOS itself"):
            await write(rig, client, {"state": "Approved"})
    await write(rig, rig.operator, STATUS)
    await write(rig, rig.gateway, CALLS)
    await write(rig, rig.operator, {"state": "Used", "conditions": []})


@pytest.mark.parametrize(
    ("name", "other"),
    [("use", {**CALL, "call": "gw-1/8"}), ("overtaken", {**CALL, "call": "gw-1/8"}), ("outcome", "Failed")],
)
async def test_attack_21_what_the_gateway_says_of_its_calls_is_final(
    desk: Desk, name: str, other: JsonValue
) -> None:
    rig = desk.rig
    await desk.ask()
    await write(rig, rig.gateway, {name: CALLS[name]})
    for changed in (other, None):
        with pytest.raises(Forbidden, match=f"{name} of an ApprovalRequest is final"):
            await write(rig, rig.gateway, {name: changed})
        with pytest.raises(
            Forbidden, match="use, overtaken and outcome of an ApprovalRequest are the gateway's"
        ):
            await write(rig, rig.operator, {name: changed})


async def test_attack_21_what_was_counted_is_never_counted_otherwise(desk: Desk) -> None:
    rig = desk.rig
    await desk.ask()
    first: JsonObject = {"approver": "grace", "verdict": "Approve", "time": TIME, "rules": []}
    second: JsonObject = {**first, "approver": "linus"}
    await write(rig, rig.operator, {"counted": [first]})
    others: list[JsonValue] = [
        None,
        [],
        [second],
        [second, first],
        [{**first, "time": "2026-01-01T00:00:01Z"}],
        [{**first, "rules": ["outbound"]}, second],
    ]
    for other in others:
        with pytest.raises(Forbidden, match="decisions that were counted stay as they are"):
            await write(rig, rig.operator, {"counted": other})
    await write(rig, rig.operator, {"counted": [first, second]})


async def test_attack_21_the_gateway_takes_back_only_the_review_of_a_call_that_was_not_made(
    desk: Desk,
) -> None:
    rig = desk.rig
    await desk.ask("apr-1")
    await desk.ask("rev-made", type="Review", call="gw-1/7")
    await desk.ask("rev-not-made", type="Review", call="gw-1/8")
    await rig.gateway.merge_patch(
        APPROVAL_REQUESTS,
        "rev-made",
        {"status": {"outcome": "Succeeded"}},
        namespace=rig.namespace,
        subresource="status",
    )
    for name in ("apr-1", "rev-made"):
        with pytest.raises(Forbidden, match="only the review of a call that was not made"):
            await rig.gateway.delete(APPROVAL_REQUESTS, name, namespace=rig.namespace)
    await rig.gateway.delete(APPROVAL_REQUESTS, "rev-not-made", namespace=rig.namespace)
    with pytest.raises(Forbidden, match="cannot delete resource"):
        await rig.operator.delete(APPROVAL_REQUESTS, "apr-1", namespace=rig.namespace)


FOLLOWING = {
    "Pending": {"Approved", "Rejected", "Expired", "Stale"},
    "Approved": {"Used", "Expired", "Stale"},
    "Rejected": set[str](),
    "Expired": set[str](),
    "Stale": set[str](),
    "Used": set[str](),
}


@pytest.mark.parametrize("state", FOLLOWING)
async def test_attack_21_no_request_comes_back_from_its_end(desk: Desk, state: str) -> None:
    names = {later: f"apr-{later.lower()}" for later in FOLLOWING}
    for name in names.values():
        await desk.ask(name)
    way = {"Pending": (), "Used": ("Approved", "Used")}.get(state, (state,))
    for later, name in names.items():
        await desk.set_state(*way, name=name)
        if later in FOLLOWING[state] | {state}:
            await desk.set_state(later, name=name)
            continue
        with pytest.raises(Forbidden, match="goes from Pending to Approved, and from there to its end"):
            await desk.set_state(later, name=name)


RUN: JsonObject = {"name": "r1", "uid": "0f3b9e6c-r1", "workflow": "outreach", "step": "review"}
OF_A_CALL = (
    "agent",
    "task",
    "tool",
    "action",
    "access",
    "risk",
    "record",
    "definitionDigest",
    "policyDigest",
)


async def gate(desk: Desk, owner: JsonObject | None = None, **spec: JsonValue) -> JsonObject:
    """Return a request as the operator makes it when the run ``r1``, which is made here, comes to a gate."""
    asked, rig = await desk.manifest("gate-1"), desk.rig
    there = await rig.get(WORKFLOW_RUNS, "r1")
    made = there or await rig.make(WORKFLOW_RUNS, "r1", {"workflowRef": {"name": "outreach"}})
    run: JsonObject = {**RUN, "uid": uid_of(made)}
    owned: JsonObject = {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "WorkflowRun",
        "name": run["name"],
        "uid": run["uid"],
        **(owner or {}),
    }
    kept = {name: value for name, value in child(asked, "spec").items() if name not in OF_A_CALL}
    metadata: JsonObject = {**child(asked, "metadata"), "ownerReferences": [owned]}
    return {**asked, "metadata": metadata, "spec": {**kept, "type": "Gate", "run": run, **spec}}


async def test_attack_20_nobody_but_the_operator_asks_at_a_gate_and_nobody_but_the_gateway_about_a_call(
    desk: Desk,
) -> None:
    rig = desk.rig
    for client in (rig.admin, rig.gateway):
        with pytest.raises(Forbidden, match="made by the AOS operator when a run comes to one"):
            await client.create(APPROVAL_REQUESTS, await gate(desk))
    with pytest.raises(Forbidden, match="made by the AOS gateway when one has to wait"):
        await rig.operator.create(APPROVAL_REQUESTS, await desk.manifest("apr-2"))
    await rig.operator.create(APPROVAL_REQUESTS, await gate(desk))


@pytest.mark.parametrize(
    "owner",
    [{"uid": "another"}, {"name": "r9"}, {"kind": "Task"}, {"apiVersion": "example.com/v1"}],
    ids=json.dumps,
)
async def test_attack_20_a_gate_belongs_to_the_run_that_it_names(desk: Desk, owner: JsonObject) -> None:
    with pytest.raises(Forbidden, match="belongs to the WorkflowRun that"):
        await desk.rig.operator.create(APPROVAL_REQUESTS, await gate(desk, owner))


async def test_a_gate_has_a_run_and_nothing_of_a_call(desk: Desk) -> None:
    asked = await desk.manifest()
    call = child(asked, "spec")
    strays: list[JsonObject] = [{name: call[name]} for name in OF_A_CALL]
    strays += [{"preview": {"before": "1", "after": "2"}}, {"call": "gw-1/7"}, {"run": None}]
    for stray in strays:
        with pytest.raises(ApiError, match="a Gate asks about a run"):
            await desk.rig.operator.create(APPROVAL_REQUESTS, await gate(desk, None, **stray))
    for name in (*OF_A_CALL, "run"):
        if name == "record":
            continue
        spec = {**call, name: RUN if name == "run" else None}
        with pytest.raises(ApiError, match="a Call and a Review ask about a call"):
            await desk.rig.gateway.create(APPROVAL_REQUESTS, {**asked, "spec": spec})


async def test_people_decide_at_a_gate_as_they_do_about_calls(desk: Desk) -> None:
    await desk.rig.operator.create(APPROVAL_REQUESTS, await gate(desk))
    await desk.decide(await desk.lead("grace"), approve("grace", LEADS), "gate-1")
    with pytest.raises(Forbidden, match="you asked for this work yourself"):
        await desk.decide(await desk.lead("ada"), approve("ada", LEADS), "gate-1")
    with pytest.raises(Forbidden, match="not among those whom this request asks"):
        await desk.decide(await desk.person("linus", STAFF), approve("linus"), "gate-1")
