import orjson
import pytest

from aos.inspection import showing
from aos.inspection.showing import redacted, redacted_text, shown, visible
from aos.model.approval_request import MAX_ARGUMENTS_LENGTH
from aos.model.base import JsonObject

CARD = "4111 1111 1111 1111"


def test_personal_data_and_secrets_are_never_shown_whatever_policies_say() -> None:
    found = redacted(
        {
            "note": f"card {CARD}",
            "mail": "mira.solberg@example.org",
            "token": "ghp_" + "a1B2" * 9,
            "stage": "won",
        }
    )
    text = orjson.dumps(found).decode()
    assert CARD not in text
    assert "mira.solberg" not in text
    assert "ghp_" not in text
    assert found["stage"] == "won"


def test_what_can_not_be_looked_through_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    deep: JsonObject = {"a": "b"}
    for _ in range(300):
        deep = {"a": deep}
    assert "too large to be looked through" in str(redacted(deep))


def test_short_arguments_are_shown_whole() -> None:
    assert orjson.loads(shown({"id": "7", "list": [1, 2.5, None, True]})) == {
        "id": "7",
        "list": [1, 2.5, None, True],
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": "x" * 100_000},
        {"texts": ["y" * 2_000] * 50},
        {"rows": [{"id": number, "note": "z" * 40} for number in range(2_000)]},
        {f"field-{number}": number for number in range(5_000)},
        {"a" * 20_000: "b"},
        {"\u4f60" * 30_000: "\u4f60" * 30_000},
    ],
)
def test_long_arguments_are_cut_and_say_so_and_are_still_json(arguments: JsonObject) -> None:
    text = shown(arguments)
    assert len(text) <= MAX_ARGUMENTS_LENGTH
    assert isinstance(orjson.loads(text), dict)
    assert "cut here" in text


def test_what_no_cutting_makes_short_is_not_shown_at_all() -> None:
    nested: JsonObject = {"a": ["x" * 64] * 4}
    for _ in range(5):
        nested = {f"{number}-{'k' * 60}": nested for number in range(4)}
    assert orjson.loads(shown(nested)).keys() == showing._UNREADABLE.keys()


def test_what_people_would_not_see_is_spelled_out() -> None:
    assert visible("pay\u202emax\u200b") == "pay<U+202E>max<U+200B>"
    assert visible("\u00c5sa \u4f60") == "\u00c5sa \u4f60"
    assert "<U+202E>" in shown({"to\u202e": ["a\u202e"]})
    assert visible("a\nb") == "a\nb"


@pytest.mark.parametrize("blank", ["\u3164", "\u2800", "\u115f", "\ufe0f", "\U000e0100", "\u00a0"])
def test_letters_and_marks_that_show_nothing_are_spelled_out_too(blank: str) -> None:
    assert visible(f"a{blank}b") == f"a<U+{ord(blank):04X}>b"


def test_no_field_hides_another_whose_name_is_shown_alike() -> None:
    alike: JsonObject = {"amount<U+200B>": 5, "amount\u200b": 1_000_000, "amount<U+200B>#2": 7}
    assert sorted(orjson.loads(shown(alike)).values()) == [5, 7, 1_000_000]


def test_no_field_hides_another_whose_name_is_cut_alike() -> None:
    cut = orjson.loads(shown({f"{'k' * 5_000}{number}": number for number in range(5)}))
    assert sorted(cut.values()) == [0, 1, 2, 3, 4]
    many: JsonObject = {"(cut here)": "pay twice", **{f"f{number}": "x" * 100 for number in range(300)}}
    cut = orjson.loads(shown(many))
    assert cut["(cut here)"] == "pay twice"
    assert any("more fields" in str(value) for value in cut.values())


def test_a_records_name_is_rid_of_personal_data_too() -> None:
    assert redacted_text("contact/7") == "contact/7"
    assert "mira" not in redacted_text("contact/mira.solberg@example.org")
