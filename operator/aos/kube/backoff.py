"""How long to wait before trying again: exponential, jittered, bounded."""

import random
from collections.abc import Callable
from dataclasses import dataclass

_MAX_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double with each failure in a row.

    Attributes:
        initial_seconds: delay after the first failure, before jitter; above 0.
        cap_seconds: no delay is longer than this.
        jitter: part of a delay that chance may take off, 0 to 1, so that many callers don't return at once.
    """

    initial_seconds: float
    cap_seconds: float
    jitter: float = 0.3

    def delay_seconds(
        self, failures: int, at_least_seconds: float = 0, chance: Callable[[], float] = random.random
    ) -> float:
        """Return the wait after so many failures in a row.

        Args:
            failures: 1 or more.
            at_least_seconds: what the other side asked for; it is kept, up to the cap.
            chance: returns numbers from 0 up to 1.
        """
        doubled = self.initial_seconds * float(2 ** min(failures - 1, _MAX_DOUBLINGS))
        jittered = min(doubled, self.cap_seconds) * (1 - self.jitter * chance())
        return min(max(jittered, at_least_seconds), self.cap_seconds)
