"""The work queue under a clock that stands still."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from aos.kube.backoff import Backoff
from aos.kube.errors import Target, Unavailable
from aos.kube.queue import WorkQueue
from tests.unit.kube.fakes import FakeClock, settle

EXACT = Backoff(initial_seconds=1, cap_seconds=8, jitter=0)


class Work:
    """A process that waits at a gate, and fails for the keys it is told to."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.active: Counter[str] = Counter()
        self.most_active = 0
        self.failures: dict[str, Exception] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, key: str) -> None:
        self.active[key] += 1
        assert self.active[key] == 1, "two workers at one key"
        self.most_active = max(self.most_active, self.active.total())
        try:
            await self.gate.wait()
            if key in self.failures:
                raise self.failures[key]
            self.done.append(key)
        finally:
            self.active[key] -= 1


class Heard:
    def __init__(self) -> None:
        self.depths: list[int] = []
        self.adds = 0
        self.retries = 0
        self.waits: list[float] = []
        self.durations: list[tuple[float, bool]] = []

    def depth(self, keys: int) -> None:
        self.depths.append(keys)

    def added(self) -> None:
        self.adds += 1

    def retried(self) -> None:
        self.retries += 1

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def worked(self, seconds: float, *, failed: bool) -> None:
        self.durations.append((seconds, failed))


class Bench:
    def __init__(self, workers: int = 2) -> None:
        self.clock = FakeClock()
        self.work = Work()
        self.heard = Heard()
        self.queue = WorkQueue[str](
            self.work, workers=workers, backoff=EXACT, clock=self.clock, metrics=self.heard
        )
        self.running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.running = asyncio.create_task(self.queue.run())


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    if bench.running and not bench.running.done():
        bench.running.cancel()
        await asyncio.wait({bench.running})


async def test_keys_added_before_the_start_wait_for_it(bench: Bench) -> None:
    bench.queue.add("a")
    await settle()
    assert (bench.work.done, len(bench.queue)) == ([], 1)
    bench.start()
    await settle()
    assert (bench.work.done, len(bench.queue)) == (["a"], 0)


async def test_a_key_that_waits_is_not_added_twice(bench: Bench) -> None:
    for key in ("a", "b", "a", "b", "a"):
        bench.queue.add(key)
    bench.start()
    await settle()
    assert bench.work.done == ["a", "b"]


async def test_a_key_added_while_it_is_processed_runs_once_more(bench: Bench) -> None:
    bench.work.gate.clear()
    bench.start()
    bench.queue.add("a")
    await settle()
    for _ in range(3):
        bench.queue.add("a")
    await settle()
    assert bench.work.active["a"] == 1
    bench.work.gate.set()
    await settle()
    assert bench.work.done == ["a", "a"]


async def test_no_more_keys_are_processed_at_once_than_there_are_workers(bench: Bench) -> None:
    bench.work.gate.clear()
    bench.start()
    for key in "abcdef":
        bench.queue.add(key)
    await settle()
    assert (bench.work.most_active, len(bench.queue)) == (2, 4)
    bench.work.gate.set()
    await settle()
    assert (bench.work.most_active, bench.work.done) == (2, list("abcdef"))


async def test_a_failure_comes_back_after_growing_delays_and_success_forgets_it(bench: Bench) -> None:
    bench.work.failures["a"] = ValueError("broken")
    bench.start()
    bench.queue.add("a")
    await settle()
    for failures, delay in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 8)):
        assert bench.queue.failures("a") == failures
        await bench.clock.advance(delay - 0.01)
        assert bench.queue.failures("a") == failures
        await bench.clock.advance(0.01)
    del bench.work.failures["a"]
    await bench.clock.advance(8)
    assert (bench.work.done, bench.queue.failures("a")) == (["a"], 0)
    assert bench.heard.retries == 6


async def test_one_keys_failure_holds_up_no_other(bench: Bench) -> None:
    bench.work.failures["a"] = ValueError("broken")
    bench.start()
    for key in "abc":
        bench.queue.add(key)
    await settle()
    assert bench.work.done == ["b", "c"]


async def test_a_failure_that_names_its_wait_waits_so_long(bench: Bench) -> None:
    bench.work.failures["a"] = Unavailable(Target("get", "pods"), 429, "TooManyRequests", "slow down", 5)
    bench.start()
    bench.queue.add("a")
    await bench.clock.advance(4.9)
    assert bench.queue.failures("a") == 1
    await bench.clock.advance(0.2)
    assert bench.queue.failures("a") == 2


async def test_add_after_waits_for_the_earliest_time_asked_for(bench: Bench) -> None:
    bench.start()
    bench.queue.add_after("a", 10)
    bench.queue.add_after("a", 3)
    bench.queue.add_after("a", 5)
    await bench.clock.advance(2.9)
    assert bench.work.done == []
    await bench.clock.advance(0.1)
    assert bench.work.done == ["a"]
    await bench.clock.advance(20)
    assert bench.work.done == ["a"]


async def test_a_key_that_is_forgotten_does_not_come_back_at_the_time_set_for_it(bench: Bench) -> None:
    bench.start()
    bench.work.failures["b"] = ValueError("no")
    bench.queue.add_after("a", 10)
    bench.queue.add("b")
    await settle()
    for key in ("a", "b", "c"):
        bench.queue.forget(key)
    assert (bench.queue.set_times, bench.queue.failures("b")) == (0, 0)
    await bench.clock.advance(20)
    assert bench.work.done == []
    bench.queue.add("a")
    await settle()
    assert bench.work.done == ["a"]


async def test_metrics_hear_depth_adds_waits_and_durations(bench: Bench) -> None:
    bench.queue.add("a")
    bench.queue.add("a")
    await bench.clock.advance(2)
    bench.work.gate.clear()
    bench.start()
    await bench.clock.advance(3)
    bench.work.gate.set()
    await settle()
    assert bench.heard.adds == 2
    assert bench.heard.depths == [1, 0]
    assert bench.heard.waits == [2]
    assert bench.heard.durations == [(3, False)]


async def test_a_drain_finishes_what_is_ready_and_drops_what_waits_for_its_time(bench: Bench) -> None:
    bench.work.gate.clear()
    bench.start()
    for key in "abc":
        bench.queue.add(key)
    bench.queue.add_after("later", 5)
    await settle()
    bench.queue.add("a")
    draining = asyncio.create_task(bench.queue.drain(60))
    await settle()
    bench.queue.add("new")
    bench.queue.add_after("newer", 0)
    bench.work.gate.set()
    await settle()
    assert draining.done()
    assert bench.running is not None
    assert bench.running.done()
    assert bench.work.done == ["a", "b", "c"]
    assert bench.clock.pending == 0


async def test_a_drain_cancels_what_does_not_end_in_time(bench: Bench) -> None:
    bench.work.gate.clear()
    bench.start()
    for key in "abc":
        bench.queue.add(key)
    draining = asyncio.create_task(bench.queue.drain(5))
    await bench.clock.advance(5)
    assert draining.done()
    assert bench.running is not None
    assert bench.running.done()
    assert (bench.work.done, bench.work.active.total()) == ([], 0)


async def test_a_failure_during_the_drain_is_not_tried_again(bench: Bench) -> None:
    bench.work.gate.clear()
    bench.work.failures["a"] = ValueError("broken")
    bench.start()
    bench.queue.add("a")
    draining = asyncio.create_task(bench.queue.drain(5))
    await settle()
    bench.work.gate.set()
    await settle()
    assert draining.done()
    assert (bench.heard.retries, bench.clock.pending) == (0, 0)


async def test_a_drain_before_the_start_leaves_nothing_to_do(bench: Bench) -> None:
    await bench.queue.drain(5)
    bench.start()
    await settle()
    assert bench.running is not None
    assert bench.running.done()


async def test_cancelling_the_run_cancels_the_work_and_starts_no_more(bench: Bench) -> None:
    bench.work.gate.clear()
    bench.start()
    for key in "abcdef":
        bench.queue.add(key)
    bench.queue.add_after("later", 5)
    await settle()
    assert bench.running is not None
    bench.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bench.running
    assert (bench.work.done, bench.work.active.total(), bench.clock.pending) == ([], 0, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_is_added_whenever_each_key_is_processed_after_its_last_add(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a reproducible order
    bench = Bench(workers=3)
    last_add: dict[str, int] = {}
    last_start: dict[str, int] = {}
    turn = 0

    async def process(key: str) -> None:
        last_start[key] = turn
        bench.work.active[key] += 1
        assert bench.work.active[key] == 1
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        bench.work.active[key] -= 1
        if chance.random() < 0.3:
            raise ValueError("broken")

    queue = WorkQueue[str](process, workers=3, backoff=EXACT, clock=bench.clock)
    running = asyncio.create_task(queue.run())
    for turn in range(500):
        key = chance.choice("abcde")
        last_add[key] = turn
        queue.add(key)
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
    turn = 500
    await bench.clock.advance(100)
    assert all(last_start[key] >= last_add[key] for key in last_add)
    running.cancel()
    await asyncio.wait({running})
