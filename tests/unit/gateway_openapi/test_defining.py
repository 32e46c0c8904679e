from typing import cast

import pytest
from pydantic import JsonValue

from aos.gateway.openapi.defining import OPERATION, PROBLEM, definitions
from aos.gateway.openapi.document import Document, DocumentError, read_document
from aos.gateway.schemas import compile_schema
from aos.model.base import JsonObject
from tests.unit.gateway_openapi.documents import TICKETS


def defined(operation: JsonObject, path: str = "/a", method: str = "get", **root: JsonValue) -> JsonObject:
    paths: JsonObject = {path: {method: {"operationId": "op", **operation}}}
    document = Document({"openapi": "3.1.0", "paths": paths, **root}, is_older=False)
    (made,) = definitions(document, {"op"}, "X-Key")
    return cast("JsonObject", made)


def schema_of(made: JsonObject) -> JsonObject:
    return cast("JsonObject", made["inputSchema"])


def parameter(name: str, where: str = "query", **more: JsonValue) -> JsonObject:
    return {"name": name, "in": where, "schema": {"type": "string"}, **more}


def test_a_whole_document_is_read() -> None:
    names = {"list_tickets", "create_ticket", "update_ticket", "attach"}
    made = {
        cast("JsonObject", entry)["name"]: cast("JsonObject", entry)
        for entry in definitions(read_document(TICKETS.encode()), names)
    }
    assert set(made) == names
    listing = schema_of(made["list_tickets"])
    assert listing["required"] == []
    properties = cast("dict[str, JsonObject]", listing["properties"])
    assert properties["page"] == {
        "type": "integer",
        "format": "int64",
        "minimum": 1,
        "description": "From 1.",
    }
    assert properties["filter_assignee"] == {
        "type": ["string", "null"],
        "description": "Only those of one person. Sent as filter[assignee] in the query.",
    }
    assert str(made["list_tickets"]["description"]).endswith(
        "Not available here: query parameter sort (only the style form is known there);"
        " header parameter Authorization (that header is not an agent's to set)"
    )
    update = schema_of(made["update_ticket"])
    assert list(cast("JsonObject", update["properties"])) == ["body", "id", "query_id"]
    assert update["required"] == ["id"]
    create = compile_schema(schema_of(made["create_ticket"]))
    assert create.is_valid({"body": {"title": "a", "assignee": None, "children": [{"title": "b"}]}})
    wrong: list[JsonObject] = [{}, {"title": "a", "score": 0}, {"title": "a", "children": [{}]}]
    for body in wrong:
        assert not create.is_valid({"body": body})
    assert not create.is_valid({})
    assert PROBLEM in made["attach"]


def test_an_operation_parameter_takes_the_place_of_its_paths() -> None:
    own: JsonObject = {"operationId": "op", "parameters": [parameter("page", description="its own")]}
    item: JsonObject = {"parameters": [parameter("page"), parameter("other")], "get": own}
    document = Document({"paths": {"/a": item}}, is_older=False)
    (made,) = definitions(document, {"op"})
    properties = cast("JsonObject", schema_of(cast("JsonObject", made))["properties"])
    assert properties["page"] == {"type": "string", "description": "its own"}
    assert list(properties) == ["page", "other"]


def test_equal_names_in_different_places_are_told_apart() -> None:
    made = defined(
        {
            "parameters": [
                parameter("id", "header"),
                parameter("id"),
                parameter("id", "path"),
                parameter("body"),
            ],
            "requestBody": {"content": {"application/json": {}}},
        },
        "/a/{id}",
        "post",
    )
    properties = cast("dict[str, JsonObject]", schema_of(made)["properties"])
    assert list(properties) == ["body", "id", "query_id", "query_body", "header_id"]
    assert properties["query_id"]["description"] == "Sent as id in the query."
    assert properties["body"] == {}


@pytest.mark.parametrize(
    ("operation", "method", "path", "said"),
    [
        (
            {"parameters": [parameter("a", "cookie", required=True)]},
            "get",
            "/a",
            "cookie parameter 'a' is required",
        ),
        ({"parameters": [parameter("a", required=True, style="pipeDelimited")]}, "get", "/a", "style form"),
        ({"parameters": [parameter("a", required=True, content={})]}, "get", "/a", "content of their own"),
        ({"parameters": [parameter("Host", "header", required=True)]}, "get", "/a", "not an agent's"),
        ({"parameters": [parameter("x-key", "header", required=True)]}, "get", "/a", "not an agent's"),
        (
            {"parameters": [{"name": "a", "in": "query", "required": True, "schema": {"type": "object"}}]},
            "get",
            "/a",
            "objects are not sent",
        ),
        ({"parameters": [parameter("id", "path", style="matrix")]}, "get", "/a/{id}", "style simple"),
        ({}, "get", "/a/{id}", "no path parameter fills"),
        ({}, "get", "/a/../b", "leads elsewhere"),
        ({"parameters": [{"in": "query"}]}, "get", "/a", "no name"),
        (
            {"parameters": [parameter("a[]"), parameter("a{}"), parameter("a()")]},
            "get",
            "/a",
            "both be called",
        ),
        ({"parameters": [parameter(f"p{n}") for n in range(201)]}, "get", "/a", "more than 200 parameters"),
        ({"parameters": [{"$ref": "http://evil.example/p.json"}]}, "get", "/a", "leads out of the document"),
        ({"parameters": [parameter("a", schema={"$ref": "file:///etc/passwd"})]}, "get", "/a", "leads out"),
        (
            {"requestBody": {"content": {"text/plain": {}, "application/xml": {}}}},
            "put",
            "/a",
            "only JSON bodies",
        ),
        ({"requestBody": {"content": {"application/json": {}}}}, "get", "/a", "no GET is sent with"),
        ({"requestBody": {}}, "post", "/a", "no content"),
        ({"requestBody": {"$ref": "#/nowhere"}}, "post", "/a", "leads nowhere"),
        ({}, "trace", "/a", "TRACE are not made"),
        ({}, "head", "/a", "HEAD are not made"),
    ],
)
def test_an_operation_that_can_not_be_called_says_why(
    operation: JsonObject, method: str, path: str, said: str
) -> None:
    made = defined(operation, path, method)
    assert set(made) == {"name", PROBLEM}
    assert said in str(made[PROBLEM])


def test_attack_04_what_the_document_calls_a_key_is_no_agents_to_give() -> None:
    schemes: JsonObject = {
        "key": {"type": "apiKey", "in": "query", "name": "access_key"},
        "tenant": {"$ref": "#/components/x"},
        "login": {"type": "http", "scheme": "basic"},
    }
    components: JsonObject = {
        "securitySchemes": schemes,
        "x": {"type": "apiKey", "in": "header", "name": "X-Desk-Key"},
    }
    parameters: list[JsonValue] = [
        parameter("Access_Key"),
        parameter("x-desk-key", "header"),
        parameter("X-Desk-Key"),
        parameter("page"),
    ]
    made = defined({"parameters": parameters}, components=components)
    assert set(cast("JsonObject", schema_of(made)["properties"])) == {"X-Desk-Key", "page"}
    assert "a credential, which is not an agent's to give" in str(made["description"])


@pytest.mark.parametrize(
    ("kinds", "chosen"),
    [
        (["application/xml", "application/json"], "application/json"),
        (["application/vnd.desk+json", "application/JSON; charset=utf-8"], "application/json"),
        (["application/merge-patch+json"], "application/merge-patch+json"),
    ],
)
def test_a_json_body_is_chosen_where_there_is_one(kinds: list[str], chosen: str) -> None:
    made = defined({"requestBody": {"content": {kind: {} for kind in kinds}}}, method="post")
    assert cast("JsonObject", made[OPERATION])["bodyType"] == chosen


def test_what_stands_elsewhere_is_not_there() -> None:
    paths: JsonObject = {
        "/remote": {"$ref": "http://evil.example/paths.json"},
        "/odd": 3,
        "/shared": {"$ref": "#/components/pathItems/Shared"},
    }
    root: JsonObject = {
        "paths": paths,
        "components": {"pathItems": {"Shared": {"get": {"operationId": "op"}, "put": {}, "post": "x"}}},
    }
    (made,) = definitions(Document(root, is_older=False), {"op"})
    assert cast("JsonObject", made)["description"] == "GET /shared"


def test_two_operations_of_one_name_are_both_there() -> None:
    item: JsonObject = {"get": {"operationId": "op"}, "put": {"operationId": "op"}}
    assert len(definitions(Document({"paths": {"/a": item}}, is_older=False), {"op"})) == 2


def test_a_document_without_paths_is_none() -> None:
    with pytest.raises(DocumentError, match="no paths"):
        definitions(Document({}, is_older=False), {"op"})
