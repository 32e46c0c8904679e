"""Waiting for what a cluster does in its own time."""

import asyncio
from collections.abc import Awaitable, Callable

_LIMIT_SECONDS = 60
_PAUSE_SECONDS = 0.05


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until ``holds`` does; a test that waits in vain fails by the limit."""
    async with asyncio.timeout(_LIMIT_SECONDS):
        while not await holds():  # noqa: ASYNC110 - a cluster sets no event of ours
            await asyncio.sleep(_PAUSE_SECONDS)
