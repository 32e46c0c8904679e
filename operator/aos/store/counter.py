"""One sliding-window counter: amounts in buckets, whose number is bounded. Pure.

A bucket is known by the moment at which it ends, and counts whole until the window has passed since then. So the units
of any span of the window's length never exceed the limit; a unit is free again at most one bucket later than it could be.
"""

from typing import Final

import orjson

BUCKETS_PER_WINDOW: Final = 60
NEVER: Final = 2**53 - 1
"""The end of the one bucket of a counter whose units are never given back by time."""


class Counter:
    """Units in use, by the end of their bucket in milliseconds since the epoch."""

    __slots__ = ("_buckets", "_earliest", "_total", "_window_ms", "owner")

    def __init__(self, owner: str = "") -> None:
        """``owner`` is the uid of the Task whose end deletes the counter."""
        self.owner = owner
        self._buckets: dict[int, int] = {}
        self._earliest = NEVER
        self._total = 0
        self._window_ms = 0

    def used(self, now_ms: int, window_seconds: int) -> int:
        """Return the units that count at ``now_ms`` in a window of this length."""
        window_ms = window_seconds * 1000
        if not window_ms or self._earliest > now_ms - window_ms:
            return self._total
        if window_ms != self._window_ms:
            return sum(amount for end, amount in self._buckets.items() if end > now_ms - window_ms)
        self._forget(now_ms - window_ms)
        return self._total

    def charge(self, now_ms: int, window_seconds: int, amount: int) -> int:
        """Add units; return the end of their bucket, to settle them by."""
        window_ms = window_seconds * 1000
        if window_ms:
            width = max(1, window_ms // BUCKETS_PER_WINDOW)
            end = (now_ms // width + 1) * width
        else:
            end = NEVER
        self._buckets[end] = self._buckets.get(end, 0) + amount
        self._total += amount
        self._earliest = min(self._earliest, end)
        if window_ms != self._window_ms:
            self._window_ms = window_ms
            if window_ms:
                self._forget(now_ms - window_ms)
        return end

    def settle(self, end: int, change: int) -> None:
        """Change the units of a bucket; nothing where the window has passed over it, or it never was."""
        before = self._buckets.get(end)
        if before is None:
            return
        after = max(0, before + change)
        self._total += after - before
        if after:
            self._buckets[end] = after
        else:
            del self._buckets[end]
            self._earliest = min(self._buckets, default=NEVER)

    def frees_after(self, now_ms: int, window_seconds: int, units: int) -> float | None:
        """Return seconds until that many units more are free; None if time never frees them."""
        window_ms = window_seconds * 1000
        freed = 0
        for end in sorted(self._buckets):
            if end == NEVER or not window_ms:
                return None
            if end <= now_ms - window_ms:
                continue
            freed += self._buckets[end]
            if freed >= units:
                return (end + window_ms - now_ms) / 1000
        return None

    @property
    def empty(self) -> bool:
        """Whether nothing is in use."""
        return not self._buckets

    def expires_ms(self, now_ms: int, idle_seconds: int) -> int | None:
        """Return from when the counter may be deleted; it moves seldom, so that an index on it is seldom written."""
        if self._window_ms and NEVER not in self._buckets:
            # No bucket ends later than a window from now, and each counts for a window after its end.
            return (now_ms // self._window_ms + 3) * self._window_ms
        if self.owner:
            idle_ms = idle_seconds * 1000
            return (now_ms // idle_ms + 2) * idle_ms
        return None

    def encode(self) -> str:
        """Return the counter as JSON: ``[window in ms, [[end of bucket in ms, units], ...]]``."""
        return orjson.dumps([self._window_ms, list(self._buckets.items())]).decode()

    @classmethod
    def decode(cls, text: str, owner: str) -> "Counter":
        """Read what `encode` wrote.

        Raises:
            ValueError: something else wrote it.
        """
        counter = cls(owner)
        try:
            window_ms, buckets = orjson.loads(text)
            counter._window_ms = int(window_ms)
            counter._buckets = {int(end): int(amount) for end, amount in buckets}
        except (TypeError, ValueError) as error:
            raise ValueError(f"a counter is damaged: {text[:80]!r}") from error
        counter._total = sum(counter._buckets.values())
        counter._earliest = min(counter._buckets, default=NEVER)
        return counter

    def _forget(self, until_ms: int) -> None:
        for end in [end for end in self._buckets if end <= until_ms]:
            self._total -= self._buckets.pop(end)
        self._earliest = min(self._buckets, default=NEVER)
