"""What a run sees at its gates; what it sees of Tasks and runs is tested where these are made."""

from datetime import timedelta

from aos.model.approval_request import ApprovalRequest, RequestState
from aos.model.base import JsonObject
from aos.workflow.facts import gate as seen_at
from tests.unit.reconcile.asked import decided, gate, looked_at, said
from tests.unit.reconcile.make import NOW

LATER = NOW + timedelta(minutes=2)


def approved() -> ApprovalRequest:
    comment: JsonObject = {**said("ada"), "comment": "fine"}
    return looked_at(decided(looked_at(gate()), said("eve", groups=["other"]), comment), LATER)


def test_a_run_sees_who_approved_and_what_they_said() -> None:
    found = seen_at(approved(), "review", LATER)
    assert (found.name, found.step, found.state) == ("gate-1", "review", RequestState.APPROVED)
    assert found.approvals == (("ada", "fine"),)
    assert (found.settled_at, found.is_enforced) == (LATER, True)


def test_a_run_that_waits_sees_since_when() -> None:
    found = seen_at(looked_at(gate()), "review", LATER)
    assert (found.state, found.created_at, found.settled_at) == (RequestState.PENDING, NOW, None)
    assert found.approvals == ()


def test_attack_20_a_status_without_the_decisions_for_it_lets_no_run_go_on() -> None:
    forged = looked_at(gate()).status.model_copy(update={"state": RequestState.APPROVED})
    assert not seen_at(gate().model_copy(update={"status": forged}), "review", LATER).is_enforced
    bare = gate().model_copy(update={"status": approved().status})
    assert not seen_at(bare, "review", LATER).is_enforced
