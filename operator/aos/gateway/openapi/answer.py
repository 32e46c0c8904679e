"""What a REST system answers, as the result of an MCP tool. No I/O."""

from http import HTTPStatus
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.statuses import is_undone
from aos.gateway.upstream.upstream_error import UpstreamError, invalid
from aos.model.base import JsonObject

MAX_ERROR_BYTES: Final = 65_536
"""Of the body of an answer that says that something is wrong."""

_PASSING: Final = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
_TEXT_TYPES: Final = ("/xml", "+xml", "/yaml", "+yaml", "/x-yaml", "/x-ndjson")


def check_status(status: int) -> None:
    """Check that an answer's status is one that its system gives, success or not.

    Raises:
        UpstreamError: the system was not there, did not take the credential, or led elsewhere.
    """
    if status == HTTPStatus.UNAUTHORIZED:
        raise invalid("it refused the gateway's credential", maybe_done=False, status=status)
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES and status < HTTPStatus.BAD_REQUEST:
        # A system that has done a write may well lead to what came of it.
        raise invalid("it answered with a redirect, which is not followed", maybe_done=True, status=status)
    if status in _PASSING:
        raise UpstreamError(
            RefusalCode.UPSTREAM_UNREACHABLE,
            f"it answered with the HTTP status {status}",
            maybe_done=True,
            status=status,
        )


def is_error(status: int) -> bool:
    """Whether the answer says that the request did not succeed."""
    return status >= HTTPStatus.BAD_REQUEST


def result_of(status: int, media_type: str, content: bytes, *, writes: bool) -> JsonObject:
    """Return the result that an answer is.

    Args:
        status: that `check_status` let through.
        media_type: without parameters, in lower case; empty where none was said.
        content: the body.
        writes: whether the call is a Write, of which many an error leaves open what came of it.

    Raises:
        UpstreamError: it is neither JSON nor text.
    """
    text, structured = _read(status, media_type, content)
    if not is_error(status):
        result: JsonObject = {"content": [_block(text or _named(status))]}
        if isinstance(structured, dict):
            result["structuredContent"] = structured
        return result
    said = _named(status)
    if writes and not is_undone(status):
        said += " (its outcome is unknown: check what it did before you repeat it)"
    return {"content": [_block(f"{said}\n{text}" if text else said)], "isError": True}


def _read(status: int, media_type: str, content: bytes) -> tuple[str, JsonValue]:
    """Return the body as text, and as the JSON that it is."""
    if not content:
        return "", None
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            return content.decode(), orjson.loads(content)
        except (UnicodeDecodeError, orjson.JSONDecodeError):
            if is_error(status):
                return content.decode(errors="replace"), None
            raise invalid("the answer is not JSON", status=status) from None
    if not media_type or media_type.startswith("text/") or media_type.endswith(_TEXT_TYPES):
        return content.decode(errors="replace"), None
    if is_error(status):
        return "", None
    raise invalid("its answer is neither JSON nor text", status=status)


def _named(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP {status}"
    return f"HTTP {status} {phrase}"


def _block(text: str) -> JsonObject:
    return {"type": "text", "text": text}
