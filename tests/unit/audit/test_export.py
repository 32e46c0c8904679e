from dataclasses import replace

import orjson
import pytest

from aos.audit.chain import row_hash
from aos.audit.codec import event_from
from aos.audit.event import AuditEvent, Phase
from aos.audit.export import cloud_event, ocsf
from aos.kube.objects import child, text
from tests.unit.audit.make import EVENT, chain_of

REQUIRED = {
    "activity_id",
    "actor",
    "api",
    "category_uid",
    "class_uid",
    "metadata",
    "severity_id",
    "src_endpoint",
    "time",
    "type_uid",
}


def exported(event: AuditEvent) -> dict[str, object]:
    (row,) = chain_of([event])
    said = orjson.loads(orjson.dumps(ocsf(row)))
    assert isinstance(said, dict)
    return said


def test_an_ocsf_event_has_what_the_class_requires() -> None:
    said = exported(EVENT)
    assert said.keys() >= REQUIRED
    assert (said["class_uid"], said["category_uid"], said["type_uid"]) == (6003, 6, 600_303)
    assert said["time"] == 1_767_323_045_000
    assert said["api"] == {
        "operation": "update_contact",
        "service": {"name": "crm"},
        "request": {"uid": "c1"},
    }


@pytest.mark.parametrize(
    ("event", "activity", "status", "action"),
    [
        (EVENT, 3, 1, 1),
        (replace(EVENT, access="Read"), 2, 1, 1),
        (replace(EVENT, access="", subject="model"), 99, 1, 1),
        (replace(EVENT, phase=Phase.INTENT, outcome=""), 3, 0, 1),
        (replace(EVENT, phase=Phase.REFUSAL, effect="Deny", outcome="Refused"), 3, 2, 2),
        (replace(EVENT, outcome="Failed"), 3, 2, 1),
        (replace(EVENT, phase=Phase.REFUSAL, effect="Hold", outcome="Refused"), 3, 99, 99),
    ],
)
def test_ocsf_tells_what_was_done_whether_it_worked_and_whether_it_was_let_through(
    event: AuditEvent, activity: int, status: int, action: int
) -> None:
    said = exported(event)
    assert (said["activity_id"], said["status_id"], said["action_id"]) == (activity, status, action)
    assert said["type_uid"] == 600_300 + activity


@pytest.mark.parametrize(
    ("event", "names"),
    [
        (EVENT, ("Allowed", 1, "Allowed", "Success")),
        (replace(EVENT, approvers=("ana@example.com Approve",)), ("Allowed", 8, "Approved", "Success")),
        (replace(EVENT, effect="Deny", outcome="Refused"), ("Denied", 2, "Blocked", "Failure")),
        (replace(EVENT, effect="Hold", outcome="Refused"), ("Held", 14, "Delayed", "Held")),
    ],
)
def test_ocsf_calls_a_call_that_waits_for_people_neither_allowed_nor_denied(
    event: AuditEvent, names: tuple[str, int, str, str]
) -> None:
    said = exported(replace(event, phase=Phase.REFUSAL))
    assert (said["action"], said["disposition_id"], said["disposition"], said["status"]) == names


def test_a_cloud_event_has_the_required_attributes_and_the_whole_row() -> None:
    (row,) = chain_of([EVENT])
    said = cloud_event(row)
    assert (said["specversion"], said["id"], said["type"]) == ("1.0", "gateway-1/1", "dev.aos.audit.outcome")
    assert said["source"] == "/aos/namespaces/sales"
    assert said["subject"] == "tool/crm/update_contact"
    data = child(said, "data")
    event = event_from(child(data, "event"))
    assert row_hash("gateway-1", 1, text(data, "previous"), event) == text(data, "hash")


def test_who_approved_a_call_is_exported_in_every_form() -> None:
    approvers = ("ana@example.com Approve", "max of sales Reject")
    (row,) = chain_of([replace(EVENT, approvers=approvers)])
    said = orjson.loads(orjson.dumps(ocsf(row)))
    assert [(item["type_id"], item["value"]) for item in said["observables"]] == [
        (4, "ana@example.com"),
        (4, "max of sales"),
    ]
    assert said["unmapped"]["event"]["approvers"] == list(approvers)
    assert event_from(child(child(cloud_event(row), "data"), "event")).approvers == approvers
    assert "observables" not in exported(EVENT)


def test_rows_about_the_trail_itself_belong_to_no_namespace() -> None:
    (row,) = chain_of([replace(EVENT, phase=Phase.GAP, namespace="", action="", requested_by="")])
    assert cloud_event(row)["source"] == "/aos"
    assert "user" not in child(ocsf(row), "actor")
