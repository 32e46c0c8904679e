"""Stands for a gateway replica: it reports, for each agent, the digest that the agent's status asks for."""

import asyncio
import base64
import contextlib
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

from aos.audit.signing import SignedHead
from aos.kube.client import ApiClient
from aos.kube.errors import NotFound
from aos.kube.informer import Informer
from aos.kube.objects import child, text
from aos.kube.resources import AGENTS, SECRETS
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey

TOKEN: Final = "the operator's own token"
_POLL_SECONDS: Final = 0.05


class FakeGateway:
    """A replica behind the real certificate of the operator's authority.

    Attributes:
        paused: while True it goes on enforcing what it did.
        store: what it says of its store.
        exceeded: what it says of agents that it keeps refusing; told again and again.
        webhooks: what it says of the webhooks of Workflows; told again and again.
        head: where its audit chain stands; None for none.
        refused: connections with another token than the operator's.
        poll_seconds: how often it looks for what to tell.
    """

    def __init__(self, admin: ApiClient, namespace: str, address: str, port: int) -> None:
        self._admin = admin
        self._namespace = namespace
        self._address = address
        self._port = port
        self._digests: dict[tuple[str, str], str] = {}
        self.paused = False
        self.store: JsonObject = {"store": "ok"}
        self.exceeded: list[JsonObject] = []
        self.webhooks: list[JsonObject] = []
        self.head: SignedHead | None = None
        self.refused = 0
        self.poll_seconds = _POLL_SECONDS

    async def run(self) -> None:
        """Serve once the operator has made the certificate."""
        app = web.Application()
        app.add_routes([web.get("/v1/enforced", self._report)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._address, self._port, ssl_context=await self._tls())
            await site.start()
            async with asyncio.TaskGroup() as group:
                agents = Informer(self._admin, AGENTS, _digest_of)
                group.create_task(agents.run())
                group.create_task(self._follow(agents.items))
        finally:
            await runner.cleanup()

    async def _follow(self, agents: Mapping[ObjectKey, str]) -> None:
        while True:
            if not self.paused:
                self._digests = {(key.namespace, key.name): asked for key, asked in agents.items() if asked}
            await asyncio.sleep(self.poll_seconds)

    async def _report(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refused += 1
            raise web.HTTPForbidden
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            async for line in self._lines():
                await response.write(line)
        return response

    async def _lines(self) -> AsyncIterator[bytes]:
        told: dict[tuple[str, str], str] = {}
        for line in self._changes(told):
            yield line
        yield b'{"synced":true}\n'
        while True:
            for line in self._changes(told):
                yield line
            yield orjson.dumps(self.store) + b"\n"
            for said in (*self.exceeded, *self.webhooks):
                yield orjson.dumps(said) + b"\n"
            if self.head is not None:
                yield b'{"auditHead":' + self.head.encode() + b"}\n"
            await asyncio.sleep(self.poll_seconds)

    def _changes(self, told: dict[tuple[str, str], str]) -> list[bytes]:
        lines = []
        for key in told.keys() | self._digests.keys():
            digest = self._digests.get(key, "")
            if told.get(key, "") != digest:
                lines.append(orjson.dumps({"namespace": key[0], "agent": key[1], "digest": digest}) + b"\n")
                told[key] = digest
        return lines

    async def _tls(self) -> ssl.SSLContext:
        while True:
            try:
                secret = await self._admin.get(SECRETS, "aos-gateway-tls", self._namespace)
            except NotFound:
                await asyncio.sleep(_POLL_SECONDS)
                continue
            data = child(secret, "data")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.TemporaryDirectory() as folder:
                paths = [Path(folder) / name for name in ("tls.crt", "tls.key")]
                for path in paths:
                    path.write_bytes(base64.b64decode(text(data, path.name)))
                context.load_cert_chain(str(paths[0]), str(paths[1]))
            return context


def _digest_of(agent: JsonObject) -> str:
    return text(child(child(agent, "status"), "policy"), "digest")


def own_address() -> str:
    """Return an address of this machine that an EndpointSlice may name: loopback ones are refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        # Nothing is sent: a datagram socket only chooses the address that it would send from.
        one.connect(("192.0.2.1", 9))
        address: str = one.getsockname()[0]
        return address
