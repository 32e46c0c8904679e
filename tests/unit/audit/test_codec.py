from dataclasses import asdict, replace
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from aos.audit.codec import EventError, decode_event, encode_event
from aos.audit.event import AuditEvent, Phase
from tests.unit.audit.make import EVENT

TEXT = st.text(max_size=20)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
INTEGERS = st.integers(0, 2**53 - 1)
BY_TYPE: dict[type, st.SearchStrategy[Any]] = {
    str: TEXT,
    tuple: TEXTS,
    int: INTEGERS,
    Phase: st.sampled_from(Phase),
}
EVENTS = st.builds(
    AuditEvent,
    **{name: BY_TYPE[type(value)] for name, value in ((n, getattr(EVENT, n)) for n in asdict(EVENT))},
)


@given(EVENTS)
def test_the_bytes_are_those_of_rfc_8785_without_what_is_empty(event: AuditEvent) -> None:
    said = {name: value for name, value in asdict(event).items() if value}
    said["phase"] = str(event.phase)
    assert encode_event(event) == rfc8785.dumps(said)


@given(EVENTS)
def test_what_was_written_is_read_back_equal(event: AuditEvent) -> None:
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("text", ["\u0000", "\u001f", "\u007f", "\u2028", '\\"/', "é", "😀", "\b\f\n\r\t"])
def test_odd_characters_are_written_as_rfc_8785_writes_them(text: str) -> None:
    event = replace(EVENT, record=text)
    assert rfc8785.dumps({"record": text})[1:-1] in encode_event(event)


def test_an_integer_that_json_can_not_carry_is_an_error() -> None:
    with pytest.raises(EventError, match="call 'c1' can't be written"):
        encode_event(replace(EVENT, cost_micro_usd=2**53))


def test_text_that_is_no_unicode_is_an_error() -> None:
    with pytest.raises(EventError, match="surrogates"):
        encode_event(replace(EVENT, record="\ud800"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "phase"),
        (b'{"phase":"Intent","surprise":"x"}', "surprise"),
        (b'{"phase":"Later"}', "unknown phase 'Later'"),
        (b'{"phase":7}', "field phase"),
        (b'{"phase":"Intent","agent":7}', "field agent"),
        (b'{"phase":"Intent","agent":""}', "field agent"),
        (b'{"phase":"Intent","lineage":"a"}', "field lineage"),
        (b'{"phase":"Intent","lineage":[1]}', "field lineage"),
        (b'{"phase":"Intent","duration_ms":"1"}', "field duration_ms"),
        (b'{"phase":"Intent","duration_ms":true}', "field duration_ms"),
        (b'{"phase":"Intent","duration_ms":9007199254740992}', "field duration_ms"),
    ],
)
def test_what_this_codec_did_not_write_is_an_error(content: bytes, problem: str) -> None:
    with pytest.raises(EventError, match=problem):
        decode_event(content)
