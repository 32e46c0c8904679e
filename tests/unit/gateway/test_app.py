import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from opentelemetry import trace

from aos.gateway.app import AgentApp, Endpoints
from aos.gateway.caller import Caller
from aos.gateway.http import ClientDisconnected, HttpRequest, Send, send_json
from aos.gateway.identity import Identity, Unassigned
from aos.gateway.journal import Journal
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.server import Port
from aos.gateway.settings import GatewaySettings
from aos.gateway.usage import Usage
from tests.unit.gateway.make import POD, SETTINGS, caller, with_settings
from tests.unit.gateway.serving import ask, connection, post, serving

Handle = Callable[[HttpRequest, Caller, Send], Awaitable[None]]


class Everybody(Identity):
    """Takes every request for the same caller's, unless its token is ``wrong``."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    async def authenticate(self, request: HttpRequest, *, must_be_open: bool = True) -> Caller:
        self.asked.append(must_be_open)
        if request.header(b"authorization") == b"Bearer wrong":
            raise Refusal(401, RefusalCode.TOKEN_INVALID, "it is wrong")
        return caller()


class Told:
    """An endpoint that says what reached it."""

    def __init__(self, handle: Handle | None = None) -> None:
        self._handle = handle

    async def until_assigned(
        self, request: HttpRequest, unassigned: Unassigned, authenticate: Callable[[], Awaitable[Caller]]
    ) -> Caller | None:
        return None if request.header(b"x-other") else await authenticate()

    async def handle(
        self, request: HttpRequest, caller: Caller, send: Send, tool: str | None = "none asked"
    ) -> None:
        if self._handle:
            await self._handle(request, caller, send)
            return
        body = await request.json(64) if request.method == "POST" else None
        headers = {name.decode(): value.decode() for name, value in request.headers.items()}
        await send_json(send, {"path": request.path, "tool": tool, "headers": {**headers}, "body": body})


@contextlib.asynccontextmanager
async def gateway(
    handle: Handle | None = None, settings: GatewaySettings = SETTINGS, identity: Identity | None = None
) -> AsyncIterator[tuple[Port, list[bytes]]]:
    lines: list[bytes] = []
    journal = Journal(Usage(), GatewayMetrics(), lines.append, trace.NoOpTracer())
    told = Told(handle)
    app = AgentApp(identity or Everybody(), Endpoints(told, told, told, told, told), settings, journal)
    async with serving(app, settings) as port:
        yield port, lines


def get(path: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("path", "tool"),
    [
        ("/mcp", None),
        ("/mcp/crm", "crm"),
        ("/mcp/c%72m?x=1", "crm"),
        ("/v1/memory/notes", "notes"),
        ("/v1/task", "none asked"),
        ("/v1/task/result", "none asked"),
        ("/v1/models", "none asked"),
        ("/v1/models/default", "none asked"),
        ("/v1/chat/completions", "none asked"),
        ("/a2a/sales/writer", "none asked"),
        ("/a2a/sales/writer/.well-known/agent-card.json", "none asked"),
    ],
)
async def test_a_path_leads_to_its_endpoint(path: str, tool: str | None) -> None:
    async with gateway() as (port, _):
        assert (await ask(port, get(path))).json["tool"] == tool


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/mcp/",
        "/mcp/crm/x",
        "/mcp/" + "a" * 53,
        "/v1/memory/",
        "/v1/memory/a/b",
        "/v1",
        "/v1/models/",
        "/v1/enforced",
        "/metrics",
    ],
)
async def test_anything_else_is_not_found(path: str) -> None:
    async with gateway() as (port, _):
        reply = await ask(port, get(path))
    assert (reply.status, reply.code) == (404, "NotFound")


class NotYet(Everybody):
    """Takes every first request for that of a pod that has no Task yet."""

    async def authenticate(self, request: HttpRequest, *, must_be_open: bool = True) -> Caller:
        found = await super().authenticate(request, must_be_open=must_be_open)
        if len(self.asked) == 1:
            raise Unassigned(Refusal(503, RefusalCode.POD_NOT_RECORDED, "not yet"), "sales", "enricher", POD)
        return found


async def test_a_pod_that_asks_for_a_task_may_wait_for_one() -> None:
    async with gateway(identity=NotYet()) as (port, _):
        assert (await ask(port, get("/v1/task"))).json["path"] == "/v1/task"
    async with gateway(identity=NotYet()) as (port, lines):
        reply = await ask(port, get("/v1/task", "X-Other: give up"))
    assert (reply.status, reply.body, lines) == (204, b"", [])


async def test_a_pod_that_asks_for_a_task_by_its_uid_waits_for_no_other() -> None:
    async with gateway(identity=NotYet()) as (port, _):
        assert (await ask(port, get("/v1/task", "AOS-Task: u1"))).code == "PodNotRecorded"


@pytest.mark.parametrize("path", ["/mcp", "/v1/models", "/v1/task/result", "/a2a/sales/writer"])
async def test_a_pod_without_a_task_waits_with_nothing_else(path: str) -> None:
    async with gateway(identity=NotYet()) as (port, _):
        reply = await ask(port, get(path))
    assert (reply.status, reply.code) == (503, "PodNotRecorded")


async def test_only_the_result_may_come_for_a_task_that_has_ended() -> None:
    identity = Everybody()
    async with gateway(identity=identity) as (port, _):
        await ask(port, get("/v1/task"))
        await ask(port, get("/v1/task/result"))
    assert identity.asked == [True, False]


async def test_attack_04_what_the_caller_proved_itself_with_reaches_no_endpoint() -> None:
    sent = ("Authorization: Bearer mine", "Cookie: a=b", "Proxy-Authorization: Basic eA==", "X-Other: kept")
    async with gateway() as (port, _):
        reply = await ask(port, get("/mcp", *sent))
    assert reply.json["headers"] == {"host": "127.0.0.1", "x-other": "kept"}


@pytest.mark.parametrize(
    "header",
    [
        "Host",
        "Authorization",
        "Content-Type",
        "Cookie",
        "Origin",
        "Mcp-Session-Id",
        "MCP-Protocol-Version",
        "Mcp-Method",
        "Mcp-Name",
        "Last-Event-ID",
    ],
)
async def test_attack_05_a_header_with_two_values_is_refused(header: str) -> None:
    async with gateway() as (port, _):
        reply = await ask(port, get("/mcp", f"{header}: a", f"{header.lower()}: b"))
    assert reply.status == 400
    assert reply.code == "DuplicateHeader"


async def test_other_headers_may_be_repeated_and_are_joined() -> None:
    async with gateway() as (port, _):
        reply = await ask(port, get("/mcp", "Accept: application/json", "Accept: text/event-stream"))
    assert reply.json["headers"] == {"host": "127.0.0.1", "accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"a":1,"a":2}', 400, "InvalidJson"),
        (b'{"a":18446744073709551616}', 400, "InvalidJson"),
        (b"[" * 65 + b"]" * 65, 400, "InvalidJson"),
        (b'"' + b"a" * 2048 + b'"', 413, "RequestTooLarge"),
        (b"\xff", 400, "InvalidJson"),
    ],
)
async def test_attack_06_json_that_is_out_of_bounds_is_refused(body: bytes, status: int, code: str) -> None:
    async with gateway(settings=with_settings(max_request_bytes=2048)) as (port, _):
        reply = await ask(port, post("/mcp", body))
    assert (reply.status, reply.code) == (status, code)


async def test_attack_06_a_body_that_grows_beyond_its_bound_is_refused_as_it_comes() -> None:
    async with gateway(settings=with_settings(max_request_bytes=2048)) as (port, _):
        head = (
            b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        reply = await ask(
            port, head + b"400\r\n" + b" " * 1024 + b"\r\n" + b"401\r\n" + b" " * 1025 + b"\r\n0\r\n\r\n"
        )
    assert (reply.status, reply.code) == (413, "RequestTooLarge")


@pytest.mark.parametrize("kind", ["text/plain", "application/jsonx", ""])
async def test_a_body_of_another_type_is_refused(kind: str) -> None:
    async with gateway() as (port, _):
        reply = await ask(
            port,
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
        )
    assert (reply.status, reply.code) == (415, "UnsupportedMediaType")


async def test_attack_24_a_compressed_body_is_refused() -> None:
    async with gateway() as (port, _):
        reply = await ask(port, post("/mcp", b"{}", "Content-Encoding: gzip"))
    assert reply.code == "UnsupportedMediaType"


async def test_attack_24_a_body_that_does_not_come_is_refused() -> None:
    async with gateway(settings=with_settings(request_timeout_seconds=0.1)) as (port, _):
        reply = await ask(
            port,
            b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
        )
    assert (reply.status, reply.code) == (408, "RequestTimeout")
    assert reply.headers["connection"] == "close"


async def test_attack_08_a_request_of_a_web_page_is_refused() -> None:
    async with gateway() as (port, _):
        for origin in ("https://evil.example", "null", "https://aos-gateway.aos-system.svc"):
            reply = await ask(port, get("/mcp", f"Origin: {origin}"))
            assert (reply.status, reply.code) == (403, "OriginNotAllowed")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8443", 200),
        ("aos-gateway.aos-system.svc", 200),
        ("AOS-Gateway.aos-system.svc:8443", 200),
        ("aos-gateway", 200),
        ("extra.example", 200),
        ("", 421),
        ("evil.example", 421),
        ("10.1.2.3", 421),
        ("[::1]:8443", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example:127.0.0.1", 421),
    ],
)
async def test_attack_08_a_request_for_another_host_is_refused(host: str, status: int) -> None:
    async with gateway(settings=with_settings(allowed_hosts=["extra.example"])) as (port, _):
        assert (await ask(port, get("/mcp", host=host))).status == status


async def test_a_refusal_before_the_body_was_read_leaves_the_connection_usable() -> None:
    async with gateway() as (port, _), connection(port) as opened:
        refused = await opened.ask(post("/mcp", b"{}" + b" " * 100_000, "Authorization: Bearer wrong"))
        assert (refused.status, refused.code) == (401, "TokenInvalid")
        assert "connection" not in refused.headers
        assert (await opened.ask(get("/mcp"))).status == 200


async def test_requests_of_one_agent_at_once_are_bounded() -> None:
    entered, release = asyncio.Semaphore(0), asyncio.Event()

    async def wait(request: HttpRequest, caller: Caller, send: Send) -> None:
        entered.release()
        await release.wait()
        await send_json(send, {})

    async with gateway(wait, with_settings(max_concurrent_calls_per_agent=2)) as (port, _):
        running = [asyncio.create_task(ask(port, get("/mcp"))) for _ in range(2)]
        for _ in running:
            await entered.acquire()
        refused = await ask(port, get("/mcp"))
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, "TooManyCalls", "1")
        release.set()
        assert [reply.status for reply in await asyncio.gather(*running)] == [200, 200]
        assert (await ask(port, get("/mcp"))).status == 200


async def test_who_waits_for_other_agents_holds_up_no_other_call_of_the_agent() -> None:
    entered, release = asyncio.Semaphore(0), asyncio.Event()

    async def wait(request: HttpRequest, caller: Caller, send: Send) -> None:
        if request.path.startswith("/a2a/"):
            entered.release()
            await release.wait()
        await send_json(send, {})

    async with gateway(wait, with_settings(max_concurrent_calls_per_agent=1)) as (port, _):
        waiting = asyncio.create_task(ask(port, get("/a2a/sales/writer")))
        await entered.acquire()
        assert (await ask(port, get("/mcp"))).status == 200
        assert (await ask(port, get("/a2a/sales/writer"))).code == "TooManyCalls"
        release.set()
        assert (await waiting).status == 200


async def test_a_fault_is_answered_without_a_word_of_what_it_was_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(request: HttpRequest, caller: Caller, send: Send) -> None:
        raise ValueError(request.header(b"x-secret"))

    with caplog.at_level(logging.DEBUG):
        async with gateway(fail) as (port, lines):
            reply = await ask(port, get("/mcp", "X-Secret: hunter2"))
    assert (reply.status, reply.code) == (500, "Internal")
    assert b"hunter2" not in reply.body
    assert "hunter2" not in caplog.text
    assert "ValueError" in caplog.text
    assert b'"code":"Internal"' in lines[0]


async def test_a_fault_within_an_answer_cuts_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: HttpRequest, caller: Caller, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise Refusal(502, RefusalCode.UPSTREAM_INVALID, request.header(b"x-secret").decode())

    async with gateway(fail) as (port, _), connection(port) as opened:
        await opened.send(get("/mcp", "X-Secret: hunter2"))
        answer = await opened.rest()
    assert answer.endswith(b"4\r\nhalf\r\n")
    assert "hunter2" not in caplog.text


async def test_a_client_that_goes_away_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    left = asyncio.Event()

    async def read(request: HttpRequest, caller: Caller, send: Send) -> None:
        try:
            await request.body()
        except ClientDisconnected:
            left.set()
            raise

    async with gateway(read) as (port, lines):
        async with connection(port) as opened:
            await opened.send(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
        async with asyncio.timeout(20):
            await left.wait()
    assert lines == []
    assert caplog.text == ""
