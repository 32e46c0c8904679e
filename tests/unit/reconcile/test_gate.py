import json
from datetime import timedelta

import pytest
from pydantic import JsonValue

from aos.model.approval import Approvers, Escalation
from aos.model.approval_request import ApprovalRequest, RequestRun, RequestType
from aos.model.base import JsonObject
from aos.model.workflow_run import WorkflowRun
from aos.model.workflow_step import Gate
from aos.reconcile.gate import gate_manifest, waiting_run
from aos.workflow.actions import CreateGate
from tests.unit.reconcile.asked import DIGEST
from tests.unit.reconcile.make import NOW, condition, metadata

LEADS = Approvers(groups=("leads",), users=("lena",), service_accounts=("sales:bot",))
HEADS = Approvers(groups=("heads",), users=("max",), service_accounts=("sales:chief",))
GATE = Gate(
    required=2,
    approvers=LEADS,
    timeout="1h",
    remind_after="10m",
    escalate=Escalation(after="20m", approvers=HEADS),
)


def run(status: JsonObject | None = None, **spec: JsonValue) -> WorkflowRun:
    return WorkflowRun.parse(
        {
            "metadata": metadata("r1", {"uid": "r1-uid"}),
            "spec": {"workflowRef": {"name": "outreach"}, **spec},
            "status": status or {},
        }
    )


def asked(arguments: JsonValue = "{}", requested_by: str = "rita", gate: Gate = GATE) -> CreateGate:
    return CreateGate(
        name="gate-1",
        step="review",
        gate=gate,
        rule="Workflow outreach, step review",
        summary="Workflow outreach, step review of run r1 asks to go on",
        arguments=json.dumps(arguments),
        arguments_digest=DIGEST,
        requested_by=requested_by,
    )


def made(*arguments: JsonValue, requested_by: str = "rita", gate: Gate = GATE) -> ApprovalRequest:
    found = asked(arguments[0] if arguments else {}, requested_by, gate)
    return ApprovalRequest.parse(gate_manifest(run(), found, NOW))


def test_a_gate_freezes_what_people_are_asked() -> None:
    request = made({"subject": "Hello"})
    spec = request.spec
    assert spec.type is RequestType.GATE
    assert spec.run == RequestRun(name="r1", uid="r1-uid", workflow="outreach", step="review")
    assert (spec.requested_by, spec.arguments, spec.arguments_digest) == (
        "rita",
        '{"subject":"Hello"}',
        DIGEST,
    )
    assert spec.expires_at == NOW + timedelta(hours=1)
    (quorum,) = spec.quorums
    assert (quorum.rule, quorum.required, quorum.approvers) == ("Workflow outreach, step review", 2, LEADS)
    assert quorum.remind_at == NOW + timedelta(minutes=10)
    assert quorum.escalation is not None
    assert (quorum.escalation.at, quorum.escalation.approvers) == (NOW + timedelta(minutes=20), HEADS)


def test_a_gate_goes_with_its_run_and_is_found_by_it() -> None:
    found = made().metadata
    assert (found.name, found.namespace) == ("gate-1", "sales")
    (owner,) = found.owner_references
    assert (owner.kind, owner.name, owner.uid, owner.controller) == ("WorkflowRun", "r1", "r1-uid", True)
    assert found.labels["aos.dev/run"] == "r1"
    assert found.labels["aos.dev/step"] == "review"
    assert found.labels["aos.dev/workflow"] == "outreach"


@pytest.mark.parametrize(
    ("requested_by", "required"),
    [("rita", 2), ("aos:trigger/nightly", 2), ("", 3), ("system:serviceaccount:sales:ci", 3)],
)
def test_one_more_must_approve_where_nobody_knows_who_asked(requested_by: str, required: int) -> None:
    assert made(requested_by=requested_by).spec.quorums[0].required == required


def test_a_gate_asks_everybody_who_may_approve_where_it_names_nobody() -> None:
    (quorum,) = made(gate=Gate()).spec.quorums
    assert (quorum.approvers, quorum.escalation, quorum.remind_at) == (Approvers(), None, None)


@pytest.mark.parametrize(
    "shown", [{"to": "ana@example.com"}, "write to ana@example.com", ["ana@example.com"]]
)
def test_people_are_shown_no_personal_data(shown: JsonValue) -> None:
    found = made(shown).spec.arguments
    assert "ana@example.com" not in found
    assert found.startswith(json.dumps(shown)[0])


def test_what_is_too_long_to_be_shown_is_cut_and_says_so() -> None:
    spec = made({"letter": "x" * 200_000}).spec
    assert "cut here" in spec.arguments


def test_text_that_is_no_json_is_shown_as_it_is() -> None:
    odd = CreateGate(
        **{**{name: getattr(asked(), name) for name in asked().__slots__}, "arguments": "Hello,"}
    )
    assert ApprovalRequest.parse(gate_manifest(run(), odd, NOW)).spec.arguments == '"Hello,"'


STEP: JsonObject = {"name": "review", "state": "Waiting"}


@pytest.mark.parametrize(
    "found",
    [
        run(),
        run({"steps": [STEP]}),
        run({"steps": [{**STEP, "name": "other", "state": "Failed"}]}),
        run({"conditions": [condition("Succeeded", "Unknown", "WaitingForPeople")]}),
        run(suspend=True),
    ],
)
def test_a_run_waits_at_its_gate(found: WorkflowRun) -> None:
    assert waiting_run(found, "review").over == ""


@pytest.mark.parametrize(
    ("found", "over"),
    [
        (run({"conditions": [condition("Succeeded", "False", "TimedOut")]}), "has ended: TimedOut"),
        (run({"conditions": [condition("Succeeded", "True", "Completed")]}), "has ended"),
        (run(cancel=True), "was cancelled"),
        (run({"steps": [{**STEP, "state": "Cancelled"}]}), "is done with its step review: Cancelled"),
        (
            run({"steps": [{**STEP, "state": "Failed", "reason": "TimedOut"}]}),
            "is done with its step review: TimedOut",
        ),
    ],
)
def test_a_run_that_is_over_does_not_wait_at_its_gate(found: WorkflowRun, over: str) -> None:
    assert waiting_run(found, "review").over == over


def test_a_run_that_is_being_deleted_does_not_wait_at_its_gate() -> None:
    gone = run()
    deleted = gone.model_copy(
        update={"metadata": gone.metadata.model_copy(update={"deletion_timestamp": NOW})}
    )
    assert waiting_run(deleted, "review").over == "is being deleted"
