"""Calls that wait for people: the same call again and again, until the gateway says what was decided.

The gateway lets an approved call through once, so to repeat one that is known to be held can do no harm.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aos.agent.conversation import CallTool
from aos.agent.settings import Bounds
from aos.agent.tools import ToolReply

LONGEST_HOLD: Final = timedelta(hours=169)
"""Requests expire after at most 168 h; so long is waited where the gateway could not say when."""

Call = Callable[[CallTool], Awaitable[ToolReply]]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _Patience:
    """How long to go on, and how."""

    until: datetime
    pause_seconds: float
    stale_repeats: int


class HeldCalls:
    """Repeats held calls."""

    def __init__(
        self,
        call: Call,
        bounds: Bounds,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._call = call
        self._bounds = bounds
        self._sleep = sleep
        self._now = now

    async def see_through(self, command: CallTool, reply: ToolReply) -> ToolReply:
        """Return what comes of the call that ``reply`` says is held: its result, or why it was not made."""
        patience = _Patience(
            self._now() + LONGEST_HOLD, self._bounds.retry_pause_seconds, self._bounds.max_stale_repeats
        )
        while True:
            pause = self._pause_seconds(reply, patience)
            if pause is None:
                return reply
            await self._sleep(pause)
            reply = await self._call(command)

    def _pause_seconds(self, reply: ToolReply, patience: _Patience) -> float | None:
        """Return how long to wait before the next repetition; None if there is none."""
        bounds = self._bounds
        if reply.hold is not None:
            patience.until = reply.hold.expires_at or patience.until
            patience.pause_seconds = bounds.retry_pause_seconds
            return min(
                max(reply.hold.pause_seconds, bounds.retry_pause_seconds), bounds.max_held_pause_seconds
            )
        if reply.lost and self._now() < patience.until:
            # The gateway is being restarted, or is not to be reached: what people decide stays where it is.
            pause, patience.pause_seconds = patience.pause_seconds, 2 * patience.pause_seconds
            return min(pause, bounds.max_retry_pause_seconds)
        if reply.pause_seconds is not None and self._now() < patience.until:
            # Approved, and held up by something that passes: the approval is still there.
            return min(max(reply.pause_seconds, bounds.retry_pause_seconds), bounds.max_held_pause_seconds)
        if reply.stale and patience.stale_repeats:
            # What people were asked about is not the same any more. They are asked anew, so often.
            patience.stale_repeats -= 1
            return bounds.retry_pause_seconds
        return None
