"""A real HTTP server that takes notices as tests want it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from aos.model.base import JsonObject


@dataclass(frozen=True)
class Received:
    """One notice as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> JsonObject:
        value: JsonObject = orjson.loads(self.body)
        return value


@dataclass
class Hooks:
    """What came, and what is answered: the first of ``answers`` while there are any, else 200."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    hangs: bool = False

    async def handle(self, request: web.Request) -> web.Response:
        self.received.append(Received(request.path, dict(request.headers), await request.read()))
        if self.hangs:
            await self.hanging.wait()
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers=self.headers, body=self.body)

    def marks(self) -> list[str]:
        """Return the id of each notice that came, without the request's uid."""
        return [item.headers["AOS-Webhook-Id"].partition(".")[2] for item in self.received]


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Hooks]:
    hooks = Hooks()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hooks.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    hooks.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield hooks
    finally:
        hooks.hanging.set()
        await runner.cleanup()
