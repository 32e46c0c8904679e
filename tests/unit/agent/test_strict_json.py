import pytest

from aos.agent.strict_json import NotAnObjectError, read_object


def test_an_object_is_read() -> None:
    assert read_object('{"a": {"b": [1, 2.5, "x", null, true]}}') == {"a": {"b": [1, 2.5, "x", None, True]}}


def test_characters_in_two_halves_are_read() -> None:
    assert read_object('{"\\ud83d\\ude00": "\\u00e9"}') == {"\U0001f600": "\u00e9"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not JSON"),
        ("no", "not JSON"),
        ('{"a": 1} and more', "not JSON"),
        ("[1]", "not an object"),
        ('"a"', "not an object"),
        ('{"a": 1, "a": 2}', "a key appears twice"),
        ('{"x": {"a": 1, "a": 2}}', "a key appears twice"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": -Infinity}', "holds -Infinity"),
        ('{"a": 1e400}', "number that is too large"),
        ('{"a": ["\\ud800"]}', "half of a surrogate pair"),
        ('{"\\udc00\\ud800": 1}', "half of a surrogate pair"),
        ('{"a": ' + "1" * 5000 + "}", "too many digits"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
    ],
)
def test_what_others_would_read_differently_is_no_object(text: str, complaint: str) -> None:
    with pytest.raises(NotAnObjectError, match=complaint):
        read_object(text)
