import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.policy.schemas import (
    DIALECT,
    MAX_PROBLEMS,
    OLDER_DIALECTS,
    MessageSchema,
    SchemaError,
    check_schema,
)


def nested(depth: int) -> JsonObject:
    schema: JsonObject = {"type": "string"}
    for _ in range(depth):
        schema = {"properties": {"a": schema}}
    return schema


def chain(keyword: str, length: int) -> JsonObject:
    """Return a schema in which each of many links applies the next one twice."""
    twice: dict[str, JsonValue] = {
        f"d{number}": _twice(keyword, {"$ref": f"#/$defs/d{number + 1}"}) for number in range(length)
    }
    return {"$defs": {**twice, f"d{length}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def _twice(keyword: str, schema: JsonObject) -> JsonObject:
    return {keyword: {"a": schema, "b": schema}} if keyword == "properties" else {keyword: [schema, schema]}


SOUND: dict[str, JsonObject] = {
    "an empty schema": {},
    "an ordinary one": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}},
    "one with a name": {"$id": "https://example.com/s", "type": "object"},
    "one that declares its dialect": {"$schema": f"{DIALECT}#"},
    "references within": {"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
    "properties named like keywords": {"properties": {"$id": {"type": "string"}, "$ref": {"type": "string"}}},
    "data that looks like a reference": {"const": {"$ref": "https://example.com"}},
    "a tree": {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
    "any JSON": {"items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}},
    "alternatives that recur in parts of their own": {
        "oneOf": [
            {"properties": {"and": {"items": {"$ref": "#"}}}},
            {"properties": {"or": {"items": {"$ref": "#"}}}},
        ]
    },
    "a pattern that would be slow elsewhere": {"pattern": "(a+)+$"},
    "escaped pointers": {"$defs": {"a/b~c": {"type": "string"}}, "$ref": "#/$defs/a~1b~0c"},
    "references into lists": {"anyOf": [{"type": "string"}], "properties": {"a": {"$ref": "#/anyOf/0"}}},
}

UNSOUND: dict[str, tuple[JsonObject, str]] = {
    "a remote reference": ({"$ref": "https://example.com/s"}, "leads out of the schema"),
    "a reference to a file": ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "#/properties/a: $ref"),
    "a reference to nothing": ({"$ref": "#/$defs/none"}, "leads nowhere"),
    "a base of its own inside": ({"properties": {"a": {"$id": "https://x/"}}}, "$id is not supported"),
    "an anchor": ({"$defs": {"a": {"$anchor": "x"}}}, "$anchor is not supported"),
    "a dynamic reference": ({"$dynamicRef": "#x"}, "$dynamicRef is not supported"),
    "another dialect": ({"$schema": OLDER_DIALECTS[1]}, "known here is only"),
    "a dialect that is no text": ({"$schema": 7}, "known here is only"),
    "a type that does not exist": ({"type": "strin"}, "not valid JSON Schema"),
    "a pattern with look-around": ({"pattern": "(?=a)"}, "not valid JSON Schema"),
    "a pattern that takes too much memory": ({"pattern": "(\\w{0,500}){0,500}"}, "not valid JSON Schema"),
    "too many bytes": ({"description": "x" * 65_536}, "at most 65536"),
    "too many levels": (nested(17), "nested deeper than 32"),
    "too many nodes": ({"enum": [], "anyOf": [{} for _ in range(2_000)]}, "more than 2000"),
    "a number that not everybody reads alike": ({"maximum": 2**60}, "a number is too large"),
    "a dynamic reference in a property named like data": (
        {"properties": {"default": {"$dynamicAnchor": "n", "properties": {"a": {"$dynamicRef": "#n"}}}}},
        "$dynamicAnchor is not supported",
    ),
    "a base of its own within data that a reference leads to": (
        {"default": {"$id": "https://x/", "a": {"$ref": "#/b"}, "b": {}}, "$ref": "#/default/a", "b": {}},
        "$id is not supported",
    ),
    "an anchor within data that a reference leads to": (
        {"default": {"$anchor": "n"}, "$ref": "#/default"},
        "$anchor is not supported",
    ),
    "a remote reference within data that a reference leads to": (
        {"default": {"$ref": "https://x/"}, "$ref": "#/default"},
        "leads out of the schema",
    ),
    "patterns that take too much memory together": (
        {"properties": {f"p{n}": {"pattern": f"[01]{{{12_000 + n}}}"} for n in range(5)}},
        "regular expressions take more than",
    ),
    "patterns that apply too often": (
        {"$defs": {"p": {"pattern": "[01]{4000}"}}, "allOf": [{"$ref": "#/$defs/p"}] * 20},
        "regular expressions take more than",
    ),
    "a reference to itself": ({"$ref": "#"}, "leads back to itself"),
    "references in a circle": (
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
        "leads back to itself",
    ),
    "doubling on one value": (chain("allOf", 20), "apply to one value"),
    "doubling over parts": (chain("properties", 20), "has over 50000 parts"),
    "recursion twice into the same part": (
        {"anyOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}]},
        "doubles with each level",
    ),
    "recursion by name and by pattern": (
        {"properties": {"a": {"$ref": "#"}}, "patternProperties": {"a": {"$ref": "#"}}},
        "doubles with each level",
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_schema_is_usable_with(name: str) -> None:
    assert check_schema(SOUND[name]) == []


@pytest.mark.parametrize("name", UNSOUND)
def test_a_schema_is_refused_for(name: str) -> None:
    schema, message = UNSOUND[name]
    problems = check_schema(schema)
    assert problems
    assert message in problems[0]
    assert len(problems) <= MAX_PROBLEMS


@pytest.mark.parametrize("dialect", OLDER_DIALECTS)
def test_older_dialects_are_known_where_tools_declare_them(dialect: str) -> None:
    schema: JsonObject = {"$schema": dialect, "type": "object", "properties": {"a": {"type": "integer"}}}
    assert check_schema(schema, older_dialects=True) == []
    assert check_schema(schema) != []
    assert MessageSchema(schema, older_dialects=True).problems({"a": "x"})


def test_a_value_that_does_not_fit_is_told_where_and_why() -> None:
    schema = MessageSchema({"properties": {"a": {"items": {"type": "integer"}}}})
    assert schema.accepts({"a": [1]})
    assert schema.problems({"a": [1]}) == []
    assert schema.problems({"a": [1, "x"]}) == ['/a/1: "x" is not of type "integer"']


def test_a_value_is_held_against_a_part_of_a_schema() -> None:
    schema: dict[str, JsonValue] = {
        "$id": "https://example.com/lead",
        "required": ["lead"],
        "properties": {"a/b ~%1": {"prefixItems": [True, {"$ref": "#/$defs/short"}]}},
        "$defs": {"short": {"type": "string", "maxLength": 2}},
    }
    part = MessageSchema(schema, part=("properties", "a/b ~%1", "prefixItems", 1))
    assert part.accepts("ab")
    assert part.problems("abc") == ['/: "abc" is longer than 2 characters']
    assert MessageSchema(schema, part=("properties", "a/b ~%1")).problems([1, 2]) == [
        '/1: 2 is not of type "string"'
    ]


def test_what_does_not_fit_is_not_quoted_where_others_read() -> None:
    schema = MessageSchema({"properties": {"a": {"type": "integer"}}}, quotes_values=False)
    assert schema.problems({"a": "secret"}) == ['/a: the value is not of type "integer"']


def test_problems_of_a_value_are_bounded() -> None:
    schema = MessageSchema({"items": {"type": "integer"}})
    assert len(schema.problems(["x"] * 100)) == MAX_PROBLEMS


SLOW: dict[str, JsonObject] = {
    "a value": {"properties": {"a": {"pattern": "1[01]{8000}x"}}},
    "a value, by reference": {"$defs": {"p": {"pattern": "1[01]{8000}x"}}, "items": {"$ref": "#/$defs/p"}},
    "a name": {"patternProperties": {"1[01]{8000}x": {}}},
    "a name, by its schema": {"propertyNames": {"pattern": "1[01]{8000}x"}},
}


@pytest.mark.parametrize("applied_to", SLOW)
def test_attack_13_a_pattern_is_not_applied_to_more_than_it_can_be_in_time(applied_to: str) -> None:
    # The engine takes time in proportion to pattern times text: minutes, for these.
    schema = MessageSchema(SLOW[applied_to])
    text = "".join(str(n & 1) for n in range(20))
    large: list[JsonValue] = [{"a": text * 50_000}, [text * 50_000], {text * 50_000: 1}]
    for value in large:
        assert not schema.accepts(value)
        assert "too much for the schema's regular expressions" in schema.problems(value)[0]
    assert schema.accepts({})


def test_patterns_of_different_properties_do_not_add_up() -> None:
    uuid = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    one = MessageSchema({"properties": {"id": {"pattern": uuid}}})
    many = MessageSchema({"properties": {f"id{n}": {"pattern": uuid} for n in range(50)}})
    large: JsonObject = {"text": "x" * 500_000}
    assert one.accepts(large)
    assert many.accepts(large)


EVERYWHERE: dict[str, tuple[JsonObject, JsonValue]] = {
    "in many places": ({"items": {"type": "string"}}, list(range(20_000))),
    "for many reasons": ({"allOf": [{"const": number} for number in range(400)]}, "x" * 100_000),
    "for many alternatives": ({"anyOf": [{"const": number} for number in range(400)]}, "x" * 100_000),
}


@pytest.mark.parametrize("how", EVERYWHERE)
def test_attack_13_what_is_wrong_everywhere_is_not_told_place_by_place(how: str) -> None:
    # Told place by place, a request's worth of these takes seconds and hundreds of megabytes.
    schema, value = EVERYWHERE[how]
    assert MessageSchema(schema).problems(value) == ["/: it does not fit, and is too large to tell where"]


def test_a_refused_schema_tells_all_its_problems() -> None:
    with pytest.raises(SchemaError) as caught:
        MessageSchema({"$ref": "x", "$anchor": "y"})
    assert len(caught.value.problems) == 2


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.sampled_from([{}, {"type": "string"}, {"$ref": "#"}, {"$ref": "#/$defs/a"}, True, 1, "x", None]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["$defs", "a", "properties", "items", "allOf", "anyOf", "not", "$ref"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_whatever_comes_is_judged_and_never_raises(schema: JsonValue) -> None:
    given_schema: JsonObject = schema if isinstance(schema, dict) else {"properties": {"a": schema}}
    problems = check_schema(given_schema)
    if not problems:
        MessageSchema(given_schema).problems({"a": {"a": [1, {"a": "x"}]}})


def test_a_reference_to_a_schema_that_is_only_true_has_nothing_to_measure() -> None:
    assert check_schema({"$ref": "#/$defs/any", "$defs": {"any": True}}) == []


def test_schemas_that_depend_on_a_property_are_measured() -> None:
    schema: JsonObject = {"dependentSchemas": {"a": {"required": ["b"]}}}
    assert check_schema(schema) == []
    endless: JsonObject = {"dependentSchemas": {"a": {"$ref": "#"}}}
    assert "leads back to itself" in check_schema(endless)[0]


def test_a_value_that_cannot_be_measured_is_not_matched_against_patterns() -> None:
    schema = MessageSchema({"properties": {"text": {"pattern": "^a"}}})
    assert schema.problems({"text": "a", "count": 2**70}) != []
