import asyncio
import json
from collections.abc import Mapping
from typing import cast

import pytest
from mcp.types import CallToolResult, TextContent
from pydantic import JsonValue

from aos.gateway.journal import CallOutcome
from aos.gateway.openapi.system import OpenApiSystem
from aos.gateway.upstream.outbound import Target, open_client
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.tool import ActionState
from tests.unit.gateway_mcp.make import CREDENTIAL, NAMESPACE, SETTINGS, task
from tests.unit.gateway_mcp.world import Documents, Gateway, gateway
from tests.unit.gateway_memory.world import at_work, serve_for
from tests.unit.gateway_openapi.documents import ACCESS, TICKETS, Desk, desk, tool

MODES = ("auto", "legacy")


async def call(
    front: Gateway, action: str, arguments: JsonObject | None = None, mode: str = "auto"
) -> CallToolResult:
    async with front.client(mode) as client:
        return await client.call_tool(f"desk.{action}", arguments or {})


def text(result: CallToolResult) -> str:
    (block,) = result.content
    return cast("TextContent", block).text


def reason(result: CallToolResult) -> str:
    assert result.is_error
    structured = result.structured_content
    return str(structured["reason"]) if isinstance(structured, dict) else text(result)


def states(front: Gateway) -> dict[str, tuple[ActionState, str]]:
    _, actions = front.reports.tools["desk"]
    return {name: (action.state, action.message) for name, action in actions.items()}


async def once(
    action: str, arguments: JsonObject | None = None, prepare: Mapping[str, object] | None = None
) -> tuple[CallToolResult, Desk, Gateway]:
    """Make one call of a system that answers as ``prepare`` says."""
    async with desk() as (url, there), gateway() as front:
        for name, value in (prepare or {}).items():
            setattr(there, name, value)
        await front.offer(tool(url))
        return await call(front, action, arguments), there, front


@pytest.mark.parametrize("mode", MODES)
async def test_declared_operations_are_offered_as_tools(mode: str) -> None:
    async with desk() as (url, there), gateway() as front:
        await front.offer(tool(url))
        async with front.client(mode) as client:
            tools = {item.name: item for item in (await client.list_tools()).tools}
    assert set(tools) == {f"desk.{name}" for name in ACCESS}
    listing = tools["desk.list_tickets"]
    assert set(listing.input_schema["properties"]) == {
        "page",
        "status",
        "fields",
        "filter_assignee",
        "X-Desk-Locale",
    }
    assert str(listing.description).startswith("List tickets\n\nNewest first.\n\nGET /tickets")
    assert listing.annotations is not None
    assert listing.annotations.read_only_hint is True
    (fetched,) = there.fetched
    assert fetched.path == "/openapi.yaml"
    assert fetched.headers["authorization"] == f"Bearer {CREDENTIAL}"


async def test_a_read_becomes_the_request_that_the_document_describes() -> None:
    arguments: JsonObject = {
        "page": 2,
        "status": ["open", "on"],
        "fields": ["id", "a,b"],
        "filter_assignee": "ana & ben",
        "X-Desk-Locale": "de-AT",
    }
    result, there, front = await once("list_tickets", arguments)
    assert not result.is_error
    (asked,) = there.asked
    assert (asked.method, asked.path, asked.body) == ("GET", "/api/v2/tickets", None)
    assert asked.query == {
        "page": ["2"],
        "status": ["open", "on"],
        "fields": ["id,a,b"],
        "filter[assignee]": ["ana & ben"],
    }
    assert asked.headers["x-desk-locale"] == "de-AT"
    assert asked.headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert "cookie" not in asked.headers
    (entry,) = front.journal.entries
    assert entry.outcome is CallOutcome.ANSWERED


@pytest.mark.parametrize("mode", MODES)
async def test_a_write_sends_its_body_and_gives_back_what_the_system_said(mode: str) -> None:
    async with desk() as (url, there), gateway() as front:
        await front.offer(tool(url))
        result = await call(
            front, "update_ticket", {"id": "7", "query_id": 3, "body": {"title": "Drucker"}}, mode
        )
    (asked,) = there.asked
    assert (asked.method, asked.path, asked.query) == ("PATCH", "/api/v2/tickets/7", {"id": ["3"]})
    assert asked.headers["content-type"] == "application/merge-patch+json"
    assert asked.body == {"title": "Drucker"}
    assert result.structured_content == {"id": "7", "title": "Printer"}
    assert json.loads(text(result)) == {"id": "7", "title": "Printer"}


async def test_only_a_write_that_may_be_repeated_has_a_key() -> None:
    async with desk() as (url, there), gateway() as front:
        await front.offer(tool(url, idempotent=frozenset({"update_ticket"})))
        for action in ("update_ticket", "delete_ticket", "get_ticket"):
            await call(front, action, {"id": "7"})
    assert ["idempotency-key" in asked.headers for asked in there.asked] == [True, False, False]


async def test_an_answer_without_a_body_is_told_by_its_status() -> None:
    result, there, _ = await once("delete_ticket", {"id": "7"}, {"status": 204, "answer": b"", "headers": {}})
    assert not result.is_error
    assert text(result) == "HTTP 204 No Content"
    assert there.asked[0].method == "DELETE"


async def test_text_is_passed_on_and_lists_are_in_the_text() -> None:
    result, _, _ = await once("list_tickets", None, {"answer": b"[1, 2]"})
    assert (text(result), result.structured_content) == ("[1, 2]", None)
    plain = {"answer": "id;Ärger".encode(), "headers": {"content-type": "text/csv"}}
    result, _, _ = await once("list_tickets", None, plain)
    assert text(result) == "id;Ärger"


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"content-type": "application/pdf"}, b"%PDF"),
        ({"content-type": "application/json"}, b"{"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, b"x"),
    ],
)
async def test_an_answer_that_can_not_be_read_is_none(headers: dict[str, str], answer: bytes) -> None:
    result, _, _ = await once("get_ticket", {"id": "7"}, {"headers": headers, "answer": answer})
    assert reason(result) == "UpstreamInvalid"


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 429, 500])
async def test_an_error_of_the_system_is_told_with_what_it_said(status: int) -> None:
    result, _, front = await once("get_ticket", {"id": "7"}, {"status": status, "answer": b'{"why": "so"}'})
    assert result.is_error
    assert text(result).startswith(f"HTTP {status} ")
    assert '{"why": "so"}' in text(result)
    assert front.journal.entries[0].outcome is CallOutcome.ERROR_ANSWERED


async def test_an_error_of_the_server_leaves_a_write_unknown() -> None:
    result, _, _ = await once("delete_ticket", {"id": "7"}, {"status": 500})
    assert "outcome is unknown" in text(result)
    result, _, _ = await once("delete_ticket", {"id": "7"}, {"status": 404})
    assert "unknown" not in text(result)


async def test_a_credential_that_is_refused_is_not_the_agents_to_hear_of() -> None:
    result, _, _ = await once("get_ticket", {"id": "7"}, {"status": 401, "answer": b"token xyz expired"})
    assert reason(result) == "UpstreamInvalid"
    assert "xyz" not in text(result)


async def test_a_read_is_tried_again_where_the_system_was_not_there_and_a_write_is_not() -> None:
    async with desk() as (url, there), gateway() as front:
        await front.offer(tool(url))
        for number in range(10):
            await call(front, "get_ticket", {"id": str(number)})
        there.asked.clear()
        there.statuses = [503]
        assert not (await call(front, "get_ticket", {"id": "7"})).is_error
        assert len(there.asked) == 2
        there.statuses = [503]
        result = await call(front, "delete_ticket", {"id": "7"})
        assert reason(result) == "UpstreamUnreachable"
        assert "outcome is unknown" in text(result)
        assert len(there.asked) == 3


async def test_a_last_try_that_certainly_did_nothing_says_nothing_of_the_one_before() -> None:
    async with desk() as (url, there), gateway() as front:
        await front.offer(tool(url, idempotent=frozenset({"update_ticket"})))
        for number in range(10):
            await call(front, "get_ticket", {"id": str(number)})
        there.statuses = [503, 401]
        result = await call(front, "update_ticket", {"id": "7"})
    assert (reason(result), len(there.asked)) == ("UpstreamInvalid", 12)
    assert "outcome is unknown" in text(result)


async def test_a_credential_may_stand_in_a_header_of_its_own() -> None:
    auth: JsonObject = {
        "type": "Header",
        "header": "X-Desk-Locale",
        "secretRef": {"name": "crm-credentials", "key": "token"},
    }
    async with desk() as (url, there), gateway() as front:
        await front.offer(tool(url, auth=auth))
        result = await call(front, "list_tickets", {"X-Desk-Locale": "mine"})
        assert reason(result) == "ArgumentsInvalid"
        assert not (await call(front, "list_tickets")).is_error
    assert there.asked[0].headers["x-desk-locale"] == CREDENTIAL
    assert "authorization" not in there.asked[0].headers


async def test_an_answer_that_holds_the_credential_is_withheld() -> None:
    result, _, _ = await once("get_ticket", {"id": "7"}, {"answer": json.dumps({"t": CREDENTIAL}).encode()})
    assert reason(result) == "UpstreamInvalid"
    assert CREDENTIAL not in result.model_dump_json()


async def test_an_operation_that_is_not_declared_can_not_be_called() -> None:
    async with desk() as (url, there), gateway() as front:
        await front.offer(tool(url, {"get_ticket": "Read"}))
        assert reason(await call(front, "delete_ticket", {"id": "7"})) in (
            "ActionUnknown",
            "NotAsked",
            "NotAllowed",
        )
        assert there.asked == []


async def test_an_operation_with_another_body_than_json_is_quarantined_and_the_others_are_not() -> None:
    async with desk() as (url, _), gateway() as front:
        await front.offer(tool(url, {"attach": "Write", "get_ticket": "Read", "export": "Read"}))
    state, message = states(front)["attach"]
    assert state is ActionState.QUARANTINED
    assert message == "its body is multipart/form-data; only JSON bodies are sent"
    assert states(front)["get_ticket"] == (ActionState.OFFERED, "")
    assert states(front)["export"][0] is ActionState.MISSING


async def test_a_document_in_a_config_map_is_read_and_read_again_when_it_changes() -> None:
    source: JsonObject = {"configMapKeyRef": {"name": "desk-api", "key": "openapi.yaml"}}
    async with desk() as (url, there), gateway() as front:
        made = tool(url, {"get_ticket": "Read"}, source=source)
        await front.offer(made)
        assert front.reports.tools["desk"][0].reason is Reason.UNREACHABLE
        assert "ConfigMap desk-api, key openapi.yaml" in front.reports.tools["desk"][0].message
        front.documents[NAMESPACE, "desk-api"] = {"openapi.yaml": TICKETS}
        await front.catalogue.refresh(made.key)
        assert states(front)["get_ticket"][0] is ActionState.OFFERED
        assert not (await call(front, "get_ticket", {"id": "7"})).is_error
        front.documents[NAMESPACE, "desk-api"] = {
            "openapi.yaml": TICKETS.replace("get_ticket", "read_ticket")
        }
        await front.catalogue.refresh(made.key)
        assert states(front)["get_ticket"][0] is ActionState.MISSING
    assert there.fetched == []


async def test_an_action_that_is_declared_later_is_looked_for_at_once() -> None:
    async with desk() as (url, there), gateway() as front:
        await front.offer(tool(url, {"get_ticket": "Read"}))
        await front.offer(tool(url, {"get_ticket": "Read", "delete_ticket": "Write"}, generation=2))
        assert states(front)["delete_ticket"][0] is ActionState.OFFERED
        assert len(there.fetched) == 2


async def test_attack_10_an_operation_that_changed_after_pinning_is_quarantined() -> None:
    async with desk() as (url, there), gateway() as front:
        await front.offer(tool(url, {"get_ticket": "Read"}))
        digest = front.reports.tools["desk"][1]["get_ticket"].definition_digest
        assert digest is not None
        pinned = tool(url, {"get_ticket": "Read"}, pins={"get_ticket": digest}, generation=2)
        await front.offer(pinned)
        assert states(front)["get_ticket"][0] is ActionState.OFFERED
        # What the agent is shown of it stays the same.
        there.document = TICKETS.replace("name: id\n        in: path", "name: key\n        in: path").encode()
        there.document = there.document.replace(b"/tickets/{id}:", b"/admins/{key}:")
        await front.offer(tool(url, {"get_ticket": "Read"}, pins={"get_ticket": digest}, generation=3))
        assert states(front)["get_ticket"][0] is ActionState.QUARANTINED
        assert front.reports.tools["desk"][0].reason is Reason.DEFINITION_CHANGED


async def test_attack_9_hidden_text_in_a_document_is_quarantined() -> None:
    async with desk() as (url, there), gateway() as front:
        there.document = TICKETS.replace("Newest first.", '"Newest\\u200b first."').encode()
        await front.offer(tool(url))
        state, message = states(front)["list_tickets"]
    assert state is ActionState.QUARANTINED
    assert "hidden text" in message


@pytest.mark.parametrize(
    "ticket",
    [
        "../../admin",
        "..",
        ".",
        "a/b",
        "a\\b",
        "%2e%2e",
        "%2F..%2Fadmin",
        "..%2Fadmin",
        "%252e%252e%252fadmin",
        "\N{FULLWIDTH SOLIDUS}admin",
        "7 HTTP/1.1\r\nX-Evil: 1",
        "7\n",
        "",
    ],
)
async def test_attack_14_an_argument_leads_to_no_other_path(ticket: str) -> None:
    result, there, _ = await once("get_ticket", {"id": ticket})
    assert reason(result) == "ArgumentsInvalid"
    assert there.asked == []


@pytest.mark.parametrize("ticket", ["a?x=1", "a#b", "a b", "ü", "50%", "a;b=c", "a@b:c", "..."])
async def test_what_else_a_path_may_hold_is_encoded(ticket: str) -> None:
    result, there, _ = await once("get_ticket", {"id": ticket})
    assert not result.is_error
    (asked,) = there.asked
    assert asked.path.startswith("/api/v2/tickets/")
    assert asked.query == {}
    assert not set("?# ;@") & set(asked.path)


@pytest.mark.parametrize("locale", ["de\r\nX-Evil: 1", "de\nX: 1", "d\x00e", "dé", " de", "x" * 5000])
async def test_attack_7_an_argument_is_no_second_header(locale: str) -> None:
    result, there, _ = await once("list_tickets", {"X-Desk-Locale": locale})
    assert reason(result) == "ArgumentsInvalid"
    assert there.asked == []


async def test_attack_7_line_ends_in_a_query_stay_text() -> None:
    _, there, _ = await once("list_tickets", {"filter_assignee": "a\r\nX-Evil: 1"})
    (asked,) = there.asked
    assert asked.query["filter[assignee]"] == ["a\r\nX-Evil: 1"]
    assert "x-evil" not in asked.headers


async def test_attack_4_a_document_gives_agents_no_header_with_credentials() -> None:
    result, there, _ = await once("list_tickets", {"Authorization": "Bearer mine"})
    assert reason(result) == "ArgumentsInvalid"
    assert there.asked == []


async def test_attack_14_servers_of_the_document_are_not_where_calls_go() -> None:
    assert "169.254.169.254" in TICKETS
    _, there, _ = await once("list_tickets")
    assert len(there.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_attack_14_a_redirect_is_not_followed(status: int) -> None:
    headers = {"location": "http://169.254.169.254/latest/meta-data"}
    result, there, _ = await once("delete_ticket", {"id": "7"}, {"status": status, "headers": headers})
    assert reason(result) == "UpstreamInvalid"
    assert "redirect, which is not followed" in text(result)
    assert "outcome is unknown" in text(result)
    assert len(there.asked) == 1


@pytest.mark.parametrize("status", [302, 303, 408, 499])
async def test_a_write_that_may_have_been_done_is_sent_once_and_stays_spent(status: int) -> None:
    window: JsonObject = {"duplicateWindowSeconds": 600}
    budgets: list[JsonValue] = [{"name": "one", "calls": 1, "per": "1h", "scope": "Agent"}]
    async with desk() as (url, there), gateway() as front:
        there.status = status
        for number in range(3):
            work = task(f"t{number}", f"uid-{number}")
            await serve_for(front, at_work([tool(url)], work, conflicts=window, budgets=budgets))
            assert (await call(front, "create_ticket", {"body": {"title": "Printer"}})).is_error
            await front.held.settled()
        assert len(there.asked) == 1
        result = await call(front, "create_ticket", {"body": {"title": "Another"}})
        assert reason(result) == "BudgetExceeded"


async def test_attack_14_a_document_behind_a_redirect_is_none() -> None:
    async with desk() as (url, there), gateway() as front:
        there.document_status, there.document_headers = 302, {"location": "http://169.254.169.254/"}
        await front.offer(tool(url))
        availability, _ = front.reports.tools["desk"]
    assert availability.reason is Reason.UNREACHABLE
    assert "redirect" in availability.message


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"openapi: 3.0.0\n" + b"#" * 1_100_000, "bytes of YAML"),
        (b"{" + b" " * 4_200_000 + b"}", "bytes"),
        (b"[" * 100, "nested"),
        (b'{"a":' * 100_000, "not JSON"),
        (b"swagger: '2.0'\npaths: {}\n", "no field openapi"),
        (b"openapi: 3.2.0\npaths: {}\n", "3.0 and 3.1"),
        (b"openapi: 3.0.0\npaths: {}\npaths: {}\n", "twice"),
        (b'{"openapi": "3.0.0", "openapi": "3.1.0"}', "twice"),
        (b"<html>", "not an object"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
async def test_attack_13_a_document_beyond_its_bounds_is_not_used(document: bytes, said: str) -> None:
    async with desk() as (url, there), gateway() as front:
        there.document = document
        await front.offer(tool(url))
        availability, _ = front.reports.tools["desk"]
    assert availability.reason is Reason.UNREACHABLE
    assert said in availability.message


async def test_an_answer_that_is_too_large_is_none() -> None:
    settings = SETTINGS.model_copy(update={"max_response_bytes": 65_536})
    async with desk() as (url, there), gateway(settings) as front:
        await front.offer(tool(url))
        there.answer = b'"' + b"x" * 70_000 + b'"'
        assert reason(await call(front, "get_ticket", {"id": "7"})) == "ResponseTooLarge"


async def test_a_system_that_does_not_answer_in_time_is_given_up() -> None:
    settings = SETTINGS.model_copy(update={"upstream_timeout_seconds": 0.3})
    async with desk() as (url, there), gateway(settings) as front:
        await front.offer(tool(url))
        there.held = asyncio.Event()
        result = await call(front, "get_ticket", {"id": "7"})
        there.held.set()
    assert reason(result) == "UpstreamTimeout"


@pytest.mark.parametrize("value", [{"a": 1}, [[1]]])
async def test_a_parameter_is_never_an_object(value: JsonValue) -> None:
    result, there, _ = await once("list_tickets", {"fields": value})
    assert reason(result) == "ArgumentsInvalid"
    assert there.asked == []


async def test_what_another_attempt_was_refused_is_asked_for_again_and_what_it_did_is_not() -> None:
    window: JsonObject = {"duplicateWindowSeconds": 600}
    body: JsonObject = {"body": {"title": "Printer"}}
    async with desk() as (url, there), gateway() as front:
        for number, status in enumerate((429, 201, 500)):
            work = task(f"t{number}", f"uid-{number}")
            await serve_for(front, at_work([tool(url)], work, conflicts=window))
            there.status = status
            result = await call(front, "create_ticket", body)
            assert bool(result.is_error) is (status == 429)
    assert len(there.asked) == 2


async def test_a_document_that_is_the_same_is_not_read_through_again() -> None:
    async with desk() as (url, there), open_client(SETTINGS) as http:
        system = OpenApiSystem(http, Documents(), SETTINGS)
        made, target = tool(url), Target("uid-desk", url)
        first = await system.definitions(made, target)
        assert await system.definitions(made, target) is first
        assert len(there.fetched) == 2
        there.document = TICKETS.replace("List tickets", "All tickets").encode()
        second = await system.definitions(made, target)
        assert second != first
        assert await system.definitions(tool(url, generation=2), target) is not second
        system.forget("uid-desk")
        assert await system.definitions(made, target) == second
