import gzip
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2

from aos.agent.transport import CUT_WHILE_HELD, GATEWAY_UNREACHABLE, BoundedTransport, TokenFileAuth


class Body(httpx2.AsyncByteStream):
    """A response's body; may break in the middle."""

    def __init__(self, *chunks: bytes, broken: bool = False) -> None:
        self.chunks = chunks
        self.broken = broken
        self.closed = False

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        for chunk in self.chunks:
            yield chunk
        if self.broken:
            raise httpx2.RemoteProtocolError("peer closed the connection")

    async def aclose(self) -> None:
        self.closed = True


class Server(httpx2.AsyncBaseTransport):
    """Answers each request with a body, or not at all."""

    def __init__(self, body: Body | None) -> None:
        self.body = body

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.body is None:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200, headers={"Content-Type": "text/plain"}, stream=self.body)


def client(body: Body | None, max_bytes: int = 100) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=BoundedTransport(Server(body), max_bytes))


def error_of(response: httpx2.Response) -> tuple[int, str]:
    assert response.status_code == 502
    error = json.loads(response.content)["error"]
    return error["code"], error["message"]


async def test_a_response_within_bounds_is_passed_on_whole() -> None:
    body = Body(b"one ", b"two")
    response = await client(body).post("http://gateway/mcp")
    assert (response.status_code, response.text, response.headers["Content-Type"]) == (
        200,
        "one two",
        "text/plain",
    )
    assert body.closed


async def test_a_compressed_response_is_read() -> None:
    class Compressed(Server):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(
                200, headers={"Content-Encoding": "gzip"}, stream=Body(gzip.compress(b"plain words"))
            )

    http = httpx2.AsyncClient(transport=BoundedTransport(Compressed(None), 100))
    assert (await http.post("http://gateway")).text == "plain words"


async def test_a_response_beyond_the_bound_is_an_error_and_is_not_read_on() -> None:
    body = Body(b"x" * 60, b"x" * 60, b"x" * 60)
    assert error_of(await client(body).post("http://gateway/mcp")) == (
        GATEWAY_UNREACHABLE,
        "the response has more than 100 bytes",
    )
    assert body.closed


async def test_a_gateway_that_is_not_there_is_an_error_of_the_one_request() -> None:
    assert error_of(await client(None).post("http://gateway/mcp")) == (
        GATEWAY_UNREACHABLE,
        "the gateway can't be reached (ConnectError)",
    )


async def test_a_connection_that_breaks_in_the_middle_is_an_error_of_the_one_request() -> None:
    code, message = error_of(await client(Body(b"half", broken=True)).post("http://gateway/mcp"))
    assert (code, "RemoteProtocolError" in message) == (GATEWAY_UNREACHABLE, True)


async def test_a_connection_that_breaks_while_the_call_waits_for_people_says_so() -> None:
    body = Body(b": waiting for people\n\n", b": waiting for people\n\n", broken=True)
    code, message = error_of(await client(body).post("http://gateway/mcp"))
    assert (code, "RemoteProtocolError" in message) == (CUT_WHILE_HELD, True)


async def test_a_stream_of_events_without_an_end_is_not_read_ahead() -> None:
    body = Body(b"data: 1\n\n", b"x" * 200)
    headers = {"Accept": "text/event-stream"}
    async with client(body).stream("GET", "http://gateway/mcp", headers=headers) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"data: 1\n\n"
        await chunks.aclose()


async def test_the_token_is_read_for_each_request_and_replaces_any_other(tmp_path: Path) -> None:
    token = tmp_path / "token"
    seen: list[str] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        seen.extend(request.headers.get_list("Authorization"))
        return httpx2.Response(204)

    http = httpx2.AsyncClient(auth=TokenFileAuth(token), transport=httpx2.MockTransport(respond))
    for content in ("first\n", "second"):
        token.write_text(content)
        await http.get("http://gateway", headers={"Authorization": "Bearer other"})
    assert seen == ["Bearer first", "Bearer second"]


async def test_a_closed_client_closes_its_connections() -> None:
    class Closing(Server):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    server = Closing(None)
    await httpx2.AsyncClient(transport=BoundedTransport(server, 1)).aclose()
    assert server.closed


def test_the_code_is_in_the_range_that_mcp_leaves_to_implementations() -> None:
    assert -32019 <= GATEWAY_UNREACHABLE <= -32000
