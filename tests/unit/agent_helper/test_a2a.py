import json

import pytest

from aos.agent.helper.a2a import (
    AnswerError,
    Dialect,
    JsonObject,
    Operation,
    RpcError,
    dialect_of,
    read_answer,
    request,
    work,
)
from aos.gateway.a2a.message import read_message


def interface(version: str, binding: str = "JSONRPC") -> JsonObject:
    return {"url": "http://x", "protocolBinding": binding, "protocolVersion": version}


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({"supportedInterfaces": [interface("1.0")]}, Dialect.CURRENT),
        ({"supportedInterfaces": [interface("0.3"), interface("1.0")]}, Dialect.CURRENT),
        ({"supportedInterfaces": [interface("0.3")]}, Dialect.LEGACY),
        ({"supportedInterfaces": [interface("1.0", "GRPC"), interface("0.3")]}, Dialect.LEGACY),
        ({"name": "n", "protocolVersion": "0.3.0", "url": "http://169.254.169.254/"}, Dialect.LEGACY),
    ],
)
def test_a_card_says_which_version_its_server_speaks(card: JsonObject, expected: Dialect) -> None:
    assert dialect_of(json.dumps(card).encode()) is expected


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"{}", b"[" * 100_000])
def test_what_is_no_card_is_told(content: bytes) -> None:
    with pytest.raises(AnswerError):
        dialect_of(content)


def test_each_version_has_its_own_words() -> None:
    methods = {
        json.loads(request(dialect, operation, {}))["method"]
        for dialect in Dialect
        for operation in Operation
    }
    assert methods == {
        "SendMessage",
        "GetTask",
        "CancelTask",
        "message/send",
        "tasks/get",
        "tasks/cancel",
    }


@pytest.mark.parametrize("dialect", Dialect)
def test_work_is_one_data_part_that_nobody_waits_for(dialect: Dialect) -> None:
    # The gateway's own reading of such messages stands for that of any server.
    params = work(dialect, "u1", {"lead": "ada"})
    message = read_message(params)
    assert (message.id, message.input, message.waits) == ("u1", {"lead": "ada"}, False)


def answered(result: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


def a_task(state: str, *parts: JsonObject, **message: object) -> JsonObject:
    status = {"state": state, "message": message or None}
    return {"id": "a1", "status": status, "artifacts": [{"parts": [*parts]}]}  # type: ignore[dict-item] # JSON


@pytest.mark.parametrize(
    ("state", "expected", "is_open"),
    [
        ("TASK_STATE_SUBMITTED", "submitted", True),
        ("TASK_STATE_WORKING", "working", True),
        ("TASK_STATE_UNSPECIFIED", "unspecified", True),
        ("working", "working", True),
        ("TASK_STATE_COMPLETED", "completed", False),
        ("TASK_STATE_INPUT_REQUIRED", "input-required", False),
        ("canceled", "canceled", False),
        ("made-up", "made-up", False),
    ],
)
def test_states_of_both_versions_are_told_in_one_way(state: str, expected: str, is_open: bool) -> None:  # noqa: FBT001 - a row
    view = read_answer(answered({"task": a_task(state)}))
    assert (view.id, view.state, view.is_open) == ("a1", expected, is_open)


@pytest.mark.parametrize(
    ("parts", "output"),
    [
        ([{"data": {"a": 1}}], {"a": 1}),
        ([{"kind": "data", "data": {"a": 1}}, {"data": {"b": 2}}, {"text": "more"}], {"b": 2}),
        ([{"text": "plain"}], {"text": "plain"}),
        ([{"text": '{"a": '}, {"text": "1}"}], {"a": 1}),
        ([{"text": "[1, 2]"}], {"text": "[1, 2]"}),
        ([{"text": "[" * 100_000}], {"text": "[" * 100_000}),
        ([{"data": [1]}], None),
        ([{"file": {"uri": "http://169.254.169.254/"}}, {"url": "file:///etc/passwd"}], None),
        ([{"text": "  "}], None),
        ([], None),
    ],
)
def test_the_output_is_the_last_object_or_the_text(
    parts: list[JsonObject], output: JsonObject | None
) -> None:
    assert read_answer(answered(a_task("completed", *parts))).output == output


def test_a_message_is_an_answer_that_is_complete() -> None:
    for message in ({"message": {"parts": [{"text": "hi"}]}}, {"kind": "message", "parts": [{"text": "hi"}]}):
        view = read_answer(answered(message))
        assert (view.id, view.state, view.output) == ("", "completed", {"text": "hi"})


def test_what_an_agent_says_of_its_end_is_kept_and_is_its_output_where_there_is_no_other() -> None:
    view = read_answer(answered(a_task("completed", parts=[{"text": "done"}])))
    assert (view.message, view.output) == ("done", {"text": "done"})


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", answered(None), answered([]), answered({}), answered({"task": 1})]
)
def test_what_is_no_answer_is_told(content: bytes) -> None:
    with pytest.raises(AnswerError):
        read_answer(content)


def test_a_refusal_is_told_in_bounds() -> None:
    content = json.dumps({"error": {"code": "x", "message": "a" * 9000}}).encode()
    with pytest.raises(RpcError) as caught:
        read_answer(content)
    assert (caught.value.code, len(caught.value.message)) == (0, 2000)
