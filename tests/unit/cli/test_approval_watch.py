from datetime import datetime, timedelta

import pytest

from aos.cli.approval_news import Happening
from aos.cli.approval_watch import Seen, Teller
from aos.cli.approvals import Caller, Rights
from aos.kube.errors import Target, Unavailable
from aos.kube.reviews import AccessRequest
from aos.model.approval_request import ApprovalRequest
from tests.unit.cli.make import LEADS, NOW, Object, approval_request, counted, decision, gate_request, later

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


async def news(teller: Teller, rights: Rights, now: datetime) -> list[Happening]:
    return [item async for item in teller.tell(rights, now)]


async def test_a_request_is_told_of_once_and_then_what_becomes_of_it() -> None:
    teller, rights = Teller(BEA), Rights(Everything())
    teller.take(seen(approval_request()))
    assert told(await news(teller, rights, NOW)) == [
        (
            "Waiting",
            "Medium, 3h left, needs you: enricher would call crm.update_contact on contact/emea-1",
        )
    ]
    teller.take(seen(approval_request()))
    assert await news(teller, rights, NOW) == []
    approved = approval_request(
        decisions=[decision("dan", "Approve", "fine", "sales-leads")],
        status={"state": "Approved", "counted": [counted("dan", RULE)]},
    )
    teller.take(seen(approved))
    assert told(await news(teller, rights, NOW)) == [
        ("Decided", "dan approved it, 1 of 1: fine"),
        ("Approved", "Approved"),
    ]
    teller.take(Seen(approved.key, None))
    assert await news(teller, rights, NOW) == []


async def test_what_is_for_others_is_told_of_once_its_time_has_come() -> None:
    escalated: Object = {**LEADS, "escalation": {"at": later(600), "approvers": {"users": ["carl"]}}}
    teller = Teller(Caller("carl", frozenset()))
    teller.take(seen(approval_request(escalated)))
    assert await news(teller, Rights(Everything()), NOW) == []
    teller.look_again()
    happenings = await news(teller, Rights(Everything()), NOW + timedelta(seconds=600))
    assert [item.event for item in happenings] == ["Waiting"]
    assert await news(teller, Rights(Everything()), NOW + timedelta(seconds=700)) == []


async def test_what_rbac_does_not_grant_is_told_of_once_it_does() -> None:
    teller = Teller(BEA)
    teller.take(seen(approval_request()))
    assert await news(teller, Rights(Nothing()), NOW) == []
    assert await news(teller, Rights(Everything()), NOW) == []
    teller.look_again()
    assert [item.event for item in await news(teller, Rights(Everything()), NOW)] == ["Waiting"]


async def test_what_waited_for_others_and_has_ended_is_not_told_of() -> None:
    teller = Teller(BEA)
    teller.take(seen(approval_request()))
    await news(teller, Rights(Nothing()), NOW)
    teller.take(seen(approval_request(status={"state": "Expired"})))
    assert await news(teller, Rights(Everything()), NOW) == []
    teller.take(Seen(approval_request().key, None))
    assert await news(teller, Rights(Everything()), NOW) == []


async def test_a_request_that_goes_with_its_task_while_it_waits_is_told_of() -> None:
    teller, rights = Teller(BEA), Rights(Everything())
    teller.take(seen(approval_request()))
    await news(teller, rights, NOW)
    teller.take(Seen(approval_request().key, None))
    assert told(await news(teller, rights, NOW)) == [("Gone", "gone with its Task")]


async def test_a_gate_is_told_of_and_goes_with_its_run() -> None:
    teller, rights = Teller(BEA), Rights(Everything())
    teller.take(seen(gate_request()))
    (waiting,) = await news(teller, rights, NOW)
    assert waiting.said == (
        "gate, 3h left, needs you: Workflow outreach, step review of run outreach-x7 asks to go on"
    )
    teller.take(Seen(gate_request().key, None))
    assert told(await news(teller, rights, NOW)) == [("Gone", "gone with its run")]


class Silent:
    async def may_i(self, access: AccessRequest) -> bool:
        raise Unavailable(Target("create", "selfsubjectaccessreviews"), 503, "Unavailable", "later")


async def test_what_could_not_be_looked_at_is_told_of_the_next_time() -> None:
    teller = Teller(BEA)
    teller.take(seen(approval_request()))
    with pytest.raises(Unavailable):
        await news(teller, Rights(Silent()), NOW)
    assert [item.event for item in await news(teller, Rights(Everything()), NOW)] == ["Waiting"]
