import pytest
from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.workflow.described import Described, Patience, TooMuchWorkError, is_usable
from aos.workflow.types import KINDS, NUMBERS, Standing


def described(schema: JsonObject) -> Described:
    return Described.whole(schema, "the schema", Patience())


DECLARED, FREE, UNPROMISED, REFUSED = Standing


@pytest.mark.parametrize(
    ("schema", "standing"),
    [
        ({}, FREE),
        ({"type": "object"}, FREE),
        ({"type": "string"}, REFUSED),
        ({"type": ["object", "null"]}, FREE),
        ({"properties": {"a": {}}}, DECLARED),
        ({"properties": {"a": False}}, REFUSED),
        ({"properties": {"b": {}}}, UNPROMISED),
        ({"properties": {"b": {}}, "required": ["a"]}, DECLARED),
        ({"properties": {"b": {}}, "additionalProperties": True}, FREE),
        ({"properties": {"b": {}}, "additionalProperties": {"type": "string"}}, DECLARED),
        ({"properties": {"b": {}}, "additionalProperties": False}, REFUSED),
        ({"properties": {"a": {}}, "additionalProperties": False}, DECLARED),
        ({"patternProperties": {"^a": {}}}, DECLARED),
        ({"patternProperties": {"^b": {}}}, UNPROMISED),
        ({"patternProperties": {"(?=b)": {}}}, DECLARED),
        ({"properties": {"b": {}}, "unevaluatedProperties": False}, REFUSED),
        ({"properties": {"b": {}}, "unevaluatedProperties": True}, FREE),
        ({"properties": {"b": {}}, "unevaluatedProperties": {"type": "string"}}, DECLARED),
        ({"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}, DECLARED),
        ({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, DECLARED),
        ({"allOf": [{"properties": {"a": {}}}, {"additionalProperties": False}]}, REFUSED),
        ({"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, DECLARED),
        ({"anyOf": [{"type": "string"}, {"properties": {"b": {}}}]}, UNPROMISED),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, REFUSED),
        ({"properties": {"b": {}}, "anyOf": [{"required": ["b"]}, {"required": ["c"]}]}, UNPROMISED),
        ({"if": {"required": ["b"]}, "then": {"properties": {"a": {}}}, "properties": {"b": {}}}, DECLARED),
        ({"then": {"properties": {"a": {}}}, "properties": {"b": {}}}, UNPROMISED),
        ({"dependentSchemas": {"b": {"properties": {"a": {}}}}, "properties": {"b": {}}}, DECLARED),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": {}}}}}, DECLARED),
        ({"$ref": "#/$defs/x", "properties": {"a": {}}, "$defs": {"x": {"additionalProperties": False}}}, REFUSED),
        ({"allOf": [{"$ref": "#/anyOf/0"}], "anyOf": [{"properties": {"a": {}}}]}, DECLARED),
        ({"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": {"properties": {"b": {}}}}}, UNPROMISED),
        ({"$ref": "#/nowhere"}, FREE),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"$ref": "#/$defs/x"}}}, FREE),
        ({"$ref": "#/$defs/x", "$defs": {"x": False}}, REFUSED),
        ({"const": {"a": 1}}, DECLARED),
        ({"enum": [{"b": 1}, 2]}, REFUSED),
        ({"enum": [{"a": 1}, 2]}, DECLARED),
    ],
)  # fmt: skip
def test_a_schema_tells_whether_there_is_a_field(schema: JsonObject, standing: Standing) -> None:
    assert described(schema).field("a").standing is standing


@pytest.mark.parametrize(
    ("schema", "standing", "kinds"),
    [
        ({}, FREE, KINDS),
        ({"type": "object"}, REFUSED, KINDS),
        ({"type": "array"}, FREE, KINDS),
        ({"items": {"type": "string"}}, DECLARED, {"string"}),
        ({"items": False}, REFUSED, KINDS),
        ({"items": {"type": "string"}, "prefixItems": [{"type": "null"}]}, DECLARED, {"string", "null"}),
        ({"prefixItems": [{"type": "null"}]}, DECLARED, KINDS),
        ({"prefixItems": [{"type": "null"}], "items": False}, DECLARED, {"null"}),
        ({"const": [1, "x"]}, DECLARED, {"integer", "string"}),
        ({"allOf": [{"items": {"type": ["string", "null"]}}, {"items": {"type": ["string", "integer"]}}]}, DECLARED, {"string"}),
        ({"anyOf": [{"items": {"type": "string"}}, {"type": "object"}]}, DECLARED, {"string"}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"items": {"type": "null"}}}}, DECLARED, {"null"}),
        ({"$ref": "#"}, FREE, KINDS),
        ({"allOf": [False]}, REFUSED, KINDS),
    ],
)  # fmt: skip
def test_a_schema_tells_of_its_items(schema: JsonObject, standing: Standing, kinds: set[str]) -> None:
    found = described(schema).element()
    assert found.standing is standing
    assert found.type.kinds() == kinds


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({}, KINDS),
        ({"type": "integer"}, {"integer"}),
        ({"type": "number"}, NUMBERS),
        ({"type": ["string", "null"]}, {"string", "null"}),
        ({"enum": [1, None, "x", 1.5, True, [], {}]}, KINDS),
        ({"type": "string", "enum": [1, "x"]}, {"string"}),
        ({"allOf": [{"type": ["string", "null"]}, {"type": ["string", "object"]}]}, {"string"}),
        ({"anyOf": [{"type": "string"}, {"const": None}]}, {"string", "null"}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "boolean"}}}, {"boolean"}),
        ({"$ref": "#"}, KINDS),
        ({"allOf": [False]}, set()),
    ],
)
def test_a_schema_tells_the_kinds_of_its_values(schema: JsonObject, kinds: set[str]) -> None:
    assert described(schema).kinds() == kinds


def test_a_schema_tells_the_fields_that_are_always_there_and_those_that_may_be() -> None:
    view = described(
        {
            "required": ["a"],
            "properties": {"b": {}},
            "allOf": [{"required": ["c"]}, {"$ref": "#"}, True],
            "anyOf": [{"required": ["d"]}, {"properties": {"e": {}}}],
        }
    )
    assert view.certain() == {"a", "c"}
    assert view.declared() == {"a", "b", "c", "d", "e"}
    assert view.label() == "the schema"


def test_a_value_is_held_against_a_part() -> None:
    view = described(
        {"properties": {"a": {"items": {"$ref": "#/$defs/x"}}}, "$defs": {"x": {"type": "string"}}}
    )
    part = view.at("properties", "a")
    assert list(part.problems(["x"])) == []
    assert list(part.problems(["x", 1])) == [((1,), '1 is not of type "string"')]


def test_counts_of_items_and_their_places() -> None:
    view = described(
        {"minItems": 1, "maxItems": 3, "prefixItems": [{"type": "null"}], "items": {"type": "string"}}
    )
    assert view.item_counts() == (1, 3)
    assert [view.item(place).node for place in (0, 1)] == [{"type": "null"}, {"type": "string"}]  # type: ignore[union-attr]
    assert view.item(None) is None
    assert described({}).item_counts() == (0, float("inf"))
    assert described({}).item(0) is None
    with pytest.raises(KeyError):
        view.at("prefixItems", "x")


@pytest.mark.parametrize(
    ("schema", "usable"), [({"type": "object"}, True), ({"type": "objec"}, False), ({"const": 2**70}, False)]
)
def test_only_bounded_schemas_are_usable(schema: dict[str, JsonValue], usable: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_usable(schema) is usable


def test_patience_has_an_end() -> None:
    view = Described.whole({"allOf": [{}, {}]}, "", Patience(5))
    view.field("a")
    with pytest.raises(TooMuchWorkError):
        view.field("a")
