"""Which calls are in a sample: a keyed hash of the call, which nobody without the key can foresee and everybody with it repeats. No I/O."""

import hmac
from hashlib import sha256
from typing import Final

from aos.model.names import SAMPLING_KEY_BYTES
from aos.policy.approvals import ALWAYS, BoundQuorum

PARTS: Final = 10_000
"""A draw is one of so many numbers: samples are exact to a hundredth of a percent."""

_DRAW_BYTES: Final = 8


def draw(key: bytes, subject: str) -> int:
    """Return the number that is drawn for ``subject``, from 0 to `PARTS` - 1; each of them is as likely."""
    digest = hmac.digest(key, subject.encode(), sha256)
    return int.from_bytes(digest[:_DRAW_BYTES]) % PARTS


def is_drawn(key: bytes, subject: str, percent: int) -> bool:
    """Whether ``subject`` is in a sample of ``percent`` in a hundred.

    A call that is in a sample is in every larger one, too.
    """
    return draw(key, subject) < percent * (PARTS // 100)


class KeyedSampler:
    """Draws with the key that all gateways have; while there is none, every call is in every sample."""

    def __init__(self) -> None:
        self._key: bytes | None = None

    def use(self, key: bytes) -> None:
        """Draw with this key from now on.

        Raises:
            ValueError: it is too short to be one; what was used before stays in use.
        """
        if len(key) < SAMPLING_KEY_BYTES:
            raise ValueError(f"a sampling key has at least {SAMPLING_KEY_BYTES} bytes")
        self._key = key

    def draws(self, subject: str, quorum: BoundQuorum) -> bool:
        """Whether the call is in the quorum's sample, as `aos.gateway.approvals.hooks.Sampler` says."""
        if quorum.sample_percent >= ALWAYS or self._key is None:
            return True
        return is_drawn(self._key, subject, quorum.sample_percent)
