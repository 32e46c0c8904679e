import asyncio
import threading

import pytest

from aos.gateway.off_loop import MAX_BYTES_ON_LOOP, OffLoop, size_of
from aos.inspection.sizes import DataTooLargeError

LONG = MAX_BYTES_ON_LOOP + 1


async def test_short_texts_are_looked_through_at_once() -> None:
    assert await OffLoop().do("a", MAX_BYTES_ON_LOOP, threading.get_ident) == threading.get_ident()


async def test_the_loop_serves_others_while_a_long_text_is_looked_through() -> None:
    served = threading.Event()

    def work() -> bool:
        return served.wait(10)

    asyncio.get_running_loop().call_later(0.01, served.set)
    assert await OffLoop().do("a", LONG, work)


async def test_what_a_text_is_refused_for_reaches_its_sender() -> None:
    def work() -> None:
        raise DataTooLargeError("it is too much")

    with pytest.raises(DataTooLargeError, match="too much"):
        await OffLoop().do("a", LONG, work)


async def test_a_text_that_takes_too_long_is_refused_and_keeps_its_agents_turn_alone() -> None:
    here = OffLoop(wait_seconds=0.05)
    hangs = threading.Event()
    with pytest.raises(DataTooLargeError, match=r"more than 0.05 seconds; send or ask"):
        await here.do("slow", LONG, hangs.wait)
    with pytest.raises(DataTooLargeError):
        await here.do("slow", LONG, lambda: None)
    assert await here.do("other", LONG, lambda: "done") == "done"
    hangs.set()
    later = OffLoop(wait_seconds=10)
    later._threads, later._turns = here._threads, here._turns
    assert await later.do("slow", LONG, lambda: "done") == "done"


async def test_more_long_texts_than_may_wait_are_refused() -> None:
    here = OffLoop(max_waiting=1)
    hangs = threading.Event()
    first = asyncio.ensure_future(here.do("a", LONG, hangs.wait))
    await asyncio.sleep(0)
    with pytest.raises(DataTooLargeError, match="try again later"):
        await here.do("b", LONG, lambda: None)
    hangs.set()
    assert await first
    assert await here.do("b", LONG, lambda: 1) == 1


async def test_one_that_sends_many_leaves_places_to_others() -> None:
    here = OffLoop(max_waiting=3, max_waiting_of_one=2)
    hangs = threading.Event()
    many = [asyncio.ensure_future(here.do("a", LONG, hangs.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(DataTooLargeError, match="2 of them of this Task"):
        await here.do("a", LONG, lambda: None)
    assert await here.do("b", LONG, lambda: 1) == 1
    hangs.set()
    assert await asyncio.gather(*many) == [True, True]
    assert await here.do("a", LONG, lambda: 2) == 2


async def test_a_client_that_leaves_gives_up_its_place() -> None:
    here = OffLoop(max_waiting=1)
    hangs = threading.Event()
    first = asyncio.ensure_future(here.do("a", LONG, hangs.wait))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert await here.do("b", LONG, lambda: 1) == 1
    hangs.set()
    assert await here.do("a", LONG, lambda: 2) == 2


def test_what_can_not_be_written_has_no_size() -> None:
    assert size_of({"a": 1}) == 7
    assert size_of([2**70]) == 0
