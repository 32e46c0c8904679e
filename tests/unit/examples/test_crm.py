import csv
import io
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult
from pydantic import JsonValue

from aos.model.base import JsonObject
from examples.common import service
from examples.sales import crm
from tests.unit.agent.serving import serve


@dataclass(frozen=True, slots=True)
class Running:
    """A CRM that answers, and its database."""

    url: str
    database: crm.Database

    @asynccontextmanager
    async def client(self, mode: str = "auto", token: str = "crm-token") -> AsyncGenerator[Client]:  # noqa: S107
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http), mode=mode) as client,
        ):
            yield client

    async def call(self, action: str, **args: JsonValue) -> CallToolResult:
        async with self.client() as client:
            return await client.call_tool(action, args)


@pytest.fixture(name="running")
async def running_fixture(tmp_path: Path) -> AsyncGenerator[Running]:
    token_file = tmp_path / "token"
    token_file.write_text("crm-token\n")
    database = crm.Database(str(tmp_path / "crm.sqlite"))
    async with serve(crm.crm_app(service.Settings(token_file=token_file), database)) as url:
        yield Running(url, database)
    database.close()


def content(result: CallToolResult) -> JsonObject:
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


@pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
async def test_clients_of_either_era_are_served(running: Running, mode: str, version: str) -> None:
    async with running.client(mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        found = await client.call_tool("search_contacts", {"territory": "emea", "query": "halden"})
        assert client.protocol_version == version
    assert set(tools) == {
        "search_contacts",
        "get_contact",
        "update_contact",
        "add_note",
        "grant_discount",
        "export_contacts",
        "delete_contact",
    }
    [contact] = crm.Contacts.model_validate(content(found)).contacts
    assert (contact.id, contact.name) == ("emea-0001", "Mira Solberg")


@pytest.mark.parametrize(
    ("territory", "query", "limit", "ids"),
    [
        ("emea", "SOLBERG", 5, ["emea-0001"]),
        ("amer", "solberg", 5, []),
        ("amer", "@maple-ferry-foods", 5, ["amer-0006"]),
        ("emea", "", 2, ["emea-0001", "emea-0002"]),
        ("emea", "100%_", 5, []),
    ],
)
def test_a_search_stays_in_its_territory(territory: str, query: str, limit: int, ids: list[str]) -> None:
    database = crm.Database(":memory:")
    assert [contact.id for contact in database.search(territory, query, limit)] == ids
    database.close()


async def test_a_contact_is_changed_where_something_is_said_and_nowhere_else(running: Running) -> None:
    changed = crm.Contact.model_validate(
        content(await running.call("update_contact", id="emea-0001", stage="qualified", score=0.8))
    )
    assert (changed.stage, changed.score, changed.next_step, changed.company) == (
        "qualified",
        0.8,
        "",
        "Halden Robotics",
    )


async def test_a_discount_is_granted_to_one_contact(running: Running) -> None:
    granted = crm.Contact.model_validate(
        content(await running.call("grant_discount", id="emea-0001", percent=15))
    )
    assert granted.discount_percent == 15
    assert running.database.contact("emea-0002").discount_percent == 0


async def test_notes_are_kept_in_order(running: Running) -> None:
    await running.call("add_note", id="emea-0002", text="first")
    await running.call("add_note", id="emea-0002", text="second")
    card = crm.ContactCard.model_validate(content(await running.call("get_contact", id="emea-0002")))
    assert card.notes == ["first", "second"]


async def test_an_export_is_a_table_of_one_territory(running: Running) -> None:
    export = crm.Export.model_validate(content(await running.call("export_contacts", territory="amer")))
    rows = list(csv.DictReader(io.StringIO(export.table)))
    assert export.rows == len(rows) == 22
    assert {row["territory"] for row in rows} == {"amer"}


async def test_a_deleted_contact_is_gone_with_its_notes(running: Running) -> None:
    await running.call("add_note", id="emea-0003", text="soon gone")
    await running.call("delete_contact", id="emea-0003")
    gone = await running.call("get_contact", id="emea-0003")
    assert gone.is_error
    assert running.database.notes("emea-0003") == []


@pytest.mark.parametrize(
    ("action", "args"),
    [
        ("get_contact", {"id": "emea-9999"}),
        ("update_contact", {"id": "emea-9999", "stage": "lost"}),
        ("add_note", {"id": "emea-9999", "text": "x"}),
        ("delete_contact", {"id": "emea-9999"}),
        ("grant_discount", {"id": "emea-9999", "percent": 5}),
        ("grant_discount", {"id": "emea-0001", "percent": 90}),
        ("get_contact", {"id": "' OR 1=1 --"}),
        ("update_contact", {"id": "emea-0001", "score": 2}),
        ("search_contacts", {"territory": "moon"}),
        ("search_contacts", {"territory": "emea", "limit": 1000}),
    ],
)
async def test_what_can_not_be_done_is_an_error_of_the_tool(
    running: Running, action: str, args: dict[str, JsonValue]
) -> None:
    assert (await running.call(action, **args)).is_error


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer wrong")],
        [("Authorization", "crm-token")],
        [("Authorization", "Basic crm-token")],
        [("Authorization", "Bearer crm-token"), ("Authorization", "Bearer other")],
        [("Authorization", "Bearer ümlaut".encode())],
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/log", "/anything"])
async def test_nobody_gets_in_without_the_token(
    running: Running, path: str, headers: list[tuple[str, str | bytes]]
) -> None:
    async with httpx2.AsyncClient() as http:
        assert (await http.get(running.url + path, headers=headers)).status_code == 401  # type: ignore[arg-type]  # bytes, too


async def test_a_new_token_counts_at_once(running: Running, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("another")
    async with running.client(token="another") as client:
        assert (await client.list_tools()).tools


async def test_probes_need_no_token_and_leave_no_trace(running: Running) -> None:
    async with httpx2.AsyncClient() as http:
        assert (await http.get(running.url + "/healthz")).status_code == 200
    assert running.database.log.last() == []


async def test_a_request_that_is_too_large_is_refused_and_logged(running: Running) -> None:
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer crm-token"}) as http:
        answer = await http.post(running.url + "/mcp", content=b"x" * (service.MAX_REQUEST_BYTES + 1))
    assert answer.status_code == 413
    assert [access.status for access in running.database.log.last()] == [413]


async def test_the_log_shows_the_action_the_credential_and_the_headers_names(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    await running.call("get_contact", id="emea-0001")
    async with httpx2.AsyncClient() as http:
        log = (await http.get(running.url + "/log", headers={"Authorization": "Bearer crm-token"})).json()
        await http.post(running.url + "/mcp", headers={"Cookie": "a=b"}, content=b"not JSON")
    [call] = [access for access in log if access["method"] == "tools/call"]
    assert (call["action"], call["record"], call["status"]) == ("get_contact", "emea-0001", 200)
    assert call["credential"] == service.fingerprint("Bearer crm-token")
    assert "authorization" in call["headers"]
    refused = running.database.log.last(1)[0]
    assert (refused.method, refused.status, refused.credential) == ("POST /mcp", 401, "none")
    assert "cookie" in refused.headers
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed[-1] == refused.model_dump()
    assert "crm-token" not in json.dumps(printed)


def test_the_data_survive_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "crm.sqlite")
    first = crm.Database(path)
    first.update("emea-0001", "customer", None, None)
    first.close()
    second = crm.Database(path)
    assert second.contact("emea-0001").stage == "customer"
    second.close()


def test_the_contacts_are_made_up() -> None:
    with crm.CONTACTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["id"] for row in rows}) == len({row["company"] for row in rows}) == 44
    assert all(row["email"].endswith(".example.com") for row in rows)
    assert all(row["id"].startswith(row["territory"] + "-") for row in rows)
