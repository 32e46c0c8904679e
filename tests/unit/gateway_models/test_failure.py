import orjson
import pytest

from aos.gateway.models.failure import ModelFailure
from aos.gateway.refusal import Refusal, RefusalCode


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (429, "rate_limit_error"),
        (502, "api_error"),
    ],
)
def test_a_failure_is_written_as_openai_writes_it(status: int, kind: str) -> None:
    failure = ModelFailure(status, RefusalCode.UPSTREAM_INVALID, "why", code="some_code")
    assert orjson.loads(failure.body()) == {
        "error": {"message": "why", "type": kind, "param": None, "code": "some_code"}
    }


def test_without_a_code_of_openais_the_gateways_own_is_given() -> None:
    assert ModelFailure(400, RefusalCode.BAD_REQUEST, "why").code == "BadRequest"


def test_a_refusal_of_the_gateway_keeps_what_it_says() -> None:
    refusal = Refusal(429, RefusalCode.TOO_MANY_CALLS, "slower", retry_after_seconds=3)
    failure = ModelFailure.of(refusal)
    assert (failure.status, failure.code, failure.message) == (429, "TooManyCalls", "slower")
    assert failure.headers() == [(b"retry-after", b"3")]
    assert ModelFailure(400, RefusalCode.BAD_REQUEST, "why").headers() == []
