from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from aos.gateway.approvals.asking import request_manifest
from aos.gateway.approvals.held import HeldCall
from aos.gateway.approvals.standing import Standing, deciders, is_about, pending, standing, used
from aos.gateway.refusal import RefusalCode, Refused
from aos.kube.objects import child
from aos.model.approval_request import ApprovalRequest
from aos.model.base import JsonObject
from tests.unit.gateway_approvals.people import GUARDED, LAPSED
from tests.unit.gateway_approvals.world import OUTBOUND, call

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
USE: JsonObject = {"call": "c1", "time": "2026-01-02T03:04:06Z"}
STALE: JsonObject = {**GUARDED, "type": "Stale", "reason": "PolicyChanged", "message": "The policy changed."}
LENA: JsonObject = {"approver": "lena@example.com", "verdict": "Approve", "groups": ["sales-leads"]}
COUNTED: JsonObject = {
    "approver": "lena@example.com",
    "verdict": "Approve",
    "time": "2026-01-02T03:04:06Z",
    "rules": [OUTBOUND.rule],
}
REJECTED: JsonObject = {**LENA, "verdict": "Reject", "comment": "no"}
APPROVED: JsonObject = {"state": "Approved", "counted": [COUNTED], "conditions": [GUARDED]}


def request(held: HeldCall, decisions: list[JsonValue], **status: JsonValue) -> ApprovalRequest:
    raw = request_manifest(held, None, NOW)
    spec: JsonObject = {**child(raw, "spec"), "decisions": decisions}
    return ApprovalRequest.parse({**raw, "spec": spec, "status": status})


@pytest.mark.parametrize(
    ("decisions", "status", "expected"),
    [
        ([], {}, Standing.WAITING),
        ([], {"state": "Pending", "conditions": [GUARDED]}, Standing.WAITING),
        ([LENA], APPROVED, Standing.APPROVED),
        ([LENA], {**APPROVED, "conditions": [LAPSED]}, Standing.WAITING),
        ([LENA], {**APPROVED, "conditions": []}, Standing.WAITING),
        ([LENA], {**APPROVED, "state": "Pending"}, Standing.WAITING),
        ([], APPROVED, RefusalCode.APPROVAL_STALE),
        ([LENA], {**APPROVED, "counted": []}, RefusalCode.APPROVAL_STALE),
        ([LENA], {**APPROVED, "counted": [{**COUNTED, "rules": []}]}, RefusalCode.APPROVAL_STALE),
        ([{**LENA, "groups": []}], APPROVED, RefusalCode.APPROVAL_STALE),
        (
            [LENA],
            {**APPROVED, "counted": [{**COUNTED, "time": "2026-01-02T05:00:00Z"}]},
            RefusalCode.APPROVAL_STALE,
        ),
        ([{**LENA, "approver": "ana@example.com"}], APPROVED, RefusalCode.APPROVAL_STALE),
        ([LENA], {**APPROVED, "use": USE}, Standing.USED),
        ([LENA], {**APPROVED, "state": "Used"}, Standing.USED),
        ([LENA], {**APPROVED, "overtaken": USE}, RefusalCode.APPROVAL_STALE),
        ([LENA], {**APPROVED, "state": "Stale", "conditions": [STALE]}, RefusalCode.APPROVAL_STALE),
        ([LENA], {**APPROVED, "state": "Expired"}, RefusalCode.APPROVAL_EXPIRED),
        ([REJECTED], {**APPROVED, "state": "Rejected"}, RefusalCode.APPROVAL_REJECTED),
        (
            [REJECTED],
            {**APPROVED, "counted": [{**COUNTED, "verdict": "Reject"}]},
            RefusalCode.APPROVAL_REJECTED,
        ),
    ],
)
def test_a_request_stands_as_its_decisions_and_its_status_say_together(
    decisions: list[JsonValue], status: JsonObject, expected: Standing | RefusalCode
) -> None:
    held = call()
    found = standing(request(held, decisions, **status), held, NOW)
    assert (found.reason if isinstance(found, Refused) else found) is expected


def test_an_approval_is_over_when_its_time_is() -> None:
    held = call()
    there = request(held, [LENA], **APPROVED)
    last = there.spec.expires_at
    assert standing(there, held, last - timedelta(microseconds=1)) is Standing.APPROVED
    found = standing(there, held, last)
    assert isinstance(found, Refused)
    assert found.reason is RefusalCode.APPROVAL_EXPIRED


def test_a_request_that_is_being_deleted_is_about_nothing() -> None:
    held = call()
    there = request(held, [LENA], **APPROVED)
    gone = there.metadata.model_copy(update={"deletion_timestamp": NOW})
    assert is_about(there, held)
    assert not is_about(there.model_copy(update={"metadata": gone}), held)


def test_what_the_operator_says_of_a_stale_request_reaches_the_agent() -> None:
    held = call()
    found = standing(request(held, [], state="Stale", conditions=[STALE]), held, NOW)
    assert isinstance(found, Refused)
    assert "The policy changed; find out" in found.message
    silent = standing(request(held, [], state="Stale"), held, NOW)
    assert isinstance(silent, Refused)
    assert "something changed since" in silent.message


def test_whoever_rejected_is_named_with_what_they_said() -> None:
    held = call()
    found = standing(
        request(
            held, [REJECTED, {**REJECTED, "approver": "max@example.com", "comment": ""}], state="Rejected"
        ),
        held,
        NOW,
    )
    assert isinstance(found, Refused)
    assert "was rejected by lena@example.com: no; max@example.com; do something else" in found.message
    nobody = standing(request(held, [], state="Rejected"), held, NOW)
    assert isinstance(nobody, Refused)
    assert "rejected by somebody who may decide" in nobody.message


def test_who_rejected_is_on_record_with_those_who_approved_before() -> None:
    held = call()
    said: list[JsonValue] = [LENA, {**REJECTED, "approver": "max@example.com"}]
    counted: list[JsonValue] = [COUNTED, {**COUNTED, "approver": "max@example.com", "verdict": "Reject"}]
    found = standing(request(held, said, state="Rejected", counted=counted), held, NOW)
    assert isinstance(found, Refused)
    assert found.approvers == ("lena@example.com Approve", "max@example.com Reject")


@pytest.mark.parametrize(
    ("decisions", "counted", "expected"),
    [
        ([LENA], [COUNTED, COUNTED], ("lena@example.com Approve",)),
        ([LENA], [], ()),
        ([], [COUNTED], ()),
        ([LENA], [{**COUNTED, "rules": []}], ()),
        ([LENA], [{**COUNTED, "verdict": "Reject"}], ()),
        ([LENA], [{**COUNTED, "time": "2026-01-02T05:00:00Z"}], ()),
        ([{**LENA, "groups": []}], [COUNTED], ()),
    ],
)
def test_only_decisions_that_stand_and_were_counted_and_count_are_on_record(
    decisions: list[JsonValue], counted: list[JsonValue], expected: tuple[str, ...]
) -> None:
    assert deciders(request(call(), decisions, counted=counted)) == expected


def test_refusals_name_the_request_and_when_its_time_is_over() -> None:
    held = call()
    told = pending(held, request(held, []))
    assert told.facts == {
        "approval": held.name,
        "namespace": "sales",
        "expiresAt": "2026-01-02T04:04:05Z",
    }
    assert "call" not in used(held, "", known=False).facts
