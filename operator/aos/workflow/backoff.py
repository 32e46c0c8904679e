"""When the next attempt of a step starts: later each time, and not all at once."""

import hashlib
from datetime import datetime, timedelta
from typing import Final

from aos.model.duration import duration_seconds
from aos.model.workflow_step import Retry

MAX_JITTER: Final = 0.2
"""By how much of itself a wait is shortened at most."""

_DIGEST_BYTES: Final = 8


def next_attempt_at(ended_at: datetime, retry: Retry, attempt: int, identity: str) -> datetime:
    """Return when ``attempt`` (from 2) starts, where the one before it ended at ``ended_at``.

    Args:
        ended_at: when the attempt before it ended.
        retry: how the step is tried again.
        attempt: the one that is to start.
        identity: of the run, the step, the item and the attempt: the wait is shortened by it, so that it is the same whoever computes it.
    """
    longest = duration_seconds(retry.max_backoff)
    doubled = duration_seconds(retry.backoff) * (1 << (attempt - 2))
    return ended_at + timedelta(seconds=min(doubled, longest) * (1 - MAX_JITTER * _fraction(identity)))


def _fraction(identity: str) -> float:
    """Return a number from 0 to below 1 that depends on ``identity`` alone."""
    digest = hashlib.sha256(identity.encode()).digest()[:_DIGEST_BYTES]
    return int.from_bytes(digest, "big") / (1 << 8 * _DIGEST_BYTES)
