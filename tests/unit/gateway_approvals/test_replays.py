import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

from aos.audit.event import Phase
from aos.audit.query import AuditQuery
from tests.unit.store.conftest import Backend, backend, databases, server

__all__ = ["backend", "databases", "server"]

ROOT = Path(__file__).resolve().parents[3]
APPROVALS = 25


async def started(url: str, chain: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.unit.gateway_approvals.replayer",
        url,
        chain,
        str(APPROVALS),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/operator{os.pathsep}{ROOT}"},
        stdout=asyncio.subprocess.PIPE,
    )


async def test_attack_21_of_two_gateway_processes_that_replay_an_approval_one_makes_the_call_once(
    backend: Backend,
) -> None:
    processes = [await started(backend.url, f"gateway-{number}") for number in range(2)]
    printed = [await process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(int(output) for output, _ in printed) == APPROVALS
    store = await backend.open("reader")
    events = [row.event async for row in store.rows(AuditQuery())]
    intents = Counter(event.approvals for event in events if event.phase is Phase.INTENT)
    assert len(intents) == APPROVALS
    assert set(intents.values()) == {1}
    refused = Counter(event.reason for event in events if event.phase is Phase.REFUSAL)
    assert refused == {"ApprovalUsed": 7 * APPROVALS}
