import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from aos.gateway.memory.owners import MAX_STALENESS_SECONDS, Owners
from aos.kube.resources import WORKFLOW_RUNS
from aos.model.base import JsonObject
from aos.model.task import Task
from aos.store.interface import MemoryPut, Store
from tests.unit.gateway.make import FakeApiServer, raw
from tests.unit.gateway_control.world import opened
from tests.unit.gateway_mcp.make import SETTINGS, task


@dataclass
class Tasks:
    there: list[Task] = field(default_factory=list)
    staleness: float = 0

    def all_tasks(self) -> Collection[Task]:
        return self.there

    def staleness_seconds(self) -> float:
        return self.staleness


def raw_run(name: str, *, ended: bool = False) -> JsonObject:
    condition: JsonObject = {
        "type": "Succeeded",
        "status": "True" if ended else "Unknown",
        "reason": "Succeeded" if ended else "Running",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    return raw("WorkflowRun", name, spec={"workflow": "outreach"}, status={"conditions": [condition]})


async def put(store: Store, owner: str) -> None:
    await store.put_memory(MemoryPut(f"tool/run/{owner}", owner, "sales", b"1", 60))


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_what_ended_or_is_gone_loses_its_values_and_what_is_open_keeps_them() -> None:
    api, tasks, ended = FakeApiServer(), Tasks([task("t1", "t1-uid")]), list[str]()
    api.put(WORKFLOW_RUNS, raw_run("open"))
    api.put(WORKFLOW_RUNS, raw_run("ended", ended=True))
    async with opened() as store:
        owners = Owners(api, tasks, store, SETTINGS, ended.append)
        following = asyncio.create_task(owners.follow())
        await settled()
        assert ended == ["ended-uid"]
        for owner in ("open-uid", "ended-uid", "t1-uid", "unknown-uid"):
            await put(store, owner)
        await owners.sweep()
        assert len(await store.memory_owners()) == 4
        await owners.sweep()
        assert await store.memory_owners() == {"open-uid", "t1-uid"}
        api.remove(WORKFLOW_RUNS, "open")
        await settled()
        assert ended == ["ended-uid", "open-uid"]
        following.cancel()
        await asyncio.wait((following,))


async def test_an_owner_that_was_not_known_yet_keeps_its_values() -> None:
    api, tasks = FakeApiServer(), Tasks()
    async with opened() as store:
        owners = Owners(api, tasks, store, SETTINGS, lambda _: None)
        following = asyncio.create_task(owners.follow())
        await settled()
        await put(store, "t1-uid")
        await owners.sweep()
        tasks.there = [task("t1", "t1-uid")]
        await owners.sweep()
        tasks.there = []
        await owners.sweep()
        assert await store.memory_owners() == {"t1-uid"}
        following.cancel()
        await asyncio.wait((following,))


async def test_whoever_knows_nothing_new_ends_nothing() -> None:
    api, tasks = FakeApiServer(), Tasks()
    async with opened() as store:
        owners = Owners(api, tasks, store, SETTINGS, lambda _: None)
        await put(store, "t1-uid")
        await owners.sweep()
        await owners.sweep()
        following = asyncio.create_task(owners.follow())
        await settled()
        tasks.staleness = MAX_STALENESS_SECONDS + 1
        await owners.sweep()
        await owners.sweep()
        assert await store.memory_owners() == {"t1-uid"}
        following.cancel()
        await asyncio.wait((following,))


async def test_a_store_that_is_down_is_tried_again() -> None:
    api, tasks = FakeApiServer(), Tasks()
    async with opened() as store:
        owners = Owners(api, tasks, store, SETTINGS, lambda _: None)
        following = asyncio.create_task(owners.follow())
        await settled()
        await put(store, "t1-uid")
        await owners.sweep()
        await store.close()
        await owners.sweep()
        await store.open()
        await owners.sweep()
        assert await store.memory_owners() == frozenset()
        following.cancel()
        await asyncio.wait((following,))
