"""Schemas of an OpenAPI document as JSON Schema that stands by itself: what it refers to comes along. No I/O."""

from typing import Final

from pydantic import JsonValue

from aos.gateway.openapi.document import Document, DocumentError
from aos.model.base import JsonObject

MAX_PARTS: Final = 4000
"""Schemas that one action's arguments may be made of."""
MAX_EXACT: Final = 2**53 - 1

_ONE: Final = (
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
_MAPS: Final = ("properties", "patternProperties", "dependentSchemas")
_BOUNDS: Final = ("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum")
_PLAIN: Final = (
    "type",
    "enum",
    "const",
    "default",
    "format",
    "description",
    "multipleOf",
    *_BOUNDS,
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxContains",
    "minContains",
    "maxProperties",
    "minProperties",
    "required",
    "dependentRequired",
)
_NOT_FOLLOWED: Final = (
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveRef",
    "$recursiveAnchor",
)
_DIALECTS: Final = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://spec.openapis.org/oas/3.1/dialect/base",
)


class SchemaReader:
    """Takes schemas over from a document; all that one reader took over can stand in one schema."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._parts = 0
        self._names: dict[str, str] = {}
        self._waiting: list[str] = []
        self._definitions: JsonObject = {}
        dialect = document.root.get("jsonSchemaDialect", _DIALECTS[0])
        if dialect not in _DIALECTS:
            raise DocumentError(f"its jsonSchemaDialect {str(dialect)[:80]!r} is not known")

    def read(self, schema: JsonValue) -> JsonValue:
        """Return ``schema`` as JSON Schema 2020-12, for arguments: what is only ever answered is not in it.

        Raises:
            DocumentError: it is none, or leads out of the document.
        """
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise DocumentError("a schema is not an object")
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise DocumentError(f"its arguments are made of more than {MAX_PARTS} schemas")
        return self._read(schema)

    def definitions(self) -> JsonObject:
        """Return what the schemas refer to, for ``$defs`` beside them.

        Raises:
            DocumentError: as `read`.
        """
        while self._waiting:
            reference = self._waiting.pop()
            self._definitions[self._names[reference]] = self.read(self._document.at(reference))
        return self._definitions

    def _read(self, schema: JsonObject) -> JsonValue:
        for name in _NOT_FOLLOWED:
            if name in schema:
                raise DocumentError(
                    f"a schema uses {name}, which is not followed; refer by #/components/schemas/..."
                )
        if schema.get("$schema", _DIALECTS[0]) not in _DIALECTS:
            raise DocumentError(f"a schema declares {str(schema['$schema'])[:80]!r}, which is not known")
        reference = schema.get("$ref")
        if isinstance(reference, str):
            named: JsonObject = {"$ref": f"#/$defs/{self._name(reference)}"}
            if self._document.is_older:
                # Whatever stands beside a reference counts for nothing there.
                return named
            return {**self._converted(schema), **named}
        return self._nullable(schema, self._converted(schema))

    def _converted(self, schema: JsonObject) -> JsonObject:
        made: JsonObject = {name: schema[name] for name in _PLAIN if name in schema}
        for name in _BOUNDS:
            self._mend_bound(name, made)
        for name in _ONE:
            if name in schema:
                made[name] = self.read(schema[name])
        for name in _LISTS:
            inside = schema.get(name)
            if isinstance(inside, list):
                made[name] = [self.read(item) for item in inside]
        for name in _MAPS:
            inside = schema.get(name)
            if isinstance(inside, dict):
                made[name] = {
                    key: self.read(item) for key, item in inside.items() if not self._is_answer(item)
                }
        self._mend_required(schema, made)
        return made

    def _mend_bound(self, name: str, made: JsonObject) -> None:
        bound = made.get(name)
        if isinstance(bound, bool):
            # In 3.0 it says of the plain bound beside it whether that is left out.
            plain = "maximum" if name == "exclusiveMaximum" else "minimum"
            del made[name]
            if bound and plain in made:
                made[name] = made.pop(plain)
        elif isinstance(bound, int) and abs(bound) > MAX_EXACT:
            # No number that an argument may be is beyond it.
            del made[name]

    def _mend_required(self, schema: JsonObject, made: JsonObject) -> None:
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(required, list) or not isinstance(properties, dict):
            return
        made["required"] = [name for name in required if not self._is_answer(properties.get(str(name)))]

    def _is_answer(self, schema: JsonValue) -> bool:
        """Whether a property is only ever answered, never sent."""
        found = self._document.follow(schema) if isinstance(schema, dict) and "$ref" in schema else schema
        return isinstance(found, dict) and found.get("readOnly") is True

    def _nullable(self, schema: JsonObject, made: JsonObject) -> JsonValue:
        if not self._document.is_older or schema.get("nullable") is not True:
            return made
        kind, values = made.get("type"), made.get("enum")
        if not isinstance(kind, str):
            return {"anyOf": [made, {"type": "null"}]}
        made["type"] = [kind, "null"]
        if isinstance(values, list) and None not in values:
            made["enum"] = [*values, None]
        return made

    def _name(self, reference: str) -> str:
        known = self._names.get(reference)
        if known is not None:
            return known
        last = "".join(c if c.isascii() and c.isalnum() else "_" for c in reference.rpartition("/")[2])[:64]
        name = last or "schema"
        taken = set(self._names.values())
        number = 2
        while name in taken:
            name = f"{last}_{number}"
            number += 1
        self._names[reference] = name
        self._waiting.append(reference)
        return name
