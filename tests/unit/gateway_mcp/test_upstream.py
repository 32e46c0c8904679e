import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from aos.gateway.mcp.protocol import Method
from aos.gateway.mcp.rpc import RpcAnswerError
from aos.gateway.mcp.upstream import Upstream
from aos.gateway.refusal import RefusalCode
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.http_client import Waits
from aos.gateway.upstream.outbound import Target, open_client
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.model.base import JsonObject
from tests.unit.gateway_mcp.make import definition
from tests.unit.gateway_mcp.world import answer, crm, respond, scripted

SETTINGS = GatewaySettings(namespace="aos-system", max_response_bytes=2048, upstream_timeout_seconds=20)
CALL: JsonObject = {"name": "get_contact", "arguments": {"id": "7"}}


@asynccontextmanager
async def upstream(settings: GatewaySettings = SETTINGS) -> AsyncGenerator[Upstream]:
    async with open_client(settings) as http:
        made = Upstream(http, settings)
        yield made
        await made.close()


async def failing(on_call: Callable[[str, JsonObject, Send], Awaitable[None]]) -> UpstreamError:
    async with scripted([definition()], on_call) as (url, _, _), upstream() as client:
        with pytest.raises(UpstreamError) as raised:
            await client.request(Target("uid", url, "credential-1"), Method.CALL_TOOL, CALL)
    return raised.value


async def test_the_era_is_found_once() -> None:
    async with scripted([definition()]) as (url, _, seen), upstream() as client:
        target = Target("uid", url)
        for _ in range(3):
            await client.request(target, Method.CALL_TOOL, CALL)
    assert [body["method"] for _, _, body in seen.requests] == ["server/discover", *["tools/call"] * 3]


async def test_calls_at_once_find_the_era_once() -> None:
    async with crm(modern=False) as (url, watched), upstream() as client:
        target = Target("uid", url)
        await asyncio.gather(*(client.request(target, Method.CALL_TOOL, CALL, owner="a") for _ in range(5)))
    assert len(watched.seen.of("server/discover")) == 1
    assert len(watched.seen.of("initialize")) == 1
    assert len(watched.seen.of("tools/call")) == 5


async def test_ids_are_the_gateways_own() -> None:
    async with scripted([definition()]) as (url, _, seen), upstream() as client:
        target = Target("uid", url)
        await asyncio.gather(*(client.request(target, Method.CALL_TOOL, CALL) for _ in range(5)))
    identifiers = [body["id"] for _, _, body in seen.requests]
    assert len(set(identifiers)) == len(identifiers)


async def test_a_session_that_the_tool_forgot_is_opened_again() -> None:
    async with crm(modern=False) as (url, watched), upstream() as client:
        target = Target("uid", url)
        await client.request(target, Method.CALL_TOOL, CALL, owner="a")
        (lost,) = {headers["mcp-session-id"] for headers, _ in watched.seen.of("tools/call")}
        await _end_session(client, target, lost)
        result = await client.request(target, Method.CALL_TOOL, CALL, owner="a")
    assert result["isError"] is False
    assert len(watched.seen.of("initialize")) == 2


async def _end_session(client: Upstream, target: Target, session_id: str) -> None:
    response = await client._http.request(
        "DELETE", target.url, {"Mcp-Session-Id": session_id}, b"", Waits(whole_seconds=20)
    )
    assert response.status == 200
    response.release()


async def test_the_tool_is_told_when_a_session_is_over() -> None:
    async with crm(modern=False) as (url, watched), upstream() as client:
        target = Target("uid", url, "credential-1")
        await client.request(target, Method.CALL_TOOL, CALL, owner="a")
        await client.request(target, Method.CALL_TOOL, CALL, owner="b")
        client.forget_task("a")
        client.forget_tool("uid")
        client.end_idle()
        await asyncio.gather(*client._background)
    deleted = watched.seen.http("DELETE")
    assert len({headers["mcp-session-id"] for headers in deleted}) == 2
    assert {headers["authorization"] for headers in deleted} == {"Bearer credential-1"}


async def test_a_tool_that_is_gone_is_no_obstacle_to_ending_its_sessions() -> None:
    async with upstream() as client:
        async with crm(modern=False) as (url, _):
            await client.request(Target("uid", url), Method.CALL_TOOL, CALL, owner="a")
        client.forget_task("a")
        await asyncio.gather(*client._background)


async def test_a_tool_replaced_by_one_of_the_other_era_is_asked_again() -> None:
    async with crm(modern=False) as (url, watched), upstream() as client:
        target = Target("uid", url)
        await client.request(target, Method.CALL_TOOL, CALL, owner="a")

        async def session_era_is_over(_: str, body: JsonObject, send: Send) -> None:
            if "_meta" in json.dumps(body):
                await answer(send, body, {"content": []})
            else:
                error: JsonObject = {"code": -32022, "message": "x"}
                await respond(send, 400, {"jsonrpc": "2.0", "id": body["id"], "error": error})

        async with scripted([definition()], session_era_is_over) as (_, tool, _):
            watched._app, watched._modern = tool, True
            assert await client.request(target, Method.CALL_TOOL, CALL, owner="a") == {"content": []}


@pytest.mark.parametrize(
    ("step", "statuses", "maybe_done"),
    [
        ("discovering", {"server/discover": 503}, False),
        ("opening", {"initialize": 500}, False),
        ("calling", {"tools/call": 500}, True),
        ("opening again", {"tools/call": 404, "initialize": 303}, False),
    ],
)
async def test_a_handshake_that_fails_has_done_nothing_and_a_call_may_have(
    step: str, statuses: dict[str, int], *, maybe_done: bool
) -> None:
    async with crm(modern=False) as (url, watched), upstream() as client:
        target, inside = Target("uid", url), watched._app
        if step == "opening again":
            await client.request(target, Method.CALL_TOOL, CALL, owner="a")
        watched._modern = step == "discovering"

        async def fails(scope: Scope, receive: Receive, send: Send) -> None:
            status = statuses.get(str(watched.seen.requests[-1][2].get("method")))
            if status is None:
                await inside(scope, receive, send)
            else:
                await respond(send, status, b"")

        watched._app = fails
        with pytest.raises(UpstreamError) as raised:
            await client.request(target, Method.CALL_TOOL, CALL, owner="a")
    assert (raised.value.status, raised.value.maybe_done) == (list(statuses.values())[-1], maybe_done)


async def test_an_outage_is_no_verdict_on_the_era() -> None:
    async with upstream() as client:
        target = Target("uid", "http://127.0.0.1:9/mcp")
        with pytest.raises(UpstreamError) as raised:
            await client.request(target, Method.CALL_TOOL, CALL)
    assert raised.value.code is RefusalCode.UPSTREAM_UNREACHABLE


def events(*messages: JsonObject | str) -> bytes:
    parts = [item if isinstance(item, str) else json.dumps(item) for item in messages]
    return "".join(f"event: message\r\ndata: {part}\r\n\r\n" for part in parts).encode()


async def test_an_answer_among_events_is_found() -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        progress: JsonObject = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
        asks: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": "roots/list"}
        result: JsonObject = {"jsonrpc": "2.0", "id": body["id"], "result": {"content": []}}
        late: JsonObject = {"jsonrpc": "2.0", "method": "notifications/late"}
        await respond(
            send,
            200,
            b": ping\r\n\r\n" + events(progress, asks, result, late),
            {"content-type": "text/event-stream"},
        )

    async with scripted([definition()], on_call) as (url, _, _), upstream() as client:
        assert await client.request(Target("uid", url), Method.CALL_TOOL, CALL) == {"content": []}


async def test_an_answer_is_taken_from_a_stream_that_never_ends() -> None:
    over = asyncio.Event()

    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        result: JsonObject = {"jsonrpc": "2.0", "id": body["id"], "result": {"content": []}}
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": events(result), "more_body": True})
        await over.wait()
        await send({"type": "http.response.body", "body": b""})

    async with scripted([definition()], on_call) as (url, _, _), upstream() as client:
        assert await client.request(Target("uid", url), Method.CALL_TOOL, CALL) == {"content": []}
        over.set()


async def test_a_stream_without_an_answer_is_refused() -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        await respond(send, 200, b": ping\r\n\r\n", {"content-type": "text/event-stream"})

    failure = await failing(on_call)
    assert failure.code is RefusalCode.UPSTREAM_INVALID
    assert failure.maybe_done


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{" + b" " * 3000 + b"}", "application/json"),
        (b"data: " + b"x" * 3000 + b"\n\n", "text/event-stream"),
        (b": ping\n\n" * 400, "text/event-stream"),
    ],
)
async def test_an_answer_that_is_too_large_is_cut_off(content: bytes, kind: str) -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        await respond(send, 200, content, {"content-type": kind})

    async def on_call_in_pieces(_: str, body: JsonObject, send: Send) -> None:
        headers = [(b"content-type", kind.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for start in range(0, len(content), 100):
            piece = content[start : start + 100]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    for script in (on_call, on_call_in_pieces):
        assert (await failing(script)).code is RefusalCode.RESPONSE_TOO_LARGE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_attack_14_redirects_are_never_followed(status: int) -> None:
    async with scripted([definition()]) as (elsewhere, _, seen):

        async def on_call(_: str, body: JsonObject, send: Send) -> None:
            await respond(send, status, b"", {"location": elsewhere})

        failure = await failing(on_call)
    assert failure.status == status
    assert failure.maybe_done
    assert not seen.requests


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"<html>", {"content-type": "text/html"}),
        (b"{}", {"content-type": "application/octet-stream"}),
        (b"not json", {}),
        (b"[]", {}),
        (gzip.compress(b'{"jsonrpc":"2.0"}', mtime=0), {"content-encoding": "gzip"}),
        (b'{"jsonrpc":"2.0","id":1,"method":"roots/list"}', {}),
        (b"data: {\r\n\r\n", {"content-type": "text/event-stream"}),
    ],
)
async def test_an_answer_that_is_not_as_mcp_asks_is_refused(content: bytes, headers: dict[str, str]) -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        await respond(send, 200, content, headers)

    assert (await failing(on_call)).code is RefusalCode.UPSTREAM_INVALID


async def test_an_error_is_passed_on_as_a_number() -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        error: JsonObject = {"code": -32603, "message": "db-7 said: credential-1 is wrong"}
        await respond(send, 200, {"jsonrpc": "2.0", "id": body["id"], "error": error})

    failure = await failing(on_call)
    assert isinstance(failure, RpcAnswerError)
    assert "db-7" not in failure.message
    assert "credential-1" not in failure.message


async def test_a_tool_that_does_not_answer_in_time_may_have_done_it() -> None:
    over = asyncio.Event()

    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        await over.wait()
        await answer(send, body, {})

    settings = SETTINGS.model_copy(update={"upstream_timeout_seconds": 0.2})
    async with scripted([definition()], on_call) as (url, _, _), upstream(settings) as client:
        with pytest.raises(UpstreamError) as raised:
            await client.request(Target("uid", url), Method.CALL_TOOL, CALL)
        over.set()
    assert raised.value.code is RefusalCode.UPSTREAM_TIMEOUT
    assert raised.value.maybe_done


async def test_cookies_of_a_tool_are_not_kept() -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        result: JsonObject = {"jsonrpc": "2.0", "id": body["id"], "result": {"content": []}}
        await respond(send, 200, result, {"set-cookie": "session=of-the-first-agent"})

    async with scripted([definition()], on_call) as (url, _, seen), upstream() as client:
        for owner in ("a", "b"):
            await client.request(Target("uid", url), Method.CALL_TOOL, CALL, owner=owner)
    assert not any("cookie" in headers for headers, _ in seen.of("tools/call"))
