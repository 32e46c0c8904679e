import base64

import orjson
import pytest
from pydantic import JsonValue

from aos.gateway.models.inspecting import checked_choices, checked_request
from aos.gateway.refusal import RefusalCode, Refused
from aos.inspection.inspector import Inspected, Inspector
from aos.model.base import JsonObject
from aos.policy.obligations import DataRules, PatternRule

PII = frozenset({"pii"})
EMAIL = "ana" + "@" + "example.com"
LEFT = "[redacted:pii]"
REDACT = DataRules(redact_request=PII, redact_response=PII)
BLOCK = DataRules(block_request=PII, block_response=PII)


def request(*content: JsonValue) -> JsonObject:
    return {"model": "m", "messages": [{"role": "user", "content": item} for item in content]}


def choices(content: JsonValue, **more: JsonValue) -> list[JsonValue]:
    return [
        {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": "stop"}
    ]


def test_without_rules_a_request_is_sent_as_it_is() -> None:
    body = request(EMAIL)
    checked = checked_request(DataRules(), Inspector(DataRules()), body)
    assert isinstance(checked, Inspected)
    assert checked.value is body


def test_prompts_are_redacted_calls_in_them_included() -> None:
    body = request(f"write to {EMAIL}")
    arguments = orjson.dumps({"to": EMAIL}).decode()
    call: JsonValue = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    calling: JsonValue = {"role": "assistant", "tool_calls": [call]}
    body = {**body, "messages": [*request(f"write to {EMAIL}")["messages"], calling]}  # type: ignore[misc]
    checked = checked_request(REDACT, Inspector(REDACT), body)
    assert isinstance(checked, Inspected)
    said = orjson.dumps(checked.value).decode()
    assert EMAIL not in said
    assert checked.found == PII
    assert orjson.dumps({"to": LEFT}).decode().replace('"', '\\"') in said


def test_a_prompt_that_holds_what_blocks_is_refused() -> None:
    refused = checked_request(BLOCK, Inspector(BLOCK), request(EMAIL))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.DATA_BLOCKED
    assert EMAIL not in refused.message


def test_images_and_sound_come_through_unchanged() -> None:
    data = base64.b64encode(EMAIL.encode()).decode()
    picture: JsonValue = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    sound: JsonValue = {"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}}
    body = request([{"type": "text", "text": EMAIL}, picture, sound])
    before = orjson.dumps(body)
    checked = checked_request(REDACT, Inspector(REDACT), body)
    assert isinstance(checked, Inspected)
    assert orjson.dumps(checked.value) == before.replace(
        b'"text":"' + EMAIL.encode(), b'"text":"' + LEFT.encode()
    )
    blocked = checked_request(BLOCK, Inspector(BLOCK), request([picture]))
    assert isinstance(blocked, Inspected)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": f"write to {EMAIL}", "format": "wav"}},
        {"type": "image_url", "image_url": {"url": f"data:image/png,{EMAIL}"}},
    ],
)
def test_attack_16_text_that_claims_to_be_a_picture_or_sound_is_looked_through(part: JsonObject) -> None:
    assert isinstance(checked_request(BLOCK, Inspector(BLOCK), request([part])), Refused)
    checked = checked_request(REDACT, Inspector(REDACT), request([part]))
    assert isinstance(checked, Inspected)
    assert EMAIL not in orjson.dumps(checked.value).decode()


def test_sound_without_data_is_no_fault_of_the_gateway() -> None:
    sound: JsonValue = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
    checked = checked_request(REDACT, Inspector(REDACT), request([{"type": "text", "text": EMAIL}, sound]))
    assert isinstance(checked, Inspected)
    assert checked.found == PII


def test_a_pattern_that_takes_out_where_a_picture_stands_refuses_the_request() -> None:
    rules = DataRules(
        redact_request=frozenset({"own"}), patterns=frozenset({PatternRule("own", "^image_url$")})
    )
    picture: JsonValue = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    refused = checked_request(rules, Inspector(rules), request([picture]))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.DATA_BLOCKED


def test_documents_are_looked_through() -> None:
    file: JsonValue = {"type": "image_url", "image_url": {"url": f"data:text/plain,{EMAIL}"}}
    assert isinstance(checked_request(BLOCK, Inspector(BLOCK), request([file])), Refused)


def test_requests_are_measured_with_their_images() -> None:
    rules = DataRules(max_request_bytes=200)
    picture: JsonValue = {"type": "image_url", "image_url": {"url": "data:image/png," + "A" * 300}}
    refused = checked_request(rules, Inspector(rules), request([picture]))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.DATA_TOO_LARGE


def test_answers_are_redacted_and_their_log_probabilities_dropped() -> None:
    said = choices(f"it is {EMAIL}", refusal=None)
    said[0]["logprobs"] = {"content": [{"token": EMAIL}]}  # type: ignore[call-overload, index]
    checked = checked_choices(Inspector(REDACT), said)
    assert isinstance(checked, Inspected)
    assert EMAIL not in orjson.dumps(checked.value).decode()
    assert "logprobs" not in orjson.dumps(checked.value).decode()
    assert checked.found == PII


def test_identifiers_of_calls_are_the_providers_own() -> None:
    rules = DataRules(redact_response=frozenset({"secret", "pii"}))
    identifier = "call_" + "P4Zx9vQ2mN8rT5wK1yB7cD3eF6gH0jLsU2"
    call: JsonValue = {"id": identifier, "function": {"name": "f", "arguments": f'{{"to":"{EMAIL}"}}'}}
    checked = checked_choices(Inspector(rules), choices(None, tool_calls=[call]))
    assert isinstance(checked, Inspected)
    text = orjson.dumps(checked.value).decode()
    assert identifier in text
    assert EMAIL not in text


@pytest.mark.parametrize(
    ("rules", "reason"),
    [(BLOCK, RefusalCode.DATA_BLOCKED), (DataRules(max_response_bytes=64), RefusalCode.DATA_TOO_LARGE)],
)
def test_answers_that_may_not_be_given_on_are_refused(rules: DataRules, reason: RefusalCode) -> None:
    refused = checked_choices(Inspector(rules), choices(EMAIL))
    assert isinstance(refused, Refused)
    assert refused.reason is reason


def test_odd_answers_pass_as_they_are() -> None:
    odd: list[JsonValue] = ["x", {"message": 1}, {"message": {"tool_calls": [1, {"id": 7}]}}]
    checked = checked_choices(Inspector(REDACT), odd)
    assert isinstance(checked, Inspected)
    assert checked.value == ["x", {"message": 1}, {"message": {"tool_calls": [1, {"id": 7}]}}]
