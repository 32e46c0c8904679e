import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aos.gateway.mcp import rpc
from aos.gateway.openapi import answer
from aos.gateway.upstream.http_client import HttpClient, Waits
from aos.gateway.upstream.outbound import open_client, read_all
from aos.gateway.upstream.statuses import is_undone
from aos.gateway.upstream.upstream_error import UpstreamError
from tests.unit.gateway_mcp.make import SETTINGS

CERTAIN = {
    *(400, 401, 402, 403, 404, 405, 407, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418),
    *(421, 422, 423, 426, 428, 429, 431, 451),
}
EVERY_STATUS = range(200, 1000)


def may_be_done_by_rest(status: int) -> bool:
    try:
        answer.check_status(status)
    except UpstreamError as error:
        return error.maybe_done
    said = answer.result_of(status, "text/plain", b"no", writes=True)
    assert ("outcome is unknown" in str(said["content"])) is (status >= 400 and status not in CERTAIN)
    return not is_undone(status)


def test_of_every_status_it_is_known_whether_something_may_have_been_done() -> None:
    for status in EVERY_STATUS:
        assert is_undone(status) is (status in CERTAIN), status
        assert may_be_done_by_rest(status) is (status not in CERTAIN), status
        if status >= 300:
            assert rpc.error_of(b"", status).maybe_done is (status not in CERTAIN), status


@pytest.mark.parametrize("code", [-32700, -32600, -32601, -32020, -32021, -32022])
def test_an_error_that_is_given_before_anything_is_done_says_so_where_its_status_does(code: int) -> None:
    content = b'{"jsonrpc":"2.0","id":null,"error":{"code":%d}}' % code
    for status in EVERY_STATUS:
        if status < 300:
            with pytest.raises(UpstreamError) as raised:
                rpc.result_of({"jsonrpc": "2.0", "id": 1, "error": {"code": code}}, 1, status)
            assert not raised.value.maybe_done
        else:
            assert rpc.error_of(content, status).maybe_done is (status not in CERTAIN), status


@pytest.mark.parametrize("code", [-32602, -32603, -32000, -32002, -1, 0, 404])
def test_any_other_error_may_come_of_what_was_done(code: int) -> None:
    content = b'{"jsonrpc":"2.0","id":1,"error":{"code":%d}}' % code
    assert all(rpc.error_of(content, status).maybe_done for status in EVERY_STATUS if status > 403)


Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(content: bytes, *, stays: bool = False) -> Peer:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(content)
        await writer.drain()
        if stays:
            await reader.read()
        writer.close()

    return peer


async def failing(peer: Peer, scheme: str = "http") -> UpstreamError:
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_client(SETTINGS) as http:
        with pytest.raises(UpstreamError) as raised:
            await whole(http, f"{scheme}://127.0.0.1:{port}/")
    return raised.value


async def whole(http: HttpClient, url: str) -> None:
    response = await http.request("POST", url, {}, b"", Waits(0.2))
    try:
        await read_all(response, 1000)
    finally:
        response.release()


@pytest.mark.parametrize(
    "peer",
    [
        answering(b""),
        answering(b"", stays=True),
        answering(b"SSH-2.0\r\n"),
        answering(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", stays=True
        ),
        answering(b"HTTP/1.1 100 Continue\r\n\r\n", stays=True),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", stays=True),
        answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\nhalf"),
        answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, stays=True),
    ],
)
async def test_what_was_sent_may_be_done_whatever_does_not_come_back(peer: Peer) -> None:
    assert (await failing(peer)).maybe_done


async def test_what_was_not_sent_is_not_done() -> None:
    assert not (await failing(answering(b"no TLS"), "https")).maybe_done
    async with open_client(SETTINGS) as http:
        for url in ("http://127.0.0.1:9/", "http://user@127.0.0.1/", "http://127.0.0.1:99999/"):
            with pytest.raises(UpstreamError) as raised:
                await http.request("POST", url, {}, b"", Waits(1))
            assert not raised.value.maybe_done
        with pytest.raises(UpstreamError) as raised:
            await http.request("POST", "http://127.0.0.1:9/", {"X": "a\r\nb"}, b"", Waits(1))
        assert not raised.value.maybe_done
