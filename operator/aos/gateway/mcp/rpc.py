"""What the gateway posts to tools, and what it makes of their answers: JSON-RPC without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.mcp.protocol import (
    HEADER_METHOD,
    HEADER_MISMATCH,
    HEADER_NAME,
    HEADER_SESSION,
    HEADER_VERSION,
    IMPLEMENTATION,
    INVALID_REQUEST,
    LATEST_SESSION_VERSION,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    MODERN_REQUEST_META,
    MODERN_VERSION,
    PARSE_ERROR,
    SESSION_VERSIONS,
    UNSUPPORTED_VERSION,
    Method,
)
from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.statuses import is_undone
from aos.gateway.upstream.upstream_error import UpstreamError, invalid

_NOT_DONE: Final = frozenset(
    {
        PARSE_ERROR,
        INVALID_REQUEST,
        METHOD_NOT_FOUND,
        HEADER_MISMATCH,
        MISSING_CAPABILITY,
        UNSUPPORTED_VERSION,
    }
)
"""Errors that a server gives before it does anything.

-32602 is none of them: what was sent fits the schema that the server gave, and common servers answer so, too, where what a
tool has done does not fit its output schema.
"""

_ACCEPT: Final = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
_MAX_SESSION_ID_LENGTH: Final = 1024


class RpcAnswerError(UpstreamError):
    """The tool answered with a JSON-RPC error; where the HTTP status leaves it open, the tool may have done something.

    Attributes:
        rpc_code: its code; its message is the tool's own and goes nowhere.
    """

    def __init__(self, rpc_code: int, status: int) -> None:
        super().__init__(
            RefusalCode.UPSTREAM_INVALID,
            f"it answered with the JSON-RPC error {rpc_code}",
            maybe_done=rpc_code not in _NOT_DONE or not (_is_success(status) or is_undone(status)),
            status=status,
        )
        self.rpc_code = rpc_code


@dataclass(frozen=True, slots=True)
class Session:
    """What a handshake agreed on; a server may do without an id."""

    version: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """One message to post: a whole body, and the headers that belong to it.

    Attributes:
        body: JSON-RPC.
        headers: without credential.
        id: of the request; None for a notification, which has no answer.
    """

    body: bytes
    headers: Mapping[str, str]
    id: int | None


def modern_request(
    identifier: int,
    method: Method,
    params: Mapping[str, JsonValue],
    extra_headers: Mapping[str, str] | None = None,
) -> Post:
    """Return a request of the stateless era: it says in its headers again what its body says."""
    headers = {**_ACCEPT, HEADER_VERSION: MODERN_VERSION, HEADER_METHOD: method.value}
    if method is Method.CALL_TOOL:
        # Names of actions are plain ASCII (aos.model.base.ACTION_NAME): they need no wrapping.
        headers[HEADER_NAME] = str(params["name"])
    if extra_headers:
        headers.update(extra_headers)
    message = {
        "jsonrpc": "2.0",
        "id": identifier,
        "method": method.value,
        "params": {**params, "_meta": MODERN_REQUEST_META},
    }
    return Post(body=orjson.dumps(message), headers=headers, id=identifier)


def session_request(
    identifier: int, method: Method, params: Mapping[str, JsonValue], session: Session
) -> Post:
    """Return a request of the era with sessions."""
    message: dict[str, JsonValue] = {"jsonrpc": "2.0", "id": identifier, "method": method.value}
    if params:
        message["params"] = dict(params)
    return Post(body=orjson.dumps(message), headers=session_headers(session), id=identifier)


def initialize_request(identifier: int) -> Post:
    """Return the handshake's first message."""
    params: dict[str, JsonValue] = {
        "protocolVersion": LATEST_SESSION_VERSION,
        "capabilities": {},
        "clientInfo": dict(IMPLEMENTATION),
    }
    message: dict[str, JsonValue] = {
        "jsonrpc": "2.0",
        "id": identifier,
        "method": Method.INITIALIZE.value,
        "params": params,
    }
    return Post(body=orjson.dumps(message), headers=_ACCEPT, id=identifier)


def initialized_notification(session: Session) -> Post:
    """Return the handshake's last message."""
    message: dict[str, JsonValue] = {"jsonrpc": "2.0", "method": Method.INITIALIZED.value}
    return Post(body=orjson.dumps(message), headers=session_headers(session), id=None)


def session_headers(session: Session) -> dict[str, str]:
    """Return the headers of every message within ``session``."""
    headers = {**_ACCEPT, HEADER_VERSION: session.version}
    if session.id is not None:
        headers[HEADER_SESSION] = session.id
    return headers


def session_of(result: Mapping[str, JsonValue], session_id: str | None) -> Session:
    """Return the session that an answered handshake opened.

    Raises:
        UpstreamError: the tool speaks a version that the gateway does not, or its session id is unusable.
    """
    version = result.get("protocolVersion")
    if not isinstance(version, str) or version not in SESSION_VERSIONS:
        raise invalid("it speaks a version of MCP that the gateway does not know", maybe_done=False)
    if session_id is not None and not _is_usable(session_id):
        raise invalid("its session id can't be used", maybe_done=False)
    return Session(version=version, id=session_id)


def result_of(message: JsonValue, identifier: int, status: int) -> dict[str, JsonValue] | None:
    """Return the result that ``message`` gives the request ``identifier``; None if it is another message.

    Args:
        message: decoded JSON.
        identifier: of the request.
        status: of the HTTP response that it came in.

    Raises:
        RpcAnswerError: it is the error that answers the request.
        UpstreamError: it is an answer, but not a sound one.
    """
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise invalid("it did not answer with JSON-RPC", maybe_done=True, status=status)
    if "method" in message:
        return None
    answered = message.get("id")
    error = message.get("error")
    if isinstance(error, dict) and (answered == identifier or answered is None):
        code = error.get("code")
        if not isinstance(code, int) or isinstance(code, bool):
            raise invalid("it answered with an unsound JSON-RPC error", maybe_done=True, status=status)
        raise RpcAnswerError(code, status)
    if answered != identifier or isinstance(answered, bool):
        raise invalid("it answered another request than the one it got", maybe_done=True, status=status)
    result = message.get("result")
    if not isinstance(result, dict):
        raise invalid("it answered without a result", maybe_done=True, status=status)
    return result


def error_of(content: bytes, status: int) -> UpstreamError:
    """Return the failure that an answer with an HTTP status other than success stands for."""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return invalid("it refused the gateway's credential", maybe_done=False, status=status)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return invalid("it answered with a redirect, which is not followed", maybe_done=True, status=status)
    code = _error_code(content)
    if code is not None:
        return RpcAnswerError(code, status)
    return UpstreamError(
        RefusalCode.UPSTREAM_UNREACHABLE
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR
        else RefusalCode.UPSTREAM_INVALID,
        f"it answered with the HTTP status {status}",
        maybe_done=not is_undone(status),
        status=status,
    )


def offers_modern(result: Mapping[str, JsonValue]) -> bool:
    """Whether the answer to ``server/discover`` names the stateless version that the gateway speaks."""
    versions = result.get("supportedVersions")
    return isinstance(versions, list) and MODERN_VERSION in versions


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _error_code(content: bytes) -> int | None:
    try:
        message: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    error = message.get("error") if isinstance(message, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _is_usable(session_id: str) -> bool:
    return 0 < len(session_id) <= _MAX_SESSION_ID_LENGTH and session_id.isascii() and session_id.isprintable()
