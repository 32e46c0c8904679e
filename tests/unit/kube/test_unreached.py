"""A connection that fails is told in words that a person can act on, whatever library failed."""

import asyncio
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from aos.kube.unreached import told
from hack.cluster.pki import Endpoints, write_pki


async def failure(url: str, tls: ssl.SSLContext | None = None) -> str:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(url, ssl=tls or True)
    return told(caught.value)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    write_pki(folder, Endpoints(names=("localhost",), addresses=("127.0.0.1",)))
    return folder


async def test_a_port_that_nobody_listens_on_refuses() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await failure(f"https://127.0.0.1:{taken.getsockname()[1]}") == "connection refused"


async def test_a_name_that_nobody_knows_is_named() -> None:
    said = await failure("https://no-such-name.invalid:6443")
    assert said == "the name no-such-name.invalid is not known"


async def test_a_certificate_of_another_authority_is_not_trusted(pki: Path) -> None:
    async def nothing(_: web.BaseRequest) -> web.Response:
        return web.Response()

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pki / "serving.crt", pki / "serving.key")
    server = await asyncio.get_running_loop().create_server(web.Server(nothing), "127.0.0.1", 0, ssl=tls)
    async with server:
        said = await failure(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert said.startswith("its certificate is not trusted: ")
    assert "SSLContext" not in said


async def test_a_server_without_tls_is_told() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        said = await failure(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert said == "nothing that speaks TLS answers there"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError(), "no answer came in time"),
        (aiohttp.ConnectionTimeoutError("Connection timeout to host x"), "no answer came in time"),
        (aiohttp.ServerDisconnectedError(), "it closed the connection"),
        (aiohttp.InvalidURL("ftp:"), "that is no address of a server"),
        (aiohttp.ClientPayloadError("cut\noff"), "cut off"),
        (aiohttp.ClientPayloadError(), "ClientPayloadError"),
        (OSError("Multiple exceptions: one, two"), "multiple exceptions: one, two"),
        (OSError(113, "Connect call failed ('10.0.0.1', 6443)"), "no route to host"),
    ],
)
def test_each_failure_is_one_phrase(error: Exception, said: str) -> None:
    assert told(error) == said
