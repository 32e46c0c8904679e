from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.server import Server, ServerRequestContext
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ListToolsResult,
    PaginatedRequestParams,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)
from pydantic import JsonValue

from aos.agent.conversation import CallTool
from aos.agent.failure import FailureReason, TaskFailedError
from aos.agent.settings import AgentSettings
from aos.agent.tools import Hold, ToolClient, ToolReply, open_tools, read_result
from aos.agent.transport import BoundedTransport
from examples.common.service import Settings
from examples.sales import crm
from tests.unit.agent.conftest import FAST
from tests.unit.agent.serving import serve


def text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


@pytest.mark.parametrize(
    ("blocks", "structured", "shown"),
    [
        ([text("one"), text("two")], None, "one\ntwo"),
        ([text("one")], {"a": 1}, "one"),
        ([], {"ä": [1]}, '{"ä":[1]}'),
        ([], None, "(no content)"),
        ([ImageContent(type="image", data="aaaa", mime_type="image/png")], None, "[image left out]"),
        ([AudioContent(type="audio", data="aaaa", mime_type="audio/wav")], None, "[audio left out]"),
        ([ResourceLink(type="resource_link", name="x", uri="crm://1")], None, "[link to crm://1]"),
        (
            [EmbeddedResource(type="resource", resource=TextResourceContents(uri="crm://1", text="in"))],
            None,
            "in",
        ),
        (
            [EmbeddedResource(type="resource", resource=BlobResourceContents(uri="crm://1", blob="aaaa"))],
            None,
            "[binary resource left out]",
        ),
    ],
)
def test_a_result_becomes_text(blocks: list[ContentBlock], structured: JsonValue, shown: str) -> None:
    result = CallToolResult(content=blocks, structured_content=structured)
    assert read_result(result) == ToolReply(shown)


@pytest.mark.parametrize(
    ("structured", "is_error", "denied", "reason"),
    [
        ({"decision": "Deny", "reason": "DeniedByRule"}, True, True, "DeniedByRule"),
        ({"decision": "Allow", "reason": "UpstreamInvalid"}, True, False, "UpstreamInvalid"),
        ({"decision": "Deny", "reason": "\n{forged: line}"}, True, True, ""),
        ({"decision": "Deny"}, True, True, ""),
        ({"decision": "Deny", "reason": "DeniedByRule"}, False, False, ""),
        (["Deny"], True, False, ""),
        (None, True, False, ""),
    ],
)
def test_what_the_gateway_says_of_a_call_is_kept_if_it_looks_like_it(
    structured: JsonValue,
    is_error: bool,  # noqa: FBT001
    denied: bool,  # noqa: FBT001
    reason: str,
) -> None:
    result = CallToolResult(content=[text("why")], structured_content=structured, is_error=is_error)
    assert read_result(result) == ToolReply("why", failed=is_error, denied=denied, reason=reason)


PENDING: dict[str, JsonValue] = {
    "decision": "Hold",
    "reason": "ApprovalPending",
    "approval": "apr-0123456789abcdef",
    "retryAfterSeconds": 5,
    "expiresAt": "2026-11-23T08:00:00Z",
}


def refusal(structured: JsonValue, reason: str | None) -> CallToolResult:
    meta = {} if reason is None else {"_meta": {"aos.dev/refused": reason}}
    return CallToolResult(content=[text("why")], structured_content=structured, is_error=True, **meta)


def test_a_call_that_waits_for_people_is_told_from_one_that_failed() -> None:
    reply = read_result(refusal(PENDING, "ApprovalPending"))
    assert reply.hold == Hold("apr-0123456789abcdef", 5, datetime(2026, 11, 23, 8, tzinfo=UTC))
    assert not reply.lost


def test_no_tool_can_pretend_that_its_call_waits_for_people() -> None:
    assert read_result(refusal(PENDING, None)).hold is None
    assert read_result(refusal(PENDING, "NotAllowed")).hold is None
    assert read_result(refusal(PENDING, None)).pause_seconds is None
    stale: JsonValue = {"decision": "Deny", "reason": "ApprovalStale"}
    assert read_result(refusal(stale, "ApprovalStale")).stale
    assert not read_result(refusal(stale, None)).stale


@pytest.mark.parametrize(
    "odd",
    [{"approval": "apr-\nforged: line"}, {"approval": 1}, {"expiresAt": "soon"}, {"retryAfterSeconds": True}],
)
def test_what_can_not_be_read_of_a_hold_is_left_out(odd: dict[str, JsonValue]) -> None:
    hold = read_result(refusal({**PENDING, **odd}, "ApprovalPending")).hold
    assert hold is not None
    assert (hold.approval, hold.expires_at, hold.pause_seconds) in (
        ("", datetime(2026, 11, 23, 8, tzinfo=UTC), 5),
        ("apr-0123456789abcdef", None, 5),
        ("apr-0123456789abcdef", datetime(2026, 11, 23, 8, tzinfo=UTC), 0),
    )


def test_when_the_gateway_says_that_a_call_may_be_tried_again_that_is_kept() -> None:
    said: JsonValue = {"decision": "Deny", "reason": "LimitExceeded", "retryAfterSeconds": 7}
    assert read_result(refusal(said, "LimitExceeded")).pause_seconds == 7


class Paging:
    """A server whose list has ``pages`` pages, each with a tool of its own and one that they share."""

    def __init__(self, pages: int) -> None:
        self.pages = pages

    def server(self) -> Server:
        async def list_tools(
            _: ServerRequestContext, params: PaginatedRequestParams | None
        ) -> ListToolsResult:
            page = int(params.cursor) if params and params.cursor else 0
            names = (f"crm.tool_{page}", "crm.shared")
            return ListToolsResult(
                tools=[Tool(name=name, input_schema={"type": "object"}) for name in names],
                next_cursor=str(page + 1) if page + 1 < self.pages else None,
            )

        async def call_tool(_: ServerRequestContext, params: CallToolRequestParams) -> CallToolResult:
            return CallToolResult(content=[], structured_content={"called": params.name})

        return Server("paging", on_list_tools=list_tools, on_call_tool=call_tool)


async def test_all_pages_of_the_list_are_read_and_each_tool_is_offered_once() -> None:
    async with Client(Paging(3).server()) as client:
        offers = await ToolClient(client, FAST).offers()
    assert [offer.name for offer in offers] == ["crm.tool_0", "crm.shared", "crm.tool_1", "crm.tool_2"]


async def test_a_list_without_an_end_is_not_read_for_ever() -> None:
    async with Client(Paging(10).server()) as client:
        with pytest.raises(TaskFailedError) as caught:
            await ToolClient(client, replace(FAST, max_tool_pages=3)).offers()
    assert caught.value.failure.reason is FailureReason.TOO_MANY_TOOLS


class Breakable(httpx2.AsyncBaseTransport):
    """Goes to the server, unless told to fail."""

    def __init__(self) -> None:
        self.inner = httpx2.AsyncHTTPTransport()
        self.broken = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.broken:
            raise httpx2.ConnectError("refused")
        request.headers["Authorization"] = "Bearer t"
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


class Crm:
    """A real CRM, reached by a connection that can be broken."""

    def __init__(self, url: str) -> None:
        self.connection = Breakable()
        self.http = httpx2.AsyncClient(transport=BoundedTransport(self.connection, 1_000_000))
        self.settings = AgentSettings(url, Path("x"), Path("x"), f"{url}/v1", f"{url}/mcp", bounds=FAST)


@pytest.fixture(name="real")
async def real_fixture() -> AsyncGenerator[Crm]:
    database = crm.Database(":memory:")
    async with serve(crm.crm_app(Settings(fixed_token="t"), database)) as url:
        real = Crm(url)
        yield real
        await real.http.aclose()
    database.close()


async def test_a_real_server_is_listed_and_called(real: Crm) -> None:
    async with open_tools(real.http, real.settings) as tools:
        offers = await tools.offers()
        reply = await tools.call(CallTool("get_contact", {"id": "emea-0001"}))
    assert {offer.name for offer in offers} >= {"search_contacts", "get_contact"}
    assert '"name": "Mira Solberg"' in reply.text
    assert not reply.failed


async def test_a_call_that_gets_no_answer_fails_alone_and_the_next_one_works(real: Crm) -> None:
    async with open_tools(real.http, real.settings) as tools:
        real.connection.broken = True
        lost = await tools.call(CallTool("get_contact", {"id": "emea-0001"}))
        real.connection.broken = False
        found = await tools.call(CallTool("get_contact", {"id": "emea-0001"}))
    assert lost == ToolReply("failed: the gateway can't be reached (ConnectError)", failed=True, lost=True)
    assert not found.failed


async def test_a_session_that_can_not_be_opened_is_a_failure(real: Crm) -> None:
    real.connection.broken = True
    with pytest.raises(TaskFailedError) as caught:
        async with open_tools(real.http, real.settings):
            pass
    assert caught.value.failure.reason is FailureReason.GATEWAY_UNAVAILABLE


async def test_a_server_that_refuses_the_session_is_a_failure(real: Crm) -> None:
    settings = replace(real.settings, mcp_url=real.settings.gateway_url + "/nothing-here")
    with pytest.raises(TaskFailedError) as caught:
        async with open_tools(real.http, settings):
            pass
    assert caught.value.failure.reason is FailureReason.TOOLS_UNAVAILABLE


async def test_an_error_of_the_work_leaves_the_session_as_it_is(real: Crm) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_tools(real.http, real.settings):
            raise ZeroDivisionError


async def test_a_result_that_does_not_fit_the_tools_own_schema_is_an_error() -> None:
    async def list_tools(_: ServerRequestContext, __: PaginatedRequestParams | None) -> ListToolsResult:
        schema: dict[str, JsonValue] = {"type": "object", "required": ["id"]}
        return ListToolsResult(
            tools=[Tool(name="odd", input_schema={"type": "object"}, output_schema=schema)]
        )

    async def call_tool(_: ServerRequestContext, __: CallToolRequestParams) -> CallToolResult:
        return CallToolResult(content=[], structured_content={"name": "no id"})

    async with Client(Server("odd", on_list_tools=list_tools, on_call_tool=call_tool)) as client:
        reply = await ToolClient(client, FAST).call(CallTool("odd", {}))
    assert reply.failed
    assert reply.text.startswith("failed: Invalid structured content")
