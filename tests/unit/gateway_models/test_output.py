from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.gateway.models.answer import TokenUsage
from aos.gateway.models.estimate import SeenOutput
from aos.gateway.models.output import OutputBounds, OutputCutError, OutputStream
from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.inspection.inspector import Inspector
from aos.model.base import JsonObject
from aos.policy.obligations import DataRules

CREDENTIAL = b"credential-1"
CARD = "4" + "1" * 15
PAYMENT = frozenset({"payment"})
REDACT = DataRules(redact_response=PAYMENT)
BLOCK = DataRules(block_response=PAYMENT)
WORDS = "the quick brown fox jumps over the lazy dog and runs on "


def output(
    rules: DataRules = REDACT, bounds: OutputBounds | None = None, *, shows_usage: bool = False
) -> OutputStream:
    return OutputStream(
        Inspector(rules),
        bounds or OutputBounds(),
        lambda content: CREDENTIAL in content,
        shows_usage=shows_usage,
    )


def chunk(delta: JsonObject, index: int = 0, finish: str | None = None, **more: JsonValue) -> bytes:
    choice: JsonObject = {"index": index, "delta": delta, "finish_reason": finish, **more}
    return orjson.dumps({"id": "c1", "model": "m", "choices": [choice]})


def events(stream: OutputStream, *data: bytes) -> list[JsonObject]:
    """Return what goes out, event by event, taken apart."""
    out = b"".join([stream.event(item)[0] for item in data])
    return [
        orjson.loads(line.removeprefix(b"data: "))
        for line in out.split(b"\n\n")
        if line and line != b"data: [DONE]"
    ]


def at(value: JsonValue, *path: str | int) -> JsonValue:
    """Return what stands at ``path``."""
    for step in path:
        if isinstance(step, str):
            assert isinstance(value, dict)
            value = value.get(step)
        else:
            assert isinstance(value, list)
            value = value[step]
    return value


def text_of(sent: list[JsonObject], name: str = "content", index: int = 0) -> str:
    said = ""
    for event in sent:
        choices = event["choices"]
        assert isinstance(choices, list)
        for choice in choices:
            if at(choice, "index") == index:
                said += str(at(choice, "delta", name) or "")
    return said


def test_without_rules_chunks_are_given_on_as_they_come() -> None:
    stream = output(DataRules())
    assert stream.event(b'{"choices": [{"delta": {"content": "a"}, "logprobs": {}}]}') == (
        b'data: {"choices":[{"delta":{"content":"a"},"logprobs":{}}]}\n\n',
        False,
    )
    assert stream.event(b"[DONE]") == (b"data: [DONE]\n\n", True)


@pytest.mark.parametrize("shows_usage", [False, True])
@pytest.mark.parametrize("prompt", [0, 3])
def test_the_chunk_that_only_counts_goes_to_those_who_asked(*, shows_usage: bool, prompt: int) -> None:
    stream = output(DataRules(), shows_usage=shows_usage)
    content, _ = stream.event(b'{"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":4}}' % prompt)
    assert stream.usage == (TokenUsage(3, 4) if prompt else None)
    assert bool(content) is shows_usage


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"error":{"message":"db-7"}}',
        b'{"choices":[{"delta":{"content":"credential-1"}}]}',
    ],
)
def test_an_event_that_can_not_be_given_on_is_refused(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        output(DataRules()).event(data)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_attack_17_data_split_over_chunks_is_redacted(size: int) -> None:
    text = f"{WORDS * 4}{CARD} {WORDS * 4}"
    stream = output()
    parts = [chunk({"content": text[start : start + size]}) for start in range(0, len(text), size)]
    sent = events(
        stream, chunk({"role": "assistant", "content": ""}), *parts, chunk({}, finish="stop"), b"[DONE]"
    )
    assert text_of(sent) == text.replace(CARD, "[redacted:payment]")
    assert stream.found == PAYMENT
    assert at(sent[0], "choices", 0, "delta", "role") == "assistant"
    assert at(sent[-1], "choices", 0, "finish_reason") == "stop"


def test_attack_17_nothing_of_what_blocks_goes_out() -> None:
    stream = output(BLOCK)
    out: list[bytes] = []

    def feed(text: str) -> None:
        out.extend(stream.event(chunk({"content": character}))[0] for character in text)

    with pytest.raises(OutputCutError) as raised:
        feed(f"{WORDS * 4}{CARD} {WORDS * 9}")
    assert raised.value.refused.reason is RefusalCode.DATA_BLOCKED
    assert b"4" not in b"".join(out).replace(b"c1", b"")
    assert stream.found == PAYMENT


def test_choices_and_their_texts_are_looked_through_apart() -> None:
    stream = output()
    sent = events(
        stream,
        chunk({"content": CARD[:8]}, 0),
        chunk({"content": CARD[8:]}, 1),
        chunk({"reasoning_content": CARD}, 0),
        b"[DONE]",
    )
    assert text_of(sent, index=0) == CARD[:8]
    assert text_of(sent, index=1) == CARD[8:]
    assert text_of(sent, "reasoning_content") == "[redacted:payment]"


def test_arguments_of_calls_are_held_until_they_are_whole_and_stay_json() -> None:
    stream = output()
    function: JsonObject = {"name": "pay", "arguments": ""}
    start: JsonObject = {
        "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]
    }
    arguments = f'{{"card":{CARD},"note":"\\u0034{CARD[1:]}"}}'
    parts = [
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[start : start + 7]}}]})
        for start in range(0, len(arguments), 7)
    ]
    assert events(stream, chunk(start), *parts) == []
    (sent,) = events(stream, chunk({}, finish="tool_calls"))
    call = at(sent, "choices", 0, "delta", "tool_calls", 0)
    assert (at(call, "id"), at(call, "index"), at(call, "function", "name")) == ("call_1", 0, "pay")
    assert orjson.loads(str(at(call, "function", "arguments"))) == {
        "card": "[redacted:payment]",
        "note": "[redacted:payment]",
    }


def test_arguments_that_hold_what_blocks_cut_the_output() -> None:
    stream = output(BLOCK)
    stream.event(chunk({"function_call": {"name": "pay", "arguments": f'{{"card":{CARD}}}'}}))
    with pytest.raises(OutputCutError):
        stream.event(b"[DONE]")


def test_a_function_call_of_the_older_kind_is_held_too() -> None:
    stream = output()
    (sent,) = events(
        stream,
        chunk({"function_call": {"name": "pay", "arguments": '{"card":'}}),
        chunk({"function_call": {"arguments": f"{CARD}}}"}}),
        chunk({}, finish="function_call"),
    )
    assert at(sent, "choices", 0, "delta") == {
        "function_call": {"name": "pay", "arguments": '{"card":"[redacted:payment]"}'}
    }


def test_what_is_not_looked_through_is_dropped() -> None:
    stream = output()
    sent = events(
        stream, chunk({"content": "a", "audio": {"data": CARD}}, logprobs={"content": [CARD]}), b"[DONE]"
    )
    assert CARD not in str(sent)


def test_attack_17_neither_a_role_nor_how_it_ended_carries_data() -> None:
    out = events(output(), chunk({"role": CARD, "content": "Hello"}), chunk({}, finish=CARD))
    assert CARD not in orjson.dumps(out).decode()
    for data in (chunk({"role": CARD}), chunk({}, finish=CARD)):
        with pytest.raises(OutputCutError):
            output(BLOCK).event(data)


def test_odd_choices_do_no_harm() -> None:
    stream = output()
    data = orjson.dumps(
        {"choices": ["x", {"delta": 1}, {"index": "a", "delta": {"tool_calls": [1, {"function": 2}]}}]}
    )
    assert stream.event(data) == (b"", False)
    assert stream.event(b"[DONE]")[1]


def test_an_output_longer_than_what_was_reserved_is_cut() -> None:
    stream = output(DataRules(), OutputBounds(tokens=10))
    stream.event(chunk({"content": "a" * 60}))
    with pytest.raises(OutputCutError) as raised:
        stream.event(chunk({"tool_calls": [{"function": {"arguments": "b" * 6}}]}))
    assert raised.value.refused.reason is RefusalCode.BUDGET_EXCEEDED


def test_an_output_that_its_model_counts_as_too_long_is_cut() -> None:
    stream = output(DataRules(), OutputBounds(tokens=10))
    with pytest.raises(OutputCutError):
        stream.event(b'{"choices":[{"delta":{}}],"usage":{"prompt_tokens":3,"completion_tokens":11}}')
    assert stream.usage == TokenUsage(3, 11)


def test_an_output_with_more_bytes_than_policy_allows_is_cut() -> None:
    stream = output(DataRules(max_response_bytes=64), OutputBounds(text_bytes=64))
    stream.event(chunk({"content": "\u00e9" * 32}))
    with pytest.raises(OutputCutError) as raised:
        stream.event(chunk({"content": "a"}))
    assert raised.value.refused.reason is RefusalCode.DATA_TOO_LARGE


@given(st.lists(st.integers(0, 200), max_size=6), st.text(max_size=40))
def test_what_an_agent_reads_does_not_depend_on_how_the_output_was_split(cuts: list[int], noise: str) -> None:
    text = f"{noise} {CARD} {WORDS}{noise}"
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    parts = [chunk({"content": text[start:end]}) for start, end in pairwise(places)]
    split = text_of(events(output(), *parts, b"[DONE]"))
    assert split == text_of(events(output(), chunk({"content": text}), b"[DONE]"))
    assert CARD not in split


SECRET = "sk-" + "sk-live1"


@pytest.mark.parametrize("rules", [DataRules(), REDACT])
@pytest.mark.parametrize("cut", range(1, len(SECRET)))
@pytest.mark.parametrize("name", ["content", "reasoning"])
def test_attack_17_a_credential_split_over_chunks_is_withheld(rules: DataRules, cut: int, name: str) -> None:
    stream = OutputStream(
        Inspector(rules), OutputBounds(), lambda _: False, shows_usage=False, credential=SECRET
    )
    sent = events(stream, chunk({name: f"it is {SECRET[:cut]}"}))
    assert "it is ".startswith(text_of(sent, name))
    with pytest.raises(UpstreamError, match="credential"):
        events(stream, chunk({name: SECRET[cut:]}), b"[DONE]")


@pytest.mark.parametrize("finish", [None, "stop"])
@pytest.mark.parametrize("size", [1, 2, 5, 50])
def test_what_only_begins_like_a_credential_goes_out_whole(finish: str | None, size: int) -> None:
    stream = OutputStream(
        Inspector(DataRules()), OutputBounds(), lambda _: False, shows_usage=False, credential=SECRET
    )
    text = "sk-sk-sk-lives sk-sk-live"
    parts = [chunk({"content": text[start : start + size]}) for start in range(0, len(text), size)]
    sent = events(stream, *parts, chunk({}, finish=finish), b"[DONE]")
    assert text_of(sent) == text
    assert {event["model"] for event in sent} == {"m"}


def test_attack_17_a_credential_in_pieces_of_a_calls_arguments_is_withheld() -> None:
    stream = OutputStream(
        Inspector(DataRules()), OutputBounds(), lambda _: False, shows_usage=False, credential=SECRET
    )
    call: JsonObject = {"tool_calls": [{"index": 1, "function": {"arguments": SECRET[:-1]}}]}
    assert SECRET[:-1].encode() not in stream.event(chunk(call))[0]
    kept = stream.event(chunk({}, finish="tool_calls"))[0].split(b"\n\n")[0]
    assert orjson.loads(kept.removeprefix(b"data: "))["choices"][0]["delta"] == call


def test_what_came_is_estimated_where_nobody_counted_it() -> None:
    stream = output(DataRules(), OutputBounds(tokens=10))
    with pytest.raises(OutputCutError):
        stream.event(chunk({"content": "a" * 66}))
    assert stream.seen() == SeenOutput(66)
    assert (stream.seen().likely_tokens, stream.seen().fewest_tokens) == (17, 11)
