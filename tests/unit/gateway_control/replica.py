"""One gateway's control of calls in a process of its own: ``python -m tests.unit.gateway_control.replica FILE CHAIN CALLS``."""

import asyncio
import sys
from pathlib import Path

from aos.gateway.control.asked import Finished, Ticket
from aos.gateway.journal import CallOutcome
from aos.policy.decision import DecisionReason
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore
from tests.unit.gateway_control.make import FAST, asked, caller, effective, policy
from tests.unit.gateway_control.world import controlled

LIMIT = 40
POLICY = policy(
    limits=[{"name": "calls", "calls": LIMIT, "per": "1h", "scope": "Namespace"}],
    loops={"maxIdenticalCalls": 1000},
)
# SQLite gives its lock to whoever asks at the right moment: on a busy machine that may be the other one for long.
PATIENT = StoreSettings(lock_wait_seconds=30, answer_seconds=60)
DONE = Finished(CallOutcome.ANSWERED, DecisionReason.ALLOWED, 0)


async def main(path: Path, chain: str, calls: int) -> None:
    """Make calls, four at once, and print how many were let through."""
    store = SqliteStore(path, chain, PATIENT)
    await store.open()
    by = caller(effective(POLICY))
    admitted = 0

    async def work() -> None:
        nonlocal admitted
        for _ in range(calls // 4):
            given = await held.calls.admit_tool(asked(by))
            if isinstance(given, Ticket):
                admitted += 1
                held.calls.finish(given, DONE)

    async with controlled(store, FAST) as held:
        await asyncio.gather(*(work() for _ in range(4)))
        await held.settled()
    await store.close()
    print(admitted)  # noqa: T201 - read by the test that started it


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
