from dataclasses import replace
from datetime import timedelta

import pytest

from aos.model.approval_request import ApprovalRequest, RequestState
from aos.reconcile.approval import reconcile_request
from aos.reconcile.approval_trust import SETTLE_SECONDS
from aos.reconcile.guard import Guard
from tests.unit.reconcile.asked import (
    GUARD,
    TWO,
    at_rest,
    condition,
    decided,
    looked_at,
    observed,
    request,
    said,
    state,
)
from tests.unit.reconcile.make import NOW

MISSING = Guard("missing: ValidatingAdmissionPolicy aos-approval-decisions", seen_at=NOW)
LATER = NOW + timedelta(minutes=5)
SETTLED = LATER + timedelta(seconds=SETTLE_SECONDS)
RESTORED = Guard(fingerprint="g2", changed_at=LATER, seen_at=LATER)


def lapsed(item: ApprovalRequest) -> bool:
    return state(item) is RequestState.STALE and condition(item, "Stale") == ("True", "EnforcementLapsed")


def test_the_state_of_the_policies_is_kept_with_the_request() -> None:
    assert looked_at(request()).status.guard == "g1"


def test_while_the_policies_are_missing_the_request_says_so_and_people_are_told() -> None:
    asked = looked_at(request())
    found = reconcile_request(observed(asked, guard=MISSING), LATER)
    item = looked_at(asked, LATER, guard=MISSING)
    assert state(item) is RequestState.PENDING
    assert condition(item, "EnforcementActive") == ("False", "PolicyMissing")
    assert condition(item, "Approved") == ("False", "EnforcementLapsed")
    assert [one.reason for one in found.plan.events] == ["Unguarded"]
    assert at_rest(item, LATER, guard=MISSING)
    back = looked_at(item, LATER)
    assert condition(back, "EnforcementActive") == ("True", "Guarded")


def test_an_approved_call_is_held_up_while_they_are_missing_and_stays_approved() -> None:
    item = looked_at(decided(looked_at(request()), said("ada")), NOW + timedelta(minutes=1))
    held = looked_at(item, LATER, guard=MISSING)
    assert state(held) is RequestState.APPROVED
    assert condition(held, "Approved") == ("False", "EnforcementLapsed")
    assert condition(looked_at(held, LATER), "Approved") == ("True", "QuorumReached")


@pytest.mark.parametrize("is_seen_before", [False, True])
def test_a_decision_that_appears_while_they_are_missing_ends_it(is_seen_before: bool) -> None:  # noqa: FBT001
    asked = looked_at(request(), guard=MISSING) if is_seen_before else request()
    item = looked_at(decided(asked, said("ada")), LATER, guard=MISSING)
    assert lapsed(item)
    assert item.status.counted == ()
    assert at_rest(item, LATER)


@pytest.mark.parametrize(
    "guard", [MISSING, RESTORED], ids=["while they are missing", "since they are restored"]
)
def test_a_request_that_is_made_in_a_gap_with_a_decision_in_it_ends(guard: Guard) -> None:
    item = request(said("ada"), created=NOW)
    first = item.metadata.model_copy(update={"generation": 1})
    assert lapsed(looked_at(item.model_copy(update={"metadata": first}), SETTLED, guard=guard))


@pytest.mark.parametrize(
    "guard", [MISSING, RESTORED], ids=["while they are missing", "since they are restored"]
)
def test_anything_else_of_the_spec_that_was_changed_in_a_gap_ends_it(guard: Guard) -> None:
    asked = looked_at(request())
    changed = asked.metadata.model_copy(update={"generation": 2})
    assert lapsed(looked_at(asked.model_copy(update={"metadata": changed}), SETTLED, guard=guard))


def test_a_decision_from_a_time_that_the_operator_did_not_see_ends_it() -> None:
    asked = looked_at(request())
    assert lapsed(looked_at(decided(asked, said("ada")), SETTLED, guard=RESTORED))


def test_earlier_decisions_still_count_once_they_are_restored_and_heeded() -> None:
    one = looked_at(decided(looked_at(request(quorums=[TWO])), said("ada")))
    early = looked_at(one, LATER, guard=RESTORED)
    assert condition(early, "EnforcementActive") == ("False", "PolicyMissing")
    found = reconcile_request(observed(early, guard=RESTORED), LATER)
    assert found.plan.requeue_after_seconds == SETTLE_SECONDS
    again = looked_at(early, SETTLED, guard=RESTORED)
    assert again.status.guard == "g2"
    assert condition(again, "EnforcementActive") == ("True", "Guarded")
    both = looked_at(decided(again, said("ben")), SETTLED, guard=RESTORED)
    assert state(both) is RequestState.APPROVED


def test_a_decision_just_after_they_are_restored_may_have_come_past_them() -> None:
    asked = looked_at(looked_at(request()), LATER, guard=RESTORED)
    assert lapsed(looked_at(decided(asked, said("ada")), LATER, guard=RESTORED))


@pytest.mark.parametrize(("seconds", "counts"), [(SETTLE_SECONDS, True), (SETTLE_SECONDS - 1, False)])
def test_a_request_that_is_decided_before_it_is_seen_counts_if_it_was_made_under_them(
    seconds: int,
    counts: bool,  # noqa: FBT001
) -> None:
    item = decided(request(created=LATER + timedelta(seconds=seconds)), said("ada"))
    after = looked_at(item, SETTLED, guard=RESTORED)
    assert state(after) is (RequestState.APPROVED if counts else RequestState.STALE)


def test_where_nobody_can_tell_when_they_were_written_a_decision_before_the_first_look_does_not_count() -> (
    None
):
    unknown = replace(GUARD, changed_at=None)
    assert lapsed(looked_at(decided(request(), said("ada")), LATER, guard=unknown))
    waited = looked_at(request(), LATER, guard=unknown)
    assert state(looked_at(decided(waited, said("ada")), LATER, guard=unknown)) is RequestState.APPROVED


def test_a_request_that_was_made_before_them_may_be_anybodys() -> None:
    assert lapsed(looked_at(request(), SETTLED, guard=RESTORED))


def test_a_request_that_is_made_as_they_are_written_waits_until_they_are_heeded() -> None:
    asked = looked_at(request(created=LATER), LATER, guard=RESTORED)
    assert state(asked) is RequestState.PENDING
    assert asked.status.guard == ""
    assert looked_at(asked, SETTLED, guard=RESTORED).status.guard == "g2"


def test_decisions_that_were_seen_and_changed_end_it() -> None:
    one = looked_at(decided(looked_at(request(quorums=[TWO])), said("ada")))
    raw = one.model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["spec"]["decisions"] = [said("eve"), said("ben")]
    assert lapsed(looked_at(ApprovalRequest.parse(raw), LATER))


def test_an_approval_that_does_not_stand_in_the_spec_any_more_ends_it() -> None:
    item = looked_at(decided(looked_at(request()), said("ada")))
    raw = item.model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["spec"]["decisions"] = []
    assert lapsed(looked_at(ApprovalRequest.parse(raw), LATER))
    raw["status"]["counted"] = []
    assert lapsed(looked_at(ApprovalRequest.parse(raw), LATER))


def test_expiry_does_not_wait_for_the_policies() -> None:
    asked = looked_at(request())
    assert state(looked_at(asked, asked.spec.expires_at, guard=MISSING)) is RequestState.EXPIRED
