"""What approved calls leave behind in the gateway's memory, once they were made and their requests are gone."""

import gc
from collections import Counter
from pathlib import Path

from aos.gateway.caller import Caller
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore
from tests.unit.gateway_approvals.world import Desk, call, caller, desk

FEW_CELLS = StoreSettings(max_cached_cells=4)
CALLS = 12
WAITING = frozenset({"_asyncio.Task", "_asyncio.Future", "asyncio.locks.Event", "asyncio.locks.Lock"})


def held_objects() -> Counter[str]:
    """Return how many objects of the product there are, and of what waits for something, by type."""
    gc.collect()
    names = (f"{type(item).__module__}.{type(item).__qualname__}" for item in gc.get_objects())
    return Counter(name for name in names if name.startswith("aos.") or name in WAITING)


async def approve_and_make(at: Desk, by: Caller, first: int) -> None:
    """Make calls about a record each, all approved; then their requests go."""
    for number in range(first, first + CALLS):
        held = call({"id": str(number), "stage": "won"}, by=by)
        await at.refused(held)
        at.people.decide(held.name, "lena@example.com", groups=("sales-leads",))
        await at.make(held)
        await at.people.marked(held.name, "use")
        for key in list(at.people.objects):
            at.people.remove(key)
        at.people.applied.clear()


async def test_approved_calls_of_one_task_leave_nothing_in_memory(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", "gateway-0-1", FEW_CELLS)
    await store.open()
    async with desk(store=store) as at:
        by = caller()
        await approve_and_make(at, by, 0)
        before = held_objects()
        await approve_and_make(at, by, CALLS)
        more = held_objects() - before
    await store.close()
    assert {name: count for name, count in more.items() if count >= CALLS // 2} == {}
