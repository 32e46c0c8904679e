"""A port on loopback, and a client that sends exactly the bytes that it is given."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson

from aos.gateway.server import App, Port
from aos.gateway.settings import GatewaySettings
from aos.kube.objects import child, text
from aos.model.base import JsonObject
from tests.unit.gateway.make import SETTINGS

WAIT_SECONDS = 20


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> JsonObject:
        value = orjson.loads(self.body)
        assert isinstance(value, dict)
        return value

    @property
    def code(self) -> str:
        return text(child(self.json, "error"), "code")


class Connection:
    """One connection to a port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def reply(self) -> Reply:
        async with asyncio.timeout(WAIT_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
            return Reply(int(status.split()[1]), headers, body)

    async def ask(self, content: bytes) -> Reply:
        await self.send(content)
        return await self.reply()

    async def rest(self) -> bytes:
        """Everything until the other side closes."""
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                return await self._reader.read()
            except ConnectionResetError:
                return b""


@contextlib.asynccontextmanager
async def serving(app: App, settings: GatewaySettings = SETTINGS) -> AsyncIterator[Port]:
    port = Port(app, settings, 0, None)
    task = asyncio.create_task(port.serve())
    async with asyncio.timeout(WAIT_SECONDS):
        while not port.is_serving:  # noqa: ASYNC110 - a port sets no event of a test's
            await asyncio.sleep(0.001)
    try:
        yield port
    finally:
        task.cancel()
        await asyncio.wait((task,))


@contextlib.asynccontextmanager
async def connection(port: Port) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(port: Port, content: bytes) -> Reply:
    async with connection(port) as opened:
        return await opened.ask(content)


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
