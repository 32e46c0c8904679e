import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream import http_client
from aos.gateway.upstream.http_client import HttpClient, Response, Waits, parse_address
from aos.gateway.upstream.http_connection import MAX_SILENT_BYTES, MAX_UNREAD_BYTES, HttpConnection
from aos.gateway.upstream.upstream_error import UpstreamError
from tests.unit.agent.serving import make_identity

WAITS = Waits(whole_seconds=20)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncGenerator[str]:
    """Serve raw bytes; each connection is closed when ``serve`` returns."""
    serving: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http{'s' if context else ''}://127.0.0.1:{port}/mcp"
    finally:
        listening.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")
    )
    return head, await reader.readexactly(length)


def always(answer: bytes, *, stay: bool = True) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()
            if not stay:
                return

    return serve


async def ask(client: HttpClient, url: str, waits: Waits = WAITS) -> tuple[int, bytes]:
    response = await client.request("POST", url, {"Accept": "application/json"}, b"{}", waits)
    try:
        return response.status, await whole(response)
    finally:
        response.release()


async def whole(response: Response) -> bytes:
    content = b""
    while part := await response.read():
        content += part
    return content


async def until(holds: Callable[[], object]) -> None:
    while not holds():  # noqa: ASYNC110 - what is waited for is private and tells nobody
        await asyncio.sleep(0.001)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_another_path_may_be_asked_for_at_the_same_place() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await read_request(reader))[0])
        writer.write(OK)

    async with server(serve) as url, HttpClient(5) as client:
        (await client.request("GET", url, {}, b"", WAITS, "/a%20b?c=d&e=%23")).release()
    assert heads[0].startswith(b"GET /a%20b?c=d&e=%23 HTTP/1.1\r\nHost: 127.0.0.1")


@pytest.mark.parametrize(
    "path", ["a", "/a b", "/a\r\nX: 1", "/\u00fc", "/a#b", '/"', "http://other/", "/a HTTP/1.1\r\n\r\nGET /b"]
)
async def test_attack_07_a_path_is_no_second_request(path: str) -> None:
    async with HttpClient(5) as client:
        with pytest.raises(UpstreamError, match="Unreachable"):
            await client.request("GET", "http://127.0.0.1:9/mcp", {}, b"", WAITS, path)


async def test_a_request_is_sent_as_it_was_written() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await read_request(reader)
        heads.append(head + body)
        writer.write(OK)

    async with server(serve) as url, HttpClient(5) as client:
        response = await client.request("POST", url, {"Accept": "a", "Mcp-Name": "b"}, b"{}", WAITS)
        assert (response.status, response.headers) == (200, {"content-length": "2"})
        assert await whole(response) == b"ok"
        response.release()
    host = url.removeprefix("http://").removesuffix("/mcp").encode()
    assert heads == [
        b"POST /mcp HTTP/1.1\r\nHost: " + host + b"\r\n"
        b"User-Agent: aos-gateway/0.1.0\r\nAccept-Encoding: identity\r\n"
        b"Accept: a\r\nMcp-Name: b\r\nContent-Length: 2\r\n\r\n{}"
    ]


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Count: 9\r\n\r\n",
    ],
)
async def test_a_connection_serves_one_call_after_another(answer: bytes) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await always(answer)(reader, writer)

    async with server(serve) as url, HttpClient(5) as client:
        for _ in range(5):
            assert await ask(client, url) == (200, b"ok")
    assert connections == 1


async def test_an_answer_may_come_one_byte_at_a_time() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for byte in OK:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with server(serve) as url, HttpClient(5) as client:
        assert await ask(client, url) == (200, b"ok")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_that_is_to_be_closed_is_not_kept(answer: bytes) -> None:
    async with server(always(answer)) as url, HttpClient(5) as client:
        assert await ask(client, url) == (200, b"ok")
        assert not client._idle


async def test_an_answer_without_length_ends_with_its_connection() -> None:
    async with server(always(b"HTTP/1.1 200 OK\r\n\r\nok", stay=False)) as url, HttpClient(5) as client:
        assert await ask(client, url) == (200, b"ok")


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1"])
async def test_attack_07_a_second_answer_is_nobodys(more: bytes) -> None:
    answers = [OK + more, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await always(answers.pop(0))(reader, writer)

    async with server(serve) as url, HttpClient(5) as client:
        assert await ask(client, url) == (200, b"ok")
        assert await ask(client, url) == (200, b"good")


async def test_attack_07_an_answer_that_nobody_asked_for_closes_the_connection() -> None:
    sent = asyncio.Event()
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b""]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await writer.drain()
        await sent.wait()
        writer.write(answers.pop(0))
        await writer.drain()
        await always(OK)(reader, writer)

    async with server(serve) as url, HttpClient(5) as client:
        assert await ask(client, url) == (200, b"ok")
        (connection,) = client._open
        sent.set()
        await until(lambda: not connection.is_open)
        assert await ask(client, url) == (200, b"ok")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 * MAX_SILENT_BYTES),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
    ],
)
async def test_attack_07_what_is_no_sound_http_is_refused(answer: bytes) -> None:
    async with server(always(answer)) as url, HttpClient(5) as client:
        with pytest.raises(UpstreamError) as raised:
            await ask(client, url)
        assert raised.value.code is RefusalCode.UPSTREAM_INVALID
        assert raised.value.maybe_done


async def test_attack_24_trailers_without_end_are_cut_off() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
        while True:
            writer.write(b"X: " + b"x" * 1000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async with server(serve) as url, HttpClient(5) as client:
        with pytest.raises(UpstreamError):
            await ask(client, url)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"])
async def test_an_answer_that_breaks_off_may_have_been_carried_out(answer: bytes) -> None:
    async with server(always(answer, stay=False)) as url, HttpClient(5) as client:
        with pytest.raises(UpstreamError) as raised:
            await ask(client, url)
    assert raised.value.code is RefusalCode.UPSTREAM_UNREACHABLE
    assert raised.value.maybe_done


@pytest.mark.parametrize(
    ("begun", "waits"),
    [
        (b"", Waits(whole_seconds=0.05)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", Waits(whole_seconds=0.05)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", Waits(whole_seconds=20, next_byte_seconds=0.05)),
    ],
)
async def test_attack_24_an_answer_that_does_not_come_is_not_waited_for(begun: bytes, waits: Waits) -> None:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(begun)
        await over.wait()

    async with server(serve) as url, HttpClient(5) as client:
        with pytest.raises(UpstreamError) as raised:
            await ask(client, url, waits)
        over.set()
    assert raised.value.code is RefusalCode.UPSTREAM_TIMEOUT
    assert raised.value.maybe_done


async def test_attack_24_a_body_that_is_not_read_stops_coming() -> None:
    body = b"x" * (64 * MAX_UNREAD_BYTES)
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 65_536):
            writer.write(body[start : start + 65_536])
            await writer.drain()
            sent += 65_536

    async with server(serve) as url, HttpClient(5) as client:
        response = await client.request("POST", url, {}, b"", WAITS)
        (connection,) = client._open
        before = -1
        while sent != before or sent == 0:
            before = sent
            await asyncio.sleep(0.05)
        assert connection._body_bytes < 4 * MAX_UNREAD_BYTES
        assert len(await whole(response)) == len(body)
        response.release()


async def test_attack_07_a_stray_answer_that_was_not_read_yet_is_nobodys() -> None:
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await always(OK)(reader, writer)

    async with server(serve) as url, HttpClient(5) as client:
        assert await ask(client, url) == (200, b"ok")
        # It is sent at once, and the client would read it in the loop's next turn, after its next request.
        writers[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert await ask(client, url) == (200, b"ok")
        assert len(writers) == 2


async def test_a_call_that_is_given_up_as_its_answer_comes_takes_its_connection_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole_head = HttpConnection.head

    async def given_up(connection: HttpConnection) -> None:
        await whole_head(connection)
        raise asyncio.CancelledError

    monkeypatch.setattr(HttpConnection, "head", given_up)
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with server(always(empty)) as url, HttpClient(5) as client:
        with pytest.raises(asyncio.CancelledError):
            await ask(client, url)
        await until(lambda: not client._open)


async def test_a_call_that_is_given_up_takes_its_connection_along() -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        await over.wait()

    async with server(serve) as url, HttpClient(5) as client:
        asking = asyncio.create_task(ask(client, url))
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not any(connection.is_open for connection in client._open)
        over.set()


async def test_an_answer_that_is_not_read_to_its_end_takes_its_connection_along() -> None:
    async with server(always(OK)) as url, HttpClient(5) as client:
        response = await client.request("POST", url, {}, b"", WAITS)
        response.release()
        response.release()
        assert await response.read() == b""
        assert response.at_end
        assert not client._idle


async def test_a_connection_that_the_other_side_closed_is_not_used_again() -> None:
    async with server(always(OK, stay=False)) as url, HttpClient(5) as client:
        for _ in range(3):
            assert await ask(client, url) == (200, b"ok")
            await until(lambda: not any(connection.is_open for connection in client._open))


async def test_connections_are_not_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "KEEP_ALIVE_SECONDS", 0.05)
    async with server(always(OK)) as url, HttpClient(5) as client:
        await asyncio.gather(*(ask(client, url) for _ in range(3)))
        await until(lambda: not client._open)
        await until(lambda: not client._idle)
        assert await ask(client, url) == (200, b"ok")


async def test_connections_are_bounded() -> None:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await over.wait()
        writer.write(OK)

    async with server(serve) as url, HttpClient(5, max_connections=1) as client:
        asking = asyncio.create_task(ask(client, url))
        await until(lambda: client._open)
        with pytest.raises(UpstreamError) as raised:
            await ask(client, url)
        assert not raised.value.maybe_done
        over.set()
        assert await asking == (200, b"ok")


async def test_tls_is_checked(tmp_path: Path) -> None:
    identity = make_identity(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(identity.certificate, identity.key)
    trusting = ssl.create_default_context(cafile=str(identity.certificate))
    async with server(always(OK), serving) as url:
        async with HttpClient(5, trust=trusting) as client:
            assert await ask(client, url) == (200, b"ok")
        async with HttpClient(5) as client:
            with pytest.raises(UpstreamError) as raised:
                await ask(client, url)
    assert raised.value.message == "its certificate or TLS was not accepted"
    assert not raised.value.maybe_done


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    async with HttpClient(5) as client:
        for host in ("nothing.invalid", "x" * 64 + ".invalid"):
            with pytest.raises(UpstreamError) as raised:
                await ask(client, f"http://{host}/mcp")
            assert not raised.value.maybe_done


@pytest.mark.parametrize(
    ("url", "host", "port", "is_tls", "begins"),
    [
        ("http://crm", "crm", 80, False, " / HTTP/1.1\r\nHost: crm\r\n"),
        ("https://crm.example/mcp", "crm.example", 443, True, " /mcp HTTP/1.1\r\nHost: crm.example\r\n"),
        ("http://[::1]:8080/a%20b", "::1", 8080, False, " /a%20b HTTP/1.1\r\nHost: [::1]:8080\r\n"),
    ],
)
def test_a_url_is_used_as_it_is_spelled(url: str, host: str, port: int, begins: str, *, is_tls: bool) -> None:
    address = parse_address(url)
    assert (address.origin.host, address.origin.port, address.origin.is_tls) == (host, port, is_tls)
    assert address.head.startswith(begins)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://crm/mcp",
        "http:///mcp",
        "http://user@crm/mcp",
        "http://crm/mcp?x=1",
        "http://crm/mcp#x",
        "http://crm:99999/mcp",
        "http://[::1/mcp",
        "http://crm/m p",
        "http://crm/m\r\nHost: x",
        "http://crm/ü",
    ],
)
def test_attack_14_a_url_that_could_mean_another_is_refused(url: str) -> None:
    with pytest.raises(UpstreamError):
        parse_address(url)


@pytest.mark.parametrize("value", ["a\r\nCookie: b", "a\nb", "a\0b"])
async def test_attack_07_a_header_never_becomes_two(value: str) -> None:
    async with HttpClient(5) as client:
        with pytest.raises(UpstreamError) as raised:
            await client.request("POST", "http://127.0.0.1:9/mcp", {"Mcp-Name": value}, b"", WAITS)
    assert raised.value.message == "a header can't be sent"


def test_it_works_on_the_loop_that_the_gateway_runs_on() -> None:
    async def main() -> None:
        async with server(always(OK)) as url, HttpClient(5) as client:
            for _ in range(3):
                assert await ask(client, url) == (200, b"ok")
            assert len(client._open) == 1

    uvloop.run(main())
