"""The keys by which the API server signs tokens: read from it, kept, and read again when a token names another."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import jwt

from aos.kube.clock import Clock, SystemClock
from aos.kube.errors import ApiError
from aos.kube.objects import children, text
from aos.model.base import JsonObject

ALGORITHMS: Final = ("RS256", "ES256")
MAX_KEYS: Final = 32
KEYS_LIFETIME_SECONDS: Final = 600
"""Keys are read again after this time, so that one that was withdrawn is not used for long."""

_CONFIGURATION_PATH: Final = "/.well-known/openid-configuration"
_KEYS_PATH: Final = "/openid/v1/jwks"


class KeysUnavailable(Exception):  # noqa: N818 - a state of the cluster, not a fault of the program
    """No keys could be read from the API server yet."""


class KeySource(Protocol):
    """What is asked of a client; `aos.kube.client.ApiClient` has it."""

    async def request(self, method: str, path: str) -> JsonObject:
        """Send a request and return the object in its answer."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys of one issuer, by key id."""

    issuer: str
    keys: Mapping[str, jwt.PyJWK]


class SigningKeys:
    """The API server's current keys. Reading them again is bounded in rate, whatever tokens come in."""

    def __init__(self, client: KeySource, min_refresh_seconds: float, clock: Clock | None = None) -> None:
        self._client = client
        self._min_refresh_seconds = min_refresh_seconds
        self._clock = clock or SystemClock()
        self._known: KeySet | None = None
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()

    async def find(self, key_id: str) -> tuple[str, jwt.PyJWK] | None:
        """Return the issuer and the key with this id; None if the API server has none.

        Raises:
            KeysUnavailable: no keys could be read yet.
        """
        known = self._known
        if known is None or key_id not in known.keys or self._is_due(KEYS_LIFETIME_SECONDS):
            known = await self._refreshed(key_id)
        key = known.keys.get(key_id)
        return None if key is None else (known.issuer, key)

    async def _refreshed(self, key_id: str) -> KeySet:
        async with self._lock:
            known = self._known
            found = known is not None and key_id in known.keys
            least_seconds = KEYS_LIFETIME_SECONDS if found else self._min_refresh_seconds
            if self._is_due(least_seconds):
                self._tried_at = self._clock.monotonic()
                try:
                    known = self._known = await self._read()
                except (ApiError, TimeoutError, ValueError) as error:
                    if known is None:
                        raise KeysUnavailable(f"the cluster's signing keys can't be read: {error}") from error
        if known is None:
            raise KeysUnavailable("the cluster's signing keys could not be read a moment ago")
        return known

    def _is_due(self, least_seconds: float) -> bool:
        return self._tried_at is None or self._clock.monotonic() - self._tried_at >= least_seconds

    async def _read(self) -> KeySet:
        async with asyncio.timeout(_READ_TIMEOUT_SECONDS):
            configuration = await self._client.request("GET", _CONFIGURATION_PATH)
            keys = await self._client.request("GET", _KEYS_PATH)
        return parse_keys(text(configuration, "issuer"), keys)


_READ_TIMEOUT_SECONDS: Final = 5


def parse_keys(issuer: str, raw: JsonObject) -> KeySet:
    """Return the keys that may sign tokens; others in the set, and those that can't be read, are left out.

    Raises:
        ValueError: there is no issuer, or no key.
    """
    keys: dict[str, jwt.PyJWK] = {}
    for item in children(raw, "keys")[:MAX_KEYS]:
        key_id = text(item, "kid")
        try:
            key = jwt.PyJWK.from_dict(item)
        except jwt.PyJWTError:
            continue
        if key_id and text(item, "use") in ("", "sig") and key.algorithm_name in ALGORITHMS:
            keys[key_id] = key
    if not issuer or not keys:
        raise ValueError("the API server names no issuer, or no key with RS256 or ES256")
    return KeySet(issuer, keys)
