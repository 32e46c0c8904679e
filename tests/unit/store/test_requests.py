import asyncio
from collections.abc import Callable

import pytest

from aos.store.interface import StoreUnavailableError
from aos.store.requests import Requests, Rows, answer
from aos.store.settings import StoreSettings
from tests.unit.store.make import admission, completion


class Operation:
    """Takes a transaction of its own."""


def queue(wake: Callable[[], None] = lambda: None, **bounds: float) -> Requests[Operation]:
    return Requests(StoreSettings(**bounds), wake)  # type: ignore[arg-type]


async def test_jobs_share_a_batch_and_an_operation_has_its_own() -> None:
    requests = queue(max_batch=2)
    operation = Operation()
    for job in (admission(), completion("c"), Rows(()), operation, admission()):
        requests.submit(job)
    batches = []
    while batch := requests.take():
        batches.append(len(batch))
        assert all(request.job is not operation for request in batch) or len(batch) == 1
    assert batches == [2, 1, 1, 1]


async def test_requests_of_one_round_of_the_loop_wake_once() -> None:
    woken: list[int] = []
    requests = queue(lambda: woken.append(len(requests)))
    requests.submit(admission())
    requests.submit(admission())
    assert woken == []
    await asyncio.sleep(0)
    assert woken == [2]


async def test_more_than_may_wait_are_refused() -> None:
    requests = queue(max_waiting=1)
    requests.submit(admission())
    with pytest.raises(StoreUnavailableError, match="1 requests wait already"):
        requests.submit(admission())


async def test_an_admission_that_nobody_waits_for_is_not_begun_and_a_settlement_is() -> None:
    requests = queue()
    requests.submit(admission()).cancel()
    settled = requests.submit(completion("c"))
    settled.cancel()
    (request,) = requests.take()
    assert request.future is settled
    answer(request, None)


async def test_nobody_waits_longer_than_the_bound() -> None:
    requests = queue(answer_seconds=0.01)
    begun = requests.submit(admission())
    requests.take()
    waiting = requests.submit(admission())
    for future in (begun, waiting):
        with pytest.raises(StoreUnavailableError, match=r"no answer within 0\.01 s"):
            await future
    assert not len(requests)


async def test_who_waits_is_told_when_the_store_closes() -> None:
    requests = queue()
    future = requests.submit(admission())
    requests.fail_waiting(StoreUnavailableError("closed"))
    with pytest.raises(StoreUnavailableError, match="closed"):
        await future
