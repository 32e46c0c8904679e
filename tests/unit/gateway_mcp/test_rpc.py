import orjson
import pytest
from pydantic import JsonValue

from aos.gateway.mcp import rpc
from aos.gateway.mcp.protocol import Method
from aos.gateway.mcp.rpc import RpcAnswerError, Session
from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.upstream_error import UpstreamError


def test_a_request_of_the_stateless_era_says_in_its_headers_what_its_body_says() -> None:
    post = rpc.modern_request(7, Method.CALL_TOOL, {"name": "a", "arguments": {}}, {"Mcp-Param-X": "1"})
    body = orjson.loads(post.body)
    assert post.headers == {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "a",
        "Mcp-Param-X": "1",
    }
    assert body["id"] == 7
    assert body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {}


def test_a_request_within_a_session_names_version_and_session() -> None:
    post = rpc.session_request(7, Method.LIST_TOOLS, {}, Session("2025-06-18", "s1"))
    assert orjson.loads(post.body) == {"jsonrpc": "2.0", "id": 7, "method": "tools/list"}
    assert post.headers["MCP-Protocol-Version"] == "2025-06-18"
    assert post.headers["Mcp-Session-Id"] == "s1"
    assert "Mcp-Session-Id" not in rpc.session_headers(Session("2025-06-18"))


def test_a_result_is_taken_from_its_own_answer() -> None:
    assert rpc.result_of({"jsonrpc": "2.0", "id": 7, "result": {"a": 1}}, 7, 200) == {"a": 1}


@pytest.mark.parametrize("method", ["notifications/progress", "sampling/createMessage"])
def test_what_the_tool_says_or_asks_in_between_is_no_answer(method: str) -> None:
    assert rpc.result_of({"jsonrpc": "2.0", "id": 7, "method": method}, 7, 200) is None


@pytest.mark.parametrize(
    "message",
    [
        [],
        "text",
        {},
        {"id": 7, "result": {}},
        {"jsonrpc": "2.0", "id": 8, "result": {}},
        {"jsonrpc": "2.0", "id": "7", "result": {}},
        {"jsonrpc": "2.0", "result": {}},
        {"jsonrpc": "2.0", "id": 7},
        {"jsonrpc": "2.0", "id": 7, "result": []},
        {"jsonrpc": "2.0", "id": 7, "error": {}},
        {"jsonrpc": "2.0", "id": 7, "error": {"code": "x"}},
        {"jsonrpc": "2.0", "id": 7, "error": {"code": True}},
    ],
)
def test_an_answer_to_something_else_is_refused(message: JsonValue) -> None:
    with pytest.raises(UpstreamError) as raised:
        rpc.result_of(message, 7, 200)
    assert raised.value.code is RefusalCode.UPSTREAM_INVALID
    assert raised.value.maybe_done
    assert not isinstance(raised.value, RpcAnswerError)


def test_a_result_for_true_is_no_result_for_one() -> None:
    with pytest.raises(UpstreamError):
        rpc.result_of({"jsonrpc": "2.0", "id": True, "result": {}}, 1, 200)


@pytest.mark.parametrize(
    ("code", "maybe_done"), [(-32602, True), (-32601, False), (-32603, True), (-1, True)]
)
@pytest.mark.parametrize("identifier", [7, None])
def test_an_error_is_told_by_its_code_and_not_by_its_words(
    code: int, identifier: int | None, *, maybe_done: bool
) -> None:
    message: JsonValue = {
        "jsonrpc": "2.0",
        "id": identifier,
        "error": {"code": code, "message": "10.0.0.7: password incorrect"},
    }
    with pytest.raises(RpcAnswerError) as raised:
        rpc.result_of(message, 7, 200)
    assert raised.value.maybe_done is maybe_done
    assert str(code) in raised.value.message
    assert "10.0.0.7" not in raised.value.message


@pytest.mark.parametrize(
    ("status", "code", "maybe_done"),
    [
        (401, RefusalCode.UPSTREAM_INVALID, False),
        (403, RefusalCode.UPSTREAM_INVALID, False),
        (307, RefusalCode.UPSTREAM_INVALID, True),
        (404, RefusalCode.UPSTREAM_INVALID, False),
        (408, RefusalCode.UPSTREAM_INVALID, True),
        (500, RefusalCode.UPSTREAM_UNREACHABLE, True),
        (503, RefusalCode.UPSTREAM_UNREACHABLE, True),
    ],
)
def test_an_http_status_says_whether_the_call_may_have_been_made(
    status: int, code: RefusalCode, *, maybe_done: bool
) -> None:
    failure = rpc.error_of(b"<html>internal host db-7</html>", status)
    assert (failure.code, failure.maybe_done, failure.status) == (code, maybe_done, status)
    assert "db-7" not in failure.message


def test_a_json_rpc_error_counts_more_than_its_http_status() -> None:
    failure = rpc.error_of(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"x"}}', 400)
    assert isinstance(failure, RpcAnswerError)
    assert failure.rpc_code == -32022


@pytest.mark.parametrize("content", [b"", b"[]", b'{"error":"x"}', b'{"error":{"code":true}}'])
def test_an_error_without_code_is_told_by_its_status(content: bytes) -> None:
    assert not isinstance(rpc.error_of(content, 400), RpcAnswerError)


def test_a_handshake_gives_a_session() -> None:
    assert rpc.session_of({"protocolVersion": "2025-06-18"}, "s1") == Session("2025-06-18", "s1")
    assert rpc.session_of({"protocolVersion": "2024-11-05"}, None) == Session("2024-11-05", None)


@pytest.mark.parametrize(
    ("version", "session_id"),
    [
        ("1999-01-01", None),
        (7, None),
        ("2025-06-18", ""),
        ("2025-06-18", "x" * 1025),
        ("2025-06-18", "é"),
        ("2025-06-18", "a\nb"),
    ],
)
def test_a_handshake_that_can_not_be_used_is_refused(version: JsonValue, session_id: str | None) -> None:
    with pytest.raises(UpstreamError):
        rpc.session_of({"protocolVersion": version}, session_id)


@pytest.mark.parametrize(
    ("result", "offers"),
    [
        ({"supportedVersions": ["2026-07-28"]}, True),
        ({"supportedVersions": ["2025-11-25"]}, False),
        ({"supportedVersions": "2026-07-28"}, False),
        ({}, False),
    ],
)
def test_the_stateless_era_is_spoken_by_those_who_name_it(
    result: dict[str, JsonValue], *, offers: bool
) -> None:
    assert rpc.offers_modern(result) is offers
