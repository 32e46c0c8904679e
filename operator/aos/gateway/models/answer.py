"""What a model answers, whole or chunk by chunk: checked, counted, and given on. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.models.failure import ModelFailure
from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.outbound import decoded, encoded
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.model.base import JsonObject

DONE: Final = b"[DONE]"

MOST_TOKENS: Final = 2**53 - 1
_MAX_MESSAGE_LENGTH: Final = 500
_ENVELOPE: Final = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "choices")
_PASSED_ON: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""Errors that are about the request, which its agent has to know of; others are about the gateway's own affairs."""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens that the model counted."""

    prompt: int = 0
    completion: int = 0


NOTHING_USED: Final = TokenUsage()


def read_value(content: bytes) -> tuple[JsonObject, list[JsonValue]]:
    """Return a whole answer, or one chunk of a stream, and its choices.

    Raises:
        UpstreamError: it is something else.
    """
    value = decoded(content)
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(choices, list):
        raise unsound("its answer is no chat completion")
    return value, choices


def written(value: JsonObject, gives_away: Callable[[bytes], bool]) -> bytes:
    """Return ``value`` as it is given on.

    Raises:
        UpstreamError: it holds the credential, or can't be written.
    """
    content = encoded(value)
    if gives_away(content):
        raise unsound("its answer holds the gateway's credential and was withheld")
    return content


def event_of(data: bytes) -> bytes:
    """Return ``data`` as an event of a stream."""
    return b"data: " + data + b"\n\n"


def error_event(failure: ModelFailure) -> bytes:
    """Return the event that ends a stream that failed after it began."""
    return event_of(failure.body())


def known_fields(value: JsonObject) -> JsonObject:
    """Return an answer or a chunk without the fields that its provider adds: nobody looks through those.

    Of the usage numbers are left.
    """
    kept: JsonObject = {name: value[name] for name in _ENVELOPE if name in value}
    usage = value.get("usage")
    if isinstance(usage, dict):
        kept["usage"] = {
            name: _numbers(item) if isinstance(item, dict) else item
            for name, item in usage.items()
            if isinstance(item, int | float | dict)
        }
    elif "usage" in value:
        kept["usage"] = None
    return kept


def usage_of(value: JsonObject) -> TokenUsage | None:
    """Return what an answer or a chunk counts; None if it counts nothing, or not all: that is no count.

    No prompt is without tokens: a model that counts none has not counted.
    """
    usage = value.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if not prompt or completion is None:
        return None
    # Some providers count what the model thought in the total alone.
    total = _count(usage.get("total_tokens")) or 0
    return TokenUsage(prompt=prompt, completion=max(completion, total - prompt))


def failure_of(
    status: int, content: bytes, retry_after: str, gives_away: Callable[[bytes], bool]
) -> ModelFailure:
    """Return what an agent is told of an error of its model.

    Args:
        status: of the model's answer.
        content: of the model's answer.
        retry_after: its header of that name; empty if it has none.
        gives_away: whether JSON holds the credential.
    """
    if status in _PASSED_ON:
        message, code = _said(content)
        if gives_away(orjson.dumps([message, code])):
            message, code = "", ""
        return ModelFailure(
            status,
            RefusalCode.UPSTREAM_INVALID,
            message or f"the model answered with the HTTP status {status}",
            code=code,
            retry_after_seconds=int(retry_after) if retry_after.isdecimal() and len(retry_after) < 5 else 0,  # noqa: PLR2004 - hours
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        why = "it refused the gateway's credential"
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        why = "it answered with a redirect, which is not followed"
    else:
        why = f"it answered with the HTTP status {status}"
    code_, answer = (
        (RefusalCode.UPSTREAM_UNREACHABLE, HTTPStatus.SERVICE_UNAVAILABLE)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR
        else (RefusalCode.UPSTREAM_INVALID, HTTPStatus.BAD_GATEWAY)
    )
    return ModelFailure(answer, code_, f"the model gave no answer: {why}")


def failure_from(error: UpstreamError) -> ModelFailure:
    """Return what an agent is told of a model that gave no usable answer."""
    match error.code:
        case RefusalCode.UPSTREAM_TIMEOUT:
            status = HTTPStatus.GATEWAY_TIMEOUT
        case RefusalCode.UPSTREAM_UNREACHABLE | RefusalCode.CREDENTIALS_MISSING:
            status = HTTPStatus.SERVICE_UNAVAILABLE
        case _:
            status = HTTPStatus.BAD_GATEWAY
    return ModelFailure(status, error.code, f"the model gave no answer: {error.message}")


def _numbers(value: JsonObject) -> JsonObject:
    return {name: item for name, item in value.items() if isinstance(item, int | float)}


def _count(value: JsonValue) -> int | None:
    counts = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return min(value, MOST_TOKENS) if counts and isinstance(value, int) else None


def _said(content: bytes) -> tuple[str, str]:
    try:
        value: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError:
        return "", ""
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return "", ""
    message, code = error.get("message"), error.get("code")
    return (
        message[:_MAX_MESSAGE_LENGTH] if isinstance(message, str) else "",
        code[:64] if isinstance(code, str) else "",
    )


def unsound(message: str) -> UpstreamError:
    """Return the error of an answer that can't be given on."""
    return UpstreamError(RefusalCode.UPSTREAM_INVALID, message, maybe_done=True)
