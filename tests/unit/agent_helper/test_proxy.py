import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from aos.agent.helper.probe import answers
from tests.unit.agent_helper.cluster import QUICK
from tests.unit.agent_helper.upstream import Rig, rig, start, whole


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with rig(tmp_path) as made:
        yield made


def sent(answer: httpx.Response) -> dict[str, str]:
    return dict(answer.json()["headers"])


async def test_attack_04_what_the_image_says_of_itself_is_taken_off_and_the_pods_token_put_on(
    world: Rig,
) -> None:
    said = {
        "Authorization": "Bearer mine",
        "Cookie": "a=b",
        "Proxy-Authorization": "Basic eA==",
        "Host": "localhost:15001",
        "Connection": "keep-alive, X-Mine",
        "X-Mine": "1",
        "X-Other": "kept",
    }
    async with world.client() as http:
        headers = sent(await http.get("/v1/models", headers=said))
    assert headers["authorization"] == "Bearer token-1"
    assert headers["host"].startswith("127.0.0.1:")
    assert headers["x-other"] == "kept"
    assert headers.keys().isdisjoint({"cookie", "proxy-authorization", "x-mine"})


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:15001", 200),
        ("LocalHost:15001", 200),
        ("[::1]:15001", 200),
        ("", 421),
        ("evil.example", 421),
        ("evil.example:15001", 421),
        ("10.1.2.3:15001", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example#localhost", 421),
        ("0.0.0.0:15001", 421),
    ],
)
async def test_attack_08_a_page_that_had_its_own_name_led_to_the_helper_gets_nothing(
    world: Rig, host: str, status: int
) -> None:
    asked = f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert (await world.raw(asked.encode())).startswith(f"HTTP/1.1 {status} ".encode())
    assert world.echo.requests == (1 if status == 200 else 0)


async def test_a_token_that_was_replaced_is_on_the_next_request(world: Rig) -> None:
    async with world.client() as http:
        await http.get("/v1/models")
        world.token_file.write_text("token-2")
        assert sent(await http.get("/v1/models"))["authorization"] == "Bearer token-2"
        world.token_file.unlink()
        answer = await http.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "NoToken")


async def test_the_task_at_hand_is_on_every_request_once_the_helper_knows_it(world: Rig) -> None:
    async with world.client() as http:
        said = {"AOS-Task": "from-the-image"}
        assert sent(await http.get("/v1/task", headers=said))["aos-task"] == "from-the-image"
        world.proxy.task_uid = "u1"
        assert sent(await http.get("/v1/task", headers=said))["aos-task"] == "u1"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics", 404),
        ("GET", "/v1", 404),
        ("GET", "http://elsewhere/v1/task", 404),
        ("HEAD", "/v1/task", 405),
        ("CONNECT", "elsewhere:443", 404),
        ("PATCH", "/v1/memory/notes", 405),
    ],
)
async def test_nothing_else_is_passed_on(world: Rig, method: str, path: str, status: int) -> None:
    answer = await world.raw(
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert world.echo.requests == 0


@pytest.mark.parametrize(
    "path", ["/mcp", "/mcp/crm", "/v1/task", "/v1/memory/notes?key=a%20b", "/a2a/sales/x"]
)
async def test_what_is_the_gateways_is_passed_on_as_it_is(world: Rig, path: str) -> None:
    async with world.client() as http:
        answer = await http.put(path, content=b"x" * 300_000)
    assert (answer.json()["method"], answer.json()["bytes"]) == ("PUT", 300_000)
    assert answer.json()["path"] == path.partition("?")[0]
    assert "keep-alive" not in answer.headers


async def parts(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_body_of_unknown_length_is_passed_on(world: Rig) -> None:
    async with world.client() as http:
        answer = await http.post("/mcp", content=parts(b"abc", b"defg"))
    assert answer.json()["bytes"] == 7
    assert sent(answer)["transfer-encoding"] == "chunked"


async def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(tmp_path: Path) -> None:
    async with rig(tmp_path, bounds=replace(QUICK, max_request_bytes=10)) as made, made.client() as http:
        assert (await http.post("/mcp", content=b"x" * 10)).status_code == 200
        assert (await http.post("/mcp", content=b"x" * 11)).status_code == 413
        assert (await http.post("/mcp", content=parts(b"x" * 6, b"x" * 6))).status_code == 413


async def test_an_answer_that_comes_before_the_body_was_read_reaches_the_image(tmp_path: Path) -> None:
    async def refuse(_: Scope, __: Receive, send: Send) -> None:
        await start(send, (b"content-length", b"0"), status=413)
        await send({"type": "http.response.body", "body": b""})

    async with rig(tmp_path, refuse) as made, made.client() as http:
        assert (await http.post("/mcp", content=b"x" * 100)).status_code == 413


async def test_events_are_passed_on_as_they_come(tmp_path: Path) -> None:
    seen = asyncio.Event()

    async def stream(_: Scope, receive: Receive, send: Send) -> None:
        await whole(receive)
        await start(send, (b"content-type", b"text/event-stream"))
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await seen.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})

    async with rig(tmp_path, stream) as made, made.client() as http, http.stream("POST", "/mcp") as answer:
        chunks = answer.aiter_bytes()
        assert await anext(chunks) == b"data: 1\n\n"
        seen.set()
        assert [chunk async for chunk in chunks] == [b"data: 2\n\n"]


async def test_a_request_that_the_image_gave_up_is_ended_at_the_gateway(tmp_path: Path) -> None:
    began, left = asyncio.Event(), asyncio.Event()

    async def wait(_: Scope, receive: Receive, __: Send) -> None:
        await whole(receive)
        began.set()
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    async with rig(tmp_path, wait) as made, made.client() as http:
        asking = asyncio.create_task(http.get("/v1/task"))
        await began.wait()
        asking.cancel()
        async with asyncio.timeout(20):
            await left.wait()


async def test_connections_to_the_gateway_are_used_again(world: Rig) -> None:
    async with world.client() as http:
        for _ in range(5):
            await http.post("/mcp", content=b"x")
    assert len(world.echo.connections) == 1


async def test_an_answer_that_breaks_off_is_cut_and_one_that_never_came_is_said(tmp_path: Path) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await whole(receive)
        if scope["path"] == "/mcp":
            await start(send, (b"content-length", b"100"))
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with rig(tmp_path, fail) as made, made.client() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post("/mcp")
        # A server that has no answer to begin with says 500 by itself: the helper passes that on.
        assert (await http.post("/v1/task/result")).status_code == 500


async def test_a_gateway_that_is_away_is_waited_for_and_then_said(tmp_path: Path) -> None:
    bounds = replace(QUICK, connect_patience_seconds=0.2)
    async with rig(tmp_path, bounds=bounds) as made, made.client() as http:
        made.proxy._gateway._port = 1
        answer = await http.get("/v1/task")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "GatewayUnreachable")
    assert made.echo.requests == 0


async def test_a_gateway_of_another_authority_gets_no_token(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with rig(tmp_path / "other") as stranger, rig(tmp_path) as made, made.client() as http:
        made.proxy._gateway._port = stranger.proxy._gateway._port
        made.proxy._gateway._bounds = replace(QUICK, connect_patience_seconds=0)
        assert (await http.get("/v1/task")).status_code == 502
        assert stranger.echo.requests == 0


@pytest.mark.parametrize(
    "content",
    [
        b"GET /v1/task HTTP/1.1\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /v1/task HTTP/1.1\r\nHost: localhost\r\n folded\r\n: y\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /v1/task HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000,
    ],
)
async def test_attack_07_what_has_no_one_meaning_is_refused(world: Rig, content: bytes) -> None:
    answer = await world.raw(content)
    assert answer.split(b" ", 2)[1] in (b"400", b"431", b"501")
    assert world.echo.requests == 0


async def test_requests_that_follow_one_another_without_waiting_are_answered_in_turn(world: Rig) -> None:
    one = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
    last = b"GET /v1/task HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await world.raw(one + last)
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.index(b'"/mcp"') < answer.index(b'"/v1/task"')


async def test_a_client_that_asks_whether_to_go_on_or_for_http_2_is_served_all_the_same(world: Rig) -> None:
    asked = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 3\r\n"
    answer = await world.raw(asked + b"Expect: 100-continue\r\n\r\nabc")
    assert b"HTTP/1.1 200 " in answer
    upgrade = b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"
    answer = await world.raw(upgrade)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"upgrade" not in answer.lower()


async def test_attack_24_connections_are_bounded_in_number_and_heads_in_time(tmp_path: Path) -> None:
    bounds = replace(QUICK, max_connections=2, head_timeout_seconds=0.2)
    async with rig(tmp_path, bounds=bounds) as made:
        slow = [
            asyncio.create_task(made.raw(b"GET /v1/task HTTP/1.1\r\nHost: localhost\r\nX-Slow: "))
            for _ in range(2)
        ]
        while len(made.proxy._tasks) < 2:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)
        one_more = made.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        [answer] = await asyncio.gather(one_more, return_exceptions=True)
        assert answer == b"" or isinstance(answer, OSError)
        assert await asyncio.gather(*slow, return_exceptions=True) != []
        assert await asyncio.to_thread(answers, made.port)


async def test_the_kubelet_is_told_whether_it_answers(world: Rig) -> None:
    assert await asyncio.to_thread(answers, world.port)
    assert not await asyncio.to_thread(answers, 1)
    assert world.echo.requests == 0
