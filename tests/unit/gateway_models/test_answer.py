import orjson
import pytest
from pydantic import JsonValue

from aos.gateway.models.answer import (
    TokenUsage,
    error_event,
    failure_from,
    failure_of,
    read_value,
    usage_of,
    written,
)
from aos.gateway.models.failure import ModelFailure
from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.model.base import JsonObject

CREDENTIAL = b"credential-1"


def gives_away(content: bytes) -> bool:
    return CREDENTIAL in content


def test_a_whole_answer_is_read_with_its_choices_and_written_anew() -> None:
    answer: JsonObject = {"choices": [{"message": {"content": "\u00e9"}}], "id": "c1"}
    value, choices = read_value(orjson.dumps(answer))
    assert value == answer
    assert choices is value["choices"]
    assert orjson.loads(written(value, gives_away)) == answer


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b"{}", b'{"choices":{}}', b'{"error":{"message":"db-7"}}']
)
def test_what_is_no_completion_is_refused(content: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        read_value(content)
    assert raised.value.code is RefusalCode.UPSTREAM_INVALID


def test_an_answer_with_the_credential_is_withheld() -> None:
    value, _ = read_value(b'{"choices":[{"text":"\\u0063redential-1"}]}')
    with pytest.raises(UpstreamError, match="withheld"):
        written(value, gives_away)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, None),
        ("many", None),
        ({}, None),
        ({"prompt_tokens": 3}, None),
        ({"completion_tokens": 3}, None),
        ({"prompt_tokens": -5, "completion_tokens": 7}, None),
        ({"prompt_tokens": 5, "completion_tokens": True}, None),
        ({"prompt_tokens": "7", "completion_tokens": 2}, None),
        ({"prompt_tokens": 1.5, "completion_tokens": 7}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": 0, "completion_tokens": 9, "total_tokens": 9}, None),
        ({"prompt_tokens": 5, "completion_tokens": 0}, TokenUsage(5, 0)),
        ({"prompt_tokens": 7, "completion_tokens": 2**70}, TokenUsage(7, 2**53 - 1)),
        ({"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 30}, TokenUsage(7, 23)),
        ({"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 8}, TokenUsage(7, 2)),
    ],
)
def test_only_counts_count(usage: JsonValue, counted: TokenUsage | None) -> None:
    assert usage_of({"usage": usage}) == counted


def test_a_stream_that_fails_ends_with_an_error() -> None:
    event = error_event(ModelFailure(502, RefusalCode.UPSTREAM_INVALID, "why"))
    assert event.startswith(b'data: {"error":{"message":"why"')
    assert event.endswith(b"\n\n")


def test_an_error_about_the_request_is_passed_on() -> None:
    content = b'{"error":{"message":"too many tokens","code":"context_length_exceeded"}}'
    failure = failure_of(400, content, "", gives_away)
    assert (failure.status, failure.message, failure.code) == (
        400,
        "too many tokens",
        "context_length_exceeded",
    )


def test_a_limit_says_when_to_come_back() -> None:
    assert failure_of(429, b"", "7", gives_away).retry_after_seconds == 7
    for odd in ("soon", "-1", "99999", "7.5", ""):
        assert failure_of(429, b"", odd, gives_away).retry_after_seconds == 0


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b'{"error":"x"}', b'{"error":{"message":7,"code":{}}}']
)
def test_an_error_without_words_is_told_by_its_status(content: bytes) -> None:
    assert failure_of(400, content, "", gives_away).message == "the model answered with the HTTP status 400"


def test_an_error_that_quotes_the_credential_is_told_by_its_status() -> None:
    failure = failure_of(400, b'{"error":{"message":"bad key credential-1"}}', "", gives_away)
    assert "credential-1" not in failure.message


@pytest.mark.parametrize(
    ("status", "answered", "code"),
    [
        (401, 502, RefusalCode.UPSTREAM_INVALID),
        (403, 502, RefusalCode.UPSTREAM_INVALID),
        (404, 502, RefusalCode.UPSTREAM_INVALID),
        (302, 502, RefusalCode.UPSTREAM_INVALID),
        (500, 503, RefusalCode.UPSTREAM_UNREACHABLE),
    ],
)
def test_an_error_about_the_gateways_own_affairs_is_not(
    status: int, answered: int, code: RefusalCode
) -> None:
    content = b'{"error":{"message":"Incorrect API key provided: cred***al-1","code":"invalid_api_key"}}'
    failure = failure_of(status, content, "", gives_away)
    assert (failure.status, failure.reason) == (answered, code)
    assert "key provided" not in failure.message


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (RefusalCode.UPSTREAM_TIMEOUT, 504),
        (RefusalCode.UPSTREAM_UNREACHABLE, 503),
        (RefusalCode.CREDENTIALS_MISSING, 503),
        (RefusalCode.RESPONSE_TOO_LARGE, 502),
        (RefusalCode.UPSTREAM_INVALID, 502),
    ],
)
def test_a_model_without_a_usable_answer_has_a_status_for_it(code: RefusalCode, status: int) -> None:
    assert failure_from(UpstreamError(code, "why", maybe_done=True)).status == status
