import asyncio

import pytest

from aos.controllers.together import together


class _BrokenError(Exception):
    pass


async def forever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise _BrokenError


async def nothing() -> None:
    await asyncio.sleep(0)


async def test_the_others_end_with_the_work() -> None:
    ended = []

    async def watched() -> None:
        try:
            await forever()
        finally:
            ended.append("watched")

    await together(nothing(), watched())
    assert ended == ["watched"]


async def test_a_failure_beside_ends_the_work_and_is_raised_as_it_is() -> None:
    with pytest.raises(_BrokenError):
        await together(forever(), fail())


async def test_a_failure_of_the_work_is_raised_as_it_is() -> None:
    with pytest.raises(_BrokenError):
        await together(fail(), forever())


async def test_nothing_beside_may_end_before_the_work() -> None:
    with pytest.raises(RuntimeError, match="ended too early"):
        await together(forever(), nothing())


async def test_cancelling_cancels_all_and_waits_for_their_end() -> None:
    ended = []

    async def slow() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            ended.append("slow")

    running = asyncio.create_task(together(slow(), slow()))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == ["slow", "slow"]
