"""One piece of work with others beside it: they live as long as it does, and it does not outlive their failure."""

import asyncio
from collections.abc import Coroutine


async def together(work: Coroutine[None, None, None], *beside: Coroutine[None, None, None]) -> None:
    """Run ``work`` to its end, and ``beside`` meanwhile.

    Cancelling this cancels all of them and waits for their end.

    Raises:
        Exception: what ``work`` raised, or whichever of the others failed first, as it is.
        RuntimeError: one of the others ended before ``work``.
    """
    main = asyncio.create_task(work)
    others = [asyncio.create_task(item) for item in beside]
    try:
        await asyncio.wait({main, *others}, return_when=asyncio.FIRST_COMPLETED)
        if not main.done():
            ended = next(task for task in others if task.done())
            raise ended.exception() or RuntimeError(f"{ended.get_coro()} ended too early")
        await main
    finally:
        for task in (main, *others):
            task.cancel()
        await asyncio.wait({main, *others})
