"""Counters: what both backends do with charges, settlements and dead holders."""

import asyncio
from dataclasses import replace

import pytest

from aos.store.interface import Admitted, Completion, Exhausted, Store, StoreUnavailableError
from tests.unit.store.conftest import Backend
from tests.unit.store.make import admission, charge, completion, event, owned


async def test_a_call_is_admitted_until_the_limit_and_not_once_more(store: Store) -> None:
    for _ in range(3):
        assert await store.admit(admission(charge(limit=3))) == Admitted()
    refused = await store.admit(admission(charge(limit=3)))
    assert isinstance(refused, Exhausted)
    assert refused.used == 3
    assert refused.frees_after_seconds is not None
    assert 0 < refused.frees_after_seconds <= 61


async def test_all_charges_are_taken_or_none(store: Store) -> None:
    refused = await store.admit(admission(charge("wide", limit=9), charge("narrow", amount=2, limit=1)))
    assert isinstance(refused, Exhausted)
    assert refused.charge.counter == "narrow"
    assert refused.frees_after_seconds is None
    assert await store.used([("wide", 60), ("narrow", 60)]) == {"wide": 0, "narrow": 0}


async def test_two_charges_to_one_counter_count_together(store: Store) -> None:
    assert isinstance(await store.admit(admission(charge(amount=6), charge(amount=5))), Exhausted)
    call = admission(charge(amount=6), charge(amount=4))
    assert await store.admit(call) == Admitted()
    await store.finish(completion(call.call, budget=3))
    assert await store.used([("budget", 60)]) == {"budget": 3}


async def test_a_settlement_gives_back_what_was_not_used(store: Store) -> None:
    call = admission(charge(amount=8))
    await store.admit(call)
    await store.finish(completion(call.call, budget=3))
    assert await store.used([("budget", 60)]) == {"budget": 3}
    assert await store.admit(admission(charge(amount=7))) == Admitted()


async def test_a_settlement_above_the_reservation_is_recorded(store: Store) -> None:
    call = admission(charge(amount=8))
    await store.admit(call)
    await store.finish(completion(call.call, budget=25))
    refused = await store.admit(admission(charge()))
    assert isinstance(refused, Exhausted)
    assert refused.used == 25


async def test_a_settlement_of_zero_releases(store: Store) -> None:
    call = admission(charge(amount=8))
    await store.admit(call)
    await store.finish(completion(call.call, budget=0))
    assert await store.used([("budget", 60)]) == {"budget": 0}


async def test_counters_that_a_completion_does_not_name_keep_what_was_reserved(store: Store) -> None:
    call = admission(charge("a", amount=2), charge("b", amount=3))
    await store.admit(call)
    await store.finish(completion(call.call, a=1))
    assert await store.used([("a", 60), ("b", 60)]) == {"a": 1, "b": 3}


async def test_finishing_again_changes_nothing(backend: Backend) -> None:
    store = await backend.open("mine")
    call = admission(charge(amount=8))
    await store.admit(call)
    for _ in range(3):
        await store.finish(completion(call.call, budget=3))
    assert await store.used([("budget", 60)]) == {"budget": 3}
    assert next(head.sequence for head in await store.heads() if head.chain == "mine") == 3


async def test_finishing_a_call_that_never_was_changes_nothing(store: Store) -> None:
    await store.finish(completion("never", budget=3))
    assert await store.used([("budget", 60)]) == {"budget": 0}


async def test_units_without_a_window_are_never_given_back_by_time(store: Store) -> None:
    await store.admit(admission(owned("task", limit=1)))
    refused = await store.admit(admission(owned("task", limit=1)))
    assert isinstance(refused, Exhausted)
    assert refused.frees_after_seconds is None


async def test_units_are_free_again_once_the_window_has_passed(store: Store) -> None:
    await store.admit(admission(charge(limit=1, window_seconds=1)))
    refused = await store.admit(admission(charge(limit=1, window_seconds=1)))
    assert isinstance(refused, Exhausted)
    assert refused.frees_after_seconds is not None
    await asyncio.sleep(refused.frees_after_seconds + 0.01)
    assert await store.admit(admission(charge(limit=1, window_seconds=1))) == Admitted()


async def test_the_end_of_a_task_deletes_its_own_counters_and_no_others(store: Store) -> None:
    ended = admission(owned("ended", "a"), charge())
    await store.admit(ended)
    await store.admit(admission(owned("running", "b")))
    await store.end_task("ended")
    assert await store.used([("a", 0), ("b", 0), ("budget", 60)]) == {"a": 0, "b": 1, "budget": 1}
    await store.finish(completion(ended.call, a=5, budget=4))
    assert await store.used([("a", 0), ("budget", 60)]) == {"a": 0, "budget": 4}


async def test_a_holder_that_died_is_charged_at_its_estimate(backend: Backend) -> None:
    dying = await backend.open()
    call = admission(charge(amount=7), expires_seconds=0)
    await dying.admit(call)
    await dying.close()
    other = await backend.open()
    assert await other.sweep() == 1
    assert await other.sweep() == 0
    assert await other.used([("budget", 60)]) == {"budget": 7}


async def test_a_call_that_took_longer_than_it_may_is_settled_all_the_same(store: Store) -> None:
    call = admission(charge(amount=7), expires_seconds=0)
    await store.admit(call)
    assert await store.sweep() == 1
    await store.finish(completion(call.call, budget=9))
    assert await store.used([("budget", 60)]) == {"budget": 9}


async def test_a_call_may_be_finished_by_another_process_than_admitted_it(backend: Backend) -> None:
    first, second = await backend.open(), await backend.open()
    call = admission(charge(amount=7))
    await first.admit(call)
    await second.finish(completion(call.call, budget=2))
    await first.finish(completion(call.call, budget=5))
    assert await first.used([("budget", 60)]) == {"budget": 2}


async def test_what_one_replica_gives_back_another_may_take(backend: Backend) -> None:
    first, second = await backend.open(), await backend.open()
    call = admission(charge(amount=10))
    await first.admit(call)
    assert isinstance(await second.admit(admission(charge())), Exhausted)
    await first.finish(completion(call.call, budget=9))
    assert await second.admit(admission(charge())) == Admitted()
    assert isinstance(await first.admit(admission(charge())), Exhausted)


async def test_many_calls_at_once_never_exceed_the_limit(backend: Backend) -> None:
    replicas = [await backend.open() for _ in range(3)]
    asked = [
        store.admit(admission(charge("a", limit=40), charge(f"b{number % 7}", limit=9)))
        for number in range(60)
        for store in replicas
    ]
    admitted = sum(result == Admitted() for result in await asyncio.gather(*asked))
    used = await replicas[0].used([("a", 60), *((f"b{number}", 60) for number in range(7))])
    assert admitted == used["a"] == sum(used.values()) - used["a"] == 40


async def test_counters_outlive_a_restart(backend: Backend) -> None:
    store = await backend.open()
    await store.admit(admission(charge(amount=10)))
    await store.close()
    assert isinstance(await (await backend.open()).admit(admission(charge())), Exhausted)


async def test_a_request_that_can_not_be_kept_spoils_no_other(store: Store) -> None:
    twice = admission(charge(), call="twice")
    assert await store.admit(twice) == Admitted()
    results = await asyncio.gather(
        store.admit(admission(charge())),
        store.admit(twice),
        store.admit(admission(charge("\ud800"))),
        store.admit(replace(admission(charge()), intent=event(time="yesterday"))),
        store.admit(admission(charge())),
        return_exceptions=True,
    )
    assert [results[0], results[4]] == [Admitted(), Admitted()]
    assert all(isinstance(result, StoreUnavailableError) for result in results[1:4])
    assert await store.used([("budget", 60)]) == {"budget": 3}


async def test_a_caller_that_gives_up_leaks_nothing(store: Store) -> None:
    call = admission(charge(amount=4), expires_seconds=0)
    waiting = asyncio.ensure_future(store.admit(call))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.ping()
    used = (await store.used([("budget", 60)]))["budget"]
    assert used in {0, 4}
    assert await store.sweep() == used // 4


async def test_old_cells_are_swept_and_others_stay(store: Store) -> None:
    await store.admit(admission(charge("short", window_seconds=1), charge("long")))
    await asyncio.sleep(4)
    await store.sweep()
    assert await store.used([("short", 1), ("long", 60)]) == {"short": 0, "long": 1}
    assert await store.admit(admission(charge("short", window_seconds=1))) == Admitted()


async def test_a_completion_without_an_outcome_writes_no_row(backend: Backend) -> None:
    store = await backend.open("mine")
    call = admission(charge())
    await store.admit(call)
    await store.finish(Completion(call.call))
    assert [head.sequence for head in await store.heads()] == [2]
