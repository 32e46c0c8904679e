import orjson
import pytest

from aos.gateway.refusal import (
    MAX_DETAILS,
    MAX_MESSAGE_LENGTH,
    Detail,
    Refusal,
    RefusalCode,
    Refused,
    refusal_of,
)
from aos.policy.decision import DecisionReason, Effect


def test_a_refusal_says_what_and_why() -> None:
    refusal = Refusal(403, DecisionReason.NO_POLICY, "no Policy selects agent a")
    assert orjson.loads(refusal.body()) == {
        "error": {"code": "NoPolicy", "message": "no Policy selects agent a"}
    }
    assert refusal.headers() == []


def test_details_stand_beside_the_message() -> None:
    refusal = Refusal(422, RefusalCode.OUTPUT_INVALID, "no", details=(Detail("/a", "is missing"),))
    assert orjson.loads(refusal.body())["error"]["details"] == [{"path": "/a", "message": "is missing"}]


def test_a_refusal_is_bounded() -> None:
    refusal = Refusal(400, RefusalCode.BAD_REQUEST, "a" * 10_000, details=(Detail("", ""),) * 100)
    assert len(refusal.message) == MAX_MESSAGE_LENGTH
    assert len(refusal.details) == MAX_DETAILS


@pytest.mark.parametrize(
    ("refusal", "header"),
    [
        (Refusal(503, RefusalCode.STALE, "", retry_after_seconds=5), (b"retry-after", b"5")),
        (Refusal(401, RefusalCode.NO_TOKEN, ""), (b"www-authenticate", b'Bearer realm="aos-gateway"')),
    ],
)
def test_headers_say_how_to_go_on(refusal: Refusal, header: tuple[bytes, bytes]) -> None:
    assert refusal.headers() == [header]


def test_the_text_of_a_refusal_that_was_not_caught_is_its_code_first() -> None:
    assert str(Refusal(500, RefusalCode.INTERNAL, "why").args[0]) == "Internal"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (RefusalCode.BUDGET_EXCEEDED, 429),
        (RefusalCode.RECORD_BUSY, 409),
        (RefusalCode.STORE_UNAVAILABLE, 503),
        (RefusalCode.DATA_TOO_LARGE, 413),
        (RefusalCode.DATA_BLOCKED, 403),
        (DecisionReason.NOT_ALLOWED, 403),
    ],
)
def test_what_is_refused_has_a_status_where_the_protocol_is_http(
    code: RefusalCode | DecisionReason, status: int
) -> None:
    refusal = refusal_of(Refused(Effect.DENY, code, "no", retry_after_seconds=1.2))
    assert (refusal.status, refusal.code, refusal.retry_after_seconds) == (status, code, 2)
    assert refusal_of(Refused(Effect.DENY, code, "no")).retry_after_seconds == 0
