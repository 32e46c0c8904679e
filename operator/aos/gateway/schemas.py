"""Schemas as the gateway uses them: compiled once, with what does not fit said place by place."""

from dataclasses import dataclass

import orjson
from pydantic import JsonValue

from aos.gateway.refusal import Detail
from aos.policy.schemas import MAX_SCHEMA_BYTES, MessageSchema, SchemaError

__all__ = ["MAX_SCHEMA_BYTES", "Schema", "SchemaError", "compile_schema"]


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema that is safe to check values against."""

    _compiled: MessageSchema

    def is_valid(self, value: JsonValue) -> bool:
        """Whether ``value`` fits."""
        return self._compiled.accepts(value)

    def problems(self, value: JsonValue) -> tuple[Detail, ...]:
        """Return what does not fit, the first few places of it; the messages quote the value."""
        if self._compiled.accepts(value):
            return ()
        return tuple(_detail(problem) for problem in self._compiled.problems(value))


def compile_schema(
    schema: JsonValue, max_bytes: int = MAX_SCHEMA_BYTES, *, older_dialects: bool = True
) -> Schema:
    """Return ``schema`` ready for use.

    Args:
        schema: as it came.
        max_bytes: a tighter bound than `MAX_SCHEMA_BYTES`.
        older_dialects: whether it may be of JSON Schema 2019-09 or draft 07, as those of many tools are.

    Raises:
        SchemaError: it is not a schema, not self-contained, or beyond a bound.
    """
    if not isinstance(schema, dict):
        raise SchemaError("a schema must be an object")
    try:
        size_bytes = len(orjson.dumps(schema))
    except (orjson.JSONEncodeError, RecursionError):
        raise SchemaError("the schema is nested too deeply, or is not JSON") from None
    if size_bytes > max_bytes:
        raise SchemaError(f"the schema has {size_bytes} bytes, more than {max_bytes}")
    return Schema(MessageSchema(schema, older_dialects=older_dialects))


def _detail(problem: str) -> Detail:
    path, _, message = problem.partition(": ")
    return Detail(path="" if path == "/" else path, message=message)
