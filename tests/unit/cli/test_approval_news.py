from aos.cli.approval_news import Happening, changes_of
from tests.unit.cli.make import LEADS, NOW, approval_request, condition, counted, decision

RULE = str(LEADS["rule"])


def told(happenings: list[Happening]) -> list[tuple[str, str]]:
    return [(item.event, item.said) for item in happenings]


def test_a_rejection_is_told_with_its_reason_and_so_is_the_end() -> None:
    rejected = approval_request(
        decisions=[decision("dan", "Reject", "wrong\ncustomer", "sales-leads")],
        status={
            "state": "Rejected",
            "counted": [counted("dan", RULE, verdict="Reject")],
            "conditions": [condition("Rejected", "True", "Rejected", "by dan")],
        },
    )
    assert told(changes_of(approval_request(), rejected, NOW)) == [
        ("Decided", "dan rejected it, 0 of 1: wrong customer"),
        ("Rejected", "Rejected: by dan"),
    ]
