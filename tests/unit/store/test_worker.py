import asyncio

from aos.store.worker import Worker


async def test_work_is_done_in_order_and_errors_come_back() -> None:
    worker = Worker("test")
    told: list[object] = []
    end = asyncio.Event()
    worker.do(lambda: 1, lambda result, error: told.append((result, error)))
    failing = ValueError("no")

    def fail() -> None:
        raise failing

    worker.do(fail, lambda result, error: told.append((result, error)))
    worker.do(lambda: None, lambda result, error: end.set())
    await end.wait()
    worker.close()
    assert told == [(1, None), (None, failing)]
