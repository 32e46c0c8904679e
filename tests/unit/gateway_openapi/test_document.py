import json

import pytest
from pydantic import JsonValue

from aos.gateway.openapi.document import MAX_DEPTH, Document, DocumentError, read_document


def test_json_and_yaml_say_the_same() -> None:
    by_json = read_document(b'{"openapi": "3.1.0", "paths": {}}')
    assert by_json == read_document(b"openapi: 3.1.0\npaths: {}\n")
    assert not by_json.is_older
    assert read_document(b"\xef\xbb\xbf" + b'{"openapi": "3.0.3"}').is_older


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"openapi": "3.0.0", "a": NaN}', "NaN"),
        (b'{"openapi": 3.0}', "3.0 and 3.1"),
        (b"- openapi", "not an object"),
        (b'{"openapi": "3.0.0",}', "not JSON"),
        (b"openapi: [", "not YAML in line"),
        (json.dumps({"openapi": "3.0.0", "a": [0] * 500_001}).encode(), "parts"),
    ],
)
def test_attack_13_what_is_no_document_or_beyond_a_bound_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        read_document(content)


def test_attack_13_nesting_is_bounded_in_json_too() -> None:
    deep: JsonValue = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    with pytest.raises(DocumentError, match="nested"):
        read_document(json.dumps({"openapi": "3.0.0", "a": deep}).encode())


def test_attack_13_aliases_that_double_at_each_line_are_counted_as_often_as_they_stand_there() -> None:
    lines = ["openapi: 3.0.0", "a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    with pytest.raises(DocumentError, match="parts"):
        read_document("\n".join(lines).encode())


def document(**parts: JsonValue) -> Document:
    return Document({"openapi": "3.1.0", **parts}, is_older=False)


def test_a_reference_is_followed_within_the_document() -> None:
    there = document(a={"b/c": [{"d": 1}], "x": {"$ref": "#/a/b~1c/0"}})
    assert there.follow({"$ref": "#/a/x"}) == {"d": 1}
    assert there.follow({"d": 2}) == {"d": 2}
    assert there.at("#/a/b%2Fc/0/d") == 1


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("http://169.254.169.254/x#/a", "leads out of the document"),
        ("file:///etc/passwd", "leads out of the document"),
        ("other.yaml#/a", "leads out of the document"),
        ("//evil.example/x", "leads out of the document"),
        ("#anchor", "leads out of the document"),
        ("#/a/missing", "leads nowhere"),
        ("#/a/99", "leads nowhere"),
        ("#/loop", "more than 16 times"),
    ],
)
def test_attack_13_a_reference_leads_to_nothing_else(reference: str, said: str) -> None:
    there = document(a=[1], loop={"$ref": "#/pool"}, pool={"$ref": "#/loop"})
    with pytest.raises(DocumentError, match=said):
        there.follow({"$ref": reference})
