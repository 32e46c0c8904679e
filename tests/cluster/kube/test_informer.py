"""The informer on a real API server, also while that one restarts."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from aos.kube.backoff import Backoff
from aos.kube.client import ApiClient, Selection
from aos.kube.errors import Gone
from aos.kube.informer import Informer
from aos.kube.objects import child, text
from aos.kube.resources import CONFIG_MAPS, NAMESPACES
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from hack.cluster.control_plane import ControlPlane
from hack.cluster.paths import Paths
from hack.cluster.process import Table
from tests.cluster.kube.conftest import Place
from tests.cluster.kube.waiting import eventually


def value(raw: JsonObject) -> str:
    found = text(child(raw, "data"), "value")
    if found == "bad":
        raise ValueError("a bad value")
    return found


@contextlib.asynccontextmanager
async def running(informer: Informer[str]) -> AsyncIterator[Informer[str]]:
    task = asyncio.create_task(informer.run())
    try:
        await asyncio.wait_for(informer.synced.wait(), 30)
        yield informer
    finally:
        task.cancel()
        await asyncio.wait({task})


def informer_of(client: ApiClient, namespace: str) -> Informer[str]:
    selection = Selection(namespace, field_selector="metadata.name!=kube-root-ca.crt")
    return Informer(client, CONFIG_MAPS, value, selection=selection, backoff=Backoff(0.1, 1))


async def holds(informer: Informer[str], **expected: str) -> None:
    async def same() -> bool:
        return {key.name: found for key, found in informer.items.items()} == expected

    await eventually(same)


async def test_the_items_follow_the_api_server(place: Place) -> None:
    await place.config_map("a", value="1")
    async with running(informer_of(place.client, place.namespace)) as informer:
        assert dict(informer.items) == {ObjectKey(namespace=place.namespace, name="a"): "1"}
        await place.config_map("b", value="2")
        await place.client.merge_patch(CONFIG_MAPS, "a", {"data": {"value": "3"}}, namespace=place.namespace)
        await holds(informer, a="3", b="2")
        await place.client.merge_patch(
            CONFIG_MAPS, "a", {"data": {"value": "bad"}}, namespace=place.namespace
        )
        await holds(informer, b="2")
        assert [key.name for key in informer.invalid] == ["a"]
        await place.client.delete(CONFIG_MAPS, "a", namespace=place.namespace)
        await place.client.delete(CONFIG_MAPS, "b", namespace=place.namespace)
        await holds(informer)
        assert not informer.invalid


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that a test may break."""
    cluster = ControlPlane(Paths.from_environment(state=tmp_path_factory.mktemp("informer")))
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


def kill(cluster: ControlPlane, name: str) -> None:
    table = Table(cluster.folder / "processes.json")
    os.kill(table.alive()[name].pid, signal.SIGKILL)


async def test_an_informer_outlives_its_api_server(own: ControlPlane) -> None:
    async with await ApiClient.connect(own.kubeconfig) as client:
        await client.create(NAMESPACES, {"metadata": {"name": "sales"}})
        place = Place(client, "sales")
        for name in "ab":
            await place.config_map(name, value="1")
        async with running(informer_of(client, "sales")) as informer:
            contact = informer.last_contact
            kill(own, "kube-apiserver")
            await asyncio.sleep(0.5)
            assert len(informer.items) == 2
            assert informer.last_contact == contact
            await asyncio.to_thread(own.up)
            await place.config_map("c", value="2")
            await client.delete(CONFIG_MAPS, "a", namespace="sales")
            await holds(informer, b="1", c="2")
            assert informer.last_contact != contact
        with pytest.raises(Gone, match="too old resource version"):
            async with aclosing(client.watch(CONFIG_MAPS, resource_version="1")) as watch:
                await anext(watch)
