"""Values that agents share: what both backends do with them."""

import asyncio
from dataclasses import replace

import pytest

from aos.store.interface import (
    Admitted,
    MemoryConflict,
    MemoryPut,
    MemoryValue,
    Store,
    StoreUnavailableError,
)
from tests.unit.store.conftest import Backend
from tests.unit.store.make import admission, lease, owned

PUT = MemoryPut("tool/sales", "run-1", "sales", b'{"a":1}', 60)


async def put(store: Store, asked: MemoryPut = PUT) -> MemoryValue:
    kept = await store.put_memory(asked)
    assert isinstance(kept, MemoryValue)
    return kept


async def test_what_was_put_is_got_until_something_else_is_put(store: Store) -> None:
    assert await store.memory(PUT.key) is None
    first = await put(store)
    assert await store.memory(PUT.key) == first
    assert first.content == PUT.content
    second = await put(store, replace(PUT, content=b"2"))
    assert second.version > first.version
    assert await store.memory(PUT.key) == second
    assert await store.memory("tool/other") is None


async def test_a_put_for_a_version_that_is_gone_is_refused_and_changes_nothing(store: Store) -> None:
    assert await store.put_memory(replace(PUT, if_version=7)) == MemoryConflict(0)
    first = await put(store, replace(PUT, if_version=0))
    assert await store.put_memory(replace(PUT, if_version=0)) == MemoryConflict(first.version)
    second = await put(store, replace(PUT, content=b"2", if_version=first.version))
    assert await store.put_memory(replace(PUT, if_version=first.version)) == MemoryConflict(second.version)
    assert await store.memory(PUT.key) == second


async def test_of_those_that_race_for_one_version_one_wins(backend: Backend) -> None:
    one = await backend.open()
    others = [one] if backend.url.startswith("sqlite") else [one, await backend.open()]
    first = await put(one)
    puts = [replace(PUT, content=b"%d" % number, if_version=first.version) for number in range(12)]
    answers = await asyncio.gather(*(others[i % len(others)].put_memory(each) for i, each in enumerate(puts)))
    (won,) = [answer for answer in answers if isinstance(answer, MemoryValue)]
    assert {answer for answer in answers if isinstance(answer, MemoryConflict)} == {
        MemoryConflict(won.version)
    }
    assert await one.memory(PUT.key) == won


async def test_those_that_race_to_be_first_are_one_too(backend: Backend) -> None:
    one = await backend.open()
    others = [one] if backend.url.startswith("sqlite") else [one, await backend.open()]
    answers = await asyncio.gather(
        *(others[i % len(others)].put_memory(replace(PUT, if_version=0)) for i in range(8))
    )
    assert sum(isinstance(answer, MemoryValue) for answer in answers) == 1


async def test_what_was_deleted_is_gone_and_its_version_is_never_met_again(store: Store) -> None:
    assert await store.delete_memory(PUT.key, None) is None
    first = await put(store)
    assert await store.delete_memory(PUT.key, first.version - 1) == MemoryConflict(first.version)
    assert await store.delete_memory(PUT.key, first.version) is None
    assert await store.memory(PUT.key) is None
    await asyncio.sleep(0.005)
    assert (await put(store)).version > first.version


async def test_a_value_whose_time_is_up_is_gone(store: Store) -> None:
    await put(store, replace(PUT, seconds=0))
    assert await store.memory(PUT.key) is None
    await put(store, replace(PUT, if_version=0))
    await put(store, replace(PUT, key="old", seconds=0, owner="run-2"))
    assert await store.memory_owners() == {"run-1", "run-2"}
    await store.sweep()
    assert await store.memory_owners() == {"run-1"}
    assert await store.memory(PUT.key) is not None


async def test_the_end_of_its_owner_is_the_end_of_a_value_and_of_no_other(store: Store) -> None:
    await put(store)
    lasting = await put(store, replace(PUT, key="tool/namespace", owner=""))
    of_another = await put(store, replace(PUT, key="tool/run-2", owner="run-2"))
    await store.end_task("run-1")
    assert await store.memory(PUT.key) is None
    assert await store.memory("tool/namespace") == lasting
    assert await store.memory("tool/run-2") == of_another
    assert await store.memory_owners() == {"run-2"}


async def test_values_and_what_calls_take_do_not_meet(store: Store) -> None:
    await put(store, replace(PUT, key="contact/1"))
    call = admission(owned("run-1"), lease=lease("contact/1"))
    assert await store.admit(call) == Admitted()
    kept = await store.memory("contact/1")
    assert kept is not None
    assert kept.content == PUT.content
    assert [held.record for held in await store.leases("sales")] == ["contact/1"]


async def test_a_value_outlives_the_process(backend: Backend) -> None:
    before = await backend.open()
    kept = await put(before)
    await before.close()
    again = await backend.open()
    assert await again.memory(PUT.key) == kept


async def test_a_store_that_is_not_open_says_so(backend: Backend) -> None:
    store = backend.store()
    for asked in (store.memory(PUT.key), store.put_memory(PUT), store.delete_memory(PUT.key, None)):
        with pytest.raises(StoreUnavailableError):
            await asked
