import pytest
from pydantic import JsonValue

from aos.gateway.mcp.hidden_text import find_hidden, find_hidden_within


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Reads one contact.\n\tBy id.\r\n",
        "Größe, naïveté, Zürich — “quoted” … 42 €",
        "日本語の説明",
        "वर्णन और उदाहरण",
        "وصف قصير",
        "emoji: ✅ ⚠️ 🚀 👍🏽 ☎️ 1️⃣ ©️ ↔️ ‼️",
        "families: 👩‍👩‍👧 👩🏽‍💻 🏳️‍🌈 ❤️‍🔥 👁️‍🗨️",
        "combining: e\u0301",
        "no-break\u00a0space",
    ],
)
def test_text_that_people_see_passes(text: str) -> None:
    assert find_hidden(text) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("tags \U000e0041\U000e0042", "U+E0041 (a tag character)"),
        ("override \u202e", "U+202E (a control of text direction)"),
        ("isolate \u2066x\u2069", "direction"),
        ("mark \u200e", "direction"),
        ("Arabic mark \u061c", "direction"),
        ("zero\u200bwidth", "U+200B"),
        ("non\u200cjoiner", "U+200C"),
        ("a\u200db", "U+200D"),
        ("word\u2060joiner", "U+2060"),
        ("\ufeffmark", "U+FEFF"),
        ("soft\u00adhyphen", "U+00AD (soft hyphen)"),
        ("invisible\u2062times", "U+2062"),
        ("run ⚠\ufe0f\ufe01\ufe02", "a variation selector"),
        ("run ⚠\ufe0f\ufe0f", "a variation selector"),
        ("letter a\ufe0f", "a variation selector"),
        ("\ufe0f first", "a variation selector"),
        ("supplement \U000e0100", "a variation selector"),
        ("private \ue000", "U+E000"),
        ("plane 15 \U000f0000", "U+F0000"),
        ("unassigned \u0378", "U+0378"),
        ("noncharacter \uffff", "U+FFFF"),
        ("filler \u3164", "U+3164"),
        ("braille \u2800", "U+2800"),
        ("grapheme\u034fjoiner", "U+034F"),
        ("Mongolian\u180b", "U+180B"),
        ("escape \x1b[8m", "U+001B"),
        ("bell é\x07", "U+0007"),
        ("delete \x7f", "U+007F"),
        ("next line \x85", "U+0085"),
        ("joiner at the end 👩\u200d", "U+200D"),
    ],
)
def test_attack_09_text_that_only_models_see_is_found(text: str, named: str) -> None:
    found = find_hidden(text)
    assert found is not None
    assert named in found


@pytest.mark.parametrize(
    "value",
    [
        {"properties": {"a\u200b": {"type": "string"}}},
        {"properties": {"a": {"enum": ["x", "y\U000e0041"]}}},
        {"properties": {"a": {"description": "b\u202e"}}},
        ["deep", [["er", {"still": "\u2063"}]]],
    ],
)
def test_attack_09_keys_and_strings_are_searched_at_any_depth(value: JsonValue) -> None:
    assert find_hidden_within(value) is not None


def test_a_value_without_hidden_text_passes() -> None:
    assert find_hidden_within({"type": "object", "minimum": 1, "x": [True, None, "é"]}) is None
