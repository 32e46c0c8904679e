import pytest

from aos.model.base import JsonObject
from aos.workflow.described import Described, Patience
from aos.workflow.fitting import EACH_ITEM, MAX_DEPTH, misfits
from aos.workflow.types import (
    ANYTHING,
    BOOLEAN,
    INTEGER,
    LIST,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Each,
    Either,
    Exact,
    Listed,
    Perhaps,
    Plain,
    Record,
    Row,
    Type,
)


def described(schema: JsonObject) -> Described:
    return Described.whole(schema, "W", Patience())


A_STRING: JsonObject = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}
CLOSED: JsonObject = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
STRINGS: JsonObject = {"type": "array", "items": {"type": "string"}}
TREE: JsonObject = {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}}


@pytest.mark.parametrize(
    ("given", "schema"),
    [
        (ANYTHING, {"type": "string"}),
        (STRING, {}),
        (INTEGER, {"type": "number"}),
        (NUMBER, {"type": "integer"}),
        (INTEGER, {"enum": [1, "x"]}),
        (Plain(frozenset({"string", "null"})), {"type": "null"}),
        (Perhaps(STRING), {"type": "string"}),
        (Either((STRING, INTEGER)), {"type": "integer"}),
        (Each((STRING, Exact("x"))), {"type": "string"}),
        (Exact("x"), {"enum": ["x"]}),
        (OBJECT, A_STRING),
        (OBJECT, CLOSED),
        (LIST, STRINGS),
        (Record({"a": STRING, "b": INTEGER}), A_STRING),
        (Record({"a": Perhaps(STRING)}), A_STRING),
        (Record({"a": Perhaps(STRING)}), CLOSED),
        (Record({}), CLOSED),
        (Record({"b": INTEGER}), {"anyOf": [A_STRING, {"properties": {"b": {"type": "integer"}}}]}),
        (Record({"a": INTEGER}), {"anyOf": [{"type": "string"}, True]}),
        (Record({"x": NULL}), {"patternProperties": {"^x": {"type": "null"}}, "additionalProperties": False}),
        (Record({"x": INTEGER}), {"if": A_STRING, "then": {"required": ["y"]}}),
        (Row(()), STRINGS),
        (Row((STRING, ANYTHING)), STRINGS),
        (Row((Perhaps(STRING),)), {"minItems": 1, "maxItems": 1}),
        (Row((STRING, Perhaps(STRING))), {"minItems": 2, "items": {"type": "string"}}),
        (Row((STRING,)), {"prefixItems": [{"type": "string"}], "items": False}),
        (Listed(STRING), {"items": False}),
        (Listed(INTEGER), {"prefixItems": [{"type": "string"}]}),
        (Listed(ANYTHING), STRINGS),
        (described(A_STRING), A_STRING),
        (described(A_STRING), {"required": ["a"]}),
        (described({"properties": {"a": {"type": "integer"}}}), {"properties": {"a": {"type": "string"}}}),
        (described({"properties": {"a": {"type": "integer"}, "b": {}}}), CLOSED),
        (described({"type": "object", "properties": {"b": {}}, "additionalProperties": True}), A_STRING),
        (described(TREE), TREE),
        (described({"anyOf": [{"type": "string"}, A_STRING]}), {"type": "string"}),
        (Record({"a": STRING}), {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}),
        (STRING, {"$ref": "#/$defs/x", "$defs": {"x": {"$ref": "#/$defs/x"}}}),
    ],
)  # fmt: skip
def test_nothing_is_told_of_what_may_fit(given: Type, schema: JsonObject) -> None:
    assert list(misfits(given, described(schema))) == []


@pytest.mark.parametrize(
    ("given", "schema", "path", "message"),
    [
        (STRING, {"type": "integer"}, (), "string is given, and integer is asked for by W"),
        (INTEGER, {"enum": [1.5, "x"]}, (), "integer is given, and number or string is asked for by W"),
        (BOOLEAN, {"enum": [1, "x"]}, (), "boolean is given, and integer or string is asked for by W"),
        (STRING, {"allOf": [False]}, (), "nothing may be given here, by W"),
        (Perhaps(STRING), {"type": "integer"}, (), "string is given"),
        (Either((STRING, NULL)), {"type": "integer"}, (), "string is given"),
        (Each((STRING, INTEGER)), {"type": "string"}, (), "integer is given"),
        (Exact("x"), {"const": "y"}, (), "by W"),
        (Exact({"a": [1]}), {"properties": {"a": STRINGS}}, ("a", 0), '1 is not of type "string", by W'),
        (Record({}), A_STRING, (), "the field 'a' is required by W, and is not given"),
        (Record({}, "R"), A_STRING, (), "the field 'a' is required by W, and R does not have it"),
        (Record({"a": INTEGER}), A_STRING, ("a",), "integer is given"),
        (Record({"a": Perhaps(INTEGER)}), A_STRING, ("a",), "integer is given"),
        (Record({"b": ANYTHING}), CLOSED, ("b",), "the field 'b' is not taken by W"),
        (Record({"b": Perhaps(STRING)}), CLOSED, ("b",), "the field 'b' is not taken by W"),
        (Record({"b": STRING}), {"properties": {"b": False}}, ("b",), "the field 'b' is not taken by W"),
        (Record({"b": STRING}), {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}, ("b",), "not taken"),
        (Record({"ab": STRING}), {"properties": {"ab": {}}, "patternProperties": {"^a": {"type": "null"}}}, ("ab",), "string is given"),
        (Record({"a": STRING}), {"anyOf": [CLOSED, {"type": "string"}], "type": "string"}, (), "object is given"),
        (Record({"b": STRING}), {"oneOf": [CLOSED, {"type": "string"}]}, ("b",), "it fits no choice of oneOf: the field 'b'"),
        (Row((STRING,)), {"minItems": 2}, (), "1 items are given, and at least 2 are asked for by W"),
        (Row((STRING, STRING)), {"maxItems": 1}, (), "2 items are given, and at most 1 are asked for by W"),
        (Row((STRING, INTEGER)), STRINGS, (1,), "integer is given"),
        (Row((STRING, STRING)), {"prefixItems": [{}], "items": False}, (1,), "nothing may be given here"),
        (Row((Perhaps(INTEGER),)), STRINGS, (EACH_ITEM,), "integer is given"),
        (Listed(Record({})), {"items": A_STRING}, (EACH_ITEM,), "the field 'a' is required"),
        (described(A_STRING), {"properties": {"a": {"type": "null"}}}, ("a",), "string of W is given, and null"),
        (described({"properties": {"a": {"type": "null"}}}), A_STRING, ("a",), "null of W is given"),
        (described({"properties": {"b": {}}}), {"type": "object", "required": ["a"]}, (), "and W does not have it"),
        (described(A_STRING), {"type": "object", "properties": {"b": {}}, "additionalProperties": False}, ("a",), "not taken"),
        (described({"type": "array", "items": {"type": "null"}}), STRINGS, (EACH_ITEM,), "null of W is given"),
    ],
)  # fmt: skip
def test_what_can_not_fit_is_told_with_its_place(
    given: Type, schema: JsonObject, path: tuple[str | int, ...], message: str
) -> None:
    wanted = {"type": "object", **schema} if isinstance(given, Described) and "type" not in schema else schema
    found = list(misfits(given, described(wanted)))
    assert [misfit.path for misfit in found] == [path]
    assert message in found[0].message


def test_values_without_end_are_looked_at_to_a_bounded_depth() -> None:
    other: JsonObject = {
        "$ref": "#/$defs/t",
        "$defs": {"t": {**TREE, "properties": {"next": {"$ref": "#/$defs/t"}}}},
    }
    assert list(misfits(described(TREE), described(other))) == []
    deep: Type = INTEGER
    for _ in range(MAX_DEPTH + 2):
        deep = Record({"next": deep})
    assert list(misfits(deep, described(TREE))) == []
