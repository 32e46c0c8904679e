"""Waiting by a clock."""

import asyncio

import pytest

from aos.kube.clock import SystemClock, sleep, within
from tests.unit.kube.fakes import FakeClock, settle


async def test_sleep_ends_at_its_time_and_not_before() -> None:
    clock = FakeClock()
    task = asyncio.create_task(sleep(clock, 5))
    await clock.advance(4.9)
    assert not task.done()
    await clock.advance(0.1)
    assert task.done()


async def test_a_cancelled_sleep_leaves_no_timer() -> None:
    clock = FakeClock()
    task = asyncio.create_task(sleep(clock, 5))
    await settle()
    task.cancel()
    await settle()
    assert clock.pending == 0


async def test_within_gives_the_result_and_leaves_no_timer() -> None:
    clock = FakeClock()

    async def work() -> int:
        return 3

    assert await within(clock, 1, work()) == 3
    assert clock.pending == 0


async def test_within_cancels_what_takes_too_long() -> None:
    clock = FakeClock()
    hanging: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(within(clock, 1, hanging))
    await clock.advance(1)
    with pytest.raises(TimeoutError, match="1 s"):
        await task
    assert hanging.cancelled()


async def test_within_passes_on_its_callers_end() -> None:
    clock = FakeClock()
    hanging: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(within(clock, 1, hanging))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hanging.cancelled()


async def test_the_system_clock_calls_back_and_goes_on() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await sleep(clock, 0.001)
    await sleep(clock, 0)
    assert clock.monotonic() > before
