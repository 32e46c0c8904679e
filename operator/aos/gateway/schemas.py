"""JSON Schemas that others wrote, made safe to use: bounded, self-contained, linear in what they check.

A schema is measured before it is compiled: what it comes to with every reference written out must stay small, so that
checking a value costs at most that much per part of the value. Recursive schemas have no such bound and are refused.
Patterns run on an engine without backtracking.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import jsonschema_rs
import orjson
from pydantic import JsonValue

from aos.gateway.refusal import MAX_DETAILS, Detail
from aos.model.base import JsonObject

MAX_SCHEMA_BYTES: Final = 65_536
MAX_SCHEMA_DEPTH: Final = 48
MAX_EXPANDED_NODES: Final = 10_000
"""Subschemas once every reference is written out, and what looks twice counted twice."""
MAX_PATTERN_BYTES: Final = 1024 * 1024
"""Memory that one compiled pattern may take."""
_MAX_DETAIL_LENGTH: Final = 300

_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS: Final = ("properties", "patternProperties", "dependentSchemas")
_SINGLES: Final = (
    "not",
    "if",
    "then",
    "else",
    "items",
    "additionalItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_LOOKS_TWICE: Final = ("unevaluatedItems", "unevaluatedProperties")
_UNSUPPORTED: Final = (
    "$dynamicRef",
    "$recursiveRef",
    "$anchor",
    "$dynamicAnchor",
    "$recursiveAnchor",
    "$vocabulary",
)
_UNSUPPORTED_FORMATS: Final = frozenset({"regex"})
_DRAFTS: Final[dict[str, type[jsonschema_rs.Validator]]] = {
    "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
}
_DEFAULT_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


class SchemaError(ValueError):
    """A schema that can't be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema that is safe to check values against."""

    _validator: jsonschema_rs.Validator

    def is_valid(self, value: JsonValue) -> bool:
        """Whether ``value`` fits."""
        return self._validator.is_valid(value)

    def problems(self, value: JsonValue) -> tuple[Detail, ...]:
        """Return what does not fit, the first few places of it; the messages quote the value."""
        if self._validator.is_valid(value):
            return ()
        found: list[Detail] = []
        for error in self._validator.iter_errors(value):
            found.append(
                Detail(path=_pointer(error.instance_path), message=error.message[:_MAX_DETAIL_LENGTH])
            )
            if len(found) == MAX_DETAILS:
                break
        return tuple(found)


def compile_schema(schema: JsonValue, max_bytes: int = MAX_SCHEMA_BYTES) -> Schema:
    """Return ``schema`` ready for use.

    It may be of draft 2020-12 (the default), 2019-09 or 07, as ``$schema`` says. References must be to its own parts
    (``#`` or ``#/...``). Formats are checked.

    Raises:
        SchemaError: it is not a schema, not self-contained, or beyond a bound.
    """
    if isinstance(schema, bool):
        return Schema(jsonschema_rs.Draft202012Validator(schema))
    if not isinstance(schema, dict):
        raise SchemaError("a schema must be an object")
    try:
        size_bytes = len(orjson.dumps(schema))
    except (orjson.JSONEncodeError, RecursionError):
        raise SchemaError("the schema is nested too deeply or is not JSON") from None
    if size_bytes > max_bytes:
        raise SchemaError(f"the schema has {size_bytes} bytes, more than {max_bytes}")
    _Measure(schema).run()
    return Schema(_compiled(schema))


def _compiled(schema: JsonObject) -> jsonschema_rs.Validator:
    said = schema.get("$schema", _DEFAULT_DRAFT)
    draft = _DRAFTS.get(said.removesuffix("#")) if isinstance(said, str) else None
    if draft is None:
        raise SchemaError(f"$schema must be one of {', '.join(_DRAFTS)}")
    try:
        return draft(
            schema,
            validate_formats=True,
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(
                size_limit=MAX_PATTERN_BYTES, dfa_size_limit=MAX_PATTERN_BYTES
            ),
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise SchemaError(_said(error)) from None


class _Measure:
    """Counts the subschemas of a schema with every reference written out, and refuses what has no bound."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._known: dict[int, int] = {}
        self._open: set[int] = set()

    def run(self) -> None:
        self._of(self._root, "#", 0)

    def _of(self, node: JsonValue, where: str, depth: int) -> int:
        if not isinstance(node, dict):
            return 1
        if id(node) in self._open:
            raise SchemaError(
                f"{where}: the schema is recursive, so checking a value has no bound; write it out"
            )
        known = self._known.get(id(node))
        if known is not None:
            return known
        if depth > MAX_SCHEMA_DEPTH:
            raise SchemaError(f"{where}: nested more than {MAX_SCHEMA_DEPTH} deep, references written out")
        self._check(node, where)
        self._open.add(id(node))
        below = sum(self._of(child, path, depth + 1) for path, child in self._children(node, where))
        self._open.discard(id(node))
        # What looks at unevaluated parts evaluates its neighbours once more.
        total = (1 + below) * (2 if any(name in node for name in _LOOKS_TWICE) else 1)
        if total > MAX_EXPANDED_NODES:
            raise SchemaError(f"{where}: more than {MAX_EXPANDED_NODES} subschemas, references written out")
        self._known[id(node)] = total
        return total

    def _check(self, node: JsonObject, where: str) -> None:
        for name in _UNSUPPORTED:
            if name in node:
                raise SchemaError(f"{where}: {name} is not supported")
        if "$id" in node and node is not self._root:
            raise SchemaError(f"{where}: $id is supported at the root only")
        said = node.get("format")
        if isinstance(said, str) and said in _UNSUPPORTED_FORMATS:
            raise SchemaError(f"{where}: format {said} is not supported")

    def _children(self, node: JsonObject, where: str) -> Iterator[tuple[str, JsonValue]]:
        reference = node.get("$ref")
        if reference is not None:
            yield f"{where}/$ref", self._resolve(reference, where)
        for name in _LISTS:
            part = node.get(name)
            if isinstance(part, list):
                yield from ((f"{where}/{name}/{index}", item) for index, item in enumerate(part))
        for name in _MAPS:
            part = node.get(name)
            if isinstance(part, dict):
                yield from ((f"{where}/{name}/{key}", item) for key, item in part.items())
        for name in _SINGLES:
            part = node.get(name)
            if isinstance(part, list):  # draft 07: a schema per position
                yield from ((f"{where}/{name}/{index}", item) for index, item in enumerate(part))
            elif part is not None:
                yield f"{where}/{name}", part
        dependencies = node.get("dependencies")
        if isinstance(dependencies, dict):
            yield from ((f"{where}/dependencies/{key}", item) for key, item in dependencies.items())

    def _resolve(self, reference: JsonValue, where: str) -> JsonValue:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise SchemaError(f"{where}: $ref must be to a part of the same schema, as in #/$defs/name")
        if "%" in reference:
            raise SchemaError(f"{where}: $ref may not be percent-encoded")
        node: JsonValue = self._root
        for token in reference.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and _INDEX.fullmatch(key) and int(key) < len(node):
                node = node[int(key)]
            else:
                raise SchemaError(f"{where}: there is no {reference}")
        return node


def _pointer(path: list[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _said(error: Exception) -> str:
    message = error.message if isinstance(error, jsonschema_rs.ValidationError) else str(error)
    return message[:_MAX_DETAIL_LENGTH]
