"""What agents are answered, encoded: results and errors of JSON-RPC as each era writes them. No I/O."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.mcp.message import RpcError, RpcRequest
from aos.gateway.mcp.protocol import (
    IMPLEMENTATION,
    LATEST_SESSION_VERSION,
    META_REFUSED,
    META_SERVER_INFO,
    MODERN_VERSION,
    SESSION_VERSIONS,
    Era,
    RequestId,
)
from aos.gateway.refusal import Refusal, RefusalCode, Refused
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.model.base import JsonObject
from aos.policy.decision import Effect

_Content = Mapping[str, JsonValue | orjson.Fragment | Sequence[orjson.Fragment]]

_META: Final = orjson.Fragment(orjson.dumps({META_SERVER_INFO: IMPLEMENTATION}))
_CAPABILITIES: Final[JsonObject] = {"tools": {}}
_SUPPORTED: Final[list[JsonValue]] = [MODERN_VERSION]
_SAID: Final = {Effect.ALLOW: "failed", Effect.DENY: "denied", Effect.HOLD: "waiting"}
_UNCACHED: Final[JsonObject] = {"ttlMs": 0, "cacheScope": "private"}
"""Lists differ by caller and change with policy: nobody may keep them for another (attack 29)."""


def initialized(request: RpcRequest) -> bytes:
    """Answer ``initialize`` with the version asked for, or the latest that has a handshake."""
    asked = request.params.get("protocolVersion")
    version = asked if isinstance(asked, str) and asked in SESSION_VERSIONS else LATEST_SESSION_VERSION
    return _result(
        request,
        {"protocolVersion": version, "capabilities": _CAPABILITIES, "serverInfo": IMPLEMENTATION},
    )


def pong(request: RpcRequest) -> bytes:
    """Answer ``ping``."""
    return _result(request, {})


def discovered(request: RpcRequest) -> bytes:
    """Answer ``server/discover``."""
    return _result(request, {"supportedVersions": _SUPPORTED, "capabilities": _CAPABILITIES, **_UNCACHED})


def listed(request: RpcRequest, offers: Sequence[orjson.Fragment]) -> bytes:
    """Answer ``tools/list``."""
    if request.era is Era.MODERN:
        return _result(request, {"tools": offers, **_UNCACHED})
    return _result(request, {"tools": offers})


def answered(request: RpcRequest, result: Mapping[str, JsonValue]) -> bytes:
    """Answer ``tools/call`` with what the tool gave: its content, and nothing that it says besides.

    Raises:
        UpstreamError: the result can't be written as JSON.
    """
    content: JsonObject = {"content": result["content"]}
    structured = result.get("structuredContent")
    # Until 2025-11-25 structured results are objects; others are in the text, as the protocol asks of tools.
    if structured is not None and (request.era is Era.MODERN or isinstance(structured, dict)):
        content["structuredContent"] = structured
    content["isError"] = result.get("isError") is True
    try:
        return _result(request, content)
    except TypeError:
        raise UpstreamError(
            RefusalCode.UPSTREAM_INVALID, "its answer is nested too deeply", maybe_done=True
        ) from None


def refused(request: RpcRequest, refusal: Refused) -> bytes:
    """Answer ``tools/call`` with a result that says, to the model and to programs, why there is none."""
    text: list[JsonValue] = [{"type": "text", "text": f"{_SAID[refusal.effect]}: {refusal.message}"}]
    # A tool's own _meta is dropped, so that no tool can write this.
    meta: JsonObject = {META_REFUSED: refusal.reason.value}
    structured: JsonObject = {
        "decision": refusal.effect.value,
        "reason": refusal.reason.value,
        "message": refusal.message,
    }
    if refusal.outcome_unknown:
        structured["outcomeUnknown"] = True
    if refusal.retry_after_seconds is not None:
        structured["retryAfterSeconds"] = ceil(refusal.retry_after_seconds)
    structured.update(refusal.facts)
    return _result(
        request,
        {
            "content": text,
            "structuredContent": structured,
            "isError": True,
            "_meta": meta,
        },
    )


def error(identifier: RequestId | None, raised: RpcError) -> bytes:
    """Answer with a JSON-RPC error."""
    content: JsonObject = {"code": raised.code, "message": raised.message}
    if raised.data is not None:
        content["data"] = raised.data
    return orjson.dumps({"jsonrpc": "2.0", "id": identifier, "error": content})


def parse_error_of(refusal: Refusal) -> str:
    """Return what is wrong with a body that is not strict JSON."""
    return f"Parse error: {refusal.message}"


def _result(request: RpcRequest, content: _Content) -> bytes:
    if request.era is Era.MODERN:
        meta = content.get("_meta")
        content = {
            **content,
            "resultType": "complete",
            "_meta": {META_SERVER_INFO: IMPLEMENTATION, **meta} if isinstance(meta, dict) else _META,
        }
    return orjson.dumps({"jsonrpc": "2.0", "id": request.id, "result": content})
