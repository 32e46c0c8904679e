import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.inspection.finder import Finder
from aos.inspection.neighbours import found_across, is_text_block, joined_texts
from aos.inspection.spans import Span
from tests.unit.inspection.make import (
    AWS,
    EMAIL,
    GITHUB,
    IBAN,
    JWT,
    LETTERS,
    PRIVATE_KEY,
    SSN,
    VISA,
    grouped,
    inspector,
)

PII = frozenset({"pii"})
SPLIT = [VISA, grouped(VISA), AWS, GITHUB, JWT, PRIVATE_KEY, IBAN, SSN, EMAIL, "password: hunter2!x"]


def blocks(*texts: str) -> JsonValue:
    return {"content": [{"type": "text", "text": text} for text in texts]}


def left(*texts: str) -> list[str]:
    said = inspector().response(blocks(*texts)).value
    assert isinstance(said, dict)
    assert isinstance(said["content"], list)
    return [str(block["text"]) for block in said["content"] if isinstance(block, dict)]


def test_text_blocks_of_one_list_are_read_together() -> None:
    block: JsonValue = {"type": "text", "text": "a"}
    image: JsonValue = {"type": "image", "data": "x"}
    assert is_text_block(block)
    assert not is_text_block({"type": "text", "text": 1})
    assert not is_text_block({"text": "a"})
    assert list(joined_texts({"content": [block, image, block], "x": [[block], "b"]})) == ["aa"]
    assert list(joined_texts([{"y": [block, block]}, block])) == ["aa"]


@pytest.mark.parametrize("value", SPLIT)
def test_attack_16_a_value_that_is_split_over_text_blocks_is_found(value: str) -> None:
    for at in range(1, len(value), max(1, len(value) // 8)):
        texts = left(f"see {value[:at]}", f"{value[at:]}, ok")
        assert "[redacted:" in "".join(texts)
        assert value not in "".join(texts)
        assert inspector().response(blocks(*texts)).found == frozenset()


def test_attack_16_each_part_of_a_split_value_is_redacted_where_it_stands() -> None:
    for at in range(1, len(AWS)):
        assert left(f"é {AWS[:at]}", f"{AWS[at:]}, ok") == ["é [redacted:secret]", "[redacted:secret], ok"]
    assert left("see ana.pe", "rez@example.com, ok") == ["see [redacted:pii]", "[redacted:pii], ok"]


def test_attack_16_a_value_in_many_short_blocks_is_found_and_blocks() -> None:
    letters = [AWS[at : at + 2] for at in range(0, len(AWS), 2)]
    assert left("key ", *letters, " end") == ["key ", *["[redacted:secret]"] * len(letters), " end"]
    assert inspector(redact=frozenset(), block=frozenset({"secret"})).response(blocks(*letters)).blocked == {
        "secret"
    }
    assert left(AWS[:9], AWS[9:], "Next") == ["[redacted:secret]", "[redacted:secret]", "Next"]


def test_attack_16_what_stands_between_text_blocks_hides_no_value() -> None:
    halves: list[JsonValue] = [
        {"type": "text", "text": AWS[:9]},
        {"type": "image", "data": "x"},
        {"text": AWS[9:], "type": "text"},
    ]
    inspected = inspector().response({"content": halves})
    assert inspected.found == {"secret"}
    assert AWS[9:] not in str(inspected.value)


def test_attack_16_json_in_a_block_that_holds_a_part_of_a_value_is_taken_as_a_whole() -> None:
    assert left('{"a": 1, "b": "' + AWS[:9], AWS[9:] + '"}')[0] == '{"a": 1, "b": "[redacted:secret]'
    assert left(f"see {AWS[:18]}", f'"{AWS[18:]}"') == [f"see {AWS[:18]}", f'"{AWS[18:]}"']
    assert left("password: hunter2", '["x1"]') == ["password: [redacted:secret]", "[redacted:secret]"]


@pytest.mark.parametrize(
    "texts",
    [
        ["one", "two"],
        [LETTERS[:20], LETTERS[20:40]],
        ["see 4111 1111", "then 1111 1111"],
        ["", ""],
    ],
)
def test_texts_that_hold_nothing_together_stay_as_they_are(texts: list[str]) -> None:
    value = blocks(*texts)
    assert inspector().response(value).value is value


def test_the_word_that_follows_a_whole_value_of_a_person_is_no_part_of_it() -> None:
    assert left(f"to {EMAIL}", "Next, that ", EMAIL) == ["to [redacted:pii]", "Next, that ", "[redacted:pii]"]


def test_what_is_found_without_an_end_takes_all_of_the_texts() -> None:
    class Endless(Finder):
        def find(self, text: bytes) -> list[Span]:
            return [Span(0, 1, PII)]

    assert found_across(Endless(PII, torn=True), [b"abc", b"b"], [[], []]) == [
        [Span(0, 3, PII)],
        [Span(0, 1, PII)],
    ]


PIECE = st.one_of(
    st.text(max_size=4), st.sampled_from([*SPLIT, "password: ", "4111", "1111 ", "card ", "[redacted:pii]"])
)


@settings(max_examples=60)
@given(st.lists(PIECE, min_size=1, max_size=4).map("".join), st.lists(st.integers(0, 60), max_size=4))
def test_what_is_left_in_text_blocks_holds_nothing_together(text: str, cuts: list[int]) -> None:
    at = sorted({min(cut, len(text)) for cut in cuts})
    texts = [text[start:end] for start, end in zip([0, *at], [*at, len(text)], strict=True)]
    once = left(*texts)
    assert left(*once) == once
    assert inspector().response(blocks(*once)).found == frozenset()
