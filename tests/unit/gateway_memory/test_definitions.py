from typing import cast

import pytest
from pydantic import JsonValue

from aos.gateway.memory.definitions import SizeBound, definitions
from aos.gateway.schemas import compile_schema
from aos.model.base import JsonObject
from aos.policy.schemas import SchemaError
from tests.unit.gateway_memory.world import memory_tool


def named(schema: JsonObject | None = None, scope: str = "Run") -> dict[str, JsonObject]:
    tool = memory_tool(scope=scope, schema=schema)
    entries = [cast("JsonObject", entry) for entry in definitions(tool)]
    return {str(entry["name"]): entry for entry in entries}


def input_of(entry: JsonObject) -> JsonObject:
    return cast("JsonObject", entry["inputSchema"])


def test_the_three_actions_say_what_they_do_and_for_whom() -> None:
    made = named()
    assert list(made) == ["get", "put", "delete"]
    assert all("notes" in str(entry["description"]) for entry in made.values())
    assert "gone with it" in str(made["get"]["description"])
    assert "agents of this namespace" in str(named(scope="Namespace")["put"]["description"])
    for entry in made.values():
        compile_schema(entry["inputSchema"])
        compile_schema(entry["outputSchema"])


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        ({"value": {"a": 1}}, True),
        ({"value": None, "ifVersion": 0}, True),
        ({}, False),
        ({"value": 1, "ifVersion": -1}, False),
        ({"value": 1, "ifVersion": "1"}, False),
        ({"value": 1, "other": 1}, False),
    ],
)
def test_any_json_fits_where_the_tool_says_no_more(arguments: JsonObject, *, fits: bool) -> None:
    assert compile_schema(input_of(named()["put"])).is_valid(arguments) is fits


def test_references_of_a_schema_lead_where_they_led_before() -> None:
    schema: JsonObject = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"tag": {"type": "string", "maxLength": 3}},
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
            "either": {"anyOf": [{"$ref": "#/$defs/tag"}, {"type": "null"}]},
            "inner": {"$ref": "#"},
            "$ref": {"type": "integer"},
        },
        "additionalProperties": False,
    }
    compiled = compile_schema(input_of(named(schema)["put"]))
    good: JsonValue = {"tags": ["a"], "either": None, "inner": {"tags": ["b"]}, "$ref": 3}
    assert compiled.is_valid({"value": good})
    bad: list[JsonValue] = [
        {"tags": ["long"]},
        {"inner": {"tags": [1]}},
        {"either": 1},
        {"$ref": "x"},
        {"x": 1},
    ]
    for value in bad:
        assert not compiled.is_valid({"value": value})
    (problem,) = compiled.problems({"value": {"inner": {"tags": ["long"]}}})
    assert problem.path == "/value/inner/tags/0"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://evil.example/x"},
        {"type": "nothing"},
        {"pattern": "(?=a)"},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
    ],
)
def test_attack_13_a_schema_that_can_not_be_used_makes_no_action(schema: JsonObject) -> None:
    with pytest.raises(SchemaError):
        named(schema)


def test_the_longest_value_is_counted_as_json() -> None:
    bound = SizeBound(7)
    assert bound.problem({"value": "12345"}) == ""
    assert "8 bytes as JSON, and at most 7" in bound.problem({"value": "123456"})
    assert bound.content == {"maxBytes": 7}
