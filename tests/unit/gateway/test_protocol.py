import asyncio
from collections.abc import AsyncIterator

import pytest

from aos.gateway.http import (
    BODY_IS_HERE,
    ClientDisconnected,
    HttpRequest,
    Receive,
    Scope,
    Send,
    send_json,
    send_stream,
)
from tests.unit.gateway.make import with_settings
from tests.unit.gateway.serving import ask, connection, post, serving

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the headers and the body as they were understood."""
    request = HttpRequest(scope, receive, max_body_bytes=1_000_000, timeout_seconds=5)
    try:
        body = await request.body()
    except ClientDisconnected:
        return
    headers = {name.decode(): value.decode() for name, value in request.headers.items()}
    await send_json(send, {"headers": {**headers}, "body": body.decode()})


@pytest.mark.parametrize(
    "request_bytes",
    [
        CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        GET + b"X-A: b\r\n c\r\n\r\n",
        GET + b"X-A: b\rX-B: c\r\n\r\n",
        GET + b"X-A: b\x00c\r\n\r\n",
        GET + b"X A: b\r\n\r\n",
        GET + b": b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://elsewhere/mcp HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_attack_07_a_request_that_could_be_read_in_two_ways_is_refused_and_ends_the_connection(
    request_bytes: bytes,
) -> None:
    async with serving(echo) as port, connection(port) as opened:
        await opened.send(request_bytes)
        answer = await opened.rest()
        assert answer.split(b" ")[1] in (b"400", b"505")
        assert b"connection: close" in answer
        assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("body", [b"zz\r\nabc\r\n0\r\n\r\n", b"1\nx\n0\n\n", b"1\r\nxx\r\n0\r\n\r\n"])
async def test_attack_07_a_body_that_could_be_read_in_two_ways_ends_the_connection_without_an_answer(
    body: bytes,
) -> None:
    async with serving(echo) as port, connection(port) as opened:
        await opened.send(CHUNKED + b"\r\n" + body)
        assert await opened.rest() == b""


async def test_attack_07_an_unknown_transfer_encoding_ends_the_connection_without_an_answer() -> None:
    async with serving(echo) as port, connection(port) as opened:
        await opened.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")
        assert await opened.rest() == b""


async def test_attack_07_a_trailer_never_becomes_a_header() -> None:
    async with serving(echo) as port:
        reply = await ask(port, CHUNKED + b"\r\n1\r\nx\r\n0\r\nAuthorization: Bearer other\r\n\r\n")
    assert reply.json == {"headers": {"host": "a", "transfer-encoding": "chunked"}, "body": "x"}


async def test_attack_07_what_follows_a_request_is_a_request_of_its_own() -> None:
    async with serving(echo) as port, connection(port) as opened:
        await opened.send(post("/", b"one") + post("/", b"two"))
        assert (await opened.reply()).json["body"] == "one"
        assert (await opened.reply()).json["body"] == "two"


async def test_headers_are_bounded_in_bytes() -> None:
    settings = with_settings(max_header_bytes=2048)
    async with serving(echo, settings) as port:
        fits = await ask(port, GET + b"X-A: " + b"a" * 1900 + b"\r\n\r\n")
        large = await ask(port, GET + b"X-A: " + b"a" * 2048 + b"\r\n\r\n")
    assert fits.status == 200
    assert (large.status, large.code) == (431, "HeadersTooLarge")


async def test_headers_without_an_end_are_cut_off() -> None:
    settings = with_settings(max_header_bytes=2048)
    async with serving(echo, settings) as port, connection(port) as opened:
        await opened.send(GET + b"X-A: ")
        for _ in range(8):
            await opened.send(b"a" * 512)
        assert b"431" in await opened.rest()


async def test_headers_are_bounded_in_number() -> None:
    settings = with_settings(max_headers=8)
    async with serving(echo, settings) as port:
        fits = await ask(port, GET + b"".join(b"X-%d: a\r\n" % number for number in range(7)) + b"\r\n")
        many = await ask(port, GET + b"".join(b"X-%d: a\r\n" % number for number in range(8)) + b"\r\n")
    assert (fits.status, many.status) == (200, 431)


@pytest.mark.parametrize("begun", [b"", b"GET / HT", GET + b"X-A: sl"])
async def test_attack_24_headers_that_do_not_come_end_the_connection(begun: bytes) -> None:
    settings = with_settings(header_timeout_seconds=0.1)
    async with serving(echo, settings) as port, connection(port) as opened:
        await opened.send(begun)
        assert b"408" in await opened.rest()


async def test_attack_24_headers_of_a_later_request_have_their_time_too() -> None:
    settings = with_settings(header_timeout_seconds=0.1)
    async with serving(echo, settings) as port, connection(port) as opened:
        assert (await opened.ask(GET + b"\r\n")).status == 200
        await opened.send(b"GET / HT")
        assert b"408" in await opened.rest()


async def test_attack_24_a_client_that_does_not_read_is_cut_off() -> None:
    ended = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            while not ended.is_set():
                yield b"a" * 65_536
                await asyncio.sleep(0)

        request = HttpRequest(scope, receive, max_body_bytes=0, timeout_seconds=5)
        await request.body()
        watching = asyncio.create_task(request.disconnected())
        watching.add_done_callback(lambda _: ended.set())
        await send_stream(send, chunks())

    settings = with_settings(write_timeout_seconds=0.1)
    async with serving(endless, settings) as port, connection(port) as opened:
        await opened.send(GET + b"\r\n")
        async with asyncio.timeout(20):
            await ended.wait()


async def test_connections_are_bounded_in_number_for_each_address_and_in_all() -> None:
    for bound in ("max_connections_per_address", "max_connections"):
        settings = with_settings(**{bound: 2})
        async with (
            serving(echo, settings) as port,
            connection(port) as first,
            connection(port) as second,
        ):
            assert (await first.ask(GET + b"\r\n")).status == 200
            assert (await second.ask(GET + b"\r\n")).status == 200
            async with connection(port) as third:
                assert await third.rest() == b""
            assert (await first.ask(GET + b"\r\n")).status == 200


async def test_a_connection_that_ended_makes_room() -> None:
    settings = with_settings(max_connections=1)
    async with serving(echo, settings) as port:
        for _ in range(5):
            async with asyncio.timeout(20):
                while True:
                    async with connection(port) as opened:
                        await opened.send(GET + b"Connection: close\r\n\r\n")
                        if b"200 OK" in await opened.rest():
                            break


async def test_stopping_lets_what_is_under_way_end() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await release.wait()
        await echo(scope, receive, send)

    async with serving(slow) as port, connection(port) as opened:
        await opened.send(GET + b"\r\n")
        await entered.wait()
        stopping = asyncio.create_task(port.stop())
        await asyncio.sleep(0)
        release.set()
        assert (await opened.reply()).status == 200
        await stopping


async def test_a_body_that_has_come_whole_is_told_from_one_that_has_not() -> None:
    told: list[object] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        is_here = scope[BODY_IS_HERE]
        assert callable(is_here)
        told.append(is_here())
        await echo(scope, receive, send)

    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
    async with serving(note) as port, connection(port) as opened:
        assert (await opened.ask(head + b"abcd")).json["body"] == "abcd"
        await opened.send(head + b"ab")
        await asyncio.sleep(0.05)
        assert (await opened.ask(b"cd")).json["body"] == "abcd"
    assert told == [True, False]
