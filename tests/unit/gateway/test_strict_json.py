import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.gateway.strict_json import MAX_INTEGER, StrictJsonError, read_json

DEPTH = 64

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), children, max_size=4)
    ),
    max_leaves=20,
)


@given(values)
def test_what_it_reads_is_what_was_written_however_it_was_written(value: JsonValue) -> None:
    for text in (orjson.dumps(value).decode(), json.dumps(value), json.dumps(value, indent=1)):
        assert read_json(text.encode(), DEPTH) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":1,"a":1}',
        '{"a":{"b":1,"b":2}}',
        '[{"a":1, "a":2}]',
        '{"a":1,"\\u0061":2}',
        '{"name":"crm.get","arguments":{},"name":"crm.export"}',
    ],
)
def test_attack_06_duplicate_keys_are_refused(text: str) -> None:
    with pytest.raises(StrictJsonError, match="same key twice"):
        read_json(text.encode(), DEPTH)


@pytest.mark.parametrize(
    "text",
    [
        str(MAX_INTEGER + 1),
        str(-MAX_INTEGER - 1),
        "18446744073709551616",
        "1" * 400,
        f'{{"a": {2**64}}}',
        f"[1, {'9' * 5000}]",
    ],
)
def test_attack_06_integers_that_others_would_round_are_refused(text: str) -> None:
    with pytest.raises(StrictJsonError):
        read_json(text.encode(), DEPTH)


@pytest.mark.parametrize("depth", [DEPTH + 1, 300, 5000, 500_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_attack_06_deep_nesting_is_refused(depth: int, opening: str, closing: str) -> None:
    text = opening * depth + "1" + closing * depth
    with pytest.raises(StrictJsonError, match=r"deep|depth"):
        read_json(text.encode(), DEPTH)


def test_nesting_up_to_the_bound_is_read() -> None:
    text = "[" * DEPTH + "]" * DEPTH
    assert orjson.dumps(read_json(text.encode(), DEPTH)).decode() == text


def test_many_shallow_objects_are_read() -> None:
    value: JsonValue = [{"id": number} for number in range(1000)]
    assert read_json(orjson.dumps(value), DEPTH) == value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"1e400",
        b'"\\ud800"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b"{'a':1}",
        b'{"a":1,}',
        b"[01]",
        b"[1] [2]",
        b'"\x01"',
        b"\x00",
    ],
)
def test_what_is_not_json_is_refused(content: bytes) -> None:
    with pytest.raises(StrictJsonError):
        read_json(content, DEPTH)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        read_json(content, DEPTH)
    except StrictJsonError:
        return


def test_a_message_does_not_quote_the_content() -> None:
    with pytest.raises(StrictJsonError) as caught:
        read_json(b'{"password":"hunter2","password":"hunter2"}', DEPTH)
    assert "hunter2" not in str(caught.value)
