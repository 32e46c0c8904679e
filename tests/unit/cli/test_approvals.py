from datetime import timedelta

import pytest

from aos.cli.approvals import (
    MAX_REVIEWS_BY_NAME,
    NO_RIGHT,
    Caller,
    Hindrance,
    Pending,
    Rights,
    approvers_text,
    can_reject,
    decision_of,
    decisions_text,
    ended,
    hindrance,
    judged,
    needs,
)
from aos.kube.reviews import AccessRequest
from aos.model.approval_request import ApprovalRequest, Quorum, Verdict
from tests.unit.cli.make import (
    LEADS,
    NOW,
    TWO_PEOPLE,
    Object,
    approval_request,
    condition,
    counted,
    decision,
    later,
)

BEA = Caller("bea", frozenset({"sales-leads", "everyone"}))
EVE = Caller("eve", frozenset({"everyone"}))
LEADS_RULE = str(LEADS["rule"])
ESCALATED: Object = {
    **LEADS,
    "escalation": {"at": later(600), "approvers": {"groups": ["finance"], "users": ["carl"]}},
}


class Reviewer:
    """Answers as an API server whose RBAC grants this, and remembers what it was asked."""

    def __init__(self, *granted: tuple[str, str]) -> None:
        self.granted = set(granted)
        self.asked: list[AccessRequest] = []

    async def may_i(self, access: AccessRequest) -> bool:
        self.asked.append(access)
        return (access.namespace, access.name) in self.granted


def rights(*granted: tuple[str, str]) -> tuple[Rights, Reviewer]:
    reviewer = Reviewer(*granted)
    return Rights(reviewer), reviewer


def word(request: ApprovalRequest, caller: Caller) -> str:
    found = hindrance(request, caller, NOW)
    return found.word if found else ""


@pytest.mark.parametrize(
    ("request_", "caller", "expected"),
    [
        (approval_request(), BEA, ""),
        (approval_request(), EVE, "not asked"),
        (approval_request(), Caller("ana", BEA.groups), "your own"),
        (approval_request(), Caller("Ana", BEA.groups), "your own"),
        (approval_request(TWO_PEOPLE), EVE, ""),
        (approval_request(decisions=[decision("bea", "Approve", "", "sales-leads")]), BEA, "decided"),
        (approval_request(status={"state": "Rejected"}), BEA, "ended"),
        (approval_request(expiresAt=later(-1)), BEA, "ended"),
        (approval_request(ESCALATED), Caller("carl", frozenset()), "not asked"),
        (approval_request({**LEADS, "approvers": {"users": ["bea"]}}), Caller("bea", frozenset()), ""),
        (approval_request(TWO_PEOPLE), Caller("system:serviceaccount:sales:bot", frozenset()), "not asked"),
        (
            approval_request(
                LEADS,
                TWO_PEOPLE,
                decisions=[decision("dan", "Approve", "", "sales-leads"), decision("fay"), decision("gus")],
                status={
                    "counted": [
                        counted("dan", LEADS_RULE),
                        counted("fay", "risk High"),
                        counted("gus", "risk High"),
                    ]
                },
            ),
            BEA,
            "enough",
        ),
    ],
)
def test_who_can_decide_what(request_: ApprovalRequest, caller: Caller, expected: str) -> None:
    assert word(request_, caller) == expected


def test_an_escalation_counts_once_its_time_has_come() -> None:
    request, carl = approval_request(ESCALATED), Caller("carl", frozenset())
    assert hindrance(request, carl, NOW + timedelta(seconds=599)) is not None
    assert hindrance(request, carl, NOW + timedelta(seconds=600)) is None


def test_where_enough_approved_one_may_still_reject() -> None:
    assert can_reject(None)
    assert can_reject(Hindrance("enough", ""))
    assert not can_reject(NO_RIGHT)


def test_a_decision_names_every_group_that_is_asked_for_and_the_caller_is_in() -> None:
    caller = Caller("bea", frozenset({"finance", "sales-leads", "everyone"}))
    made = decision_of(approval_request(ESCALATED, TWO_PEOPLE).spec, caller, Verdict.APPROVE, "fine")
    assert made.groups == ("sales-leads", "finance")
    assert (made.approver, made.verdict, made.comment) == ("bea", Verdict.APPROVE, "fine")


def test_how_many_are_needed_beside_the_caller() -> None:
    one, two = approval_request(), approval_request(LEADS, TWO_PEOPLE)
    assert needs(Pending(one, None), BEA, NOW) == "you"
    assert needs(Pending(two, None), BEA, NOW) == "you + 1"
    assert needs(Pending(two, NO_RIGHT), BEA, NOW) == "3"


@pytest.mark.parametrize(
    ("quorum", "said"),
    [
        (TWO_PEOPLE, "anybody who may approve"),
        (LEADS, "group sales-leads"),
        (ESCALATED, "group sales-leads (in 10m also group finance or user carl)"),
        (
            {**TWO_PEOPLE, "approvers": {"users": ["bea", "carl"], "serviceAccounts": ["ci:bot"]}},
            "user bea, carl or service account ci:bot",
        ),
    ],
)
def test_who_counts_is_told_in_words(quorum: Object, said: str) -> None:
    assert approvers_text(Quorum.model_validate(quorum), NOW) == said


def test_after_its_time_an_escalation_is_one_of_them() -> None:
    quorum = Quorum.model_validate(ESCALATED)
    assert (
        approvers_text(quorum, NOW + timedelta(hours=1)) == "group sales-leads or group finance or user carl"
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"state": "Pending"}, "its time was over 5m ago"),
        ({"state": "Used"}, "Used"),
        (
            {
                "state": "Stale",
                "conditions": [condition("Stale", "True", "PolicyChanged", "it is another one")],
            },
            "Stale: PolicyChanged: it is another one",
        ),
        (
            {"state": "Expired", "conditions": [condition("Expired", "True", "Expired", "at noon")]},
            "Expired: at noon",
        ),
    ],
)
def test_how_a_request_ended_is_told_with_its_reason(status: Object, said: str) -> None:
    assert ended(approval_request(status=status, expiresAt=later(-300)), NOW) == said


async def test_what_ends_first_comes_first_and_what_has_ended_is_left_out() -> None:
    late = approval_request(name="apr-late", expiresAt=later(900))
    soon = approval_request(name="apr-soon", expiresAt=later(300))
    over = approval_request(name="apr-over", expiresAt=later(-300))
    used = approval_request(name="apr-used", status={"state": "Used"})
    found = await judged([late, over, soon, used], BEA, rights(("sales", ""))[0], NOW)
    assert [item.request.metadata.name for item in found] == ["apr-soon", "apr-late"]
    assert [item.hindrance for item in found] == [None, None]


async def test_the_api_server_is_asked_for_a_namespace_first_and_then_for_each_request() -> None:
    requests = [approval_request(name=name) for name in ("apr-a", "apr-b")]
    allowed, reviewer = rights(("sales", "apr-b"))
    found = await judged(requests, BEA, allowed, NOW)
    assert [item.hindrance for item in found] == [NO_RIGHT, None]
    assert [(item.verb, item.group, item.resource, item.namespace, item.name) for item in reviewer.asked] == [
        ("approve", "aos.dev", "approvalrequests", "sales", name) for name in ("", "apr-a", "apr-b")
    ]


async def test_whoever_may_approve_all_of_a_namespace_is_asked_about_once() -> None:
    allowed, reviewer = rights(("sales", ""))
    await judged([approval_request(name=f"apr-{index}") for index in range(20)], BEA, allowed, NOW)
    assert len(reviewer.asked) == 1


async def test_rights_on_single_requests_are_asked_about_up_to_a_bound() -> None:
    allowed, reviewer = rights()
    many = [approval_request(name=f"apr-{index}") for index in range(MAX_REVIEWS_BY_NAME + 3)]
    found = await judged(many, BEA, allowed, NOW)
    assert {item.hindrance for item in found} == {NO_RIGHT}
    assert len(reviewer.asked) == MAX_REVIEWS_BY_NAME + 1
    assert allowed.unasked == 3


async def test_who_is_not_asked_anyway_costs_no_review() -> None:
    allowed, reviewer = rights()
    await judged([approval_request()], EVE, allowed, NOW)
    assert reviewer.asked == []


def test_who_said_what_is_one_phrase() -> None:
    request = approval_request(decisions=[decision("bea", "Approve", "fine\x1b"), decision("dan", "Reject")])
    assert decisions_text(request) == "approved by bea: fine\\u001b, rejected by dan"
    assert decisions_text(approval_request()) == ""
