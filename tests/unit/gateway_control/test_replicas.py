import asyncio
import sys
from pathlib import Path

from aos.audit.event import Phase
from aos.audit.query import AuditQuery
from aos.gateway.control.charges import Charges
from aos.store.sqlite import SqliteStore
from tests.unit.gateway_control.make import asked, caller, effective
from tests.unit.gateway_control.replica import LIMIT, POLICY

ROOT = Path(__file__).resolve().parents[3]


async def started(path: Path, chain: str, calls: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.unit.gateway_control.replica",
        str(path),
        chain,
        str(calls),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


async def taken(path: Path) -> tuple[int, int]:
    """Return units in use of the limit, and calls that were let through."""
    store = SqliteStore(path, "reader")
    await store.open()
    limit = next(
        charge for charge in Charges().of(asked(caller(effective(POLICY)))) if charge.resource == "calls"
    )
    used = await store.used([(limit.counter, limit.window_seconds)])
    intents = [row async for row in store.rows(AuditQuery()) if row.event.phase is Phase.INTENT]
    await store.close()
    return used[limit.counter], len(intents)


async def test_attack_23_two_gateways_that_race_for_a_limit_never_let_one_call_too_many_through(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    processes = [await started(path, f"gateway-{number}", LIMIT) for number in range(2)]
    printed = [await process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(int(output) for output, _ in printed) == LIMIT
    assert await taken(path) == (LIMIT, LIMIT)


async def test_attack_23_what_a_killed_gateway_reserved_stays_spent(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    doomed = await started(path, "gateway-0", 4 * LIMIT)
    other = await started(path, "gateway-1", LIMIT)
    await other.communicate()
    if doomed.returncode is None:
        doomed.kill()
    await doomed.communicate()
    used, intents = await taken(path)
    assert used == intents == LIMIT
