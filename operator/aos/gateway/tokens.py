"""Tokens: signature and claims checked here, then reviewed by the API server, and remembered for a minute at most."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import jwt
from jwt.types import Options
from pydantic import JsonValue

from aos.gateway.jwks import ALGORITHMS, KeysUnavailable, SigningKeys
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.settings import GatewaySettings
from aos.kube.errors import ApiError, Unavailable
from aos.kube.objects import child, text
from aos.kube.reviews import TokenReview
from aos.model.names import AUDIENCE_GATEWAY

MAX_TOKEN_BYTES: Final = 8192
REVIEW_TIMEOUT_SECONDS: Final = 3.0
OFFLINE_SECONDS: Final = 5.0
"""How long the API server is not asked again after it gave no answer."""
REJECTION_SECONDS: Final = 5.0
"""How long a token that the API server does not accept is not reviewed again."""

_OPTIONS: Final[Options] = {
    "require": ["aud", "exp", "iat", "iss", "nbf", "sub"],
    # Checked here: the audience must be the only one, and times are of the gateway's clock.
    "verify_aud": False,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}
_POD_UID: Final = "authentication.kubernetes.io/pod-uid"


class Reviewer(Protocol):
    """What is asked of a client; `aos.kube.client.ApiClient` has it."""

    async def token_review(self, token: str, audiences: tuple[str, ...] = ()) -> TokenReview:
        """Return the API server's verdict on a token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says that the API server signed and stands by.

    Attributes:
        namespace: of the service account.
        service_account: its name.
        service_account_uid: its uid.
        pod: name of the pod that the token is bound to; empty if it is bound to none.
        pod_uid: that pod's uid.
        expires_at: in seconds of the epoch.
    """

    namespace: str
    service_account: str
    service_account_uid: str
    pod: str
    pod_uid: str
    expires_at: float

    @property
    def username(self) -> str:
        """The user that the token stands for."""
        return f"system:serviceaccount:{self.namespace}:{self.service_account}"


@dataclass(frozen=True, slots=True)
class _Verdict:
    claims: Claims | None
    valid_until: float
    refusal: Refusal | None = None


class TokenVerifier:
    """Judges tokens with audience ``aos-gateway``."""

    def __init__(
        self,
        keys: SigningKeys,
        reviewer: Reviewer,
        settings: GatewaySettings,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Make a verifier that remembers nothing.

        Args:
            keys: of the API server.
            reviewer: where tokens are reviewed.
            settings: how long and how many verdicts are remembered, and how far clocks may differ.
            now: seconds of the epoch.
        """
        self._keys = keys
        self._reviewer = reviewer
        self._settings = settings
        self._now = now
        self._verdicts: dict[bytes, _Verdict] = {}
        self._running: dict[bytes, asyncio.Task[_Verdict]] = {}
        self._offline_until = 0.0

    def __len__(self) -> int:
        """Return how many tokens are remembered."""
        return len(self._verdicts)

    async def verify(self, token: bytes) -> Claims:
        """Return what the token says.

        Raises:
            Refusal: it is not valid (401), or that can't be told now (503).
        """
        name = hashlib.sha256(token).digest()
        verdict = self._verdicts.get(name)
        if verdict is None or self._now() >= verdict.valid_until:
            verdict = await self._judged_once(name, token)
        if verdict.claims is None:
            refusal = verdict.refusal or _unavailable("the token can't be judged")
            # The same refusal is raised many times: without this, its trace would grow each time.
            raise refusal.with_traceback(None)
        return verdict.claims

    async def _judged_once(self, name: bytes, token: bytes) -> _Verdict:
        running = self._running.get(name)
        if running is None:
            running = self._running[name] = asyncio.create_task(self._judged(token), name="review a token")
            running.add_done_callback(lambda task: self._remember(name, task))
        # A caller that goes away must not cancel the review for the others that wait for it.
        return await asyncio.shield(running)

    def _remember(self, name: bytes, task: asyncio.Task[_Verdict]) -> None:
        del self._running[name]
        self._verdicts.pop(name, None)
        if task.cancelled() or task.exception() is not None:
            return
        verdict, now = task.result(), self._now()
        if verdict.valid_until <= now:
            return
        self._verdicts[name] = verdict
        # Each pod that comes has tokens of its own, and each of those is another once an hour.
        while (oldest := next(iter(self._verdicts.items())))[1].valid_until <= now:
            del self._verdicts[oldest[0]]
        while len(self._verdicts) > self._settings.max_cached_tokens:
            del self._verdicts[next(iter(self._verdicts))]

    async def _judged(self, token: bytes) -> _Verdict:
        now = self._now()
        try:
            claims = await self._checked(token)
            reviewed_until = await self._reviewed(token, claims)
        except Refusal as refusal:
            # Only tokens that the cluster did sign are worth a place: others can be made up without end.
            is_rejected = refusal.code is RefusalCode.TOKEN_NOT_ACCEPTED
            return _Verdict(None, now + REJECTION_SECONDS if is_rejected else now, refusal)
        return _Verdict(claims, min(reviewed_until, claims.expires_at))

    async def _checked(self, token: bytes) -> Claims:
        """Check all that can be checked without the API server."""
        algorithm, key_id = _header(token)
        try:
            found = await self._keys.find(key_id)
        except KeysUnavailable as error:
            raise _unavailable(str(error)) from error
        if found is None:
            raise _invalid("it is signed with a key that the cluster does not have")
        issuer, key = found
        if key.algorithm_name != algorithm:
            raise _invalid("its algorithm is not that of its key")
        try:
            payload = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=issuer,
                options=_OPTIONS,
            )
        except jwt.PyJWTError as error:
            raise _invalid(str(error)) from None
        _check_times(payload, self._now(), self._settings.clock_skew_seconds)
        return _claims(payload)

    async def _reviewed(self, token: bytes, claims: Claims) -> float:
        """Have the API server judge the token; return until when its word is good."""
        now = self._now()
        if now < self._offline_until:
            return self._offline_until
        # Whoever asks first after a silence asks for all: the others go by the signature until there is an answer.
        if self._offline_until:
            self._offline_until = now + REVIEW_TIMEOUT_SECONDS
        try:
            async with asyncio.timeout(REVIEW_TIMEOUT_SECONDS):
                review = await self._reviewer.token_review(token.decode("ascii"), (AUDIENCE_GATEWAY,))
        except (Unavailable, TimeoutError):
            self._offline_until = self._now() + OFFLINE_SECONDS
            return self._offline_until
        except ApiError as error:
            self._offline_until = 0.0
            raise _unavailable(
                f"the API server does not review tokens for the gateway: {error.reason}"
            ) from error
        self._offline_until = 0.0
        _accept(review, claims)
        return now + self._settings.token_cache_seconds


def _header(token: bytes) -> tuple[str, str]:
    if len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise _invalid("it is too long or not ASCII")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise _invalid("it is not a JSON Web Token") from None
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS or not isinstance(algorithm, str):
        raise _invalid(f"its algorithm is not one of {', '.join(ALGORITHMS)}")
    if not isinstance(key_id, str):
        raise _invalid("it does not name its key")
    return algorithm, key_id


def _check_times(payload: dict[str, JsonValue], now: float, skew_seconds: float) -> None:
    expires_at, *begins_at = (_moment(payload, name) for name in ("exp", "iat", "nbf"))
    if not expires_at > now - skew_seconds:
        raise _invalid("it has expired")
    if not all(moment <= now + skew_seconds for moment in begins_at):
        raise _invalid("it is not yet valid")


def _moment(payload: dict[str, JsonValue], name: str) -> float:
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid(f"{name} is not a time")
    return float(value)


def _claims(payload: dict[str, JsonValue]) -> Claims:
    if payload.get("aud") not in (AUDIENCE_GATEWAY, [AUDIENCE_GATEWAY]):
        raise _invalid(f"its audience is not {AUDIENCE_GATEWAY} alone")
    facts = child(payload, "kubernetes.io")
    account, pod = child(facts, "serviceaccount"), child(facts, "pod")
    claims = Claims(
        namespace=text(facts, "namespace"),
        service_account=text(account, "name"),
        service_account_uid=text(account, "uid"),
        pod=text(pod, "name"),
        pod_uid=text(pod, "uid"),
        expires_at=_moment(payload, "exp"),
    )
    if not claims.service_account_uid or payload.get("sub") != claims.username:
        raise _invalid("it is not a service account's")
    return claims


def _accept(review: TokenReview, claims: Claims) -> None:
    if not review.authenticated or AUDIENCE_GATEWAY not in review.audiences:
        raise Refusal(
            HTTPStatus.UNAUTHORIZED,
            RefusalCode.TOKEN_NOT_ACCEPTED,
            "the API server does not accept the token: it was revoked with its pod or service account",
        )
    same_pod = review.user.extra.get(_POD_UID, (claims.pod_uid,)) == (claims.pod_uid,)
    if (review.user.username, review.user.uid) != (
        claims.username,
        claims.service_account_uid,
    ) or not same_pod:
        raise Refusal(
            HTTPStatus.UNAUTHORIZED,
            RefusalCode.TOKEN_NOT_ACCEPTED,
            "the API server takes the token for another caller's",
        )


def _invalid(why: str) -> Refusal:
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        RefusalCode.TOKEN_INVALID,
        f"the token is not valid: {why}; send the pod's projected token for the audience {AUDIENCE_GATEWAY}",
    )


def _unavailable(why: str) -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE, RefusalCode.IDENTITY_UNAVAILABLE, why, retry_after_seconds=1
    )
