"""The gateway's own store as what stands behind Tools of type Memory."""

from collections.abc import Hashable
from datetime import UTC, datetime

import orjson
from pydantic import JsonValue

from aos.gateway.mcp.definitions import Binding
from aos.gateway.mcp.system import ListingError, SystemCall, SystemResult
from aos.gateway.memory.definitions import GET, IF_VERSION, PUT, VALUE, SizeBound, definitions, encoded
from aos.gateway.memory.places import key_of, memory_of, owner_of
from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.outbound import Target
from aos.gateway.upstream.upstream_error import UpstreamError, invalid
from aos.model.base import JsonObject
from aos.model.duration import duration_seconds
from aos.model.tool import Tool
from aos.policy.schemas import SchemaError
from aos.store.interface import MemoryConflict, MemoryPut, Store, StoreUnavailableError

CONFLICT = "Conflict"
"""``error`` of the result of a change that somebody else's stood in the way of."""


class MemorySystem:
    """`aos.gateway.mcp.system.System` of Tools of type Memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def state(self, tool: Tool) -> Hashable:
        """Return the Tool's generation: its definitions are made from it."""
        return tool.metadata.generation

    async def definitions(self, tool: Tool, target: Target) -> list[JsonValue]:  # noqa: ARG002 - there is no place
        """Return the definitions of get, put and delete.

        Raises:
            ListingError: the Tool's schema can't be used.
        """
        try:
            return definitions(tool)
        except SchemaError as error:
            raise ListingError(f"spec.memory.schema: {error}") from None

    def bind(self, tool: Tool, definition: JsonValue) -> Binding | None:
        """Return the bound on what is put."""
        is_put = isinstance(definition, dict) and definition.get("name") == PUT
        return SizeBound(memory_of(tool).max_bytes) if is_put else None

    async def call(self, call: SystemCall) -> SystemResult:
        """Read, keep or delete the value.

        Raises:
            UpstreamError: the store can't be used, or the value can't be kept.
        """
        action = call.action.declared.name
        try:
            match action:
                case "get":
                    return SystemResult(await self._get(call))
                case "put":
                    return SystemResult(await self._put(call))
                case "delete":
                    return SystemResult(await self._delete(call))
        except StoreUnavailableError:
            raise UpstreamError(
                RefusalCode.STORE_UNAVAILABLE, "the store can't be used", maybe_done=action != GET
            ) from None
        raise invalid(f"it has no action {action}", maybe_done=False)

    def forget(self, tool_uid: str) -> None:
        """Nothing is kept here; values go when their time is up."""

    async def _get(self, call: SystemCall) -> JsonObject:
        kept = await self._store.memory(key_of(call.tool, call.task))
        if kept is None:
            return _result({VALUE: None, "version": 0})
        value: JsonValue = orjson.loads(kept.content)
        return _result({VALUE: value, "version": kept.version, "expiresAt": _time(kept.expires_at)})

    async def _put(self, call: SystemCall) -> JsonObject:
        memory = memory_of(call.tool)
        problem = SizeBound(memory.max_bytes).problem(call.arguments)
        if problem:
            # What policy puts in the place of what it redacts may be longer.
            raise UpstreamError(RefusalCode.ARGUMENTS_INVALID, problem, maybe_done=False)
        put = MemoryPut(
            key=key_of(call.tool, call.task),
            owner=owner_of(call.tool, call.task),
            namespace=call.tool.metadata.namespace,
            content=encoded(call.arguments.get(VALUE)),
            seconds=int(duration_seconds(memory.ttl)),
            if_version=_version(call.arguments),
        )
        kept = await self._store.put_memory(put)
        if isinstance(kept, MemoryConflict):
            return _conflict(kept, put.if_version)
        return _result({"version": kept.version, "expiresAt": _time(kept.expires_at)})

    async def _delete(self, call: SystemCall) -> JsonObject:
        version = _version(call.arguments)
        conflict = await self._store.delete_memory(key_of(call.tool, call.task), version)
        return _result({"version": 0}) if conflict is None else _conflict(conflict, version)


def _version(arguments: JsonObject) -> int | None:
    version = arguments.get(IF_VERSION)
    # An integer may come as 3.0, which JSON Schema takes for one.
    return int(version) if isinstance(version, int | float) else None


def _conflict(conflict: MemoryConflict, asked: int | None) -> JsonObject:
    there = f"it has version {conflict.version} now" if conflict.version else "there is none now"
    message = f"nothing was changed: the value does not have version {asked} any more, {there}; read it again, and decide anew"
    return {
        "content": [{"type": "text", "text": f"conflict: {message}"}],
        "structuredContent": {"error": CONFLICT, "message": message, "version": conflict.version},
        "isError": True,
    }


def _result(structured: JsonObject) -> JsonObject:
    text = orjson.dumps(structured).decode()
    return {"content": [{"type": "text", "text": text}], "structuredContent": structured}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
