"""JSON Schemas that agents and tools bring along: bounded before they are compiled, and compiled without the network."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import jsonschema_rs
import orjson
from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.canonical import canonical_json
from aos.policy.schema_growth import BASES, Growth, GrowthError, growth_of

MAX_SCHEMA_BYTES: Final = 65_536
MAX_SCHEMA_DEPTH: Final = 32
MAX_SCHEMA_NODES: Final = 2_000
MAX_PATTERN_BYTES: Final = 1024 * 1024
"""Memory that one compiled regular expression may take."""
MAX_PATTERN_WORK: Final = 4 * 1024 * 1024 * 1024
"""Bytes of a value times bytes of the compiled regular expressions that apply to it: the engine takes time in proportion
to the two, and half a second is as long as anybody may wait."""
MAX_TOLD_PARTS: Final = 10_000
"""Parts of a value times parts of a schema up to which it is told what does not fit: each place costs time and memory."""
MAX_TOLD_BYTES: Final = 1024 * 1024
"""The same for the value's bytes, which what is told may quote at each place."""
MAX_PROBLEMS: Final = 8
MAX_PROBLEM_LENGTH: Final = 300
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
"""What a schema is taken for that does not say; an agent's schemas may be nothing else."""
OLDER_DIALECTS: Final = (
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
)
"""What tools in the field still declare."""

_VALIDATORS: Final[Mapping[str, type[jsonschema_rs.Validator]]] = {
    DIALECT: jsonschema_rs.Draft202012Validator,
    OLDER_DIALECTS[0]: jsonschema_rs.Draft201909Validator,
    OLDER_DIALECTS[1]: jsonschema_rs.Draft7Validator,
}

_DATA: Final = frozenset({"const", "enum", "default", "examples"})
_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_SMALLEST_PATTERN_BYTES: Final = 256
_MASK: Final = "the value"
Pointer = tuple[str | int, ...]
"""Where in a schema: the keys and places on the way down."""
_WHOLE: Final = "urn:aos:schema"


class SchemaError(ValueError):
    """A schema that is not used.

    Attributes:
        problems: where it breaks which bound, at most `MAX_PROBLEMS`.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


class MessageSchema:
    """A compiled schema."""

    __slots__ = ("_growth", "_validator")

    def __init__(
        self,
        schema: Mapping[str, JsonValue],
        *,
        older_dialects: bool = False,
        quotes_values: bool = True,
        part: Pointer = (),
    ) -> None:
        """Compile ``schema`` after checking its bounds.

        Args:
            schema: as it came.
            older_dialects: whether it may declare one of `OLDER_DIALECTS`.
            quotes_values: whether `problems` may quote what does not fit; not where others than its author read them.
            part: the subschema that values are held against; the whole one if it is empty.

        Raises:
            SchemaError: `check_schema` has something to say.
        """
        dialect = _dialect(schema, older_dialects=older_dialects)
        self._growth = _measured(schema)
        mask = None if quotes_values else _MASK
        self._validator = _compiled(schema, _VALIDATORS[dialect], mask=mask, part=part)

    def accepts(self, value: JsonValue) -> bool:
        """Whether ``value`` fits, and is not too large for the schema's regular expressions."""
        return not self._is_too_large(value) and self._validator.is_valid(value)

    def problems(self, value: JsonValue) -> list[str]:
        """Return where ``value`` does not fit and why; at most `MAX_PROBLEMS`, none if it fits."""
        if self._is_too_large(value):
            most_bytes = MAX_PATTERN_WORK // self._growth.pattern_bytes
            return [
                f"/: more than {most_bytes} bytes, which is too much for the schema's regular expressions"
            ]
        if self._validator.is_valid(value):
            return []
        if not self._can_be_told(value):
            return ["/: it does not fit, and is too large to tell where"]
        found = []
        for error in self._validator.iter_errors(value):
            where = "/" + "/".join(str(part) for part in error.instance_path)
            found.append(f"{where}: {error.message}"[:MAX_PROBLEM_LENGTH])
            if len(found) == MAX_PROBLEMS:
                break
        return found

    def _is_too_large(self, value: JsonValue) -> bool:
        pattern_bytes = self._growth.pattern_bytes
        return bool(pattern_bytes) and _size_bytes(value) * pattern_bytes > MAX_PATTERN_WORK

    def _can_be_told(self, value: JsonValue) -> bool:
        # The validator finds all errors, each with a copy of what does not fit, before it gives the first one.
        parts = self._growth.parts
        return _size_bytes(value) * parts <= MAX_TOLD_BYTES and _parts_of(value) * parts <= MAX_TOLD_PARTS


def check_schema(schema: Mapping[str, JsonValue], *, older_dialects: bool = False) -> list[str]:
    """Return why ``schema`` can't be used; nothing if it can.

    A usable schema is JSON Schema (2020-12, unless ``older_dialects``) within the bounds above, refers to nothing outside of itself, uses only regular
    expressions without look-around and back references, and takes time that is bounded by what it is applied to.
    """
    try:
        MessageSchema(schema, older_dialects=older_dialects)
    except SchemaError as error:
        return error.problems
    return []


def _dialect(schema: Mapping[str, JsonValue], *, older_dialects: bool) -> str:
    declared = schema.get("$schema", DIALECT)
    known = (DIALECT, *OLDER_DIALECTS) if older_dialects else (DIALECT,)
    if isinstance(declared, str) and declared.removesuffix("#") in known:
        return declared.removesuffix("#")
    raise SchemaError(f"$schema is {str(declared)[:80]!r}, and known here is only {', '.join(known)}")


def _measured(schema: Mapping[str, JsonValue]) -> Growth:
    """Return what applying ``schema`` costs.

    Raises:
        SchemaError: it is beyond a bound.
    """
    try:
        size = len(canonical_json(schema))
    except (ValueError, RecursionError):
        raise SchemaError(
            "a number is too large, or the nesting too deep, for JSON that everybody reads alike"
        ) from None
    if size > MAX_SCHEMA_BYTES:
        raise SchemaError(f"{size} bytes, and a schema has at most {MAX_SCHEMA_BYTES}")
    problems = _node_problems(schema)
    if problems:
        raise SchemaError(*problems)
    try:
        return growth_of(schema, _pattern_bytes)
    except GrowthError as error:
        raise SchemaError(str(error)) from None


@lru_cache(maxsize=4096)
def _pattern_bytes(pattern: str) -> int:
    """Return the memory of the compiled ``pattern``, up to a factor of two; its bound for one that is beyond it."""
    size_bytes = _SMALLEST_PATTERN_BYTES
    while size_bytes < MAX_PATTERN_BYTES:
        try:
            _compiled({"pattern": pattern}, _VALIDATORS[DIALECT], size_bytes)
        except SchemaError:
            size_bytes *= 2
        else:
            break
    return size_bytes


def _size_bytes(value: JsonValue) -> int:
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        return MAX_PATTERN_WORK


def _parts_of(value: JsonValue) -> int:
    """Return how many values ``value`` is made of, itself included."""
    count = 0
    waiting = [value]
    while waiting:
        node = waiting.pop()
        count += 1
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return count


def _node_problems(schema: Mapping[str, JsonValue]) -> list[str]:
    problems: list[str] = []
    for count, (pointer, node) in enumerate(_nodes(schema), start=1):
        if count > MAX_SCHEMA_NODES:
            return [f"more than {MAX_SCHEMA_NODES} objects and lists"]
        if len(pointer) > MAX_SCHEMA_DEPTH:
            return [f"{_at(pointer)} is nested deeper than {MAX_SCHEMA_DEPTH}"]
        if isinstance(node, dict):
            problems += _reference_problems(pointer, node)
    return problems[:MAX_PROBLEMS]


def _reference_problems(pointer: Pointer, node: Mapping[str, JsonValue]) -> Iterator[str]:
    reference = node.get("$ref")
    if isinstance(reference, str) and reference != "#" and not reference.startswith("#/"):
        yield f"{_at(pointer)}: $ref {reference[:80]!r} leads out of the schema; only #/... is followed"
    for name in BASES:
        # What names a base or an anchor changes where a reference leads; at the root an $id is only a name.
        if isinstance(node.get(name), str | dict) and not (name == "$id" and not pointer):
            if pointer and pointer[-1] in _MAPS:
                continue
            yield f"{_at(pointer)}: {name} is not supported; refer by #/$defs/..."


def _nodes(schema: Mapping[str, JsonValue]) -> Iterator[tuple[Pointer, JsonObject | list[JsonValue]]]:
    waiting: list[tuple[Pointer, JsonObject | list[JsonValue]]] = [((), dict(schema))]
    while waiting:
        pointer, node = waiting.pop()
        yield pointer, node
        if isinstance(node, dict):
            # In a map of subschemas these are names like any other.
            is_map = bool(pointer) and pointer[-1] in _MAPS
            inside = [(name, value) for name, value in node.items() if is_map or name not in _DATA]
            waiting += [((*pointer, name), value) for name, value in inside if isinstance(value, dict | list)]
        else:
            waiting += [((*pointer, i), item) for i, item in enumerate(node) if isinstance(item, dict | list)]


def _compiled(
    schema: Mapping[str, JsonValue],
    validator: type[jsonschema_rs.Validator],
    pattern_bytes: int = MAX_PATTERN_BYTES,
    mask: str | None = None,
    part: Pointer = (),
) -> jsonschema_rs.Validator:
    applied, registry = dict(schema), None
    if part:
        # At the root an $id is only a name, and would lead references away from it.
        whole = {name: value for name, value in schema.items() if name != "$id"}
        registry = jsonschema_rs.Registry([(_WHOLE, whole)])
        applied = {"$ref": f"{_WHOLE}#{_fragment(part)}"}
    try:
        return validator(
            applied,
            validate_formats=False,
            offline=True,
            mask=mask,
            registry=registry,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=pattern_bytes),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SchemaError(f"not valid JSON Schema: {text}"[:MAX_PROBLEM_LENGTH]) from None


def _fragment(pointer: Pointer) -> str:
    return "".join("/" + quote(str(step).replace("~", "~0").replace("/", "~1"), safe="") for step in pointer)


def _at(pointer: Pointer) -> str:
    return "#/" + "/".join(str(part) for part in pointer)
