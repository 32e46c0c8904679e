"""Signatures of incoming webhooks, as Standard Webhooks has them: over id, time and body, by HMAC-SHA256. Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "whsec_"
MIN_KEY_BYTES: Final = 16
MAX_ID_LENGTH: Final = 256
MAX_SIGNATURES: Final = 8
"""Senders that change their key sign with both for a while."""
_VERSION: Final = "v1"
_MAX_TIMESTAMP_LENGTH: Final = 12


class SignatureError(ValueError):
    """The request can't be trusted; the message says why, without quoting it."""


class UnusableKeyError(ValueError):
    """What the Secret holds is no key; the message says why, without quoting it."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request says of itself.

    Attributes:
        id: the delivery's; the same however often it is sent.
        timestamp: seconds since 1970, as text.
        signatures: separated by blanks, each ``v1,BASE64``.
    """

    id: str
    timestamp: str
    signatures: str


def key_of(secret: str) -> bytes:
    """Return the key that a Secret's text holds: base64 behind ``whsec_``, else the text itself.

    Raises:
        UnusableKeyError: it is not base64, or too short to be a key.
    """
    text = secret.strip()
    if text.startswith(PREFIX):
        try:
            key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise UnusableKeyError(f"what stands behind {PREFIX} is not base64") from None
    else:
        key = text.encode()
    if len(key) < MIN_KEY_BYTES:
        raise UnusableKeyError(f"the key has {len(key)} bytes, and must have at least {MIN_KEY_BYTES}")
    return key


def verify(signed: Signed, body: bytes, key: bytes, window_seconds: float, now: float) -> None:
    """Check that who has ``key`` sent ``body`` under this id within ``window_seconds`` of ``now``.

    Raises:
        SignatureError: nobody can say so.
    """
    if (
        not signed.id
        or len(signed.id) > MAX_ID_LENGTH
        or not (signed.id.isascii() and signed.id.isprintable())
        # What is signed has full stops between id, time and body: with one in it, part of one could pass for part of another.
        or "." in signed.id
    ):
        raise SignatureError(
            f"webhook-id must be 1 to {MAX_ID_LENGTH} printable characters without a full stop"
        )
    stamp = signed.timestamp
    if not (stamp.isascii() and stamp.isdecimal()) or len(stamp) > _MAX_TIMESTAMP_LENGTH:
        raise SignatureError("webhook-timestamp must be seconds since 1970")
    expected = _signature(signed, body, key)
    # All of them, and each in constant time: how long it takes must not tell how much of one was right.
    if not sum(hmac.compare_digest(expected, given) for given in _given(signed.signatures)):
        raise SignatureError("no webhook-signature is that of this body, id and time under the trigger's key")
    if abs(now - int(stamp)) > window_seconds:
        raise SignatureError(
            f"webhook-timestamp is more than {window_seconds:g} s away from the gateway's clock"
        )


def sign(webhook_id: str, timestamp: int, body: bytes, key: bytes) -> str:
    """Return the value of ``webhook-signature`` by which a sender signs."""
    digest = _signature(Signed(webhook_id, str(timestamp), ""), body, key)
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def _signature(signed: Signed, body: bytes, key: bytes) -> bytes:
    return hmac.new(key, f"{signed.id}.{signed.timestamp}.".encode() + body, hashlib.sha256).digest()


def _given(signatures: str) -> Iterable[bytes]:
    for said in signatures.split(" ")[:MAX_SIGNATURES]:
        version, _, encoded = said.partition(",")
        if version != _VERSION:
            continue
        try:
            yield base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
