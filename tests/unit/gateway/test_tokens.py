import asyncio
import base64
import hmac
import json
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import JsonValue

from aos.gateway.jwks import SigningKeys
from aos.gateway.refusal import Refusal
from aos.gateway.tokens import MAX_TOKEN_BYTES, OFFLINE_SECONDS, REJECTION_SECONDS, TokenVerifier
from aos.kube.errors import Forbidden, Target, Unavailable
from aos.kube.reviews import TokenReview, UserInfo
from aos.model.base import JsonObject
from tests.unit.gateway.make import CLAIMS, SETTINGS, with_settings
from tests.unit.gateway.signing import NOW, FakeIssuer, FakeTime, Key, claims
from tests.unit.kube.fakes import FakeClock

KEY = Key("one")
ELLIPTIC = Key("two", "ES256")
STRANGER = Key("one")
DOWN = Unavailable(Target("create", "tokenreviews"), 0, "ConnectionError", "no answer")


@pytest.fixture
def issuer() -> FakeIssuer:
    return FakeIssuer([KEY.jwk(), ELLIPTIC.jwk()])


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def verifier(issuer: FakeIssuer, time: FakeTime) -> TokenVerifier:
    return TokenVerifier(SigningKeys(issuer, 10, FakeClock()), issuer, SETTINGS, time)


async def refused(verifier: TokenVerifier, token: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await verifier.verify(token)
    return caught.value


@pytest.mark.parametrize("key", [KEY, ELLIPTIC])
async def test_a_genuine_token_says_who_calls(verifier: TokenVerifier, key: Key) -> None:
    found = await verifier.verify(key.sign(claims()))
    assert found == replace(CLAIMS, expires_at=NOW + 600)
    assert found.username == "system:serviceaccount:sales:aos-agent-enricher"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": ["other"]}, "audience"),
        ({"aud": ["aos-gateway", "other"]}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": None}, "aud"),
        ({"iss": "https://elsewhere"}, "issuer"),
        ({"iss": None}, "iss"),
        ({"exp": int(NOW) - 6}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp is not a time"),
        ({"exp": float("nan")}, "expired"),
        ({"exp": "never"}, "exp is not a time"),
        ({"nbf": int(NOW) + 60}, "not yet valid"),
        ({"nbf": None}, "nbf"),
        ({"iat": int(NOW) + 60}, "not yet valid"),
        ({"sub": "system:serviceaccount:sales:default"}, "service account"),
        ({"sub": "admin"}, "service account"),
        ({"kubernetes.io": None}, "service account"),
        ({"kubernetes.io": "odd"}, "service account"),
        ({"kubernetes.io": {"namespace": "sales", "serviceaccount": {"name": "a"}}}, "service account"),
    ],
)
async def test_attack_01_a_token_whose_claims_are_wrong_is_refused(
    verifier: TokenVerifier, issuer: FakeIssuer, changes: dict[str, JsonValue], why: str
) -> None:
    refusal = await refused(verifier, KEY.sign(claims(**changes)))
    assert (refusal.status, refusal.code) == (401, "TokenInvalid")
    assert why in refusal.message
    assert issuer.reviews == 0


def of_another_key() -> bytes:
    return STRANGER.sign(claims())


def with_the_public_key_as_secret() -> bytes:
    header = {"alg": "HS256", "typ": "JWT", "kid": "one"}
    signed = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims()))
    secret = KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return signed + b"." + _encoded(hmac.digest(secret, signed, "sha256"))


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def of_a_key_with_another_algorithm() -> bytes:
    return ELLIPTIC.sign(claims(), kid="one")


def with_a_stronger_algorithm() -> bytes:
    return jwt.encode(claims(), KEY.private, "RS512", {"kid": "one"}).encode()


def without_a_key_id() -> bytes:
    return jwt.encode(claims(), KEY.private, "RS256").encode()


def with_a_key_of_its_own() -> bytes:
    public = STRANGER.jwk()
    return STRANGER.sign(claims(), jwk=public, jku="https://elsewhere/jwks", x5u="https://elsewhere/x5u")


@pytest.mark.parametrize(
    "forge",
    [
        of_another_key,
        with_the_public_key_as_secret,
        of_a_key_with_another_algorithm,
        with_a_stronger_algorithm,
        without_a_key_id,
        with_a_key_of_its_own,
    ],
)
async def test_attack_01_a_token_that_the_cluster_did_not_sign_is_refused(
    verifier: TokenVerifier, issuer: FakeIssuer, forge: object
) -> None:
    assert callable(forge)
    refusal = await refused(verifier, forge())
    assert (refusal.status, refusal.code) == (401, "TokenInvalid")
    assert issuer.reviews == 0


@pytest.mark.parametrize(
    "token",
    [b"", b"a", b"a.b", b"a.b.c", b"....", b"\xff.\xff.\xff", b"a" * (MAX_TOKEN_BYTES + 1), b"e30.e30.e30"],
)
async def test_attack_01_what_is_no_token_is_refused(verifier: TokenVerifier, token: bytes) -> None:
    assert (await refused(verifier, token)).code == "TokenInvalid"


async def test_a_token_is_reviewed_once_a_minute_and_not_beyond_its_end(
    verifier: TokenVerifier, issuer: FakeIssuer, time: FakeTime
) -> None:
    token = KEY.sign(claims(exp=int(NOW) + 90))
    for moment, reviews in ((0, 1), (59, 1), (60, 2), (89, 2)):
        time.now = NOW + moment
        await verifier.verify(token)
        assert issuer.reviews == reviews
    time.now = NOW + 96
    assert "expired" in (await refused(verifier, token)).message


async def test_tokens_of_pods_that_are_gone_are_not_kept(verifier: TokenVerifier, time: FakeTime) -> None:
    for number in range(5):
        await verifier.verify(KEY.sign(claims(jti=f"token-{number}", exp=int(NOW) + 3600)))
        time.now += 40
    assert len(verifier) == 2


async def test_many_requests_at_once_make_one_review(verifier: TokenVerifier, issuer: FakeIssuer) -> None:
    token = KEY.sign(claims())
    await asyncio.gather(*(verifier.verify(token) for _ in range(20)))
    assert issuer.reviews == 1


async def test_a_caller_that_goes_away_does_not_end_the_review_for_the_others(
    verifier: TokenVerifier, issuer: FakeIssuer
) -> None:
    token = KEY.sign(claims())
    first = asyncio.create_task(verifier.verify(token))
    second = asyncio.create_task(verifier.verify(token))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).pod == "t1-pod"


def review(name: str = "aos-agent-enricher", uid: str = "account-uid", **changes: str) -> TokenReview:
    extra = {"authentication.kubernetes.io/pod-uid": (changes["pod"],)} if "pod" in changes else {}
    user = UserInfo(f"system:serviceaccount:sales:{name}", uid, (), extra)
    audiences = (changes.get("audience", "aos-gateway"),)
    return TokenReview(authenticated=True, user=user, audiences=audiences, error="")


NOT_ACCEPTED = TokenReview(authenticated=False, user=UserInfo(), audiences=(), error="revoked")
OTHERWISE = [
    NOT_ACCEPTED,
    review(audience="api"),
    review(name="another"),
    review(uid="another"),
    review(pod="another"),
]


@pytest.mark.parametrize("said", OTHERWISE)
async def test_attack_02_a_token_that_the_api_server_takes_otherwise_is_refused_and_soon_asked_about_again(
    verifier: TokenVerifier, issuer: FakeIssuer, time: FakeTime, said: TokenReview
) -> None:
    genuine, issuer.review = issuer.review, said
    token = KEY.sign(claims())
    for _ in range(3):
        refusal = await refused(verifier, token)
        assert (refusal.status, refusal.code) == (401, "TokenNotAccepted")
    assert issuer.reviews == 1
    issuer.review = genuine
    time.now += REJECTION_SECONDS
    await verifier.verify(token)


async def test_a_refusal_that_is_raised_often_does_not_grow(
    verifier: TokenVerifier, issuer: FakeIssuer
) -> None:
    issuer.review = NOT_ACCEPTED
    token = KEY.sign(claims())
    depths = []
    for _ in range(3):
        trace = (await refused(verifier, token)).__traceback__
        depth = 0
        while trace:
            depth, trace = depth + 1, trace.tb_next
        depths.append(depth)
    assert depths[1] == depths[2]


async def test_without_the_api_server_signatures_decide_and_it_is_asked_again_now_and_then(
    verifier: TokenVerifier, issuer: FakeIssuer, time: FakeTime
) -> None:
    token, other = KEY.sign(claims()), KEY.sign(claims(jti="2"))
    await verifier.verify(token)
    issuer.failure = DOWN
    time.now += 60
    await verifier.verify(token)
    await verifier.verify(other)
    assert issuer.reviews == 2
    assert (await refused(verifier, STRANGER.sign(claims()))).code == "TokenInvalid"
    time.now += OFFLINE_SECONDS
    await verifier.verify(token)
    assert issuer.reviews == 3
    time.now += OFFLINE_SECONDS
    issuer.failure, issuer.review = None, NOT_ACCEPTED
    assert (await refused(verifier, token)).code == "TokenNotAccepted"


async def test_a_gateway_that_may_not_review_tokens_accepts_none(
    verifier: TokenVerifier, issuer: FakeIssuer
) -> None:
    token = KEY.sign(claims())
    await verifier.verify(KEY.sign(claims(jti="2")))
    issuer.failure = Forbidden(Target("create", "tokenreviews"), 403, "Forbidden", "no")
    for _ in range(2):
        refusal = await refused(verifier, token)
        assert (refusal.status, refusal.code) == (503, "IdentityUnavailable")
    issuer.failure = None
    await verifier.verify(token)


async def test_without_keys_no_token_is_accepted(verifier: TokenVerifier, issuer: FakeIssuer) -> None:
    issuer.failure = DOWN
    refusal = await refused(verifier, KEY.sign(claims()))
    assert (refusal.status, refusal.code, refusal.retry_after_seconds) == (503, "IdentityUnavailable", 1)


async def test_verdicts_are_bounded_in_number(issuer: FakeIssuer, time: FakeTime) -> None:
    settings = with_settings(max_cached_tokens=16)
    verifier = TokenVerifier(SigningKeys(issuer, 10, FakeClock()), issuer, settings, time)
    first = KEY.sign(claims(jti="first"))
    await verifier.verify(first)
    for number in range(16):
        await verifier.verify(KEY.sign(claims(jti=str(number))))
    await verifier.verify(first)
    assert issuer.reviews == 18


async def test_made_up_tokens_push_no_verdict_out(issuer: FakeIssuer, time: FakeTime) -> None:
    settings = with_settings(max_cached_tokens=16)
    verifier = TokenVerifier(SigningKeys(issuer, 10, FakeClock()), issuer, settings, time)
    genuine = KEY.sign(claims())
    await verifier.verify(genuine)
    for number in range(20):
        await refused(verifier, STRANGER.sign(claims(jti=str(number))))
    await verifier.verify(genuine)
    assert issuer.reviews == 1


async def test_a_key_of_the_clusters_set_that_is_not_for_signing_is_not_used(time: FakeTime) -> None:
    odd: list[JsonObject] = [
        KEY.jwk(use="enc"),
        KEY.jwk(alg="RS512"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "one", "alg": "HS256"},
        {"kty": "odd"},
        {},
        ELLIPTIC.jwk(),
    ]
    issuer = FakeIssuer(odd)
    verifier = TokenVerifier(SigningKeys(issuer, 10, FakeClock()), issuer, SETTINGS, time)
    assert "key that the cluster does not have" in (await refused(verifier, KEY.sign(claims()))).message
    await verifier.verify(ELLIPTIC.sign(claims()))
