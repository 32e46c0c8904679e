import pytest
from pydantic import JsonValue

from aos.gateway.openapi.yaml_reading import YamlError, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", {"a": 1}),
        (
            "a: [on, yes, no, 2024-01-01, 0x1f, 1:30]",
            {"a": ["on", "yes", "no", "2024-01-01", "0x1f", "1:30"]},
        ),
        ("a: [true, False, null, ~, '']", {"a": [True, False, None, None, ""]}),
        ("a: [007, -3, 1.5, .5, 1e3, '1', !!str 1]", {"a": [7, -3, 1.5, 0.5, 1000.0, "1", "1"]}),
        ("200: {true: x}", {"200": {"true": "x"}}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("", None),
    ],
)
def test_yaml_is_the_json_that_it_stands_for(text: str, value: JsonValue) -> None:
    assert read_yaml(text, 8) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "twice"),
        ("{a: 1", "not YAML"),
        ("a: &x [*x]", "stands for nothing"),
        ("a: *y", "stands for nothing"),
        ("? [a]\n: 1", "not a plain text"),
        ("a: !!binary aGk=", "tag"),
        ("--- 1\n--- 2", "more than one document"),
        ("a: " + "[" * 20 + "]" * 20, "nested more than 8 deep"),
        ("a: " + "9" * 60, "digits"),
        ("\n".join(f"a{n}: &n{n} 1" for n in range(1100)), "anchors"),
    ],
)
def test_what_is_no_such_yaml_is_refused(text: str, said: str) -> None:
    with pytest.raises(YamlError, match=said):
        read_yaml(text, 8)


def test_a_tag_makes_no_object() -> None:
    made = read_yaml("a: !!python/object/apply:os.system [x]", 8)
    assert made == {"a": ["x"]}
