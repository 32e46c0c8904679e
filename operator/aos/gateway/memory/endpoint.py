"""Memory by plain HTTP: the same calls as over MCP, with the version as the ETag."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.http import Header, HttpRequest, Send, send_bytes, send_json, send_refusal
from aos.gateway.mcp.calls import ToolCalls
from aos.gateway.mcp.judging import ToolCall
from aos.gateway.mcp.message import RpcRequest
from aos.gateway.mcp.protocol import META_REFUSED, Era, Method
from aos.gateway.memory.definitions import DELETE, GET, IF_VERSION, PUT
from aos.gateway.memory.system import CONFLICT
from aos.gateway.refusal import Refusal, RefusalCode, Refused, refusal_of
from aos.gateway.settings import GatewaySettings
from aos.model.base import JsonObject
from aos.model.tool import ToolType
from aos.policy.decision import DecisionReason, Effect

_ACTIONS: Final = {"GET": GET, "PUT": PUT, "DELETE": DELETE}
_ALLOW: Final = (b"allow", b"GET, PUT, DELETE")
_ETAG: Final = re.compile(rb'"(0|[1-9][0-9]{0,15})"')
_STATUSES: Final[Mapping[RefusalCode, HTTPStatus]] = {
    RefusalCode.ARGUMENTS_INVALID: HTTPStatus.BAD_REQUEST,
    RefusalCode.UPSTREAM_UNREACHABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    # No success: a client that asks only for that would take it for done.
    RefusalCode.APPROVAL_PENDING: HTTPStatus.CONFLICT,
}


class MemoryEndpoint:
    """Answers at ``/v1/memory/{tool}``: bodies are the arguments and results of get, put and delete."""

    def __init__(self, calls: ToolCalls, settings: GatewaySettings) -> None:
        self._calls = calls
        self._max_json_depth = settings.max_json_depth

    async def handle(self, request: HttpRequest, caller: Caller, send: Send, tool: str) -> None:
        """Answer one request of any method.

        Raises:
            Refusal: nothing was sent yet, and this is the answer.
            ClientDisconnected: the client went away.
        """
        action = _ACTIONS.get(request.method)
        if action is None:
            await send_bytes(send, b"", HTTPStatus.METHOD_NOT_ALLOWED, (_ALLOW,))
            return
        _check_tool(caller, tool)
        arguments = await self._arguments(request, action)
        message = RpcRequest(Era.MODERN, 0, Method.CALL_TOOL, {})
        call = ToolCall(message, request.headers, caller, tool, action, arguments)
        answer: JsonObject = orjson.loads(await self._calls.make(call))
        result = answer.get("result")
        await _send(send, result if isinstance(result, dict) else {}, action)

    async def _arguments(self, request: HttpRequest, action: str) -> JsonObject:
        body = await request.json(self._max_json_depth) if action == PUT else {}
        if not isinstance(body, dict):
            raise _bad("the body is the arguments of put: an object with value")
        version = _if_version(request, action)
        if version is None:
            return body
        if body.get(IF_VERSION, version) != version:
            raise _bad(f"If-Match and {IF_VERSION} say different versions")
        return {**body, IF_VERSION: version}


def _if_version(request: HttpRequest, action: str) -> int | None:
    """Return the version that the request is for; None where it says none.

    Raises:
        Refusal: it says one that no value has.
    """
    match, none_match = request.header(b"if-match"), request.header(b"if-none-match")
    if action == GET or not (match or none_match):
        return None
    if none_match:
        if none_match != b"*" or match:
            raise _bad("If-None-Match may be * alone: only where there is no value; else give If-Match")
        return 0
    found = _ETAG.fullmatch(match)
    if found is None:
        raise _bad("If-Match must be the ETag of a value, as GET gives it")
    return int(found[1])


def _check_tool(caller: Caller, tool: str) -> None:
    there = caller.policy.tools.get(tool)
    if there is None or there.spec.type is not ToolType.MEMORY:
        raise Refusal(
            HTTPStatus.NOT_FOUND,
            RefusalCode.TOOL_UNKNOWN,
            f"there is no Tool of type Memory of this name that agent {caller.agent} asks for in spec.tools",
        )


async def _send(send: Send, result: JsonObject, action: str) -> None:
    meta, structured = result.get("_meta"), result.get("structuredContent")
    said = structured if isinstance(structured, dict) else {}
    refused = meta.get(META_REFUSED) if isinstance(meta, dict) else None
    if isinstance(refused, str):
        await send_refusal(send, _refusal(refused, said))
        return
    headers = _etag(said.get("version"))
    if result.get("isError") is True:
        code = str(said.get("error", RefusalCode.UPSTREAM_INVALID.value))
        error: JsonObject = {"code": code, "message": said.get("message", "")}
        status = HTTPStatus.PRECONDITION_FAILED if code == CONFLICT else HTTPStatus.BAD_GATEWAY
        await send_json(send, {"error": error, "version": said.get("version")}, status, headers)
        return
    is_none = action == GET and said.get("version") == 0
    await send_json(send, said, HTTPStatus.NOT_FOUND if is_none else HTTPStatus.OK, headers)


def _refusal(reason: str, said: Mapping[str, JsonValue]) -> Refusal:
    code = RefusalCode(reason) if reason in RefusalCode.__members__.values() else DecisionReason(reason)
    after = said.get("retryAfterSeconds")
    refused = Refused(
        Effect.DENY,
        code,
        str(said.get("message", "")),
        retry_after_seconds=after if isinstance(after, int | float) else None,
    )
    refusal = refusal_of(refused)
    if isinstance(code, RefusalCode) and code in _STATUSES:
        refusal.status = _STATUSES[code]
    return refusal


def _etag(version: JsonValue) -> tuple[Header, ...]:
    return ((b"etag", b'"%d"' % version),) if isinstance(version, int) and version else ()


def _bad(message: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, RefusalCode.BAD_REQUEST, message)
