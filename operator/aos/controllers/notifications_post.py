"""Sends one notice to one webhook over HTTP: signed, bounded in time and size, and nowhere else than it was told."""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
import orjson

import aos
from aos.controllers.notifications_settings import Webhook
from aos.kube.errors import Target, Unavailable
from aos.model.base import JsonObject
from aos.model.environment import SettingsError

TIMEOUT_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5.0
MAX_RETRY_AFTER_SECONDS: Final = 3600
HEADER_ID: Final = "AOS-Webhook-Id"
HEADER_TIMESTAMP: Final = "AOS-Webhook-Timestamp"
HEADER_SIGNATURE: Final = "AOS-Webhook-Signature"
_MAX_ANSWER_HEADER_BYTES: Final = 8_192


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A notice that is ready to be sent."""

    notice_id: str
    body: JsonObject


class Postman:
    """Sends notices; close it."""

    def __init__(
        self, *, timeout_seconds: float = TIMEOUT_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        """Make one; nothing is connected yet.

        Args:
            timeout_seconds: for one notice, from the connection to the answer's status.
            clock: seconds since 1970; for tests.
        """
        self._clock = clock
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_SECONDS),
            headers={"User-Agent": f"aos/{aos.__version__}", "Accept": "*/*"},
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_MAX_ANSWER_HEADER_BYTES,
            max_field_size=_MAX_ANSWER_HEADER_BYTES,
            auto_decompress=False,
        )

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def send(self, webhook: Webhook, outgoing: Outgoing) -> None:
        """Send a notice; it was taken if this returns.

        Raises:
            Unavailable: it was not taken, or nobody can tell; or its address or key can't be read now.
        """
        target = Target("post", "webhook", webhook.name)
        body = orjson.dumps(outgoing.body)
        try:
            address, key = webhook.address(), webhook.key()
        except SettingsError as error:
            raise Unavailable(target, 0, "NotSetUp", str(error)) from error
        headers = signed_headers(outgoing.notice_id, body, key, int(self._clock()))
        try:
            async with self._session.post(
                address, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status, retry_after = answer.status, answer.headers.get("Retry-After", "")
                # Whatever else it answers is not read.
                answer.close()
        except (aiohttp.ClientError, TimeoutError) as error:
            # The address may be a secret, and these errors repeat it.
            reason = type(error).__name__
            raise Unavailable(target, 0, reason, f"it did not answer in order ({reason})") from None
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            said = (
                "redirects are not followed"
                if status < HTTPStatus.BAD_REQUEST
                else "it did not take the notice"
            )
            raise Unavailable(target, status, _phrase(status), said, _seconds(retry_after))


def signed_headers(notice_id: str, body: bytes, key: bytes | None, timestamp: int) -> Mapping[str, str]:
    """Return the headers of a notice: its id, its time, and the signature over both time and body.

    Args:
        notice_id: the same each time that the notice is sent.
        body: as it goes out.
        key: None for no signature.
        timestamp: seconds since 1970.
    """
    headers = {
        "Content-Type": "application/json",
        HEADER_ID: notice_id,
        HEADER_TIMESTAMP: str(timestamp),
    }
    if key is not None:
        headers[HEADER_SIGNATURE] = f"v1={signature(key, timestamp, body)}"
    return headers


def signature(key: bytes, timestamp: int, body: bytes) -> str:
    """Return HMAC-SHA256 over ``TIMESTAMP.BODY`` in hexadecimal digits."""
    return hmac.new(key, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no known status"


def _seconds(retry_after: str) -> float:
    if not retry_after.isdecimal():
        return 0
    # Python reads no number of thousands of digits.
    is_long = len(retry_after) > len(str(MAX_RETRY_AFTER_SECONDS))
    return MAX_RETRY_AFTER_SECONDS if is_long else min(int(retry_after), MAX_RETRY_AFTER_SECONDS)
