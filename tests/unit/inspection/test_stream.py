from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.inspection.inspector import Inspector
from aos.inspection.stream import (
    MAX_HELD_CHARACTERS,
    STEP_CHARACTERS,
    STEP_SHARE,
    TAIL_CHARACTERS,
    StreamInspector,
)
from aos.policy.obligations import DataRules
from tests.unit.inspection.make import AWS, EMAIL, IBAN, JWT, LETTERS, PRIVATE_KEY, VISA, grouped, inspector

WORDS = "the quick brown fox jumps over the lazy dog and runs on "
SECRET = frozenset({"secret"})


def pieces(stream: StreamInspector, text: str, size: int) -> str:
    parts = [stream.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return "".join((*parts, stream.close()))


VALUES = [EMAIL, VISA, grouped(VISA), AWS, JWT, grouped(IBAN), PRIVATE_KEY, "\u200b".join(VISA), LETTERS[:32]]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("size", [1, 3, 7, STEP_CHARACTERS, 10_000])
def test_attack_17_a_value_split_over_pieces_is_redacted(value: str, size: int) -> None:
    text = f"{WORDS * 5}{value} {WORDS * 5}"
    whole = inspector().response(text)
    assert pieces(inspector().stream(), text, size) == whole.value
    assert whole.found


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_attack_17_no_byte_of_a_value_that_blocks_goes_out(value: str, size: int) -> None:
    stream = inspector(redact=frozenset(), block=frozenset({"pii", "payment", "secret"})).stream()
    out = pieces(stream, f"{WORDS * 5}{value} {WORDS * 5}", size)
    assert (WORDS * 5).startswith(out)
    assert stream.blocked
    assert stream.feed("more") == ""
    assert stream.close() == ""


def test_text_goes_out_before_the_stream_ends() -> None:
    stream = inspector().stream()
    out = stream.feed(WORDS * 40)
    assert len(out) >= len(WORDS) * 40 - TAIL_CHARACTERS - STEP_CHARACTERS - 10
    assert out + stream.close() == WORDS * 40


def test_without_classes_text_passes_as_it_comes() -> None:
    stream = Inspector(DataRules(max_response_bytes=64)).stream()
    assert stream.feed(EMAIL) == EMAIL
    assert stream.close() == ""
    assert stream.found == frozenset()


def test_a_class_that_is_neither_redacted_nor_found_leaves_the_text() -> None:
    stream = inspector(redact=frozenset(), block=SECRET).stream()
    assert pieces(stream, f"to {EMAIL}", 4) == f"to {EMAIL}"
    assert not stream.blocked


def test_what_was_found_is_told() -> None:
    stream = inspector().stream()
    pieces(stream, f"{WORDS}{EMAIL} and {AWS}", 5)
    assert stream.found == {"pii", "secret"}


def test_a_value_without_end_is_redacted_and_not_held_for_ever() -> None:
    stream = inspector().stream()
    begin = PRIVATE_KEY.partition("\n")[0]
    longest = 0
    out = stream.feed(begin + "\n")
    for _ in range(2 * MAX_HELD_CHARACTERS // 64):
        out += stream.feed("A" * 63 + "\n")
        longest = max(longest, len(stream._text))
    assert "AAAA" not in out[: len("[redacted:secret]")]
    assert out.startswith("[redacted:secret]")
    assert longest <= MAX_HELD_CHARACTERS * (1 + 2 / STEP_SHARE) + TAIL_CHARACTERS


def test_a_long_stream_keeps_little() -> None:
    stream = inspector().stream()
    for _ in range(2_000):
        stream.feed(WORDS)
    assert len(stream._text) < 1_000


TEXTS = st.lists(
    st.one_of(st.text(max_size=40), st.sampled_from([*VALUES, WORDS, " ", "\n", "password: hunter2!x", "4111 "])), max_size=12
).map("".join)  # fmt: skip


@given(TEXTS, st.lists(st.integers(0, 400), max_size=8))
def test_what_goes_out_is_the_same_however_the_text_was_split(text: str, cuts: list[int]) -> None:
    whole = inspector().stream()
    expected = whole.feed(text) + whole.close()
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    split = inspector().stream()
    parts = [split.feed(text[start:end]) for start, end in pairwise(places)]
    assert "".join((*parts, split.close())) == expected
    assert split.found == whole.found


@given(TEXTS)
def test_a_stream_without_data_goes_out_whole(text: str) -> None:
    stream = inspector().stream()
    out = stream.feed(text) + stream.close()
    if not stream.found:
        assert out == text
