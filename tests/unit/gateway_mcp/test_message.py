from collections.abc import Callable

import pytest
from pydantic import JsonValue

from aos.gateway.mcp.message import (
    MAX_ID_LENGTH,
    MAX_PARAMS,
    RpcError,
    RpcNotification,
    RpcRequest,
    era_of,
    id_of,
    read_message,
)
from aos.gateway.mcp.protocol import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    SESSION_VERSIONS,
    UNSUPPORTED_VERSION,
    Era,
)
from aos.model.base import JsonObject

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
MODERN: dict[bytes, bytes] = {
    b"mcp-protocol-version": b"2026-07-28",
    b"mcp-method": b"tools/call",
    b"mcp-name": b"crm.get_contact",
}


def modern_call(**changes: JsonValue) -> JsonObject:
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "crm.get_contact",
            "arguments": {},
            "_meta": {VERSION: "2026-07-28", CAPABILITIES: {}},
        },
        **changes,
    }


def code_of(headers: dict[bytes, bytes], body: JsonValue) -> int:
    with pytest.raises(RpcError) as raised:
        read_message(headers, body)
    return raised.value.code


def test_a_request_of_the_stateless_era_is_read() -> None:
    message = read_message(MODERN, modern_call())
    assert isinstance(message, RpcRequest)
    assert (message.era, message.id, message.method) == (Era.MODERN, 1, "tools/call")


@pytest.mark.parametrize("version", [None, *SESSION_VERSIONS])
def test_a_request_of_the_era_with_sessions_is_read(version: str | None) -> None:
    headers = {b"mcp-protocol-version": version.encode()} if version else {}
    message = read_message(headers, {"jsonrpc": "2.0", "id": "a", "method": "ping"})
    assert message == RpcRequest(Era.SESSION, "a", "ping", {})


def test_a_message_without_id_is_a_notification() -> None:
    body: JsonObject = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert read_message({}, body) == RpcNotification(Era.SESSION, "notifications/initialized")


@pytest.mark.parametrize(
    "body",
    [
        [],
        [modern_call()],
        "text",
        7,
        None,
        {},
        {"id": 1, "method": "ping"},
        {"jsonrpc": "1.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "id": 1, "method": ""},
        {"jsonrpc": "2.0", "id": 1, "method": 7},
        {"jsonrpc": "2.0", "id": 1, "method": "x" * 129},
        {"jsonrpc": "2.0", "id": None, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1.5, "method": "ping"},
        {"jsonrpc": "2.0", "id": True, "method": "ping"},
        {"jsonrpc": "2.0", "id": {}, "method": "ping"},
        {"jsonrpc": "2.0", "id": "x" * (MAX_ID_LENGTH + 1), "method": "ping"},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": None},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {str(n): n for n in range(MAX_PARAMS + 1)}},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "Method": "tools/call"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "error": {}},
    ],
)
def test_what_is_no_single_sound_message_is_an_invalid_request(body: JsonValue) -> None:
    assert code_of({}, body) == INVALID_REQUEST


Change = Callable[[dict[bytes, bytes], JsonObject], object]


def meta(body: JsonObject) -> JsonObject:
    params = body["params"]
    assert isinstance(params, dict)
    found = params["_meta"]
    assert isinstance(found, dict)
    return found


def params(body: JsonObject) -> JsonObject:
    found = body["params"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda h, b: h.pop(b"mcp-method"), HEADER_MISMATCH),
        (lambda h, b: h.update({b"mcp-method": b"tools/list"}), HEADER_MISMATCH),
        (lambda h, b: h.pop(b"mcp-name"), HEADER_MISMATCH),
        (lambda h, b: h.update({b"mcp-name": b"crm.update_contact"}), HEADER_MISMATCH),
        (lambda h, b: h.update({b"mcp-name": b"=?base64?broken?="}), HEADER_MISMATCH),
        (lambda h, b: h.update({b"mcp-protocol-version": b"2027-01-01"}), HEADER_MISMATCH),
        (lambda h, b: h.update({b"mcp-protocol-version": b""}), HEADER_MISMATCH),
        (lambda h, b: h.update({b"mcp-protocol-version": b"2025-06-18"}), HEADER_MISMATCH),
        (lambda h, b: h.pop(b"mcp-protocol-version"), HEADER_MISMATCH),
        (lambda h, b: b.update(method="tools/list"), HEADER_MISMATCH),
        (lambda h, b: params(b).update(name="crm.update_contact"), HEADER_MISMATCH),
        (lambda h, b: meta(b).update({VERSION: "2025-06-18"}), HEADER_MISMATCH),
        (lambda h, b: meta(b).update({VERSION: 7}), INVALID_PARAMS),
        (lambda h, b: meta(b).pop(VERSION), INVALID_PARAMS),
        (lambda h, b: meta(b).pop(CAPABILITIES), INVALID_PARAMS),
        (lambda h, b: params(b).update(_meta=[]), INVALID_PARAMS),
        (lambda h, b: params(b).update(_meta={str(n): n for n in range(65)}), INVALID_PARAMS),
    ],
)
def test_attack_05_headers_and_body_that_disagree_are_refused(change: Change, code: int) -> None:
    headers, body = dict(MODERN), modern_call()
    change(headers, body)
    assert code_of(headers, body) == code


def test_a_wrapped_name_agrees_with_the_name_that_it_wraps() -> None:
    headers = {**MODERN, b"mcp-name": b"=?base64?Y3JtLmdldF9jb250YWN0?="}
    assert isinstance(read_message(headers, modern_call()), RpcRequest)


def test_attack_05_the_era_with_sessions_may_leave_routing_headers_out_but_not_lie() -> None:
    body: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a.b"}}
    assert isinstance(read_message({}, body), RpcRequest)
    assert code_of({b"mcp-method": b"ping"}, body) == HEADER_MISMATCH
    assert code_of({b"mcp-name": b"a.c"}, body) == HEADER_MISMATCH
    ping: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert code_of({b"mcp-name": b"a.b"}, ping) == HEADER_MISMATCH


@pytest.mark.parametrize("given", [{}, {"name": None}])
def test_a_name_in_the_headers_that_cannot_be_read_does_not_agree_with_none_in_the_body(
    given: JsonObject,
) -> None:
    body: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": given}
    assert code_of({b"mcp-name": b"\xff"}, body) == HEADER_MISMATCH


def test_a_version_that_the_gateway_does_not_speak_is_told_which_it_does() -> None:
    body = modern_call()
    meta(body)[VERSION] = "2099-01-01"
    with pytest.raises(RpcError) as raised:
        read_message({**MODERN, b"mcp-protocol-version": b"2099-01-01"}, body)
    assert raised.value.code == UNSUPPORTED_VERSION
    assert raised.value.data == {"supported": [*SESSION_VERSIONS, "2026-07-28"], "requested": "2099-01-01"}


def test_notifications_are_held_to_the_headers_that_they_send() -> None:
    body: JsonObject = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
    assert code_of({b"mcp-protocol-version": b"2099-01-01"}, body) == UNSUPPORTED_VERSION
    headers = {b"mcp-protocol-version": b"2026-07-28", b"mcp-method": b"tools/call"}
    assert code_of(headers, body) == HEADER_MISMATCH


def test_errors_have_the_http_status_of_their_era() -> None:
    assert RpcError(METHOD_NOT_FOUND, "").status(Era.MODERN) == 404
    assert RpcError(METHOD_NOT_FOUND, "").status(Era.SESSION) == 200
    assert RpcError(INVALID_PARAMS, "").status(Era.MODERN) == 400
    assert RpcError(INVALID_REQUEST, "").status(Era.SESSION) == 400
    assert RpcError(HEADER_MISMATCH, "").status(Era.SESSION) == 400


@pytest.mark.parametrize(
    ("body", "identifier"),
    [({"id": 7}, 7), ({"id": "a"}, "a"), ({"id": True}, None), ({"id": None}, None), ([], None), ({}, None)],
)
def test_an_error_is_answered_under_the_id_that_can_be_used(
    body: JsonValue, identifier: int | str | None
) -> None:
    assert id_of(body) == identifier


def test_an_unknown_version_is_judged_by_the_stateless_era() -> None:
    assert era_of({b"mcp-protocol-version": b"zzz"}) is Era.MODERN
