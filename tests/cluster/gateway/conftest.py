"""A gateway before the shared API server, on the event loop that it runs on in production."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from aos.kube.client import ApiClient
from hack.cluster.handle import Handle
from tests.cluster.gateway.world import World, running_world

ROOT = Path(__file__).resolve().parents[3]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="package")
def kinds(control_plane: Handle) -> Handle:
    applied = control_plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    assert applied.ok, applied.stderr
    waited = control_plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=30s", "crd", "-l", "app.kubernetes.io/part-of=aos"
    )
    assert waited.ok, waited.stderr
    return control_plane


@pytest.fixture
async def client(kinds: Handle) -> AsyncIterator[ApiClient]:
    async with await ApiClient.connect(kinds.kubeconfig) as client:
        yield client


@pytest.fixture
async def world(client: ApiClient) -> AsyncIterator[World]:
    async with running_world(client) as world:
        yield world
