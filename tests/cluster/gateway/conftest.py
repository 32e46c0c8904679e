"""A gateway before the shared API server, on the event loop that it runs on in production."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from aos.kube.client import ApiClient
from hack.cluster.handle import Handle
from tests.cluster.gateway.world import World, running_world


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def kinds(cluster: Handle) -> Handle:
    return cluster


@pytest.fixture
async def client(kinds: Handle) -> AsyncIterator[ApiClient]:
    async with await ApiClient.connect(kinds.kubeconfig) as client:
        yield client


@pytest.fixture
async def world(client: ApiClient) -> AsyncIterator[World]:
    async with running_world(client) as world:
        yield world
