"""One gateway that tries again and again to use approvals that others may have used: ``replayer.py URL CHAIN APPROVALS``."""

import asyncio
import random
import sys
from dataclasses import replace

from aos.gateway.control.asked import Ticket
from aos.store.opening import open_store
from tests.unit.gateway_approvals.world import DONE, call
from tests.unit.gateway_control.make import FAST
from tests.unit.gateway_control.world import controlled


async def main(url: str, chain: str, approvals: int) -> None:
    """Use each of so many approvals four times at once, in an order of one's own; print how many were let through."""
    store = open_store(url, chain)
    await store.open()
    numbers = random.sample(range(approvals), approvals)
    admitted = 0
    async with controlled(store, FAST) as held:
        for number in numbers:
            asked = replace(
                call({"id": str(number)}).asked, approvals=(f"apr-{number}",), approval_uid=f"uid-{number}"
            )
            found = await asyncio.gather(*(held.calls.admit_tool(asked) for _ in range(4)))
            for ticket in found:
                if isinstance(ticket, Ticket):
                    admitted += 1
                    held.calls.finish(ticket, DONE)
        await held.settled()
    await store.close()
    print(admitted)  # noqa: T201 - read by the test that started it


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
