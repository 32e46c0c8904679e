"""An issuer of tokens, and an API server that knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pydantic import JsonValue

from aos.kube.errors import ApiError
from aos.kube.reviews import TokenReview, UserInfo
from aos.model.base import JsonObject
from aos.model.names import AUDIENCE_GATEWAY
from tests.unit.gateway.make import ACCOUNT_UID, POD_UID

ISSUER = "https://kubernetes.default.svc"
NOW = 1_800_000_000.0
USERNAME = "system:serviceaccount:sales:aos-agent-enricher"


class Key:
    """A key pair with an id."""

    def __init__(self, key_id: str, algorithm: str = "RS256") -> None:
        self.key_id = key_id
        self.algorithm = algorithm
        self.private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
        if algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
            self._public: Mapping[str, JsonValue] = ECAlgorithm.to_jwk(
                self.private.public_key(), as_dict=True
            )
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            self._public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)

    def jwk(self, **changes: JsonValue) -> JsonObject:
        return {**self._public, "kid": self.key_id, "alg": self.algorithm, "use": "sig", **changes}

    def sign(self, claims: JsonObject, **header: JsonValue) -> bytes:
        headers = {"kid": self.key_id, **header}
        return jwt.encode(claims, self.private, algorithm=self.algorithm, headers=headers).encode()


def claims(**changes: JsonValue) -> JsonObject:
    """What a projected token says; a change to None leaves a claim out."""
    whole: JsonObject = {
        "aud": [AUDIENCE_GATEWAY],
        "exp": int(NOW) + 600,
        "iat": int(NOW) - 10,
        "nbf": int(NOW) - 10,
        "iss": ISSUER,
        "sub": USERNAME,
        "jti": "1",
        "kubernetes.io": {
            "namespace": "sales",
            "pod": {"name": "t1-pod", "uid": POD_UID},
            "serviceaccount": {"name": "aos-agent-enricher", "uid": ACCOUNT_UID},
        },
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


@dataclass
class FakeIssuer:
    """Answers for keys and reviews, and counts how often it was asked."""

    keys: list[JsonObject]
    issuer: str = ISSUER
    review: TokenReview = field(
        default_factory=lambda: TokenReview(
            authenticated=True,
            user=UserInfo(USERNAME, ACCOUNT_UID, (), {"authentication.kubernetes.io/pod-uid": (POD_UID,)}),
            audiences=(AUDIENCE_GATEWAY,),
            error="",
        )
    )
    failure: ApiError | None = None
    readings: int = 0
    reviews: int = 0

    async def request(self, method: str, path: str) -> JsonObject:
        if self.failure:
            raise self.failure
        if path == "/openid/v1/jwks":
            self.readings += 1
            return {"keys": [*self.keys]}
        return {"issuer": self.issuer}

    async def token_review(self, token: str, audiences: tuple[str, ...] = ()) -> TokenReview:
        self.reviews += 1
        assert audiences == (AUDIENCE_GATEWAY,)
        if self.failure:
            raise self.failure
        return self.review


class FakeTime:
    """Wall clock and monotonic clock in one; both stand still."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now
