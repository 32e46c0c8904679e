import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aos.gateway.control.asked import Finished, Ticket
from aos.gateway.control.upkeep import Upkeep
from aos.gateway.journal import CallOutcome
from aos.gateway.metrics import GatewayMetrics
from aos.policy.decision import DecisionReason
from aos.store.interface import Store
from aos.store.sqlite import SqliteStore
from tests.unit.gateway_control.make import FAST, asked, caller, effective, task
from tests.unit.gateway_control.world import controlled, opened

QUICK = FAST.model_copy(update={"store_ping_seconds": 0.02, "store_sweep_seconds": 0.02})


@asynccontextmanager
async def running(store: Store, told: list[str]) -> AsyncIterator[Upkeep]:
    upkeep = Upkeep(store, GatewayMetrics(), QUICK, told.append)
    work = asyncio.create_task(upkeep.run())
    try:
        yield upkeep
    finally:
        work.cancel()
        await asyncio.wait((work,))


async def until(told: list[str], problem: str) -> None:
    async with asyncio.timeout(20):
        while not told or problem not in told[-1] or bool(told[-1]) is not bool(problem):  # noqa: ASYNC110 - the upkeep sets no event of ours
            await asyncio.sleep(0.01)


async def test_attack_26_a_store_that_is_not_there_is_a_problem_until_it_is(tmp_path: Path) -> None:
    told: list[str] = []
    folder = tmp_path / "volume"
    store = SqliteStore(folder / "store.db", "gateway-0-1")
    async with running(store, told) as upkeep:
        assert upkeep.problem == "the store was not reached yet"
        await until(told, "can't be")
        assert upkeep.problem
        folder.mkdir()
        await until(told, "")
        assert upkeep.problem == ""
    await store.close()


async def test_the_records_of_a_task_that_has_ended_are_free() -> None:
    told: list[str] = []
    async with opened() as store, controlled(store, FAST) as held, running(store, told) as upkeep:
        made = await held.calls.admit_tool(asked(caller(effective()), "update_contact"))
        assert isinstance(made, Ticket)
        held.calls.finish(made, Finished(CallOutcome.ANSWERED, DecisionReason.ALLOWED, 0))
        await held.settled()
        assert len(await store.leases("sales")) == 1
        for _ in range(3):
            upkeep.task_ended("uid-t1")
        async with asyncio.timeout(20):
            while await store.leases("sales"):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        other = asked(caller(effective(), task("t2")), "update_contact")
        assert isinstance(await held.calls.admit_tool(other), Ticket)


async def test_ended_tasks_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.gateway.control.upkeep.MAX_ENDED_TASKS", 2)
    async with opened() as store:
        upkeep = Upkeep(store, GatewayMetrics(), FAST, lambda _: None)
        for number in range(5):
            upkeep.task_ended(f"uid-{number}")
        assert list(upkeep._ended) == ["uid-3", "uid-4"]


async def test_of_very_many_ended_tasks_those_that_hold_records_are_told_to_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aos.gateway.control.upkeep.MANY_TASKS", 2)
    async with opened() as store, controlled(store, FAST) as held:
        await held.calls.admit_tool(asked(caller(effective()), "update_contact"))
        upkeep = Upkeep(store, GatewayMetrics(), FAST, lambda _: None)
        assert await upkeep._worth_ending(["uid-a", "uid-t1", "uid-b"]) == ["uid-t1"]
        assert await upkeep._worth_ending(["uid-a", "uid-b"]) == ["uid-a", "uid-b"]
