from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.model.approval_request import MAX_NOTICES, ApprovalRequest
from aos.model.base import JsonObject
from aos.model.meta import LabelSelector
from aos.reconcile.notices import (
    LATE_SECONDS,
    Audience,
    NoticeEvent,
    due,
    next_at,
    notice_id,
    with_notice,
)
from tests.unit.reconcile.asked import EXPIRES, LEADS, TWO, looked_at, moment, request
from tests.unit.reconcile.make import NOW, condition

ALL = Audience("chat", frozenset(NoticeEvent))
REMIND, ESCALATE = NOW + timedelta(minutes=30), NOW + timedelta(hours=2)
RULE = str(LEADS["rule"])
TIMED: JsonObject = {
    **LEADS,
    "remindAt": moment(REMIND),
    "escalation": {"at": moment(ESCALATE), "approvers": {"groups": ["directors"]}},
}


def asked(*notices: str, quorums: tuple[JsonObject, ...] = (TIMED,), **status: JsonValue) -> ApprovalRequest:
    kept: list[JsonValue] = [{"webhook": "chat", "event": event, "time": moment(NOW)} for event in notices]
    return request(quorums=quorums, status={"observedGeneration": 1, "notices": kept, **status})


def marks(item: ApprovalRequest, now: datetime = NOW, audience: Audience = ALL) -> list[str]:
    return [found.mark for found in due(item, audience, now)]


def ended(state: str, *notices: str, ago: float = 60) -> ApprovalRequest:
    kind = {"Used": "Approved"}.get(state, state)
    told = condition(kind, "True", kind if kind != "Approved" else "QuorumReached")
    at = moment(NOW - timedelta(seconds=ago))
    return asked(*notices, state=state, conditions=[{**told, "lastTransitionTime": at}])


def test_people_are_asked_once_the_operator_has_looked() -> None:
    assert marks(request()) == []
    assert marks(looked_at(request())) == ["Asked"]
    assert marks(asked("Asked")) == []


def test_they_are_reminded_and_others_asked_when_their_time_has_come() -> None:
    item = asked("Asked")
    reminded, escalated = f"Reminded {moment(REMIND)}", f"Escalated {moment(ESCALATE)}"
    assert marks(item, REMIND - timedelta(seconds=1)) == []
    assert marks(item, REMIND) == [reminded]
    assert marks(item, ESCALATE) == [reminded, escalated]
    assert marks(asked("Asked", reminded), ESCALATE) == [escalated]
    assert [next_at(item, now) for now in (NOW, REMIND, ESCALATE)] == [REMIND, ESCALATE, None]


def test_who_has_approved_is_not_reminded() -> None:
    counted: JsonValue = [{"approver": "bea", "verdict": "Approve", "time": moment(NOW), "rules": [RULE]}]
    item = request(
        {"approver": "bea", "verdict": "Approve", "groups": ["leads"]},
        quorums=(TIMED, TWO),
        status={"observedGeneration": 2, "counted": counted},
    )
    assert marks(item, ESCALATE) == ["Asked"]
    assert next_at(item, NOW) is None


def test_several_quorums_with_one_time_share_a_reminder() -> None:
    other: JsonObject = {**TWO, "remindAt": moment(REMIND)}
    assert marks(asked("Asked", quorums=(TIMED, other)), REMIND) == [f"Reminded {moment(REMIND)}"]


@pytest.mark.parametrize(
    ("state", "mark"),
    [
        ("Approved", "Decided"),
        ("Used", "Decided"),
        ("Rejected", "Decided"),
        ("Expired", "Expired"),
        ("Stale", "Withdrawn"),
    ],
)
def test_how_it_ended_is_told_once(state: str, mark: str) -> None:
    assert marks(ended(state, "Asked")) == [mark]
    assert marks(ended(state, "Asked", mark)) == []


def test_what_was_approved_and_not_used_ends_twice() -> None:
    assert marks(ended("Expired", "Asked", "Decided")) == ["Expired"]


def test_the_end_of_what_was_never_told_is_soon_no_news() -> None:
    assert marks(ended("Rejected", ago=LATE_SECONDS)) == ["Decided"]
    assert marks(ended("Rejected", ago=LATE_SECONDS + 1)) == []
    assert marks(ended("Rejected", "Asked", ago=LATE_SECONDS * 100)) == ["Decided"]


def test_nobody_is_asked_after_the_time_is_over() -> None:
    late = EXPIRES + timedelta(seconds=1)
    assert marks(asked(), late) == []
    assert next_at(asked(), late) is None


def test_a_webhook_is_told_only_what_it_asked_for_and_by_its_own_notices() -> None:
    decisions = Audience("other", frozenset({NoticeEvent.DECIDED}))
    assert marks(asked(), NOW, decisions) == []
    assert marks(ended("Approved", "Asked", "Decided"), NOW, decisions) == ["Decided"]


def test_a_request_that_is_full_of_notices_or_going_is_not_told_of() -> None:
    assert marks(asked(*(f"Reminded {index}" for index in range(MAX_NOTICES)))) == []
    going = asked().model_copy(
        update={"metadata": asked().metadata.model_copy(update={"deletion_timestamp": NOW})}
    )
    assert marks(going) == []


def test_namespaces_are_meant_by_name_or_by_their_labels() -> None:
    named = Audience("a", ALL.events, namespaces=frozenset({"sales"}))
    labelled = Audience("a", ALL.events, selector=LabelSelector(match_labels={"env": "prod"}))
    assert (named.includes("sales", {}), named.includes("support", {})) == (True, False)
    assert (labelled.includes("x", {"env": "prod"}), labelled.includes("x", {})) == (True, False)
    assert ALL.includes("anything", {})


@given(st.lists(st.sampled_from([0, 600, 1800, 7200, 14_399, 14_401]), max_size=6))
def test_what_is_taken_is_not_due_again_however_often_it_is_looked_at(seconds: list[int]) -> None:
    item, told = asked(), []
    for passed in sorted(seconds):
        now = NOW + timedelta(seconds=passed)
        for found in due(item, ALL, now):
            told.append(notice_id(item, "chat", found.mark))
            notices = with_notice(item, "chat", found.mark, now)
            item = item.model_copy(update={"status": item.status.model_copy(update={"notices": notices})})
        assert due(item, ALL, now) == ()
    assert len(told) == len(set(told))
