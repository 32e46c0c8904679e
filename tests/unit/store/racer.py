"""One of several processes that race on one budget, until it is spent: ``racer.py URL CHAIN CALLS``. May be killed at any time."""

import asyncio
import random
import sys

from aos.audit.event import Phase
from aos.store.interface import Admitted, Completion, Exhausted, StoreUnavailableError
from aos.store.opening import open_store
from aos.store.settings import StoreSettings
from tests.unit.store.make import admission, charge, event

TOKENS = 10
WINDOW_SECONDS = 3600
PARALLEL = 4
SETTINGS = StoreSettings(lock_wait_seconds=30.0, answer_seconds=60.0)


async def main(url: str, chain: str, calls: int) -> None:
    """Spend until nothing is left."""
    store = open_store(url, chain, SETTINGS)
    await store.open()
    names = (f"{chain}-{number}" for number in range(10**9))

    async def spend() -> None:
        while True:
            name = next(names)
            asked = admission(
                charge("calls", 1, calls, WINDOW_SECONDS),
                charge("tokens", TOKENS, calls * TOKENS, WINDOW_SECONDS),
                call=name,
                expires_seconds=1,
            )
            result = await store.admit(asked)
            if isinstance(result, Exhausted):
                return
            if result != Admitted():
                raise RuntimeError(f"the race knows no {result}")
            await asyncio.sleep(random.random() / 50)  # noqa: S311  - a race, no secret
            used = random.randint(1, TOKENS)  # noqa: S311
            outcome = event(name, Phase.OUTCOME, prompt_tokens=used)
            await store.finish(Completion(name, {"tokens": used}, outcome=outcome))

    async def persist() -> None:
        while True:
            try:
                return await spend()
            except StoreUnavailableError as error:
                sys.stderr.write(f"{error}\n")
                await asyncio.sleep(0.1)

    await asyncio.gather(*(persist() for _ in range(PARALLEL)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
