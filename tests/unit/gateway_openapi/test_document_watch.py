import asyncio
from collections.abc import Collection

from aos.gateway.openapi.document_watch import LABELLED, DocumentWatch
from aos.kube.resources import CONFIG_MAPS
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.tool import Tool
from tests.unit.gateway.make import FakeApiServer, raw
from tests.unit.gateway_openapi.documents import tool


class Tools:
    def tools(self) -> Collection[Tool]:
        source: JsonObject = {"configMapKeyRef": {"name": "desk-api", "key": "a"}}
        return [tool("http://desk.invalid", source=source), tool("http://desk.invalid")]


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_labelled_config_maps_are_followed_and_their_tools_told() -> None:
    api = FakeApiServer()
    watch = DocumentWatch(api, Tools())
    told: list[ObjectKey] = []
    watch.on_change(told.append)
    running = asyncio.create_task(watch.run())
    await settled()
    assert (CONFIG_MAPS.plural, LABELLED) in api.watched
    assert watch.openapi_documents("sales", "desk-api") is None
    api.put(CONFIG_MAPS, raw("ConfigMap", "desk-api", data={"a": "x", "b": 3}))
    await settled()
    assert watch.openapi_documents("sales", "desk-api") == {"a": "x"}
    assert [key.name for key in told] == ["desk"]
    api.put(CONFIG_MAPS, raw("ConfigMap", "desk-api", data={"a": "x", "b": 4}))
    api.put(CONFIG_MAPS, raw("ConfigMap", "other", data={"a": "x"}))
    api.put(CONFIG_MAPS, raw("ConfigMap", "desk-api", "support", data={"a": "x"}))
    await settled()
    assert len(told) == 1
    api.put(CONFIG_MAPS, raw("ConfigMap", "desk-api", data={"a": "y"}))
    await settled()
    assert len(told) == 2
    running.cancel()
    await asyncio.wait((running,))
