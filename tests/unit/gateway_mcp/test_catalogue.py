import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from pydantic import JsonValue
from starlette.types import Send

from aos.gateway.mcp.catalogue import Catalogue
from aos.gateway.mcp.mcp_system import MAX_PAGES, McpSystem
from aos.gateway.mcp.upstream import Upstream
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.outbound import open_client
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.tool import ActionState, Tool, ToolType
from tests.unit.gateway_mcp.make import KeptReports, StubRegistry, definition, tool
from tests.unit.gateway_mcp.world import answer, respond, scripted

SETTINGS = GatewaySettings(
    namespace="aos-system",
    max_tool_actions=8,
    catalogue_refresh_seconds=60,
    max_staleness_seconds=300,
    upstream_timeout_seconds=20,
)
BOTH = [definition("get_contact"), definition("update_contact")]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    registry: StubRegistry
    reports: KeptReports
    clock: Clock
    catalogue: Catalogue

    async def refresh(self, there: Tool) -> None:
        self.registry.tool_objects[there.metadata.name] = there
        await self.catalogue.refresh(there.key)

    def reason(self) -> Reason:
        return self.reports.tools["crm"][0].reason

    def states(self) -> dict[str, ActionState]:
        return {name: action.state for name, action in self.reports.tools["crm"][1].items()}


@asynccontextmanager
async def world() -> AsyncGenerator[World]:
    registry, reports, clock = StubRegistry(), KeptReports(), Clock()
    async with open_client(SETTINGS) as http:
        upstream = Upstream(http, SETTINGS)
        systems = {ToolType.MCP: McpSystem(upstream, SETTINGS)}
        yield World(registry, reports, clock, Catalogue(registry, systems, reports, SETTINGS, clock))
        await upstream.close()


async def test_a_tool_is_listed_and_reported() -> None:
    async with scripted(BOTH) as (url, _, seen), world() as here:
        there = tool(url)
        await here.refresh(there)
        listing = here.catalogue.listing(there)
        assert listing is not None
        assert list(listing.actions) == ["get_contact", "update_contact"]
        assert here.reason() is Reason.AVAILABLE
    assert [headers["authorization"] for headers, _ in seen.of("tools/list")] == [
        "Bearer tool-credential-5d41402a"
    ]


async def test_a_tool_is_read_anew_only_when_that_is_due() -> None:
    async with scripted(BOTH) as (url, _, seen), world() as here:
        there = tool(url)
        for _ in range(3):
            await here.refresh(there)
        assert len(seen.of("tools/list")) == 1
        here.clock.now += 60
        await here.refresh(there)
        assert len(seen.of("tools/list")) == 2


async def test_a_change_of_what_is_declared_counts_at_once_and_needs_no_reading() -> None:
    async with scripted(BOTH) as (url, _, seen), world() as here:
        await here.refresh(tool(url, actions={"get_contact": "Read"}))
        changed = tool(url, actions={"update_contact": "Write"}, generation=2)
        assert here.catalogue.listing(changed) is None
        await here.refresh(changed)
        listing = here.catalogue.listing(changed)
        assert listing is not None
        assert list(listing.actions) == ["update_contact"]
        assert here.catalogue.listing(tool(url, uid="another")) is None
    assert len(seen.of("tools/list")) == 1


async def test_another_url_credential_or_object_is_read_at_once() -> None:
    async with scripted(BOTH) as (url, _, seen), world() as here:
        await here.refresh(tool(url))
        here.registry.credentials["crm-credentials"] = "another"
        await here.refresh(tool(url))
        await here.refresh(tool(url + "/", generation=2))
        await here.refresh(tool(url + "/", uid="another", generation=2))
    listings = seen.of("tools/list")
    assert len(listings) == 4
    assert listings[1][0]["authorization"] == "Bearer another"


async def test_a_tool_without_its_credential_is_not_asked() -> None:
    async with scripted(BOTH) as (url, _, seen), world() as here:
        here.registry.credentials.clear()
        await here.refresh(tool(url))
        assert here.reason() is Reason.CREDENTIALS_MISSING
        assert "Secret crm-credentials, key token" in here.reports.tools["crm"][0].message
        assert set(here.states().values()) == {ActionState.MISSING}
        assert not seen.requests
        here.registry.credentials["crm-credentials"] = "there-now"
        await here.refresh(tool(url))
        assert here.reason() is Reason.AVAILABLE


async def test_a_tool_that_is_gone_is_forgotten() -> None:
    async with scripted(BOTH) as (url, _, _), world() as here:
        there = tool(url)
        await here.refresh(there)
        del here.registry.tool_objects["crm"]
        await here.catalogue.refresh(there.key)
        assert here.catalogue.listing(there) is None


async def test_a_tool_that_is_down_is_tried_again_later_and_keeps_its_list_for_a_while() -> None:
    async with scripted(BOTH) as (url, there, seen), world() as here:
        crm = tool(url)
        await here.refresh(crm)

        async def down(_: str, body: JsonObject, send: Send) -> None:
            await respond(send, 503, b"db-7 is down")

        there.on_list = down
        here.clock.now += 60
        await here.refresh(crm)
        listing = here.catalogue.listing(crm)
        assert here.reason() is Reason.UNREACHABLE
        message = here.reports.tools["crm"][0].message
        assert "db-7" not in message
        assert message.startswith(f"its definitions can't be read: {url}: ")
        assert listing is not None
        assert len(listing.actions) == 2
        await here.refresh(crm)
        assert len(seen.of("tools/list")) == 2
        here.clock.now += 300
        await here.refresh(crm)
        listing = here.catalogue.listing(crm)
        assert listing is not None
        assert not listing.actions
        assert set(here.states().values()) == {ActionState.MISSING}
        there.on_list = None
        here.clock.now += 60
        await here.refresh(crm)
        assert here.reason() is Reason.AVAILABLE


async def test_a_tool_that_comes_back_is_available_though_nothing_changed() -> None:
    async with scripted(BOTH) as (url, there, _), world() as here:
        await here.refresh(tool(url))

        async def down(_: str, body: JsonObject, send: Send) -> None:
            await respond(send, 503, b"")

        there.on_list = down
        here.clock.now += 60
        await here.refresh(tool(url))
        there.on_list = None
        here.clock.now += 60
        await here.refresh(tool(url))
        assert here.reason() is Reason.AVAILABLE


async def test_attack_10_a_definition_that_changes_later_is_quarantined_at_the_next_reading() -> None:
    async with scripted(BOTH) as (url, there, _), world() as here:
        await here.refresh(tool(url))
        pin = here.reports.tools["crm"][1]["get_contact"].definition_digest
        assert pin is not None
        pinned = tool(url, pins={"get_contact": pin}, generation=2)
        await here.refresh(pinned)
        assert here.reason() is Reason.AVAILABLE
        there.definitions[0] = {**BOTH[0], "description": "Something else."}
        here.clock.now += 60
        await here.refresh(pinned)
        assert here.reason() is Reason.DEFINITION_CHANGED
        assert here.states()["get_contact"] is ActionState.QUARANTINED


async def test_a_list_of_several_pages_is_read_to_its_end() -> None:
    async with scripted([]) as (url, there, seen), world() as here:

        async def pages(_: str, body: JsonObject, send: Send) -> None:
            params = body.get("params")
            assert isinstance(params, dict)
            if params.get("cursor") == "second":
                await answer(send, body, {"tools": [BOTH[1]]})
            else:
                await answer(send, body, {"tools": [BOTH[0]], "nextCursor": "second"})

        there.on_list = pages
        await here.refresh(tool(url))
        assert here.reason() is Reason.AVAILABLE
    assert len(seen.of("tools/list")) == 2


@pytest.mark.parametrize(
    "page",
    [
        {"tools": [], "nextCursor": "again"},
        {"tools": [], "nextCursor": 7},
        {"tools": [], "nextCursor": "x" * 5000},
        {"tools": [{"name": f"a{index}"} for index in range(9)]},
        {"tools": "many"},
        {},
    ],
)
async def test_attack_13_a_list_without_end_or_measure_is_not_used(page: JsonObject) -> None:
    async with scripted([]) as (url, there, seen), world() as here:

        async def on_list(_: str, body: JsonObject, send: Send) -> None:
            await answer(send, body, page)

        there.on_list = on_list
        await here.refresh(tool(url))
        assert here.reason() is Reason.UNREACHABLE
    assert len(seen.of("tools/list")) <= 2


async def test_attack_13_pages_are_measured_together() -> None:
    async with scripted([]) as (url, there, _), world() as here:

        async def on_list(_: str, body: JsonObject, send: Send) -> None:
            large: JsonValue = [{"name": "x" * 1_500_000}]
            await answer(send, body, {"tools": large, "nextCursor": str(body["id"])})

        there.on_list = on_list
        await here.refresh(tool(url))
        assert "more than 4194304 bytes" in here.reports.tools["crm"][0].message


async def test_attack_13_pages_are_counted() -> None:
    async with scripted([]) as (url, there, seen), world() as here:

        async def on_list(_: str, body: JsonObject, send: Send) -> None:
            cursor: JsonValue = str(body["id"])
            await answer(send, body, {"tools": [], "nextCursor": cursor})

        there.on_list = on_list
        await here.refresh(tool(url))
        assert here.reason() is Reason.UNREACHABLE
    assert len(seen.of("tools/list")) == MAX_PAGES


async def test_the_catalogue_follows_changes_while_it_runs() -> None:
    async with scripted(BOTH) as (url, _, _), world() as here:
        reported = asyncio.Event()
        here.reports.on_report = reported.set
        here.registry.tool_objects["crm"] = tool(url)
        running = asyncio.create_task(here.catalogue.run())
        await reported.wait()
        assert here.reason() is Reason.AVAILABLE
        reported.clear()
        here.registry.add(tool(url, actions={"nothing": "Read"}, generation=2))
        await reported.wait()
        assert here.states() == {"nothing": ActionState.MISSING}
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_tool_is_looked_at_again_when_what_its_definitions_depend_on_may_have_changed() -> None:
    async with scripted(BOTH) as (url, _, seen), world() as made:
        there = tool(url)
        await made.refresh(there)
        running = asyncio.create_task(made.catalogue.run())
        reported = asyncio.Event()
        made.reports.on_report = reported.set
        made.catalogue.look_again(there.key)
        async with asyncio.timeout(10):
            await reported.wait()
        running.cancel()
        await asyncio.wait((running,))
        assert len(seen.of("tools/list")) == 1
