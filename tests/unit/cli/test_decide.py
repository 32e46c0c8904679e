import pytest

from aos.cli.approvals import Caller
from aos.cli.decide import is_counted, is_same_question, outcome, refusal, told_since
from aos.cli.exits import ExitCode
from aos.kube.errors import ApiError, Forbidden, Invalid, Target
from aos.model.approval_request import ApprovalRequest, Verdict
from tests.unit.cli.make import LEADS, NOW, TWO_PEOPLE, approval_request, counted, decision

BEA = Caller("bea", frozenset({"sales-leads"}))
TARGET = Target("patch", "approvalrequests", "sales/apr-1")
RULE = str(LEADS["rule"])


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (approval_request(), "apr-0123456789abcdef approved; the operator has not counted it yet"),
        (
            approval_request(
                LEADS,
                TWO_PEOPLE,
                decisions=[decision("bea", "Approve", "", "sales-leads")],
                status={"counted": [counted("bea", RULE, "risk High")]},
            ),
            "apr-0123456789abcdef approved: 2 of 3; still needs 1 more by anybody who may approve",
        ),
        (
            approval_request(
                decisions=[decision("bea", "Approve", "", "sales-leads")],
                status={"state": "Approved", "counted": [counted("bea", RULE)]},
            ),
            "apr-0123456789abcdef approved: 1 of 1; the call is let through once",
        ),
        (
            approval_request(
                type="Review",
                decisions=[decision("bea", "Approve", "", "sales-leads")],
                status={"state": "Approved", "counted": [counted("bea", RULE)]},
            ),
            "apr-0123456789abcdef approved: 1 of 1; that was the review",
        ),
        (approval_request(status={"state": "Stale"}), "apr-0123456789abcdef approved: Stale"),
    ],
)
def test_what_became_of_a_decision_is_one_line(request_: ApprovalRequest, said: str) -> None:
    assert outcome(request_, Verdict.APPROVE, BEA, NOW) == said


def test_a_decision_is_counted_once_the_operator_says_so_or_the_request_has_ended() -> None:
    assert not is_counted(approval_request(decisions=[decision("bea")]), BEA)
    assert is_counted(approval_request(status={"counted": [counted("bea")]}), BEA)
    assert is_counted(approval_request(status={"state": "Stale"}), BEA)


def test_what_others_say_meanwhile_does_not_change_the_question_but_is_told() -> None:
    old, new = approval_request(), approval_request(decisions=[decision("dan"), decision("eve", "Reject")])
    assert is_same_question(old, new)
    assert told_since(old, new) == ["dan approved it", "eve rejected it"]
    assert not is_same_question(old, approval_request(arguments='{"id": "emea-2"}'))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            Forbidden(
                TARGET,
                403,
                "Forbidden",
                "approvalrequests.aos.dev \"apr-1\" is forbidden: ValidatingAdmissionPolicy 'aos-approvals' with binding"
                " 'aos-approvals' denied request: nobody decides twice",
            ),
            "nobody decides twice",
        ),
        (
            Invalid(TARGET, 422, "Invalid", "x: denied request: list group finance too"),
            "list group finance too",
        ),
    ],
)
def test_a_refusal_of_an_admission_policy_is_told_in_its_own_words(error: ApiError, message: str) -> None:
    assert refusal(error) == (ExitCode.REFUSED, message)


def test_a_missing_right_is_told_with_who_can_give_it() -> None:
    error = Forbidden(
        TARGET,
        403,
        "Forbidden",
        'approvalrequests.aos.dev is forbidden: User "bea" cannot patch resource "approvalrequests" in API group'
        ' "aos.dev" in the namespace "sales"',
    )
    code, message = refusal(error)
    assert code is ExitCode.REFUSED
    assert "kubectl auth can-i patch approvalrequests -n sales" in message
