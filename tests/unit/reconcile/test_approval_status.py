"""What the status of an ApprovalRequest says: only documented reasons, nothing of the gateway's, nothing twice."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from aos.model.approval_request import WRITTEN_BY_GATEWAY, ApprovalRequest, Notice
from aos.model.base import JsonObject
from aos.model.condition_docs import CONDITIONS
from aos.reconcile.approval import reconcile_request
from aos.reconcile.guard import Guard
from tests.unit.reconcile.asked import (
    EXPIRES,
    at_rest,
    decided,
    looked_at,
    moment,
    observed,
    request,
    said,
    written,
)
from tests.unit.reconcile.make import NOW

LATER = NOW + timedelta(minutes=2)


def pending() -> ApprovalRequest:
    return looked_at(request())


def approved() -> ApprovalRequest:
    return looked_at(decided(pending(), said("ada")), LATER)


def used() -> ApprovalRequest:
    use: JsonObject = {"call": "c1", "time": moment(LATER)}
    return looked_at(written(approved(), reconcile_request(observed(approved()), LATER), use=use), LATER)


WAYS: Mapping[str, Callable[[], ApprovalRequest]] = {
    "pending": pending,
    "approved": approved,
    "used": used,
    "rejected": lambda: looked_at(decided(pending(), said("ada", "Reject")), LATER),
    "expired": lambda: looked_at(pending(), EXPIRES),
    "its task is gone": lambda: looked_at(pending(), LATER, task=None),
    "its agent is gone": lambda: looked_at(pending(), LATER, agent=None, confirmed=True),
    "its tool is gone": lambda: looked_at(pending(), LATER, action=None),
    "unguarded": lambda: looked_at(pending(), LATER, guard=Guard("missing: x")),
    "lapsed": lambda: looked_at(decided(pending(), said("ada")), LATER, guard=Guard("missing: x")),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_condition_stands_there_for_a_reason_that_is_documented(way: str) -> None:
    known = {item.type.value: item.reasons for item in CONDITIONS if item.kind == "ApprovalRequest"}
    item = WAYS[way]()
    assert {one.type for one in item.status.conditions} == set(known)
    for one in item.status.conditions:
        assert one.reason in known[one.type]


def test_what_is_the_gateways_is_not_written() -> None:
    item = approved()
    use: JsonObject = {"call": "c1", "time": moment(LATER)}
    given = written(
        item, reconcile_request(observed(item), LATER), use=use, overtaken=use, outcome="Succeeded"
    )
    status = reconcile_request(observed(given), LATER).plan.status
    assert status is not None
    assert not set(WRITTEN_BY_GATEWAY) & set(status)


def test_what_the_gateway_writes_of_a_review_makes_no_work() -> None:
    item = looked_at(request(type="Review", call="c1"))
    given = written(item, reconcile_request(observed(item), LATER), outcome="Succeeded")
    assert at_rest(given, LATER)


def test_what_was_told_outside_stays_in_every_status_or_apply_would_drop_it() -> None:
    item = pending()
    notices = (Notice(webhook="hook", event="Asked", time=NOW),)
    told = item.model_copy(update={"status": item.status.model_copy(update={"notices": notices})})
    status = reconcile_request(observed(decided(told, said("ada"))), LATER).plan.status
    assert status is not None
    assert status["notices"] == [{"webhook": "hook", "event": "Asked", "time": moment(NOW)}]
