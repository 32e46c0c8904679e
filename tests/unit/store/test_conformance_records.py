"""Leases and identical writes: what both backends do when two Tasks write one record."""

import asyncio
from dataclasses import replace

import pytest

from aos.store.interface import Admitted, Completion, Duplicate, DuplicateCheck, RecordBusy, Store
from aos.store.settings import StoreSettings
from tests.unit.store.conftest import Backend
from tests.unit.store.make import admission, charge, check, completion, lease


async def test_the_first_writer_holds_the_record_and_the_other_is_told_by_whom(store: Store) -> None:
    assert await store.admit(admission(lease=lease(task="a"))) == Admitted()
    busy = await store.admit(admission(charge(), lease=lease(task="b")))
    assert isinstance(busy, RecordBusy)
    assert (busy.lease.task, busy.lease.agent, busy.lease.task_uid) == ("a", "agent-a", "a-uid")
    assert await store.used([("budget", 60)]) == {"budget": 0}


async def test_the_holder_may_write_again_and_another_record_is_free(store: Store) -> None:
    await store.admit(admission(lease=lease(task="a")))
    assert await store.admit(admission(lease=lease(task="a"))) == Admitted()
    assert await store.admit(admission(lease=lease("contact/2", task="b"))) == Admitted()


async def test_a_lease_ends_by_itself(store: Store) -> None:
    call = admission(lease=lease(task="a", seconds=1))
    await store.admit(call)
    await store.finish(completion(call.call))
    busy = await store.admit(admission(lease=lease(task="b")))
    assert isinstance(busy, RecordBusy)
    await asyncio.sleep(1.1)
    assert await store.leases("") == []
    assert await store.admit(admission(lease=lease(task="b"))) == Admitted()


async def test_a_call_that_was_certainly_not_made_leaves_its_record_as_it_was(backend: Backend) -> None:
    store, other = await backend.open(), await backend.open()
    for made in (False, True):
        call = admission(lease=lease(task="a"))
        await store.admit(call)
        assert isinstance(await other.admit(admission(lease=lease(task="b"))), RecordBusy)
        await store.finish(Completion(call.call, forget_lease=not made))
        assert bool(await other.leases("")) is made
    lost = admission(lease=lease(task="a"))
    await other.admit(lost)
    await other.finish(Completion(lost.call, forget_lease=True))
    assert isinstance(await store.admit(admission(lease=lease(task="b"))), RecordBusy)
    await store.free_lease("contact/1", "sales")
    assert await store.admit(admission(lease=lease(task="b"))) == Admitted()


async def test_a_lease_lasts_while_its_call_may_be_under_way(store: Store) -> None:
    await store.admit(admission(lease=lease(task="a", seconds=0), expires_seconds=600))
    assert isinstance(await store.admit(admission(lease=lease(task="b"))), RecordBusy)


async def test_the_end_of_a_task_frees_its_records(store: Store) -> None:
    call = admission(lease=lease(task="a"))
    await store.admit(call)
    await store.finish(completion(call.call))
    await store.end_task("a-uid")
    assert await store.leases("") == []
    assert await store.admit(admission(lease=lease(task="b"))) == Admitted()


async def test_a_write_under_way_when_its_task_ends_holds_the_record_until_it_is_done(
    backend: Backend,
) -> None:
    store, other = await backend.open(), await backend.open()
    done, under_way = admission(lease=lease(task="a")), admission(lease=lease(task="a"))
    await store.admit(done)
    await store.admit(under_way)
    await store.finish(completion(done.call))
    await other.end_task("a-uid")
    assert isinstance(await other.admit(admission(lease=lease(task="b"))), RecordBusy)
    assert [held.task for held in await store.leases("sales")] == ["a"]
    await store.finish(completion(under_way.call))
    assert await store.leases("") == []
    assert await other.admit(admission(lease=lease(task="b"))) == Admitted()


async def test_a_write_that_never_ends_frees_the_record_of_an_ended_task_in_time(store: Store) -> None:
    await store.admit(admission(lease=lease(task="a", seconds=1), expires_seconds=0))
    await store.end_task("a-uid")
    assert isinstance(await store.admit(admission(lease=lease(task="b"))), RecordBusy)
    await asyncio.sleep(1.1)
    assert await store.admit(admission(lease=lease(task="b"))) == Admitted()


async def test_leases_are_listed_by_namespace_and_freed_by_hand(store: Store) -> None:
    await store.admit(admission(lease=lease()))
    await store.admit(admission(lease=replace(lease("contact/2"), namespace="support")))
    assert [found.record for found in await store.leases("sales")] == ["contact/1"]
    assert len(await store.leases("")) == 2
    assert await store.free_lease("contact/1", "support") is None
    freed = await store.free_lease("contact/1", "sales")
    assert freed is not None
    assert freed.task == "a"
    assert await store.free_lease("contact/1", "sales") is None
    assert await store.admit(admission(lease=lease(task="b"))) == Admitted()


async def test_finishing_does_not_take_back_a_record_that_was_freed(store: Store) -> None:
    first = admission(lease=lease(task="a"))
    await store.admit(first)
    await store.free_lease("contact/1", "sales")
    await store.admit(admission(lease=lease(task="b")))
    await store.finish(completion(first.call))
    assert [found.task for found in await store.leases("")] == ["b"]


async def test_an_identical_write_under_way_is_not_made_twice(store: Store) -> None:
    await store.admit(admission(duplicates=(check(task="a"),), call="first", task="a"))
    duplicate = await store.admit(admission(charge(), lease=lease(task="b"), duplicates=(check(task="b"),)))
    assert duplicate == Duplicate(None, "first", "a", "agent-a", under_way=True)
    assert await store.used([("budget", 60)]) == {"budget": 0}
    assert await store.leases("") == []


async def test_an_identical_write_gets_the_first_ones_answer(backend: Backend) -> None:
    first, second = await backend.open(), await backend.open()
    await first.admit(admission(duplicates=(check(task="a"),), call="first", task="a"))
    await first.finish(completion("first", b"answer"))
    duplicate = await second.admit(admission(duplicates=(check(task="b"),)))
    assert duplicate == Duplicate(b"answer", "first", "a", "agent-a", under_way=False)


async def test_a_tasks_own_write_is_no_duplicate_and_keeps_the_first_ones_answer(store: Store) -> None:
    await store.admit(admission(duplicates=(check(task="a"),), call="first", task="a"))
    await store.finish(completion("first", b"answer"))
    assert await store.admit(admission(duplicates=(check(task="a"),), call="again", task="a")) == Admitted()
    await store.finish(Completion("again", forget_duplicate=True))
    duplicate = await store.admit(admission(duplicates=(check(task="b"),)))
    assert isinstance(duplicate, Duplicate)
    assert duplicate.result == b"answer"


async def test_a_write_that_certainly_did_not_happen_is_forgotten(store: Store) -> None:
    await store.admit(admission(duplicates=(check(task="a"),), call="first"))
    await store.finish(Completion("first", forget_duplicate=True))
    assert await store.admit(admission(duplicates=(check(task="b"),))) == Admitted()


async def test_a_write_counts_for_its_window(store: Store) -> None:
    await store.admit(admission(duplicates=(check(task="a", seconds=1),), call="first"))
    await store.finish(completion("first", b"answer"))
    await asyncio.sleep(1.1)
    assert await store.admit(admission(duplicates=(check(task="b", seconds=1),))) == Admitted()


async def test_a_write_whose_holder_died_is_known_without_an_answer(backend: Backend) -> None:
    dying = await backend.open()
    await dying.admit(admission(duplicates=(check(task="a"),), call="first", expires_seconds=0))
    await dying.close()
    other = await backend.open()
    await other.sweep()
    duplicate = await other.admit(admission(duplicates=(check(task="b"),)))
    assert isinstance(duplicate, Duplicate)
    assert (duplicate.result, duplicate.under_way) == (None, False)


async def test_an_answer_that_is_too_long_is_not_kept(backend: Backend) -> None:
    store = await backend.open(settings=StoreSettings(max_result_bytes=3))
    await store.admit(admission(duplicates=(check(task="a"),), call="first"))
    await store.finish(completion("first", b"long"))
    duplicate = await store.admit(admission(duplicates=(check(task="b"),)))
    assert isinstance(duplicate, Duplicate)
    assert duplicate.result is None


async def test_a_write_is_looked_for_by_each_of_its_checks_and_the_first_that_finds_one_decides(
    backend: Backend,
) -> None:
    first, second = await backend.open(), await backend.open()
    both = (check("of-step", "attempt-1"), check("anybody", "a", seconds=1))
    await first.admit(admission(duplicates=both, call="first", task="a"))
    await first.finish(completion("first", b"answer"))
    again = (check("of-step", "attempt-2"), check("anybody", "b"))
    found = await second.admit(admission(duplicates=again))
    assert found == Duplicate(b"answer", "first", "a", "agent-a", under_way=False)
    other = (check("of-another-step", "attempt-1"), check("anybody", "b"))
    assert isinstance(await second.admit(admission(duplicates=other)), Duplicate)
    same_attempt = (check("of-step", "attempt-1"),)
    assert await second.admit(admission(duplicates=same_attempt)) == Admitted()


async def test_a_write_that_certainly_did_not_happen_is_forgotten_for_all_its_checks(store: Store) -> None:
    both = (check("of-step", "attempt-1"), check("anybody", "a"))
    await store.admit(admission(duplicates=both, call="first"))
    await store.finish(Completion("first", forget_duplicate=True))
    again = (check("of-step", "attempt-2"), check("anybody", "b"))
    assert await store.admit(admission(duplicates=again)) == Admitted()


def step(attempt: int) -> tuple[DuplicateCheck, ...]:
    """Return the checks of an attempt whose write does no harm twice."""
    return (check("of-step", f"attempt-{attempt}", repeats=True), check("anybody", f"task-{attempt}"))


async def test_a_write_of_unknown_answer_that_does_no_harm_twice_is_made_again_as_the_same_one(
    backend: Backend,
) -> None:
    dying = await backend.open()
    await dying.admit(admission(duplicates=step(1), call="first", lease=lease(task="a"), task="a"))
    await dying.close()
    other = await backend.open()
    await other.end_task("a-uid")
    again = await other.admit(admission(duplicates=step(2), call="second", lease=lease(task="b"), task="b"))
    assert again == Admitted("first")
    await other.close()
    last = await backend.open()
    await last.end_task("b-uid")
    third = admission(duplicates=step(3), call="third", lease=lease(task="c"), task="c")
    assert await last.admit(third) == Admitted("first")
    await last.finish(completion("third", b"answer"))
    assert await last.admit(admission(duplicates=step(4), lease=lease(task="c"))) == Duplicate(
        b"answer", "third", "c", "agent-c", under_way=False
    )


async def test_a_write_that_was_made_again_and_this_time_certainly_not_is_still_the_one_of_unknown_answer(
    store: Store,
) -> None:
    await store.admit(admission(duplicates=step(1), call="first", task="a"))
    assert await store.admit(admission(duplicates=step(2), call="second")) == Admitted("first")
    await store.finish(Completion("second", result=b"an error of the tool", forget_duplicate=True))
    assert await store.admit(admission(duplicates=step(3), call="third")) == Admitted("first")


async def test_a_write_made_again_and_this_time_certainly_not_holds_the_record_for_the_one_before(
    store: Store,
) -> None:
    await store.admit(admission(duplicates=step(1), call="first", lease=lease(task="a"), task="a"))
    await store.end_task("a-uid")
    again = admission(duplicates=step(2), call="second", lease=lease(task="b"), task="b")
    assert await store.admit(again) == Admitted("first")
    await store.finish(Completion("second", forget_duplicate=True, forget_lease=True))
    assert isinstance(await store.admit(admission(lease=lease(task="c"))), RecordBusy)


async def test_a_write_that_does_no_harm_twice_and_was_certainly_not_made_is_a_new_one(store: Store) -> None:
    await store.admit(admission(duplicates=step(1), call="first"))
    await store.finish(Completion("first", forget_duplicate=True))
    assert await store.admit(admission(duplicates=step(2), call="second")) == Admitted()


async def test_calls_that_took_too_long_keep_no_record_from_the_write_made_again(store: Store) -> None:
    await store.admit(admission(duplicates=step(1), call="first", lease=lease(task="a"), task="a"))
    lost = admission(call="lost", lease=lease(task="a", seconds=1), expires_seconds=1, task="a")
    await store.admit(lost)
    await store.end_task("a-uid")
    again = admission(duplicates=step(2), lease=lease(task="b"), task="b")
    assert isinstance(await store.admit(again), RecordBusy)
    await asyncio.sleep(2.1)
    assert await store.admit(again) == Admitted("first")


@pytest.mark.parametrize("ended", [True, False])
async def test_a_record_that_is_held_for_more_than_the_write_made_again_stays_held(
    store: Store, *, ended: bool
) -> None:
    await store.admit(admission(duplicates=step(1), call="first", lease=lease(task="a"), task="a"))
    if ended:
        await store.admit(admission(call="another", lease=lease(task="a"), task="a"))
        await store.end_task("a-uid")
    again = admission(duplicates=step(2), lease=lease(task="b"), task="b")
    assert isinstance(await store.admit(again), RecordBusy)


async def test_attack_20_of_many_that_race_for_one_write_of_a_step_exactly_one_makes_it(
    backend: Backend,
) -> None:
    stores = [await backend.open() for _ in range(2)]
    asked = [
        admission(duplicates=(check("of-step", f"attempt-{number}"), check("anybody", f"t{number}")))
        for number in range(8)
    ]
    found = await asyncio.gather(*(stores[number % 2].admit(item) for number, item in enumerate(asked)))
    assert sorted(type(item).__name__ for item in found) == ["Admitted", *["Duplicate"] * 7]
