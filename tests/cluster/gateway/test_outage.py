import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from aos.kube.client import ApiClient
from aos.kube.resources import PODS
from hack.cluster.handle import Handle
from tests.cluster.gateway.world import LOOPBACK, World, running_world

TASK = "/v1/task"


class Line:
    """The way to the API server, which can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def join(self) -> None:
        self._server = await asyncio.start_server(self._pass, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection(LOOPBACK, self._port)
        ends = {writer, back}
        self._open |= ends
        try:
            await asyncio.gather(_copy(reader, back), _copy(onward, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while content := await reader.read(65_536):
            writer.write(content)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def world_on_a_line(
    kinds: Handle, client: ApiClient, folder: Path, **settings: float
) -> AsyncIterator[tuple[World, Line]]:
    """A gateway whose way to the API server can be cut, while the tests keep theirs."""
    config = yaml.safe_load(kinds.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    line = Line(urlsplit(cluster["server"]).port or 0)
    await line.join()
    cluster["server"] = f"https://{LOOPBACK}:{line.port}"
    own = folder / "kubeconfig"
    own.write_text(yaml.safe_dump(config))
    async with await ApiClient.connect(own) as gateways:
        async with running_world(client, gateways, **settings) as world:
            yield world, line
        await line.cut()


async def test_attack_26_without_the_api_server_what_was_known_is_enforced(
    kinds: Handle, client: ApiClient, tmp_path: Path
) -> None:
    async with world_on_a_line(kinds, client, tmp_path, token_cache_seconds=0) as (world, line):
        await world.agent()
        worker = await world.worker()
        token = await world.token(worker)
        await world.ask_until(200, "GET", TASK, token)
        unknown = await world.token(account="default", namespace=world.namespace)
        await line.cut()
        assert (await world.ask("GET", TASK, token)).status == 200
        assert (await world.ask("GET", TASK, unknown)).code == "NotAnAgent"
        assert (await world.ask("GET", TASK, token[:-6] + "AAAAAA")).code == "TokenInvalid"
        kept = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": 1}})
        assert (kept.status, kept.headers["Retry-After"]) == (503, "1")
        await world.client.delete(PODS, worker.pod, namespace=world.namespace, grace_period_seconds=0)
        assert (await world.ask("GET", TASK, token)).status == 200
        await line.join()
        await world.ask_until(401, "GET", TASK, token)
