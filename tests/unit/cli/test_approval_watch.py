from datetime import timedelta

from aos.cli.approval_news import Happening
from aos.cli.approval_watch import Seen, Teller
from aos.cli.approvals import Caller, Rights
from aos.kube.reviews import AccessRequest
from aos.model.approval_request import ApprovalRequest
from tests.unit.cli.make import LEADS, NOW, Object, approval_request, counted, decision, later

BEA = Caller("bea", frozenset({"sales-leads"}))
RULE = str(LEADS["rule"])


class Everything:
    async def may_i(self, access: AccessRequest) -> bool:
        return True


class Nothing:
    async def may_i(self, access: AccessRequest) -> bool:
        return False


def told(happenings: list[Happening]) -> list[tuple[str, str]]:
    return [(item.event, item.said) for item in happenings]


def seen(request: ApprovalRequest) -> Seen:
    return Seen(request.key, request)


async def test_a_request_is_told_of_once_and_then_what_becomes_of_it() -> None:
    teller, rights = Teller(BEA), Rights(Everything())
    teller.take(seen(approval_request()))
    assert told(await teller.tell(rights, NOW)) == [
        (
            "Waiting",
            "Medium, 3h left, needs you: enricher would call crm.update_contact on contact/emea-1",
        )
    ]
    teller.take(seen(approval_request()))
    assert await teller.tell(rights, NOW) == []
    approved = approval_request(
        decisions=[decision("dan", "Approve", "fine", "sales-leads")],
        status={"state": "Approved", "counted": [counted("dan", RULE)]},
    )
    teller.take(seen(approved))
    assert told(await teller.tell(rights, NOW)) == [
        ("Decided", "dan approved it, 1 of 1: fine"),
        ("Approved", "Approved"),
    ]
    teller.take(Seen(approved.key, None))
    assert await teller.tell(rights, NOW) == []


async def test_what_is_for_others_is_told_of_once_its_time_has_come() -> None:
    escalated: Object = {**LEADS, "escalation": {"at": later(600), "approvers": {"users": ["carl"]}}}
    teller = Teller(Caller("carl", frozenset()))
    teller.take(seen(approval_request(escalated)))
    assert await teller.tell(Rights(Everything()), NOW) == []
    happenings = await teller.tell(Rights(Everything()), NOW + timedelta(seconds=600))
    assert [item.event for item in happenings] == ["Waiting"]
    assert await teller.tell(Rights(Everything()), NOW + timedelta(seconds=700)) == []


async def test_what_rbac_does_not_grant_is_told_of_once_it_does() -> None:
    teller = Teller(BEA)
    teller.take(seen(approval_request()))
    assert await teller.tell(Rights(Nothing()), NOW) == []
    assert [item.event for item in await teller.tell(Rights(Everything()), NOW)] == ["Waiting"]


async def test_what_waited_for_others_and_has_ended_is_not_told_of() -> None:
    teller = Teller(BEA)
    teller.take(seen(approval_request()))
    await teller.tell(Rights(Nothing()), NOW)
    teller.take(seen(approval_request(status={"state": "Expired"})))
    assert await teller.tell(Rights(Everything()), NOW) == []
    teller.take(Seen(approval_request().key, None))
    assert await teller.tell(Rights(Everything()), NOW) == []


async def test_a_request_that_goes_with_its_task_while_it_waits_is_told_of() -> None:
    teller, rights = Teller(BEA), Rights(Everything())
    teller.take(seen(approval_request()))
    await teller.tell(rights, NOW)
    teller.take(Seen(approval_request().key, None))
    assert told(await teller.tell(rights, NOW)) == [("Gone", "gone with its Task")]
