"""The example's CRM behind the gateway, under the example's policies: what its agent gets to see."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from mcp.types import CallToolResult
from pydantic import JsonValue

from aos.model.tool import Tool
from examples.common.service import Settings
from examples.sales import crm
from tests.unit.agent.serving import serve
from tests.unit.examples.loading import effective, parsed
from tests.unit.gateway_mcp.make import CREDENTIAL, caller, task
from tests.unit.gateway_mcp.world import Gateway, gateway

SHOWN = {"id", "name", "title", "company", "industry", "employees"}


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway before the CRM; who calls is the example's agent."""
    database = crm.Database(str(tmp_path / "crm.sqlite"))
    settings = Settings(fixed_token=CREDENTIAL)
    async with serve(crm.crm_app(settings, database)) as url, gateway() as made:
        declared = parsed(Tool, "crm")
        spec = declared.spec.model_copy(update={"url": f"{url}/mcp"})
        target = declared.model_copy(update={"spec": spec})
        await made.offer(target)
        policy = effective("lead-enricher", tools=[target])
        made.caller = replace(caller(policy), task=task())
        yield made
    database.close()


async def call(front: Gateway, action: str, **arguments: JsonValue) -> CallToolResult:
    async with front.client("2026-07-28") as client:
        return await client.call_tool(f"crm.{action}", arguments)


async def test_a_search_tells_no_more_than_choosing_a_contact_takes(front: Gateway) -> None:
    found = await call(front, "search_contacts", territory="emea", query="halden")
    assert found.structured_content is not None
    (contact,) = found.structured_content["contacts"]
    assert set(contact) == SHOWN
    assert "example.com" not in found.model_dump_json()
    [text] = [part for part in found.content if part.type == "text"]
    assert "emea-0001" in text.text


async def test_an_address_stays_in_the_crm(front: Gateway) -> None:
    found = await call(front, "get_contact", id="emea-0001")
    assert not found.is_error
    assert "Mira Solberg" in found.model_dump_json()
    assert "[redacted:pii]" in found.model_dump_json()
    assert "@" not in found.model_dump_json()


async def test_a_note_is_made_unasked_and_holds_its_record(front: Gateway) -> None:
    noted = await call(front, "add_note", id="emea-0001", text="called")
    assert not noted.is_error
    (lease,) = await front.held.store.leases("")
    assert lease.record.endswith("contact/emea-0001")
    mine = front.caller
    front.caller = replace(mine, agent="rival", task=task("t2", "task-uid-2"))
    busy = await call(front, "add_note", id="emea-0001", text="called, too")
    assert busy.structured_content is not None
    assert busy.structured_content["reason"] == "RecordBusy"


async def test_an_update_waits_for_a_lead_and_is_made_when_one_approves(front: Gateway) -> None:
    people = front.held.people
    people.caller = front.caller
    update = {"id": "emea-0001", "stage": "qualified", "score": 0.4}
    async with front.client("2026-07-28") as client:
        waiting = asyncio.create_task(client.call_tool("crm.update_contact", update))
        (request,) = await people.asked()
        (quorum,) = request.spec.quorums
        assert quorum.approvers.groups == ("sales-leads",)
        assert request.spec.record == "contact/emea-0001"
        assert json.loads(request.spec.arguments) == update
        people.decide(request.metadata.name, "ana", groups=("sales-leads",))
        changed = await waiting
    assert not changed.is_error
    assert changed.structured_content is not None
    assert changed.structured_content["stage"] == "qualified"


@pytest.mark.parametrize(
    ("action", "arguments", "reason"),
    [
        ("export_contacts", {"territory": "emea"}, "DeniedByRule"),
        ("get_contact", {"id": "amer-0001"}, "NotAllowed"),
        ("add_note", {"id": "emea-0001", "text": "card 4111 1111 1111 1111"}, "DataBlocked"),
    ],
)
async def test_what_the_policies_forbid_never_reaches_the_crm(
    front: Gateway, action: str, arguments: dict[str, JsonValue], reason: str
) -> None:
    refused = await call(front, action, **arguments)
    assert refused.structured_content is not None
    assert refused.structured_content["reason"] == reason
