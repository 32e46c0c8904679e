"""Both backends, each with a place of its own for every test; PostgreSQL is a real server."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from aos.store.interface import Store
from aos.store.opening import open_store
from aos.store.settings import StoreSettings
from hack.cluster.errors import PrerequisiteError
from hack.postgres.server import Server, running

_numbers = count(1)
_END_CONNECTIONS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1"
"""Those that a test left open, of programs that it killed; each is waited for."""


class Backend:
    """A place for a store, and the stores that were opened there: as many replicas as a test wants."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[Store] = []

    def store(self, chain: str = "", settings: StoreSettings | None = None) -> Store:
        """Return a store that is not open."""
        store = open_store(self.url, chain or f"chain-{next(_numbers)}", settings or StoreSettings())
        self.opened.append(store)
        return store

    async def open(self, chain: str = "", settings: StoreSettings | None = None) -> Store:
        """Return an open store."""
        store = self.store(chain, settings)
        await store.open()
        return store


class Databases:
    """Databases of one server, each lent to one test at a time: to make one costs more than all that most tests do with it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._free: list[str] = []

    async def lend(self) -> str:
        """Return the URL of an empty database."""
        name = self._free.pop() if self._free else await self._new()
        return self._server.url(name)

    async def take_back(self, url: str) -> None:
        """Empty a database, for the next test."""
        name = urlsplit(url).path[1:]
        async with self._connected() as above:
            await above.execute(f'ALTER DATABASE "{name}" RESET ALL')
            await above.execute(_END_CONNECTIONS, name)
        async with self._connected(name) as inside:
            await inside.execute("DROP SCHEMA public CASCADE")
            await inside.execute("CREATE SCHEMA public")
        self._free.append(name)

    async def _new(self) -> str:
        name = f"test_{next(_numbers)}"
        async with self._connected() as above:
            await above.execute(f'CREATE DATABASE "{name}"')
        return name

    @contextlib.asynccontextmanager
    async def _connected(
        self, database: str = "postgres"
    ) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self._server.url(database))
        try:
            yield connection
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    try:
        with running(durable=False) as server:
            yield server
    except PrerequisiteError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"PostgreSQL can't run here: {error}")


@pytest.fixture(scope="session")
def databases(server: Server) -> Databases:
    return Databases(server)


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[str]:
    url = await databases.lend()
    yield url
    await databases.take_back(url)


@pytest.fixture(params=["sqlite", "postgres"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    is_file = request.param == "sqlite"
    databases: Databases | None = None if is_file else request.getfixturevalue("databases")
    url = await databases.lend() if databases is not None else f"sqlite://{tmp_path}/store.db"
    backend = Backend(url)
    yield backend
    for store in backend.opened:
        await store.close()
    if databases is not None:
        await databases.take_back(url)


@pytest.fixture
async def store(backend: Backend) -> Store:
    return await backend.open()
