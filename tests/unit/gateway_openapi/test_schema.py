import pytest
from pydantic import JsonValue

from aos.gateway.openapi.document import Document, DocumentError
from aos.gateway.openapi.schema import SchemaReader
from aos.gateway.schemas import SchemaError, compile_schema
from aos.model.base import JsonObject

BIG = 9_223_372_036_854_775_807


def reader(schemas: JsonObject | None = None, *, is_older: bool = True, **root: JsonValue) -> SchemaReader:
    return SchemaReader(Document({"components": {"schemas": schemas or {}}, **root}, is_older=is_older))


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "string", "nullable": True, "enum": ["a"]},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        ({"nullable": True, "oneOf": [{}]}, {"anyOf": [{"oneOf": [{}]}, {"type": "null"}]}),
        ({"minimum": 0, "exclusiveMinimum": True}, {"exclusiveMinimum": 0}),
        ({"maximum": 9, "exclusiveMaximum": False}, {"maximum": 9}),
        ({"type": "integer", "maximum": BIG, "minimum": -BIG}, {"type": "integer"}),
        ({"type": "string", "example": "x", "xml": {}, "x-own": 1, "discriminator": {}}, {"type": "string"}),
        ({"additionalProperties": False}, {"additionalProperties": False}),
        ({"$ref": "#/components/schemas/A", "description": "no"}, {"$ref": "#/$defs/A"}),
    ],
)
def test_a_schema_of_3_0_becomes_json_schema(given: JsonObject, made: JsonObject) -> None:
    assert reader({"A": {}}).read(given) == made


def test_a_schema_of_3_1_is_json_schema_already() -> None:
    modern = reader({"A": {}}, is_older=False)
    given: JsonObject = {"type": ["string", "null"], "exclusiveMinimum": 3, "const": "a", "nullable": True}
    assert modern.read(given) == {"type": ["string", "null"], "exclusiveMinimum": 3, "const": "a"}
    assert modern.read({"$ref": "#/components/schemas/A", "description": "yes"}) == {
        "$ref": "#/$defs/A",
        "description": "yes",
    }
    assert modern.read({"items": True}) == {"items": True}


def test_what_is_only_answered_is_not_asked_for() -> None:
    made = reader({"Id": {"type": "string", "readOnly": True}}).read(
        {
            "required": ["id", "own", "title"],
            "properties": {
                "id": {"$ref": "#/components/schemas/Id"},
                "own": {"readOnly": True},
                "title": {"type": "string"},
            },
        }
    )
    assert made == {"required": ["title"], "properties": {"title": {"type": "string"}}}


def test_names_of_properties_are_no_keywords() -> None:
    given: JsonObject = {
        "properties": {"xml": {"type": "string"}, "nullable": {}, "$ref": {"type": "string"}}
    }
    assert reader().read(given) == given


def test_recursion_comes_along_and_ends() -> None:
    there = reader({"Node": {"properties": {"next": {"$ref": "#/components/schemas/Node"}}}})
    assert there.read({"$ref": "#/components/schemas/Node"}) == {"$ref": "#/$defs/Node"}
    assert there.definitions() == {"Node": {"properties": {"next": {"$ref": "#/$defs/Node"}}}}


def test_equal_names_of_different_schemas_are_told_apart() -> None:
    there = SchemaReader(Document({"a": {"Same": {"type": "string"}}, "b": {"Same": {}}}, is_older=False))
    there.read({"anyOf": [{"$ref": "#/a/Same"}, {"$ref": "#/b/Same"}]})
    assert there.definitions() == {"Same": {"type": "string"}, "Same_2": {}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"$ref": "https://evil.example/schema.json"}, "leads out of the document"),
        ({"items": {"$ref": "#/components/schemas/None"}}, "leads nowhere"),
        ({"$dynamicRef": "#x"}, "dynamicRef"),
        ({"$id": "http://x"}, r"\$id"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "draft-04"),
        ({"items": 3}, "not an object"),
        (None, "not an object"),
    ],
)
def test_attack_13_what_leads_out_or_is_no_schema_is_refused(given: JsonValue, said: str) -> None:
    there = reader(is_older=False)
    with pytest.raises(DocumentError, match=said):
        _ = (there.read(given), there.definitions())


def test_attack_13_a_bomb_of_schemas_is_refused() -> None:
    doubling: JsonObject = {
        f"S{n}": {"allOf": [{"$ref": f"#/components/schemas/S{n + 1}"}] * 2} for n in range(40)
    }
    there = reader({**doubling, "S40": {}})
    made = there.read({"$ref": "#/components/schemas/S0"})
    with pytest.raises(SchemaError):
        compile_schema({"properties": {"a": made}, "$defs": there.definitions()})
    wide: JsonObject = {"properties": {f"p{n}": {} for n in range(5000)}}
    with pytest.raises(DocumentError, match="4000"):
        reader().read(wide)


def test_a_dialect_that_is_not_known_is_refused() -> None:
    with pytest.raises(DocumentError, match="jsonSchemaDialect"):
        reader(jsonSchemaDialect="https://example.com/own")
