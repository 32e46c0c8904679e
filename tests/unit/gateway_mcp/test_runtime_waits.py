"""The built-in runtime in front of the real gateway: its call waits, gateways come and go, and it is made once."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2

from aos.agent.conversation import CallTool
from aos.agent.holding import HeldCalls
from aos.agent.settings import AgentSettings
from aos.agent.tools import ToolClient, ToolReply, open_tools
from aos.agent.transport import BoundedTransport
from aos.gateway.mcp import waiting
from aos.gateway.settings import GatewaySettings
from aos.kube.objects import child, key_of
from aos.model.approval_request import Verdict
from aos.model.base import JsonObject
from aos.model.tool import Tool
from aos.store.interface import Store
from tests.unit.agent.conftest import FAST
from tests.unit.gateway_approvals.people import People
from tests.unit.gateway_control.world import opened
from tests.unit.gateway_mcp.make import NAMESPACE, SETTINGS
from tests.unit.gateway_mcp.world import Gateway, Watched, crm, gateway

HASTY = SETTINGS.model_copy(update={"approval_wait_seconds": 0.05})
PATIENT = SETTINGS.model_copy(update={"approval_wait_seconds": 20})
UPDATE = CallTool("crm.update_contact", {"id": "7", "stage": "won"})
BOUNDS = replace(FAST, max_held_pause_seconds=0.05, tool_timeout_seconds=30)


class Route(httpx2.AsyncBaseTransport):
    """Leads to whichever gateway is there now."""

    def __init__(self) -> None:
        self.inner = httpx2.AsyncHTTPTransport()
        self.to = ""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        there = httpx2.URL(self.to)
        request.url = request.url.copy_with(host=there.host, port=there.port)
        request.headers["Host"] = f"{there.host}:{there.port}"
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


def _tool(url: str) -> Tool:
    update: JsonObject = {
        "name": "update_contact",
        "access": "Write",
        "risk": "Medium",
        "record": "contact/${args.id}",
    }
    metadata: JsonObject = {"name": "crm", "namespace": NAMESPACE, "uid": "uid-crm", "generation": 1}
    return Tool.parse({"metadata": metadata, "spec": {"type": "MCP", "url": url, "actions": [update]}})


@asynccontextmanager
async def runtime(route: Route) -> AsyncGenerator[ToolClient]:
    http = httpx2.AsyncClient(transport=BoundedTransport(route, 1_000_000))
    base = "http://gateway.invalid"
    settings = AgentSettings(base, Path("x"), Path("x"), f"{base}/v1", f"{base}/mcp", bounds=BOUNDS)
    async with http, open_tools(http, settings) as tools:
        yield tools


async def started(
    stack: AsyncExitStack,
    url: str,
    store: Store,
    people: People | None = None,
    settings: GatewaySettings = HASTY,
) -> Gateway:
    """Start a gateway over the same store and ApprovalRequests."""
    front = await stack.enter_async_context(gateway(settings, store))
    await front.offer(_tool(url))
    if people is not None:
        front.held.people.__dict__.update(people.__dict__, _listeners=front.held.people._listeners)
    front.held.people.caller = front.caller
    return front


def updates(watched: Watched) -> int:
    calls = [child(body, "params") for _, body in watched.seen.of("tools/call")]
    return sum(params["name"] == "update_contact" for params in calls)


async def test_a_call_outlives_a_restart_of_the_gateway_while_people_decide_and_is_made_once() -> None:
    route = Route()
    async with (
        crm(stateless=True) as (url, watched),
        opened() as store,
        AsyncExitStack() as first,
        AsyncExitStack() as second,
    ):
        one = await started(first, url, store)
        route.to = one.url
        async with runtime(route) as tools:
            reply = await tools.call(UPDATE)
            assert reply.hold is not None
            (request,) = one.held.people.objects.values()
            assert reply.hold.approval == key_of(request).name
            done = asyncio.create_task(HeldCalls(tools.call, BOUNDS).see_through(UPDATE, reply))
            people = one.held.people
            await first.aclose()
            assert (await tools.call(UPDATE)).lost
            two = await started(second, url, store, people)
            route.to = two.url
            assert not done.done()
            two.held.people.decide(reply.hold.approval, "lena@example.com")
            async with asyncio.timeout(30):
                answered = await done
            used = await tools.call(UPDATE)
    assert answered.text == '{\n  "id": "7",\n  "stage": "won"\n}'
    assert not answered.failed
    assert used.reason == "ApprovalUsed"
    assert updates(watched) == 1


async def test_a_gateway_that_dies_while_the_call_waits_there_is_known_from_one_that_was_never_reached() -> (
    None
):
    route = Route()
    async with crm(stateless=True) as (url, watched), opened() as store, AsyncExitStack() as stack:
        one = await started(stack, url, store, settings=PATIENT)
        proxy = await asyncio.start_server(_cut_after_first_sign(one.url), "127.0.0.1", 0)
        async with proxy:
            port = proxy.sockets[0].getsockname()[1]
            route.to = one.url
            async with runtime(route) as tools:
                route.to = f"http://127.0.0.1:{port}"
                reply = await tools.call(UPDATE)
    assert reply.hold is not None
    assert reply.lost
    assert updates(watched) == 0


def _cut_after_first_sign(
    url: str,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    there = httpx2.URL(url)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, forward = await asyncio.open_connection(there.host, there.port)

        async def up() -> None:
            while data := await reader.read(65_536):
                forward.write(data)

        sending = asyncio.create_task(up())
        seen = b""
        while waiting._SIGN_OF_LIFE not in seen:
            data = await upstream.read(65_536)
            seen += data
            writer.write(data)
        await writer.drain()
        sending.cancel()
        forward.close()
        writer.transport.abort()

    return handle


async def test_the_runtime_tells_the_model_what_people_said() -> None:
    route = Route()
    async with crm(stateless=True) as (url, watched), opened() as store, AsyncExitStack() as stack:
        one = await started(stack, url, store)
        route.to = one.url
        async with runtime(route) as tools:
            reply = await tools.call(UPDATE)
            done = asyncio.create_task(HeldCalls(tools.call, BOUNDS).see_through(UPDATE, reply))
            assert reply.hold is not None
            one.held.people.decide(
                reply.hold.approval, "lena@example.com", verdict=Verdict.REJECT, comment="ask her first"
            )
            async with asyncio.timeout(30):
                rejected: ToolReply = await done
    assert (rejected.denied, rejected.reason) == (True, "ApprovalRejected")
    assert "ask her first" in rejected.text
    assert updates(watched) == 0
