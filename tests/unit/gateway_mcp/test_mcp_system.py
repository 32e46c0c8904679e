from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from starlette.types import Send

from aos.gateway.mcp.definitions import judge
from aos.gateway.mcp.mcp_system import MAX_CURSOR_LENGTH, McpSystem
from aos.gateway.mcp.system import ListingError, SystemCall
from aos.gateway.mcp.upstream import Upstream
from aos.gateway.upstream.outbound import Target, open_client
from aos.model.base import JsonObject
from tests.unit.gateway_mcp.make import SETTINGS, definition, task, tool
from tests.unit.gateway_mcp.world import answer, crm, scripted

THERE = tool()


@asynccontextmanager
async def system() -> AsyncGenerator[McpSystem]:
    async with open_client(SETTINGS) as http:
        upstream = Upstream(http, SETTINGS)
        yield McpSystem(upstream, SETTINGS)
        await upstream.close()


async def test_all_pages_are_one_list() -> None:
    async def pages(_: str, body: JsonObject, send: Send) -> None:
        params = body["params"]
        second = isinstance(params, dict) and params.get("cursor") == "2"
        page: JsonObject = {"tools": [definition("b" if second else "a")]}
        await answer(send, body, page if second else {**page, "nextCursor": "2"})

    async with scripted([]) as (url, there, _), system() as made:
        there.on_list = pages
        listed = await made.definitions(THERE, Target("uid", url))
    assert listed == [definition("a"), definition("b")]
    assert all(made.bind(THERE, entry) is None for entry in listed)


@pytest.mark.parametrize("cursor", [7, "x" * (MAX_CURSOR_LENGTH + 1), {}])
async def test_a_cursor_that_is_none_ends_in_no_list(cursor: int | str | JsonObject) -> None:
    async def odd(_: str, body: JsonObject, send: Send) -> None:
        await answer(send, body, {"tools": [], "nextCursor": cursor})

    async with scripted([]) as (url, there, _), system() as made:
        there.on_list = odd
        with pytest.raises(ListingError, match="no end"):
            await made.definitions(THERE, Target("uid", url))


async def test_a_call_is_made_in_the_tasks_own_session_with_its_arguments() -> None:
    async with crm(modern=False) as (url, watched), system() as made:
        target = Target("uid", url)
        listing = judge(THERE, await made.definitions(THERE, target), lambda _: False, 65_536)
        action = listing.actions["get_contact"]
        call = SystemCall(THERE, target, action, {"id": "7"}, task(uid="one"))
        first = await made.call(call)
        await made.call(replace(call, task=task(uid="two")))
        assert "contact 7" in str(first.result["content"])
    sessions = {headers["mcp-session-id"] for headers, _ in watched.seen.of("tools/call")}
    assert len(sessions) == 2


async def test_a_servers_list_depends_on_nothing_of_the_tool() -> None:
    async with system() as made:
        assert made.state(THERE) == made.state(tool(generation=2))
