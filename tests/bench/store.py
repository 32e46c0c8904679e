"""What the store costs: admissions, settlements and audit rows a second, durable, and processor time for each, on both backends.

Beside each backend stands what the disk can do alone: bare commits of one row to a SQLite file. Backends and degrees of
concurrency take turns. At the end processes race on one budget and are killed.
"""

import argparse
import asyncio
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar

import asyncpg
import uvloop

from aos.audit.event import AuditEvent, Phase
from aos.store.interface import Admission, Admitted, Completion, Store
from aos.store.opening import open_store
from hack.postgres.server import Server, running
from tests.bench.table import show
from tests.unit.store.make import admission, charge, event, owned
from tests.unit.store.racing import race, standing

CONCURRENCY = (1, 8, 64)
DIGEST = "sha256:" + "0" * 64
BARE_COMMITS = 500
ROW_BYTES = 800
RACE_MOST_SECONDS = 3600.0

Item = TypeVar("Item")

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured."""

    rounds: int
    calls: int
    race_calls: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn: how many a second, processor time of this process for each, and how long one took."""

    per_second: float
    cpu_us: float
    p50_ms: float


def main(options: Sequence[str] = ()) -> None:
    """Print the tables."""
    asked = _options(options)
    with tempfile.TemporaryDirectory() as folder, running(durable=True) as server:
        uvloop.run(_measure(Path(folder), server, asked))
        _race(Path(folder), server, asked)


async def _measure(folder: Path, server: Server, asked: Options) -> None:
    kinds: dict[str, Callable[[Store, int], Awaitable[Sample]]] = {
        "admit + finish": lambda store, concurrency: _pairs(store, concurrency, asked.calls),
        "audit row": lambda store, concurrency: _rows(store, concurrency, asked.calls),
    }
    samples: dict[tuple[str, str, int], list[Sample]] = {}
    bare: list[float] = []
    for _ in range(asked.rounds):
        bare.append(_bare_commits(folder))
        for backend in ("sqlite", "postgres"):
            store = await _open(backend, folder, server)
            for kind, measure in kinds.items():
                for concurrency in CONCURRENCY:
                    sample = await measure(store, concurrency)
                    samples.setdefault((kind, backend, concurrency), []).append(sample)
            await store.close()
    commits = statistics.median(bare)
    print(f"\nbare durable commits of one row to a SQLite file: {commits:.0f} a second")
    for kind in kinds:
        _show(kind, {key[1:]: found for key, found in samples.items() if key[0] == kind}, commits)


def _show(kind: str, samples: dict[tuple[str, int], list[Sample]], commits: float) -> None:
    rows = []
    for (backend, concurrency), found in samples.items():
        other = samples["sqlite", concurrency]
        cpu = statistics.median(sample.cpu_us for sample in found)
        ratio = cpu / statistics.median(sample.cpu_us for sample in other)
        per_second = statistics.median(sample.per_second for sample in found)
        rows.append(
            [
                f"{backend}, {concurrency} at once",
                f"{per_second:.0f}",
                f"{per_second / commits:.2f}",
                f"{statistics.median(sample.p50_ms for sample in found):.2f}",
                f"{cpu:.0f}",
                f"{ratio:.2f}",
            ]
        )
    columns = (kind, "a second", "beside bare commits", "p50 ms", "CPU us", "CPU, SQLite = 1")
    show(f"store: {kind}, durable", columns, rows)


async def _pairs(store: Store, concurrency: int, calls: int) -> Sample:
    async def one(call: tuple[Admission, Completion]) -> None:
        if await store.admit(call[0]) != Admitted():
            raise RuntimeError("the benchmark's calls must be admitted")
        await store.finish(call[1])

    return await _sample([_call() for _ in range(calls)], one, concurrency)


async def _rows(store: Store, concurrency: int, calls: int) -> Sample:
    events = [_full(f"refused-{next(_numbers)}", Phase.REFUSAL) for _ in range(calls)]

    async def one(number: int) -> None:
        await store.append([events[number]])

    return await _sample(range(calls), one, concurrency)


async def _sample(items: Sequence[Item], one: Callable[[Item], Awaitable[None]], concurrency: int) -> Sample:
    waiting = iter(items)
    took: list[float] = []

    async def work() -> None:
        for item in waiting:
            began = time.perf_counter()
            await one(item)
            took.append(time.perf_counter() - began)

    with _processor_time() as cpu:
        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        seconds = time.perf_counter() - began
    return Sample(len(items) / seconds, cpu[0] / len(items) * 1e6, statistics.median(took) * 1000)


def _call() -> tuple[Admission, Completion]:
    """Return a call as the gateway makes them: a limit, a token budget, a loop bound, and full audit rows."""
    name = f"call-{next(_numbers):032d}"
    charges = (
        charge("Policy/sales/baseline/limits/calls/Agent/lead-enricher", 1, 10**9, 60),
        charge("Policy/sales/baseline/budgets/tokens/Namespace/sales", 1000, 10**12, 86_400),
        owned("8f0f7a5e-0000-4000-8000-000000000000", "loops/callsPerTask/8f0f7a5e", 10**9),
    )
    asked = admission(*charges, call=name)
    intent = _full(name, Phase.INTENT)
    settled = {charges[1].counter: 700}
    return (
        Admission(name, charges, None, (), intent, asked.expires_seconds),
        Completion(name, settled, outcome=_full(name, Phase.OUTCOME, outcome="Succeeded", prompt_tokens=700)),
    )


def _full(name: str, phase: Phase, **changes: object) -> AuditEvent:
    return event(
        name,
        phase,
        policy_digest=DIGEST,
        arguments_digest=DIGEST,
        rules=("Policy sales-baseline/read-own-territory",),
        trace="0" * 32,
        **changes,
    )


async def _open(backend: str, folder: Path, server: Server) -> Store:
    store = open_store(await _url(backend, folder, server), f"bench-{next(_numbers)}")
    await store.open()
    return store


async def _url(backend: str, folder: Path, server: Server) -> str:
    name = f"bench_{next(_numbers)}"
    if backend == "sqlite":
        return f"sqlite://{folder / name}.db"
    connection = await asyncpg.connect(server.url())
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return server.url(name)


def _bare_commits(folder: Path) -> float:
    connection = sqlite3.connect(folder / f"bare-{next(_numbers)}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, event BLOB)")
    began = time.perf_counter()
    for _ in range(BARE_COMMITS):
        connection.execute("INSERT INTO rows (event) VALUES (?)", (bytes(ROW_BYTES),))
    seconds = time.perf_counter() - began
    connection.close()
    return BARE_COMMITS / seconds


def _race(folder: Path, server: Server, asked: Options) -> None:
    rows = []
    for backend in ("sqlite", "postgres"):
        url = asyncio.run(_url(backend, folder, server))
        began = time.perf_counter()
        killed = race(url, asked.race_calls, 8, max(8, asked.race_calls // 250), RACE_MOST_SECONDS)
        seconds = time.perf_counter() - began
        store = open_store(url, "judge")

        async def judge(store: Store = store, killed: int = killed) -> list[str]:
            await store.open()
            found = await standing(store, killed)
            await store.close()
            over = found.intents - asked.race_calls
            leaked = found.tokens_used - found.tokens_by_rows
            return [str(found.killed), str(found.intents), str(found.swept), str(over), str(leaked)]

        rows.append([backend, *asyncio.run(judge()), f"{seconds:.0f}"])
    columns = ("8 processes on one budget", "killed", "admitted", "swept", "over", "tokens leaked", "seconds")
    show("store: the race", columns, rows)


@contextmanager
def _processor_time() -> Iterator[list[float]]:
    spent = [0.0]
    before = resource.getrusage(resource.RUSAGE_SELF)
    yield spent
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent[0] = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _options(options: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.bench store")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=3000, help="calls of each turn")
    parser.add_argument("--race-calls", type=int, default=20_000, help="the budget that is raced for")
    parsed = parser.parse_args(options)
    return Options(parsed.rounds, parsed.calls, parsed.race_calls)


if __name__ == "__main__":
    main()
