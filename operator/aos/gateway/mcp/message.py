"""One posted JSON-RPC message, judged: which era it speaks, and whether headers and body say the same. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from pydantic import JsonValue

from aos.gateway.mcp.header_values import decode_value
from aos.gateway.mcp.protocol import (
    HEADER_METHOD,
    HEADER_MISMATCH,
    HEADER_NAME,
    HEADER_VERSION,
    INVALID_PARAMS,
    INVALID_REQUEST,
    META_CAPABILITIES,
    META_VERSION,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    PARSE_ERROR,
    SESSION_VERSIONS,
    UNSUPPORTED_VERSION,
    Era,
    Method,
    RequestId,
)

MAX_ID_LENGTH: Final = 256
MAX_METHOD_LENGTH: Final = 128
MAX_PARAMS: Final = 16
MAX_META_KEYS: Final = 64

_VERSION_KEY: Final = HEADER_VERSION.lower().encode()
_METHOD_KEY: Final = HEADER_METHOD.lower().encode()
_NAME_KEY: Final = HEADER_NAME.lower().encode()
_SESSION_ERAS: Final = frozenset(version.encode() for version in SESSION_VERSIONS)
_MODERN: Final = MODERN_VERSION.encode()
_ENVELOPE: Final = frozenset({"jsonrpc", "id", "method", "params"})
_NO_PARAMS: Final[dict[str, JsonValue]] = {}
_STATUS: Final[Mapping[int, int]] = {
    PARSE_ERROR: HTTPStatus.BAD_REQUEST,
    INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    INVALID_PARAMS: HTTPStatus.BAD_REQUEST,
    HEADER_MISMATCH: HTTPStatus.BAD_REQUEST,
    UNSUPPORTED_VERSION: HTTPStatus.BAD_REQUEST,
    METHOD_NOT_FOUND: HTTPStatus.NOT_FOUND,
}
_WITHOUT_STATUS: Final = frozenset({INVALID_PARAMS, METHOD_NOT_FOUND})
"""Errors of a method itself, which the session era answers with 200."""


class RpcError(Exception):
    """A JSON-RPC error to answer with.

    Attributes:
        code: of JSON-RPC or MCP.
        message: for people; it quotes nothing that could be secret.
        data: more, for programs.
    """

    def __init__(self, code: int, message: str, data: dict[str, JsonValue] | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.data = data

    def status(self, era: Era) -> int:
        """Return the HTTP status that the error has in ``era``."""
        if era is Era.SESSION and self.code in _WITHOUT_STATUS:
            return HTTPStatus.OK
        return _STATUS.get(self.code, HTTPStatus.OK)


@dataclass(frozen=True, slots=True)
class RpcRequest:
    """A request that is sound in itself; whether its method exists is not said yet."""

    era: Era
    id: RequestId
    method: str
    params: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class RpcNotification:
    """A message that gets no answer."""

    era: Era
    method: str


def era_of(headers: Mapping[bytes, bytes]) -> Era:
    """Return the era that the request's headers speak; the modern one judges whatever it does not know."""
    version = headers.get(_VERSION_KEY)
    return Era.SESSION if version is None or version in _SESSION_ERAS else Era.MODERN


def id_of(body: JsonValue) -> RequestId | None:
    """Return the id to answer an unsound message with; None where it has none that could be used."""
    identifier = body.get("id") if isinstance(body, dict) else None
    if isinstance(identifier, str) and len(identifier) <= MAX_ID_LENGTH:
        return identifier
    return identifier if isinstance(identifier, int) and not isinstance(identifier, bool) else None


def read_message(headers: Mapping[bytes, bytes], body: JsonValue) -> RpcRequest | RpcNotification:
    """Return the one message that ``body`` is.

    Args:
        headers: of the request, by name in lower case, none of them repeated.
        body: strict JSON.

    Raises:
        RpcError: it is no single message, or its headers do not agree with it.
    """
    if isinstance(body, list):
        raise RpcError(INVALID_REQUEST, "batches are not accepted: send each message in a request of its own")
    if not isinstance(body, dict):
        raise RpcError(INVALID_REQUEST, "the body must be a JSON-RPC object")
    method, params = _envelope(body)
    era = era_of(headers)
    if "id" not in body:
        _check_notification(era, headers, method)
        return RpcNotification(era=era, method=method)
    identifier = id_of(body)
    if identifier is None:
        raise RpcError(
            INVALID_REQUEST, f"id must be an integer or a string of at most {MAX_ID_LENGTH} characters"
        )
    meta = _meta(params)
    if era is Era.MODERN:
        _check_modern(headers, method, params, meta)
    else:
        _check_session(headers, method, params, meta)
    return RpcRequest(era=era, id=identifier, method=method, params=params)


def _envelope(body: dict[str, JsonValue]) -> tuple[str, dict[str, JsonValue]]:
    if body.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'jsonrpc must be "2.0"')
    if "result" in body or "error" in body:
        raise RpcError(INVALID_REQUEST, "responses are not accepted: the gateway asks clients for nothing")
    if not _ENVELOPE.issuperset(body):
        raise RpcError(INVALID_REQUEST, "the message has members besides jsonrpc, id, method and params")
    method = body.get("method")
    if not isinstance(method, str) or not 0 < len(method) <= MAX_METHOD_LENGTH:
        raise RpcError(INVALID_REQUEST, f"method must be a string of at most {MAX_METHOD_LENGTH} characters")
    params = body.get("params", _NO_PARAMS)
    if not isinstance(params, dict) or len(params) > MAX_PARAMS:
        raise RpcError(INVALID_REQUEST, f"params must be an object with at most {MAX_PARAMS} members")
    return method, params


def _meta(params: dict[str, JsonValue]) -> dict[str, JsonValue]:
    meta = params.get("_meta", _NO_PARAMS)
    if not isinstance(meta, dict) or len(meta) > MAX_META_KEYS:
        raise RpcError(INVALID_PARAMS, f"params._meta must be an object with at most {MAX_META_KEYS} members")
    return meta


def _check_notification(era: Era, headers: Mapping[bytes, bytes], method: str) -> None:
    if era is Era.MODERN and headers[_VERSION_KEY] != _MODERN:
        raise _unsupported(headers[_VERSION_KEY].decode("latin-1"))
    _check_method(headers, method, required=False)


def _check_session(
    headers: Mapping[bytes, bytes], method: str, params: dict[str, JsonValue], meta: dict[str, JsonValue]
) -> None:
    if META_VERSION in meta:
        raise RpcError(
            HEADER_MISMATCH,
            f"params._meta names a protocol version that the header {HEADER_VERSION} does not",
        )
    _check_method(headers, method, required=False)
    _check_name(headers, method, params, required=False)


def _check_modern(
    headers: Mapping[bytes, bytes], method: str, params: dict[str, JsonValue], meta: dict[str, JsonValue]
) -> None:
    version = meta.get(META_VERSION)
    if not isinstance(version, str) or not isinstance(meta.get(META_CAPABILITIES), dict):
        raise RpcError(INVALID_PARAMS, f"params._meta must hold {META_VERSION} and {META_CAPABILITIES}")
    if headers[_VERSION_KEY] != version.encode():
        raise RpcError(HEADER_MISMATCH, f"the header {HEADER_VERSION} and params._meta differ")
    _check_method(headers, method, required=True)
    _check_name(headers, method, params, required=True)
    if version != MODERN_VERSION:
        raise _unsupported(version)


def _check_method(headers: Mapping[bytes, bytes], method: str, *, required: bool) -> None:
    sent = headers.get(_METHOD_KEY)
    if sent is None and not required:
        return
    if sent != method.encode():
        raise RpcError(HEADER_MISMATCH, f"the header {HEADER_METHOD} and the message's method differ")


def _check_name(
    headers: Mapping[bytes, bytes], method: str, params: dict[str, JsonValue], *, required: bool
) -> None:
    sent = headers.get(_NAME_KEY)
    if sent is None and (not required or method != Method.CALL_TOOL):
        return
    said = None if sent is None or method != Method.CALL_TOOL else decode_value(sent)
    # A header that can't be read agrees with nothing, a missing name included.
    if said is None or said != params.get("name"):
        raise RpcError(HEADER_MISMATCH, f"the header {HEADER_NAME} and params.name differ")


def _unsupported(version: str) -> RpcError:
    supported: list[JsonValue] = [*SESSION_VERSIONS, MODERN_VERSION]
    return RpcError(
        UNSUPPORTED_VERSION,
        "Unsupported protocol version",
        {"supported": supported, "requested": version[:64]},
    )
