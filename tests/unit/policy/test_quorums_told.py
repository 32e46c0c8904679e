import pytest

from aos.model.approval import Approvers
from aos.policy.approvals import BoundEscalation, BoundQuorum
from aos.policy.quorums_told import told_approvers, told_quorum, told_quorums, told_seconds

LEADS = Approvers(groups=("sales-leads",))


@pytest.mark.parametrize(
    ("approvers", "told"),
    [
        (Approvers(), "anybody who may approve it"),
        (LEADS, "group sales-leads"),
        (Approvers(groups=("a", "b"), users=("bo",)), "group a or group b or user bo"),
        (Approvers(users=("bo",), service_accounts=("ci:bot",)), "user bo or service account ci:bot"),
        (Approvers(service_accounts=("ci:bot",)), "anybody who may approve it or service account ci:bot"),
    ],
)
def test_who_may_approve_is_told(approvers: Approvers, told: str) -> None:
    assert told_approvers(approvers) == told


def test_several_quorums_are_one_part_of_a_sentence() -> None:
    quorums = [BoundQuorum("risk High", 2), BoundQuorum("Policy p, approval a", 1, LEADS)]
    assert told_quorums(quorums) == (
        "2 approvals (risk High: anybody who may approve it) and 1 approval (Policy p, approval a: group sales-leads)"
    )


def test_all_of_a_quorum_is_told() -> None:
    assert told_quorum(BoundQuorum("r", 1, LEADS)) == "1 approval by group sales-leads within 4h"
    escalation = BoundEscalation(5_400, Approvers(users=("cfo",)))
    whole = BoundQuorum("r", 2, LEADS, 7_200, 10, remind_after_seconds=600, escalation=escalation)
    assert told_quorum(whole) == (
        "2 approvals by group sales-leads within 2h, of 10 % of such calls; told again after 10m; user cfo too after 90m"
    )


@pytest.mark.parametrize(("seconds", "told"), [(3_600, "1h"), (5_400, "90m"), (61, "61s"), (604_800, "168h")])
def test_a_time_span_is_told_in_its_largest_whole_unit(seconds: int, told: str) -> None:
    assert told_seconds(seconds) == told
