"""Both backends, each with a place of its own for every test; PostgreSQL is a real server."""

import os
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from aos.store.interface import Store
from aos.store.opening import open_store
from aos.store.settings import StoreSettings
from hack.cluster.errors import PrerequisiteError
from hack.postgres.server import Server, running

_numbers = count(1)


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


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    try:
        with running(durable=False) as server:
            yield server
    except PrerequisiteError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"PostgreSQL can't run here: {error}")


@pytest.fixture
async def database(server: Server) -> str:
    return await new_database(server)


@pytest.fixture(params=["sqlite", "postgres"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    if request.param == "sqlite":
        url = f"sqlite://{tmp_path}/store.db"
    else:
        url = await new_database(request.getfixturevalue("server"))
    backend = Backend(url)
    yield backend
    for store in backend.opened:
        await store.close()


@pytest.fixture
async def store(backend: Backend) -> Store:
    return await backend.open()


async def new_database(server: Server) -> str:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    return server.url(name)
