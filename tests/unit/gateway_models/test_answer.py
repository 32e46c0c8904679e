import orjson
import pytest
from pydantic import JsonValue

from aos.gateway.mcp.upstream_error import UpstreamError
from aos.gateway.models.answer import (
    NOTHING_USED,
    TokenUsage,
    error_event,
    failure_from,
    failure_of,
    read_answer,
    read_event,
    usage_of,
)
from aos.gateway.models.failure import ModelFailure
from aos.gateway.refusal import RefusalCode

CREDENTIAL = b"credential-1"


def gives_away(content: bytes) -> bool:
    return CREDENTIAL in content


def test_a_whole_answer_is_given_on_and_counted() -> None:
    answer = {
        "choices": [{"message": {"content": "é"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    }
    content, usage = read_answer(orjson.dumps(answer), gives_away)
    assert orjson.loads(content) == answer
    assert usage == TokenUsage(3, 4)


def test_an_answer_that_counts_nothing_counts_as_nothing() -> None:
    assert read_answer(b'{"choices":[]}', gives_away)[1] == NOTHING_USED


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"{}", b'{"choices":{}}', b'{"choices":[{"text":"\\u0063redential-1"}]}'],
)
def test_an_answer_that_can_not_be_given_on_is_refused(content: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        read_answer(content, gives_away)
    assert raised.value.code is RefusalCode.UPSTREAM_INVALID


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, None),
        ("many", None),
        ({}, TokenUsage(0, 0)),
        ({"prompt_tokens": -5, "completion_tokens": True}, TokenUsage(0, 0)),
        ({"prompt_tokens": "7", "completion_tokens": 2**70}, TokenUsage(0, 2**53 - 1)),
        ({"prompt_tokens": 1.5, "completion_tokens": 7}, TokenUsage(0, 7)),
    ],
)
def test_only_counts_count(usage: JsonValue, counted: TokenUsage | None) -> None:
    assert usage_of({"usage": usage}) == counted


def test_a_chunk_is_given_on_as_an_event() -> None:
    chunk = read_event(b'{"choices": [{"delta": {"content": "a"}}]}', gives_away, shows_usage=False)
    assert chunk.content == b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    assert not chunk.ends


@pytest.mark.parametrize("shows_usage", [False, True])
def test_the_chunk_that_only_counts_goes_to_those_who_asked(*, shows_usage: bool) -> None:
    data = b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
    chunk = read_event(data, gives_away, shows_usage=shows_usage)
    assert chunk.usage == TokenUsage(3, 4)
    assert bool(chunk.content) is shows_usage


def test_the_end_of_a_stream_is_seen() -> None:
    chunk = read_event(b"[DONE]", gives_away, shows_usage=False)
    assert chunk.ends
    assert chunk.content == b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"error":{"message":"db-7"}}',
        b'{"choices":[{"delta":{"content":"credential-1"}}]}',
    ],
)
def test_an_event_that_can_not_be_given_on_is_refused(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        read_event(data, gives_away, shows_usage=False)


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
