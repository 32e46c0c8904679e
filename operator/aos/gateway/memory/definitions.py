"""The actions of a Tool of type Memory, as definitions of MCP tools made from what the Tool declares. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.memory.places import memory_of
from aos.model.base import JsonObject
from aos.model.tool import Memory, MemoryScope, Tool
from aos.policy.schemas import SchemaError, check_schema

GET: Final = "get"
PUT: Final = "put"
DELETE: Final = "delete"
VALUE: Final = "value"
IF_VERSION: Final = "ifVersion"

_SHARED: Final = {
    MemoryScope.RUN: "shared by all agents that work on this run, and gone with it",
    MemoryScope.NAMESPACE: "shared by the agents of this namespace that may use it",
}
_VERSION: Final[JsonObject] = {"type": "integer", "minimum": 0}
_EXPIRES: Final[JsonObject] = {"type": "string"}
_SCHEMAS: Final = (
    "not",
    "if",
    "then",
    "else",
    "items",
    "contains",
    "additionalItems",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS: Final = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")


@dataclass(frozen=True, slots=True)
class SizeBound:
    """The longest value, as `aos.gateway.mcp.definitions.Binding`."""

    max_bytes: int

    @property
    def content(self) -> JsonObject:
        """Return the bound."""
        return {"maxBytes": self.max_bytes}

    def problem(self, arguments: JsonObject) -> str:
        """Return why the value can't be kept; empty if it can."""
        size_bytes = len(encoded(arguments.get(VALUE)))
        if size_bytes <= self.max_bytes:
            return ""
        return f"/{VALUE}: it has {size_bytes} bytes as JSON, and at most {self.max_bytes} are kept"


def encoded(value: JsonValue) -> bytes:
    """Return a value as it is kept."""
    return orjson.dumps(value)


def definitions(tool: Tool) -> list[JsonValue]:
    """Return the definitions of get, put and delete.

    Raises:
        SchemaError: the Tool's schema can't be used.
    """
    memory = memory_of(tool)
    problems = check_schema(memory.value_schema) if memory.value_schema is not None else []
    if problems:
        raise SchemaError(*problems)
    name = tool.metadata.name
    return [make(name, memory) for make in _MAKERS]


def _get(name: str, memory: Memory) -> JsonObject:
    return {
        "name": GET,
        "description": f"Read the value {name}, {_SHARED[memory.scope]}. Where there is none, value is null and version 0.",
        "inputSchema": _object({}),
        "outputSchema": _object({VALUE: {}, "version": _VERSION, "expiresAt": _EXPIRES}, VALUE, "version"),
    }


def _put(name: str, memory: Memory) -> JsonObject:
    schema = _within(memory.value_schema or {}, f"#/properties/{VALUE}")
    if isinstance(schema, dict):
        schema = {"description": "What is kept.", **schema}
    return {
        "name": PUT,
        "description": (
            f"Keep a value as {name}, {_SHARED[memory.scope]}, for {memory.ttl}. It takes the place of the whole value that is"
            f" there. Give {IF_VERSION} with the version that you read, so that nobody else's change is lost."
        ),
        "inputSchema": _object({VALUE: schema, IF_VERSION: _if_version()}, VALUE),
        "outputSchema": _object({"version": _VERSION, "expiresAt": _EXPIRES}, "version", "expiresAt"),
    }


def _delete(name: str, memory: Memory) -> JsonObject:
    return {
        "name": DELETE,
        "description": f"Delete the value {name}, {_SHARED[memory.scope]}.",
        "inputSchema": _object({IF_VERSION: _if_version()}),
        "outputSchema": _object({"version": _VERSION}, "version"),
    }


_MAKERS: Final[tuple[Callable[[str, Memory], JsonObject], ...]] = (_get, _put, _delete)


def _if_version() -> JsonObject:
    return {
        **_VERSION,
        "description": "Do it only if the value still has this version; 0: only if there is none.",
    }


def _object(properties: Mapping[str, JsonValue], *required: str) -> JsonObject:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _within(schema: JsonValue, place: str) -> JsonValue:
    """Return ``schema`` as it is meant where it stands at ``place`` of another one: with its references led there."""
    if not isinstance(schema, dict):
        return schema
    made: JsonObject = {name: part for name, part in schema.items() if name not in ("$schema", "$id")}
    reference = made.get("$ref")
    if isinstance(reference, str):
        made["$ref"] = place + reference.removeprefix("#")
    for name in _SCHEMAS:
        if name in made:
            made[name] = _within(made[name], place)
    for name in _LISTS:
        parts = made.get(name)
        if isinstance(parts, list):
            made[name] = [_within(part, place) for part in parts]
    for name in _MAPS:
        named = made.get(name)
        if isinstance(named, dict):
            made[name] = {key: _within(part, place) for key, part in named.items()}
    return made
