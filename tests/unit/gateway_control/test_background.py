import asyncio
import logging

import pytest

from aos.gateway.control.background import Background
from aos.store.interface import StoreUnavailableError


async def test_work_goes_on_though_nobody_waits_for_it() -> None:
    background, done = Background(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        done.set()

    async def waits() -> None:
        await asyncio.wait((background.start(work()),))

    waiter = asyncio.create_task(waits())
    await asyncio.sleep(0)
    waiter.cancel()
    await background.settle(5)
    assert done.is_set()
    assert len(background) == 0


async def test_what_begins_while_it_settles_is_waited_for_too() -> None:
    background, done = Background(), asyncio.Event()

    async def last() -> None:
        done.set()

    async def first() -> None:
        background.start(last())

    background.start(first())
    assert await background.settle(5) == 0
    assert done.is_set()


async def test_what_does_not_end_is_given_up() -> None:
    background = Background()
    background.start(asyncio.Event().wait())
    assert await background.settle(0.01) == 1


async def test_a_fault_is_told_by_its_place_and_not_by_its_words(caplog: pytest.LogCaptureFixture) -> None:
    background, secret = Background(), "contact/7"

    async def fails() -> None:
        int(secret)

    async def is_unavailable() -> None:
        raise StoreUnavailableError("no disk")

    with caplog.at_level(logging.ERROR):
        background.start(fails())
        background.start(is_unavailable())
        await background.settle(5)
    assert "ValueError" in caplog.text
    assert secret not in caplog.text
    assert "no disk" not in caplog.text
