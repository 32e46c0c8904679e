import base64

import orjson
import pytest
from pydantic import JsonValue

from aos.inspection.document import MAX_NESTED_JSON, Document
from aos.inspection.sizes import MAX_DEPTH, MAX_FINDINGS, MAX_NODES, DataTooLargeError
from tests.unit.inspection.make import ALL, EMAIL, VISA, finder

PII = "[redacted:pii]"
PAYMENT = "[redacted:payment]"
SECRET = "[redacted:secret]"


def redacted(value: JsonValue, classes: frozenset[str] = ALL) -> JsonValue:
    document = Document(value, finder())
    document.find()
    return document.redacted(classes)


def text_of(value: JsonValue) -> str:
    return orjson.dumps(value).decode()


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ({"to": EMAIL}, {"to": PII}),
        ({EMAIL: 1}, {PII: 1}),
        ({EMAIL: 1, "b@example.com": 2}, {PII: 1, f"{PII}#2": 2}),
        ({PII: 0, EMAIL: 1}, {PII: 0, f"{PII}#2": 1}),
        ([1, [f"to {EMAIL}!"], None, True], [1, [f"to {PII}!"], None, True]),
        ({"card": int(VISA)}, {"card": PAYMENT}),
        ({"card": float(VISA)}, {"card": PAYMENT}),
        ({"note": int(VISA)}, {"note": PAYMENT}),
        ({"cvv": 123, "other": 123}, {"cvv": PAYMENT, "other": 123}),
        ({"password": "correct horse"}, {"password": SECRET}),
        ({"password": ["one and", "two and"]}, {"password": [SECRET, SECRET]}),
        ({"password": {"value": "correct horse"}}, {"password": {"value": SECRET}}),
        ({"password": {"note": "correct horse"}}, {"password": {"note": "correct horse"}}),
        ({"name": "DB_PASSWORD", "value": "correct horse"}, {"name": "DB_PASSWORD", "value": SECRET}),
        ({"name": "colour", "value": "correct horse"}, {"name": "colour", "value": "correct horse"}),
        ({"password": True, "pin": None}, {"password": True, "pin": None}),
        ({"password": SECRET}, {"password": SECRET}),
        ({"at": 1732300000000, "ratio": 0.5, "big": 1e300}, {"at": 1732300000000, "ratio": 0.5, "big": 1e300}),
        (EMAIL, PII),
        (f"a \0{EMAIL}", f"a \x01{PII}"),
    ],
)  # fmt: skip
def test_data_is_taken_out_of_keys_texts_and_numbers(value: JsonValue, left: JsonValue) -> None:
    assert redacted(value) == left


@pytest.mark.parametrize(
    ("inner", "left"),
    [
        ({"to": EMAIL}, {"to": PII}),
        ({"password": "correct horse"}, {"password": SECRET}),
        ({"card": int(VISA)}, {"card": PAYMENT}),
        ([EMAIL], [PII]),
        (EMAIL, PII),
        ({"a": text_of({"to": EMAIL})}, {"a": text_of({"to": PII})}),
    ],
)
def test_json_within_strings_is_seen_through_and_stays_json(inner: JsonValue, left: JsonValue) -> None:
    assert redacted({"text": text_of(inner)}) == {"text": text_of(left)}


def test_escapes_within_json_within_strings_hide_nothing() -> None:
    hidden = "".join(f"\\u{ord(character):04x}" for character in VISA)
    assert redacted([f'{{"x":"{hidden}"}}']) == [f'{{"x":"{PAYMENT}"}}']


def test_a_second_value_of_one_key_hides_nothing() -> None:
    """What a parser that keeps the last value does not see, one that keeps the first does."""
    text = f'{{"x":"{VISA}","x":"nothing"}}'
    assert redacted([text]) == [PAYMENT]
    assert redacted([f'{{"x":"{VISA}","x":"nothing","to":"{EMAIL}"}}']) == [f'{{"x":"nothing","to":"{PII}"}}']


def test_json_that_a_key_calls_secret_is_taken_as_a_whole() -> None:
    assert redacted({"password": text_of({"to": EMAIL, "x": "y"})}) == {"password": "[redacted:pii,secret]"}


def test_what_is_not_changed_is_the_very_same_value() -> None:
    value: JsonValue = {"a": [{"to": "nobody here"}], "b": {"to": EMAIL}}
    left = redacted(value)
    assert isinstance(left, dict)
    assert isinstance(value, dict)
    assert left["a"] is value["a"]
    assert redacted(value["a"]) is value["a"]


def test_only_the_chosen_classes_are_taken_out() -> None:
    assert redacted([EMAIL, VISA], frozenset({"payment"})) == [EMAIL, PAYMENT]


def test_data_split_over_two_texts_is_not_put_together() -> None:
    assert redacted([VISA[:8], VISA[8:]]) == [VISA[:8], VISA[8:]]


def test_base64_of_json_is_taken_as_a_whole() -> None:
    run = base64.b64encode(text_of({"to": EMAIL}).encode()).decode()
    assert redacted({"x": run}, frozenset({"pii"})) == {"x": PII}


def test_what_is_nested_too_deeply_is_refused() -> None:
    value: JsonValue = EMAIL
    for _ in range(MAX_DEPTH):
        value = [value]
    assert redacted(value)
    with pytest.raises(DataTooLargeError, match=f"nested more than {MAX_DEPTH} deep"):
        redacted([value])


def test_what_has_too_many_parts_is_refused() -> None:
    with pytest.raises(DataTooLargeError, match=f"more than {MAX_NODES} keys and values"):
        redacted([[0] * 1000] * (MAX_NODES // 1000))


def test_what_says_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.inspection.document.MAX_TEXT_BYTES", 100)
    with pytest.raises(DataTooLargeError, match="more than 100 bytes of text"):
        redacted(["some words " * 10])


def test_json_is_not_opened_without_end() -> None:
    value = EMAIL
    for _ in range(MAX_NESTED_JSON + 2):
        value = text_of([value])
    left = redacted(value)
    assert EMAIL not in str(left)


def test_many_keys_of_one_kind_keep_names_of_their_own() -> None:
    value: dict[str, JsonValue] = {f"{EMAIL}{letter}": letter for letter in "abcd"}
    value[f"{PII}#3"] = "e"
    said = redacted(value)
    assert isinstance(said, dict)
    assert sorted(map(str, said.values())) == list("abcde")


def test_fields_that_their_keys_make_data_count_as_findings() -> None:
    value: JsonValue = [{"password": "correct horse"}] * (MAX_FINDINGS + 1)
    with pytest.raises(DataTooLargeError, match=f"more than {MAX_FINDINGS} stretches"):
        redacted(value)
