import json
from collections.abc import AsyncGenerator

import httpx2
import pytest
from pydantic import JsonValue

from examples.common.service import Settings
from examples.support import tickets
from tests.unit.agent.serving import serve

KEY = {"X-Api-Key": "key"}


@pytest.fixture
async def base() -> AsyncGenerator[tickets.TicketBase]:
    made = tickets.TicketBase(":memory:")
    yield made
    made.close()


@pytest.fixture
async def http(base: tickets.TicketBase) -> AsyncGenerator[httpx2.AsyncClient]:
    settings = Settings(fixed_token="key", header=tickets.KEY_HEADER)
    async with (
        serve(tickets.tickets_app(settings, base)) as url,
        httpx2.AsyncClient(base_url=url, headers=KEY) as client,
    ):
        yield client


async def test_every_operation_of_the_document_answers_and_is_logged_by_its_name(
    http: httpx2.AsyncClient, base: tickets.TicketBase
) -> None:
    document = (await http.get("/openapi.json", headers={"X-Api-Key": "none"})).json()
    bodies = {"updateTicket": {"risk": "low"}, "sendReply": {"text": "Hello"}}
    operations = [
        (path, method, operation["operationId"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]
    for path, method, name in operations:
        answer = await http.request(method.upper(), path.format(id="T-1001"), json=bodies.get(name))
        assert answer.is_success, name
    assert [access.action for access in base.log.last()] == [name for _, _, name in operations]
    assert len(operations) == 4


async def test_an_answer_is_sent_and_ends_the_ticket(
    http: httpx2.AsyncClient, base: tickets.TicketBase
) -> None:
    answer = await http.post("/tickets/T-1002/replies", json={"text": "Try again"})
    assert (answer.status_code, answer.json()) == (201, {"reply": "R-0001", "ticket": "T-1002"})
    assert base.replies("T-1002") == ["Try again"]
    found = base.ticket("T-1002")
    assert found is not None
    assert found.queue == "done"


async def test_a_reply_that_is_sent_again_reaches_the_customer_once(
    http: httpx2.AsyncClient, base: tickets.TicketBase
) -> None:
    for key, reply in (("a", "R-0001"), ("a", "R-0001"), ("b", "R-0002")):
        answered = await http.post(
            "/tickets/T-1001/replies", json={"text": "Hello"}, headers={"Idempotency-Key": key}
        )
        assert answered.json()["reply"] == reply
    assert len(base.replies("T-1001")) == 2


async def test_what_is_left_out_of_a_change_stays(http: httpx2.AsyncClient) -> None:
    await http.patch("/tickets/T-1002", json={"category": "access"})
    changed = (await http.patch("/tickets/T-1002", json={"queue": "people"})).json()
    assert (changed["category"], changed["queue"], changed["risk"]) == ("access", "people", "")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/tickets/T-9999", {"risk": "low"}, 404),
        ("/tickets/T-1001", {"risk": "none"}, 422),
        ("/tickets/T-1001", {"customer": "emea-0001"}, 422),
        ("/tickets/T-1001", [], 422),
    ],
)
async def test_a_change_that_is_none_is_refused(
    http: httpx2.AsyncClient, path: str, body: JsonValue, status: int
) -> None:
    assert (await http.patch(path, json=body)).status_code == status


async def test_a_reply_to_no_ticket_is_refused(http: httpx2.AsyncClient) -> None:
    assert (await http.post("/tickets/T-9999/replies", json={"text": "Hello"})).status_code == 404
    assert (await http.get("/tickets/T-9999")).status_code == 404


async def test_nobody_gets_in_without_the_key(http: httpx2.AsyncClient, base: tickets.TicketBase) -> None:
    for headers in ({"X-Api-Key": "wrong"}, {"X-Api-Key": "", "Authorization": "Bearer key"}):
        assert (await http.get("/tickets/T-1001", headers=headers)).status_code == 401
    assert [access.status for access in base.log.last()] == [401, 401]
    assert "key" not in {access.credential for access in base.log.last()}


def test_the_tickets_hold_what_agents_must_not_see() -> None:
    written = json.loads(tickets.TICKETS.read_text(encoding="utf-8"))
    assert sum("@" in ticket["text"] for ticket in written) >= 4
