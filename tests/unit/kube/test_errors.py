"""Answers of the API server and the errors that they mean."""

import pickle

import pytest

from aos.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    QuotaExceeded,
    Target,
    Unauthorized,
    Unavailable,
    error_of,
    no_answer,
)
from aos.model.base import JsonObject

TARGET = Target("create", "pods", "sales/one")
QUOTA = 'pods "one" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1'
NAMED_QUOTA = 'pods "exceeded quota: x" is forbidden: User "bob" cannot create resource "pods"'


@pytest.mark.parametrize(
    ("status", "reason", "message", "expected"),
    [
        (400, "BadRequest", "no", Invalid),
        (401, "Unauthorized", "no", Unauthorized),
        (403, "Forbidden", "no", Forbidden),
        (403, "Forbidden", QUOTA, QuotaExceeded),
        (403, "Forbidden", NAMED_QUOTA, Forbidden),
        (404, "NotFound", "no", NotFound),
        (409, "AlreadyExists", "no", AlreadyExists),
        (409, "Conflict", "no", Conflict),
        (410, "Expired", "no", Gone),
        (410, "Gone", "no", Gone),
        (413, "RequestEntityTooLarge", "no", Invalid),
        (415, "UnsupportedMediaType", "no", ApiError),
        (422, "Invalid", "no", Invalid),
        (429, "TooManyRequests", "no", Unavailable),
        (500, "InternalError", "no", Unavailable),
        (503, "ServiceUnavailable", "no", Unavailable),
        (504, "Timeout", "no", Unavailable),
        (599, "", "", Unavailable),
    ],
)
def test_an_answer_becomes_the_error_that_says_what_to_do(
    status: int, reason: str, message: str, expected: type[ApiError]
) -> None:
    error = error_of(TARGET, status, {"reason": reason, "message": message})
    assert type(error) is expected
    assert (error.status, error.reason) == (status, reason)


def test_a_message_names_verb_resource_and_object_and_the_servers_own_words() -> None:
    error = error_of(TARGET, 422, {"reason": "Invalid", "message": "spec.containers: Required value"})
    assert str(error) == "create pods sales/one: spec.containers: Required value (422 Invalid)"


def test_a_message_without_words_falls_back_to_the_status() -> None:
    assert str(error_of(Target("list", "pods"), 502, {})) == "list pods: Bad Gateway (502)"
    assert str(error_of(Target("list", "pods"), 599, {})) == "list pods: no reason given (599)"


def test_no_answer_is_unavailable_and_says_from_where_and_why() -> None:
    error = no_answer(TARGET, "https://10.0.0.1:6443", "connection refused", "ClientConnectorError")
    assert isinstance(error, Unavailable)
    assert (error.status, error.reason) == (0, "ClientConnectorError")
    assert str(error) == (
        "create pods sales/one: the API server at https://10.0.0.1:6443 did not answer: connection refused"
    )


def test_the_wait_asked_for_comes_from_the_header_or_else_from_the_body() -> None:
    body: JsonObject = {"reason": "ServerTimeout", "details": {"retryAfterSeconds": 7}}
    from_body, from_header = error_of(TARGET, 504, body), error_of(TARGET, 504, body, 3)
    assert isinstance(from_body, Unavailable)
    assert isinstance(from_header, Unavailable)
    assert (from_body.retry_after_seconds, from_header.retry_after_seconds) == (7, 3)


def test_an_endless_message_is_cut() -> None:
    assert len(error_of(TARGET, 500, {"message": "x" * 100_000}).message) == 2048


def test_errors_survive_pickling() -> None:
    error = error_of(TARGET, 429, {"message": "slow down"}, 2)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert str(again) == str(error)
