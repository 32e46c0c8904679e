"""A gateway that says what reached it, and a helper's proxy in front of it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from starlette.types import Receive, Scope, Send

from aos.agent.helper.origin import Origin, Trust
from aos.agent.helper.proxy import Proxy
from aos.agent.helper.settings import Bounds
from aos.agent.journal import Journal
from tests.unit.agent.serving import make_identity, serve
from tests.unit.agent_helper.cluster import LOOPBACK, QUICK

Script = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass
class Echo:
    """Answers with what it was sent, or as a script says."""

    script: Script | None = None
    connections: set[int] = field(default_factory=set)
    requests: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.requests += 1
        self.connections.add(scope["client"][1])
        if self.script is not None:
            await self.script(scope, receive, send)
            return
        body = await whole(receive)
        headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
        said = {"path": scope["path"], "method": scope["method"], "headers": headers, "bytes": len(body)}
        content = json.dumps(said).encode()
        await start(send, (b"content-length", str(len(content)).encode()), (b"keep-alive", b"timeout=5"))
        await send({"type": "http.response.body", "body": content})


async def whole(receive: Receive) -> bytes:
    """Read a request to its end."""
    body: bytes = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if not message.get("more_body"):
            return body


async def start(send: Send, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    """Begin an answer."""
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})


@dataclass
class Rig:
    """A proxy and what is behind it."""

    echo: Echo
    proxy: Proxy
    token_file: Path
    port: int

    @property
    def url(self) -> str:
        """Where the image finds it."""
        return f"http://{LOOPBACK}:{self.port}"

    def client(self) -> httpx.AsyncClient:
        """An image's client."""
        return httpx.AsyncClient(base_url=self.url, timeout=20)

    async def raw(self, content: bytes) -> bytes:
        """Send bytes, and return all that comes back until the end of the connection."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        try:
            writer.write(content)
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def rig(folder: Path, script: Script | None = None, bounds: Bounds = QUICK) -> AsyncGenerator[Rig]:
    """Run a proxy before a gateway that answers by ``script``."""
    identity, echo = make_identity(folder), Echo(script)
    token_file = folder / "token"
    token_file.write_text("token-1\n")
    async with serve(echo, identity) as url:
        gateway = Origin(LOOPBACK, int(url.rpartition(":")[2]), bounds, Trust(identity.certificate))
        proxy = Proxy(gateway, token_file, bounds, Journal())
        server = await proxy.listen(0)
        try:
            yield Rig(echo, proxy, token_file, server.sockets[0].getsockname()[1])
        finally:
            server.close()
            await proxy.close()
            gateway.close()
