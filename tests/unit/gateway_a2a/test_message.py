import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.gateway.a2a.message import read_listing, read_message, read_request, read_task_id
from aos.gateway.a2a.protocol import (
    CONTENT_TYPE_NOT_SUPPORTED,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    METHODS,
    PUSH_NOT_SUPPORTED,
    UNSUPPORTED_OPERATION,
    VERSION_NOT_SUPPORTED,
    A2aError,
    Dialect,
    Operation,
)
from aos.model.base import JsonObject

DATA: JsonObject = {"data": {"facts": "x"}}


def message(*parts: JsonValue, **changes: JsonValue) -> JsonObject:
    return {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [*parts], **changes}}


def request(method: str = "SendMessage", **changes: JsonValue) -> JsonObject:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {}, **changes}


def code(asking: object) -> int:
    assert callable(asking)
    with pytest.raises(A2aError) as caught:
        asking()
    return caught.value.code


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_known_in_its_own_dialect(method: str) -> None:
    found = read_request({}, request(method))
    assert (found.dialect, found.operation) == METHODS[method]
    assert (found.dialect is Dialect.LEGACY) == ("/" in method)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([request()], INVALID_REQUEST),
        ("text", INVALID_REQUEST),
        (request(jsonrpc="1.0"), INVALID_REQUEST),
        (request(id=None), INVALID_REQUEST),
        (request(id=True), INVALID_REQUEST),
        (request(id="x" * 257), INVALID_REQUEST),
        ({**request(), "method": 7}, INVALID_REQUEST),
        (request("x" * 129), INVALID_REQUEST),
        (request("tools/call"), METHOD_NOT_FOUND),
        (request(params=[]), INVALID_PARAMS),
    ],
)
def test_what_is_no_request_is_refused(body: JsonValue, expected: int) -> None:
    assert code(lambda: read_request({}, body)) == expected


@pytest.mark.parametrize("version", ["", "1.0", "1.0.3", "0.3", "0.3.0"])
def test_versions_that_are_spoken_are_taken(version: str) -> None:
    assert read_request({b"a2a-version": version.encode()}, request()).operation is Operation.SEND


@pytest.mark.parametrize("version", ["2.0", "0.2", "1", "latest"])
def test_other_versions_are_refused(version: str) -> None:
    assert code(lambda: read_request({b"a2a-version": version.encode()}, request())) == VERSION_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ({"data": {"facts": "x"}}, {"facts": "x"}),
        ({"kind": "data", "data": {"facts": "x"}}, {"facts": "x"}),
        ({"text": "write", "mediaType": "text/plain"}, {"text": "write"}),
        ({"kind": "text", "text": "write"}, {"text": "write"}),
    ],
)
def test_data_and_text_become_the_input(part: JsonObject, content: JsonObject) -> None:
    found = read_message(message(part))
    assert (found.id, found.input, found.waits) == ("m", content, True)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, INVALID_PARAMS),
        ({"message": []}, INVALID_PARAMS),
        (message(DATA, messageId=""), INVALID_PARAMS),
        (message(DATA, messageId=7), INVALID_PARAMS),
        (message(DATA, messageId="x" * 257), INVALID_PARAMS),
        (message(DATA, role="ROLE_AGENT"), INVALID_PARAMS),
        (message(DATA, contextId=["x"]), INVALID_PARAMS),
        (message(DATA, taskId="t"), UNSUPPORTED_OPERATION),
        (message(), INVALID_PARAMS),
        (message(DATA, DATA), INVALID_PARAMS),
        (message("text"), INVALID_PARAMS),
        (message({"data": {}, "text": "x"}), INVALID_PARAMS),
        (message({"kind": "data"}), INVALID_PARAMS),
        (message({"data": [1]}), CONTENT_TYPE_NOT_SUPPORTED),
        (message({"text": 7}), CONTENT_TYPE_NOT_SUPPORTED),
        ({**message(DATA), "configuration": []}, INVALID_PARAMS),
        ({**message(DATA), "configuration": {"pushNotificationConfig": {"url": "http://x"}}}, PUSH_NOT_SUPPORTED),
    ],
)  # fmt: skip
def test_other_messages_are_refused(params: JsonObject, expected: int) -> None:
    assert code(lambda: read_message(params)) == expected


@pytest.mark.parametrize(
    "part",
    [
        {"url": "http://169.254.169.254/"},
        {"raw": "aGVsbG8="},
        {"kind": "file", "file": {"uri": "file:///etc/passwd"}},
    ],
)
def test_attack_28_files_and_links_are_neither_fetched_nor_kept(part: JsonObject) -> None:
    assert code(lambda: read_message(message(part))) == CONTENT_TYPE_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("configuration", "waits"),
    [
        ({}, True),
        ({"blocking": True}, True),
        ({"blocking": False}, False),
        ({"returnImmediately": True}, False),
    ],
)
def test_a_client_says_whether_it_waits(configuration: JsonObject, waits: bool) -> None:  # noqa: FBT001
    assert read_message({**message(DATA), "configuration": configuration}).waits is waits


@pytest.mark.parametrize("params", [{}, {"id": ""}, {"id": 7}, {"id": "x" * 257}])
def test_a_task_has_to_be_named(params: JsonObject) -> None:
    assert code(lambda: read_task_id(params)) == INVALID_PARAMS


def test_a_list_is_asked_for_in_either_spelling() -> None:
    assert read_listing({}).page_size == 50
    assert read_listing({"status": "TASK_STATE_WORKING"}).state == "working"
    assert read_listing({"status": "TASK_STATE_UNSPECIFIED"}).state == ""
    assert read_listing({"status": "failed", "pageToken": "a", "contextId": "c"}).state == "failed"


@pytest.mark.parametrize("params", [{"pageSize": 101}, {"pageSize": -1}, {"pageSize": "x"}, {"status": 7}])
def test_a_list_has_bounds(params: JsonObject) -> None:
    assert code(lambda: read_listing(params)) == INVALID_PARAMS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["message", "parts", "data", "text", "messageId", "role", "configuration", "id", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(sorted(METHODS)))
def test_attack_06_whatever_is_sent_is_read_or_refused_and_nothing_else(
    params: JsonValue, method: str
) -> None:
    for read in (read_message, read_task_id, read_listing):
        with contextlib.suppress(A2aError):
            read(read_request({}, request(method, params=params)).params)
