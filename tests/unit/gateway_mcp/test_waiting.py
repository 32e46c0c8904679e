import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from aos.gateway.http import ClientDisconnected, HttpRequest, Message
from aos.gateway.mcp import answers, waiting
from aos.gateway.mcp.judging import ToolCall
from aos.gateway.mcp.waiting import NOWHERE, Line, WaitingRoom
from aos.gateway.settings import GatewaySettings
from tests.unit.gateway_mcp.make import caller, merged, tool
from tests.unit.gateway_mcp.test_endpoint import MODES, post_modern
from tests.unit.gateway_mcp.world import Gateway, crm, gateway

SMALL = GatewaySettings(namespace="aos-system", max_concurrent_calls_per_agent=8)
BOTH = "application/json, text/event-stream"


class Held:
    """Makes calls as the gateway does that holds every one: they wait for a decision, for so long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.decided = asyncio.Event()
        self.entered = asyncio.Event()
        self.made: list[str] = []
        self.gone = asyncio.Event()

    async def make(self, call: ToolCall) -> bytes:
        self.entered.set()
        try:
            released = await call.waiting.until(self.decided.wait(), self.seconds)
        except ClientDisconnected:
            self.gone.set()
            raise
        if released:
            self.made.append(call.action)
        text = "made" if released else "pending"
        return answers.answered(
            call.request, {"content": [{"type": "text", "text": text}], "structuredContent": {"came": text}}
        )


@asynccontextmanager
async def holding(seconds: float) -> AsyncGenerator[tuple[Gateway, Held]]:
    """Serve a gateway whose calls all wait."""
    held = Held(seconds)
    async with crm() as (url, _), gateway() as front:
        await front.offer(tool(url))
        front.endpoint._calls = held  # type: ignore[assignment] # what holds calls is tested where it stands
        yield front, held


@pytest.fixture(autouse=True)
def quick_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "KEEP_ALIVE_SECONDS", 0.02)


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_gets_its_answer_when_people_decide_while_it_waits(mode: str) -> None:
    async with holding(20) as (front, held), front.client(mode) as client:
        asked = asyncio.create_task(client.call_tool("crm.update_contact", {"id": "7"}))
        await held.entered.wait()
        held.decided.set()
        result = await asked
    assert result.content[0].type == "text"
    assert result.content[0].text == "made"


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_gets_its_answer_when_nobody_decides(mode: str) -> None:
    async with holding(0.1) as (front, _), front.client(mode) as client:
        result = await client.call_tool("crm.update_contact", {"id": "7"})
        again = await client.call_tool("crm.update_contact", {"id": "7"})
    assert [block.text for block in (*result.content, *again.content) if block.type == "text"] == [
        "pending",
        "pending",
    ]


async def test_a_client_that_reads_in_short_bursts_is_kept_alive() -> None:
    timeout = httpx2.Timeout(5, read=1)
    async with (
        holding(2) as (front, _),
        httpx2.AsyncClient(timeout=timeout) as http,
        Client(streamable_http_client(f"{front.url}/mcp", http_client=http)) as client,
    ):
        result = await client.call_tool("crm.update_contact", {"id": "7"})
    assert not result.is_error


async def test_signs_of_life_come_as_comments_and_the_answer_as_the_one_message() -> None:
    async with holding(0.2) as (front, _):
        answer = await post_modern(
            front, "tools/call", {"name": "crm.update_contact", "arguments": {}}, Accept=BOTH
        )
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store"
    *signs, message, end = answer.text.split("\n\n")
    assert len(signs) > 1
    assert set(signs) == {": waiting for people"}
    assert end == ""
    event, data = message.split("\n")
    assert event == "event: message"
    assert json.loads(data.removeprefix("data: "))["result"]["content"][0]["text"] == "pending"


async def test_a_call_that_does_not_wait_is_answered_with_json() -> None:
    async with crm() as (url, _), gateway() as front:
        await front.offer(tool(url))
        answer = await post_modern(
            front, "tools/call", {"name": "crm.update_contact", "arguments": {"id": "7"}}, Accept=BOTH
        )
    assert answer.headers["content-type"] == "application/json"


async def test_a_client_that_takes_no_events_waits_in_silence_for_json() -> None:
    async with holding(0.1) as (front, _):
        answer = await post_modern(
            front,
            "tools/call",
            {"name": "crm.update_contact", "arguments": {}},
            Accept="application/json",
        )
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"]["content"][0]["text"] == "pending"


async def test_when_the_client_goes_away_the_call_is_not_made_and_its_place_is_free() -> None:
    async with holding(20) as (front, held):
        asked = asyncio.create_task(
            post_modern(front, "tools/call", {"name": "crm.update_contact", "arguments": {}}, Accept=BOTH)
        )
        await held.entered.wait()
        assert front.endpoint.waiting == 1
        asked.cancel()
        await held.gone.wait()
        held.decided.set()
        assert front.endpoint.waiting == 0
    assert held.made == []


async def test_a_decision_that_comes_as_the_client_goes_makes_nothing() -> None:
    decided = asyncio.get_running_loop().create_future()
    decided.set_result(None)
    with pytest.raises(ClientDisconnected):
        await line(WaitingRoom(SMALL), gone=True).until(decided, 5)


async def test_a_gateway_that_stops_sends_everybody_away_at_once() -> None:
    async with holding(20) as (front, held), front.client("2026-07-28") as client:
        asked = asyncio.create_task(client.call_tool("crm.update_contact", {"id": "7"}))
        await held.entered.wait()
        front.endpoint.end_waiting()
        results = [await asked, await client.call_tool("crm.update_contact", {"id": "7"})]
        assert front.endpoint.waiting == 0
    assert [result.structured_content for result in results] == [{"came": "pending"}] * 2


async def test_what_the_decision_raises_is_raised() -> None:
    async def failing() -> None:
        raise LookupError

    room = WaitingRoom(SMALL)
    with pytest.raises(LookupError):
        await line(room).until(failing(), 5)
    assert len(room) == 0


async def test_a_quarter_of_an_agents_places_may_wait_and_more_do_not() -> None:
    room = WaitingRoom(SMALL)
    never = [asyncio.Event() for _ in range(2)]
    waits = [asyncio.create_task(line(room).until(event.wait(), 5)) for event in never]
    await asyncio.sleep(0)
    assert len(room) == 2
    assert not await line(room).until(asyncio.Event().wait(), 5)
    never[0].set()
    assert await waits[0]
    third = asyncio.create_task(line(room).until(asyncio.sleep(0), 5))
    assert await third
    never[1].set()
    assert await waits[1]
    assert len(room) == 0


def test_all_agents_together_have_a_quarter_of_the_connections() -> None:
    room = WaitingRoom(GatewaySettings(namespace="aos-system", max_connections=8))
    assert room.enter(("sales", "a"))
    assert room.enter(("sales", "b"))
    assert not room.enter(("sales", "c"))
    room.leave(("sales", "a"))
    assert room.enter(("sales", "c"))


async def test_who_has_nowhere_to_wait_does_not() -> None:
    assert not await NOWHERE.until(asyncio.Event().wait(), 5)


def line(room: WaitingRoom, *, gone: bool = False) -> Line:
    """Return the line of a client that is there, or has gone."""

    async def receive() -> Message:
        if not gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        raise AssertionError

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "headers": [(b"accept", b"application/json")],
        "client": ("10.0.0.1", 1),
    }
    request = HttpRequest(scope, receive, max_body_bytes=1024, timeout_seconds=1)
    return Line(room, request, caller(merged([])), send)
