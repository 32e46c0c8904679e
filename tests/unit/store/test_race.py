import asyncio

from tests.unit.store.conftest import Backend
from tests.unit.store.racing import race, standing

CALLS = 400
MOST_SECONDS = 240.0


async def test_processes_that_race_and_are_killed_never_overrun_a_budget_nor_leak_of_it(
    backend: Backend,
) -> None:
    killed = await asyncio.to_thread(race, backend.url, CALLS, 8, 8, MOST_SECONDS)
    store = await backend.open()
    found = await standing(store, killed)
    assert found.intents == found.calls_used == CALLS
    assert found.tokens_used == found.tokens_by_rows
    assert found.swept == found.intents - found.outcomes
    assert await store.sweep() == 0
