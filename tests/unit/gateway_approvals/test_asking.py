from dataclasses import replace
from datetime import UTC, datetime

from aos.gateway.approvals.asking import covers, quorums, request_manifest, timeout_seconds
from aos.kube.objects import child, children
from aos.model.approval import Approvers
from aos.model.approval_request import MAX_QUORUMS, ApprovalRequest, Preview, Quorum, RequestType
from aos.policy.approvals import BoundEscalation, BoundQuorum
from aos.policy.obligations import DataRules, PatternRule
from tests.unit.gateway_approvals.world import LEADS, OUTBOUND, call

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HEADS = Approvers(groups=("heads",))
LONG = BoundQuorum(
    "Policy baseline, approval long",
    2,
    LEADS,
    timeout_seconds=7200,
    remind_after_seconds=600,
    escalation=BoundEscalation(1200, HEADS),
)


def made(*asked_for: BoundQuorum, preview: Preview | None = None) -> ApprovalRequest:
    held = call(quorums=asked_for or (OUTBOUND,))
    return ApprovalRequest.parse(request_manifest(held, preview, NOW))


def test_a_request_freezes_the_call_exactly() -> None:
    held = call()
    spec = made().spec
    asked = spec.asked_call
    assert (spec.type, asked.tool, asked.action) == (RequestType.CALL, "crm", "update_contact")
    assert (asked.agent.name, asked.agent.revision) == ("enricher", "enricher-1")
    assert (asked.task.name, asked.task.uid, spec.requested_by) == ("t1", "uid-t1", "ana@example.com")
    assert (asked.access.value, asked.risk.value, spec.record) == ("Write", "Medium", "contact/7")
    assert spec.arguments == '{"id":"7","stage":"won"}'
    assert spec.arguments_digest == held.asked.arguments_digest
    assert spec.policy_digest == held.asked.caller.policy.digest
    assert spec.definition_digest == held.definition_digest
    assert spec.decisions == ()
    assert spec.call == ""


def test_what_policies_keep_from_agents_or_tools_people_are_not_shown_either() -> None:
    held = call({"id": "Project Halden", "stage": "for Project Halden"})
    rules = DataRules(
        redact_response=frozenset({"code-name"}),
        patterns=frozenset({PatternRule("code-name", "Project [A-Z][a-z]+")}),
    )
    obligations = replace(held.asked.obligations, data=rules)
    manifest = request_manifest(replace(held, asked=replace(held.asked, obligations=obligations)), None, NOW)
    assert "Halden" not in str(manifest)
    assert ApprovalRequest.parse(manifest).spec.arguments.count("[redacted:code-name]") == 2


def test_a_request_belongs_to_its_task_and_does_not_keep_it() -> None:
    metadata = child(request_manifest(call(), None, NOW), "metadata")
    (owner,) = children(metadata, "ownerReferences")
    assert (owner["kind"], owner["uid"], owner["blockOwnerDeletion"], owner["controller"]) == (
        "Task",
        "uid-t1",
        False,
        False,
    )
    assert metadata["labels"] == {
        "aos.dev/agent": "enricher",
        "aos.dev/task": "t1",
        "app.kubernetes.io/managed-by": "aos",
    }


def test_a_request_waits_as_long_as_the_least_patient_of_its_quorums() -> None:
    assert timeout_seconds((LONG, OUTBOUND)) == 3600
    spec = made(LONG, OUTBOUND).spec
    assert spec.expires_at == datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC)
    long, short = spec.quorums
    assert long.remind_at == datetime(2026, 1, 2, 3, 14, 5, tzinfo=UTC)
    assert long.escalation is not None
    assert (long.escalation.at, long.escalation.approvers) == (
        datetime(2026, 1, 2, 3, 24, 5, tzinfo=UTC),
        HEADS,
    )
    assert (short.rule, short.required, short.approvers) == (OUTBOUND.rule, 1, LEADS)
    assert (short.remind_at, short.escalation) == (None, None)


def test_a_preview_is_part_of_what_people_see() -> None:
    preview = Preview(before="{}", after='{"stage":"won"}')
    assert made(preview=preview).spec.preview == preview
    assert made().spec.preview is None


def test_as_many_quorums_as_a_call_may_have_can_be_asked_for() -> None:
    many = tuple(replace(OUTBOUND, rule=f"rule {number}") for number in range(MAX_QUORUMS))
    assert len(made(*many).spec.quorums) == MAX_QUORUMS


def test_a_request_covers_what_it_was_made_for_and_nothing_harder() -> None:
    there = [Quorum.model_validate(item) for item in quorums((LONG, OUTBOUND), NOW)]
    assert covers(there, (LONG, OUTBOUND))
    assert covers(there, (OUTBOUND,))
    assert covers(there, (replace(LONG, required=1),))
    for harder in (
        replace(OUTBOUND, rule="another"),
        replace(OUTBOUND, required=2),
        replace(OUTBOUND, approvers=HEADS),
        replace(LONG, escalation=None),
        replace(OUTBOUND, escalation=BoundEscalation(60, HEADS)),
    ):
        assert not covers(there, (harder,))
