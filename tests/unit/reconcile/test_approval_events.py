from datetime import timedelta

from aos.model.approval_request import ApprovalRequest
from aos.reconcile.approval import reconcile_request
from tests.unit.reconcile.asked import EXPIRES, TWO, decided, looked_at, observed, request, said, written
from tests.unit.reconcile.make import NOW

SECRET = "the board's own numbers"


def told(item: ApprovalRequest) -> tuple[list[str], list[str]]:
    """Return what is told of the request, and of its Agent and Task."""
    found = reconcile_request(observed(item), NOW)
    return [f"{one.reason}: {one.note}" for one in found.plan.events], [
        f"{one.reason}: {one.note}" for one in found.told
    ]


def test_a_new_request_is_told_of_everywhere_without_its_arguments() -> None:
    own, others = told(request(arguments=SECRET, summary=SECRET, record=SECRET))
    assert own == [
        "ApprovalAsked: to approve crm.update_contact of enricher, risk Medium: Policy p, approval outbound: 0 of 1"
    ]
    assert others == [
        "ApprovalAsked: ApprovalRequest apr-1, to approve crm.update_contact of enricher, risk Medium"
    ]


def test_a_review_is_asked_for_as_one() -> None:
    own, _ = told(request(type="Review", call="c1"))
    assert own[0].startswith("ApprovalAsked: to review crm.update_contact")


def test_each_decision_is_told_on_the_request_and_who_made_it_nowhere_else() -> None:
    asked = looked_at(request(quorums=[TWO]))
    own, others = told(decided(asked, said("ada"), said("ben")))
    assert own == [
        "ApprovalDecided: ada approved, for risk High: 2 of 2",
        "ApprovalDecided: ben approved, for risk High: 2 of 2",
    ]
    assert others == [
        "ApprovalDecided: ApprovalRequest apr-1, to approve crm.update_contact of enricher, risk Medium: approved"
    ]


def test_one_of_two_is_not_told_on_agent_and_task() -> None:
    asked = looked_at(request(quorums=[TWO]))
    own, others = told(decided(asked, said("ada")))
    assert own == ["ApprovalDecided: ada approved, for risk High: 1 of 2"]
    assert others == []


def test_a_rejection_is_told_everywhere() -> None:
    own, others = told(decided(looked_at(request()), said("ada", "Reject")))
    assert own == ["ApprovalDecided: ada rejected, for Policy p, approval outbound: 0 of 1"]
    assert [one.rpartition(": ")[2] for one in others] == ["rejected"]


def test_an_end_is_told_everywhere_once() -> None:
    asked = looked_at(request())
    found = reconcile_request(observed(asked), EXPIRES)
    assert [one.reason for one in (*found.plan.events, *found.told)] == ["ApprovalExpired"] * 2
    ended = written(asked, found)
    again = reconcile_request(observed(ended), EXPIRES + timedelta(hours=1))
    assert (*again.plan.events, *again.told) == ()
