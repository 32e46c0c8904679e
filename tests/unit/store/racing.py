"""Runs processes that race on one budget, kills some of them at random, and checks every unit afterwards by the trail."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter as Tally
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from aos.audit.chain import origin, row_hash
from aos.audit.event import Phase
from aos.audit.query import AuditQuery
from aos.store.interface import Store
from tests.unit.store.racer import TOKENS, WINDOW_SECONDS

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the trail says that happened, and what the counters say."""

    intents: int
    outcomes: int
    killed: int
    calls_used: int
    tokens_used: int
    tokens_by_rows: int
    swept: int


def race(url: str, calls: int, processes: int, kills: int, most_seconds: float) -> int:
    """Race until the budget is spent; return how many were killed.

    Raises:
        TimeoutError: it was not spent within ``most_seconds``.
    """
    numbers = count(1)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}/operator{os.pathsep}{ROOT}"}

    def start() -> "subprocess.Popen[bytes]":
        racer = str(Path(__file__).with_name("racer.py"))
        command = [sys.executable, racer, url, f"racer-{next(numbers)}", str(calls)]
        return subprocess.Popen(command, env=environment)

    running = [start() for _ in range(processes)]
    killed = 0
    deadline = time.monotonic() + most_seconds
    try:
        while any(process.poll() is None for process in running):
            if time.monotonic() > deadline:
                raise TimeoutError("the race does not end")
            time.sleep(random.uniform(0.1, 0.4))  # noqa: S311  - a race, no secret
            alive = [index for index, process in enumerate(running) if process.poll() is None]
            if killed < kills and alive:
                victim = random.choice(alive)  # noqa: S311
                running[victim].kill()
                running[victim].wait()
                running[victim] = start()
                killed += 1
    finally:
        for process in running:
            process.kill()
            process.wait()
    failed = [process.returncode for process in running if process.returncode not in {0, -9}]
    if failed:
        raise RuntimeError(f"racers ended with {failed}")
    return killed


async def standing(store: Store, killed: int) -> Standing:
    """Read the trail, checking its links, and the counters; sweep what the killed left open."""
    await asyncio.sleep(1.1)
    swept = await store.sweep()
    phases: Tally[Phase] = Tally()
    tokens: dict[str, int] = {}
    previous: dict[str, str] = {}
    for head in await store.heads():
        async for row in store.rows(AuditQuery(chain=head.chain, limit=10**9)):
            before = previous.get(row.chain, origin(row.chain))
            if row.previous != before or row.hash != row_hash(row.chain, row.sequence, before, row.event):
                raise RuntimeError(f"row {row.sequence} of chain {row.chain} is not linked")
            previous[row.chain] = row.hash
            phases[row.event.phase] += 1
            if row.event.phase is Phase.INTENT:
                tokens[row.event.call] = TOKENS
            elif row.event.phase is Phase.OUTCOME:
                tokens[row.event.call] = row.event.prompt_tokens
    used = await store.used([("calls", WINDOW_SECONDS), ("tokens", WINDOW_SECONDS)])
    return Standing(
        intents=phases[Phase.INTENT],
        outcomes=phases[Phase.OUTCOME],
        killed=killed,
        calls_used=used["calls"],
        tokens_used=used["tokens"],
        tokens_by_rows=sum(tokens.values()),
        swept=swept,
    )
