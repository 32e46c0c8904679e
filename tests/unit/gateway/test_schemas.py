import pytest
from pydantic import JsonValue

from aos.gateway.schemas import SchemaError, compile_schema


def test_problems_are_said_place_by_place() -> None:
    schema = compile_schema(
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}
    )
    assert schema.is_valid({"a": [1]})
    assert schema.problems({"a": [1]}) == ()
    (problem,) = schema.problems({"a": [1, "x"]})
    assert (problem.path, problem.message) == ("/a/1", '"x" is not of type "integer"')


def test_a_problem_of_the_whole_has_an_empty_path() -> None:
    (problem,) = compile_schema({"required": ["a"]}).problems({})
    assert (problem.path, problem.message) == ("", '"a" is a required property')


def bomb(links: int) -> JsonValue:
    doubled: dict[str, JsonValue] = {
        f"a{number}": {"allOf": [{"$ref": f"#/$defs/a{number + 1}"}] * 2} for number in range(links)
    }
    return {"$defs": {**doubled, f"a{links}": {"type": "string"}}, "$ref": "#/$defs/a0"}


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        "text",
        {"$ref": "https://elsewhere/schema"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"$ref": "other.json#/a"}}},
        {"pattern": "(?=a)b"},
        {"pattern": "(a{1000}){1000}"},
        {"type": "objec"},
        {"description": "a" * 70_000},
        {"$schema": "https://elsewhere/schema"},
        bomb(40),
    ],
)
def test_attack_13_a_schema_that_reaches_out_or_explodes_is_refused(schema: JsonValue) -> None:
    with pytest.raises(SchemaError):
        compile_schema(schema)


def test_a_tighter_bound_is_kept() -> None:
    with pytest.raises(SchemaError, match="bytes"):
        compile_schema({"description": "a" * 2000}, 1024)


def test_older_dialects_are_for_those_who_say_so() -> None:
    older: JsonValue = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    assert compile_schema(older).is_valid({})
    with pytest.raises(SchemaError, match="schema"):
        compile_schema(older, older_dialects=False)
