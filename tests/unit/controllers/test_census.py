import asyncio
from collections.abc import AsyncGenerator
from typing import cast

from aos.controllers.census import Census
from aos.controllers.keys import Key
from aos.controllers.objects import Objects
from aos.kube.client import ApiClient, Page
from aos.kube.resources import Resource
from aos.model.base import JsonObject
from tests.unit.controllers.make import AGENT, TOOL, raw


class FakeServer:
    """An API server that can only list."""

    def __init__(self, *there: JsonObject) -> None:
        self.there = list(there)
        self.lists = 0

    async def list_pages(self, resource: Resource, *, page_size: int) -> AsyncGenerator[Page, None]:
        self.lists += 1
        items = [item for item in self.there if item["kind"] == resource.kind]
        for start in range(0, len(items), page_size):
            yield Page(tuple(items[start : start + page_size]), "9")
        yield Page((), "9")


def make(*there: JsonObject) -> tuple[FakeServer, Objects, Census, list[Key]]:
    keys: list[Key] = []
    server, objects = FakeServer(*there), Objects(keys.append)
    return server, objects, Census(cast("ApiClient", server), objects), keys


async def test_the_stores_are_complete_once_they_hold_all_that_was_there() -> None:
    agent, tool = raw("Agent", "a", AGENT), raw("Tool", "crm", TOOL)
    _, objects, census, _ = make(agent, tool)
    waiting = asyncio.create_task(census.synced())
    await asyncio.sleep(0.01)
    assert census.unsynced() == "Tool"
    assert not census.complete.is_set()
    objects.observe("Tool", tool)
    objects.observe("Agent", agent)
    await asyncio.wait_for(waiting, 5)
    assert census.unsynced() == ""
    assert census.complete.is_set()


async def test_an_empty_cluster_is_complete_at_once() -> None:
    _, _, census, _ = make()
    assert census.unsynced() != ""
    await asyncio.wait_for(census.synced(), 5)
    assert census.unsynced() == ""


async def test_what_is_deleted_before_it_was_seen_is_not_waited_for() -> None:
    server, _, census, _ = make(raw("Agent", "a", AGENT))
    waiting = asyncio.create_task(census.synced())
    await asyncio.sleep(0.01)
    server.there.clear()
    await asyncio.wait_for(waiting, 5)


async def test_what_went_away_unseen_is_forgotten() -> None:
    server, objects, census, _ = make()
    objects.observe("Agent", raw("Agent", "ghost", AGENT))
    objects.observe("Agent", raw("Agent", "a", AGENT))
    server.there.append(raw("Agent", "a", AGENT))
    await census.take()
    assert [item.name for item in objects.agents.identities()] == ["a"]


async def test_an_object_that_was_replaced_by_another_of_its_name_is_forgotten() -> None:
    _, objects, census, _ = make(raw("Agent", "a", AGENT, uid="new"))
    objects.observe("Agent", raw("Agent", "a", AGENT, uid="old"))
    await census.take()
    assert list(objects.agents.identities()) == []
