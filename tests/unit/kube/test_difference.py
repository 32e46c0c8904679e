"""What differs between desired and observed."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from aos.kube.difference import covers, keep_transition_times, status_differs
from aos.model.base import JsonObject
from aos.model.meta import Condition, ConditionStatus

US = "aos-operator"


@pytest.mark.parametrize(
    ("observed", "desired", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),  # defaults of the API server
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ({}, {"a": {}}, True),  # the API server leaves empty objects and lists out
        ({}, {"a": []}, True),
        ({}, {"a": ""}, False),
        ({"a": {"b": 1}}, {"a": {}}, True),
        ({"a": [1]}, {"a": []}, False),
        ([{"a": 1, "default": 2}], [{"a": 1}], True),
        ([1, 2], [1], False),  # one more rule, one more subject: somebody added it
        ([2, 1], [1, 2], False),
        (True, 1, False),
        (1, True, False),
        ("1", 1, False),
        ([], {}, False),
        ({}, [], False),
        (None, None, True),
    ],
)
def test_observed_covers_desired(observed: JsonValue, desired: JsonValue, expected: bool) -> None:  # noqa: FBT001
    assert covers(observed, desired) is expected


def managed(status: JsonObject, *entries: JsonObject) -> JsonObject:
    return {"metadata": {"managedFields": list(entries)}, "status": status}


def entry(fields: JsonObject, manager: str = US, operation: str = "Apply", sub: str = "status") -> JsonObject:
    return {
        "manager": manager,
        "operation": operation,
        "subresource": sub,
        "fieldsV1": {"f:status": fields},
    }


READY: JsonObject = {"type": "Ready", "status": "True"}
LIVE: JsonObject = {"type": "Live", "status": "True"}
OURS: JsonObject = {"f:phase": {}, "f:conditions": {'k:{"type":"Ready"}': {}}}


@pytest.mark.parametrize(
    ("observed", "status", "expected"),
    [
        (managed({"phase": "A"}, entry({"f:phase": {}})), {"phase": "A"}, False),
        (managed({"phase": "A"}, entry({"f:phase": {}})), {"phase": "B"}, True),
        (managed({}, entry({})), {"phase": "A"}, True),
        # a field of ours that is no longer desired is to be dropped; a field of others is theirs
        (managed({"phase": "A"}, entry({"f:phase": {}})), {}, True),
        (managed({"phase": "A"}, entry({"f:phase": {}}, "gateway")), {}, False),
        (managed({"phase": "A"}, entry({"f:phase": {}}, US, "Update")), {}, False),
        (managed({"phase": "A"}, entry({"f:phase": {}}, US, "Apply", "")), {}, False),
        # conditions are compared one by one
        (managed({"conditions": [READY, LIVE]}, entry(OURS)), {"conditions": [READY]}, False),
        (managed({"conditions": [LIVE, READY]}, entry(OURS)), {"conditions": [READY]}, False),
        (managed({"conditions": [READY, LIVE]}, entry(OURS)), {"conditions": [LIVE]}, True),
        (managed({"conditions": [LIVE]}, entry(OURS)), {"conditions": [READY]}, True),
        (
            managed({"conditions": [{**READY, "status": "False"}]}, entry(OURS)),
            {"conditions": [READY]},
            True,
        ),
        # without managedFields everything counts as ours
        ({"status": {"phase": "A"}}, {"phase": "A"}, False),
        ({"status": {"phase": "A", "more": 1}}, {"phase": "A"}, True),
        ({"status": {"conditions": [LIVE, READY]}}, {"conditions": [READY, LIVE]}, False),
        ({"status": {"conditions": [LIVE, READY]}}, {"conditions": [READY]}, True),
        ({}, {}, False),
    ],
)
def test_a_status_differs_only_in_fields_that_are_ours(
    observed: JsonObject,
    status: JsonObject,
    expected: bool,  # noqa: FBT001
) -> None:
    assert status_differs(observed, status, US) is expected


NOW = datetime(2026, 1, 2, tzinfo=UTC)
BEFORE = NOW - timedelta(days=1)


def condition(kind: str, status: ConditionStatus, moment: datetime, message: str = "") -> Condition:
    return Condition(type=kind, status=status, reason="Because", message=message, last_transition_time=moment)


def test_a_condition_whose_status_stays_keeps_its_time_and_takes_the_new_message() -> None:
    kept = keep_transition_times(
        [condition("Ready", ConditionStatus.TRUE, BEFORE, "old")],
        [condition("Ready", ConditionStatus.TRUE, NOW, "new")],
    )
    assert kept == (condition("Ready", ConditionStatus.TRUE, BEFORE, "new"),)


def test_a_condition_that_turns_or_is_new_has_the_new_time() -> None:
    desired = [condition("Ready", ConditionStatus.FALSE, NOW), condition("New", ConditionStatus.TRUE, NOW)]
    assert keep_transition_times([condition("Ready", ConditionStatus.TRUE, BEFORE)], desired) == tuple(
        desired
    )


def test_a_condition_that_is_not_desired_any_more_is_left_out() -> None:
    assert keep_transition_times([condition("Old", ConditionStatus.TRUE, BEFORE)], []) == ()
