"""What a Write would change, for the people who are asked: its record as the Tool shows it, and with the arguments applied.

Nothing of it is ever answered to an agent.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.approvals.held import HeldCall
from aos.gateway.mcp.catalogue import Catalogue
from aos.gateway.mcp.definitions import OfferedAction
from aos.gateway.mcp.system import SystemCall, Systems
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.off_loop import OFF_LOOP, size_of
from aos.gateway.registry import Registry
from aos.gateway.upstream.outbound import target_of
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.inspection.inspector import inspector_for
from aos.inspection.showing import rules_for_people, shown
from aos.inspection.sizes import DataTooLargeError
from aos.model.approval_request import MAX_PREVIEW_LENGTH, Preview
from aos.model.base import JsonObject
from aos.model.tool import Access, PreviewAction, Tool
from aos.policy.expression import ExpressionError
from aos.policy.filling import compile_filling
from aos.policy.obligations import DataRules

PREVIEW_SECONDS: Final = 5.0
"""How long the Tool may take to show the record."""
MAX_RECORD_BYTES: Final = 262_144
"""Of what the Tool shows, as JSON."""
MAX_DEPTH: Final = 4
"""How deep within what the Tool shows the object may stand that the arguments are about."""
MAX_OBJECTS: Final = 256
NOT_PREVIEWED: Final = "NotPreviewed"
IDENTIFYING: Final = ("id", "uid", "key", "number", "name", "title", "subject", "company", "account")
"""Fields that say which record it is; shown beside those that would change."""

_log = logging.getLogger(__name__)


class PreviewError(Exception):
    """What a Write would change can't be shown; the message says why, without anything that the Tool said."""


class ToolPreviewer:
    """Reads the record of a held Write at its Tool."""

    def __init__(
        self, registry: Registry, catalogue: Catalogue, systems: Systems, metrics: GatewayMetrics
    ) -> None:
        self._registry = registry
        self._catalogue = catalogue
        self._systems = systems
        self._metrics = metrics

    async def preview(self, held: HeldCall) -> Preview | None:
        """Return the record before and after, as `aos.gateway.approvals.hooks.Previewer` says."""
        declared = held.declared.preview
        tool = held.asked.caller.policy.tools.get(held.asked.name)
        if declared is None or tool is None:
            return None
        try:
            async with asyncio.timeout(PREVIEW_SECONDS):
                found = await self._read(held, tool, declared)
                work = partial(compared, found, dict(held.asked.arguments), held.asked.obligations.data)
                size = size_of(found) + size_of(dict(held.asked.arguments))
                return await OFF_LOOP.do(held.asked.caller.task.metadata.uid, size, work)
        except (PreviewError, ExpressionError, UpstreamError, DataTooLargeError, TimeoutError) as error:
            self._metrics.approval(NOT_PREVIEWED)
            _log.warning(
                "%s: what %s.%s would change can't be shown (%s)",
                held.name,
                tool.metadata.name,
                held.declared.name,
                str(error) if isinstance(error, PreviewError) else type(error).__name__,
            )
            return None

    async def _read(self, held: HeldCall, tool: Tool, declared: PreviewAction) -> JsonObject:
        action = self._offered(tool, declared.action)
        arguments: JsonObject = {
            name: compile_filling(source).value(held.asked.arguments)
            for name, source in declared.arguments.items()
        }
        if not action.input.is_valid(arguments):
            raise PreviewError(f"its arguments do not fit the input schema of {declared.action}")
        if action.binding is not None and action.binding.problem(arguments):
            raise PreviewError(f"its arguments can't be sent to {declared.action}")
        target = target_of(self._registry, tool)
        answered = await self._systems[tool.spec.type].call(
            SystemCall(tool, target, action, arguments, held.asked.caller.task)
        )
        found = record_of(answered.result)
        if size_of(found) > MAX_RECORD_BYTES:
            raise PreviewError(f"the record has more than {MAX_RECORD_BYTES} bytes")
        return found

    def _offered(self, tool: Tool, name: str) -> OfferedAction:
        listing = self._catalogue.listing(tool)
        action = listing.actions.get(name) if listing is not None else None
        # The kind's own rules say so, too; what is called here nobody approved.
        if action is None or action.declared.access is not Access.READ:
            raise PreviewError(f"the tool offers no Read action {name}")
        return action


def record_of(result: Mapping[str, JsonValue]) -> JsonObject:
    """Return the object that a Read's result holds: structured, or as the JSON of its one text.

    Raises:
        PreviewError: it holds none.
    """
    if result.get("isError") is True:
        raise PreviewError("the tool answered with an error")
    structured = result.get("structuredContent")
    found = structured if structured is not None else _read_text(result.get("content"))
    if not isinstance(found, dict):
        raise PreviewError("the tool did not answer with an object")
    return found


def _read_text(content: JsonValue) -> JsonValue:
    blocks = content if isinstance(content, list) else []
    if len(blocks) != 1 or not isinstance(blocks[0], dict):
        return None
    text = blocks[0].get("text")
    try:
        value: JsonValue = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        return None
    return value


def compared(found: JsonObject, arguments: JsonObject, rules: DataRules) -> Preview:
    """Return what people are shown of ``found`` and of it with ``arguments`` applied.

    Raises:
        DataTooLargeError: it can't be looked through.
    """
    record = _subject(found, arguments)
    fields = [name for name in record if name in arguments or _identifies(name, record[name])]
    before: JsonObject = {name: record[name] for name in fields}
    after = merged(before, arguments)
    inspector = inspector_for(rules_for_people(rules))
    return Preview(
        before=_written(inspector.request(before).value), after=_written(inspector.request(after).value)
    )


def merged(before: JsonObject, arguments: JsonObject) -> JsonObject:
    """Return ``before`` with ``arguments`` put over it, by name: objects within each other, all else replaced.

    An argument that no field is named like is added under its own name. An argument of null stands there as null: what the
    Tool makes of it, nobody knows.
    """
    after = dict(before)
    for name, value in arguments.items():
        there = after.get(name)
        after[name] = merged(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return after


def _subject(found: JsonObject, arguments: JsonObject) -> JsonObject:
    """Return the object within ``found`` that shares most names with the arguments; of several, the outermost and first."""
    return max(_objects(found), key=lambda each: len(each.keys() & arguments.keys()))


def _objects(found: JsonObject) -> Iterator[JsonObject]:
    """Yield ``found`` and the objects that are its members, level by level; none within lists, which are many records."""
    level: list[JsonObject] = [found]
    for _ in range(MAX_DEPTH):
        yield from level[:MAX_OBJECTS]
        level = [value for each in level[:MAX_OBJECTS] for value in _members(each.values())]


def _members(values: Iterable[JsonValue]) -> list[JsonObject]:
    return [value for value in values if isinstance(value, dict)]


def _identifies(name: str, value: JsonValue) -> bool:
    return name.lower() in IDENTIFYING and isinstance(value, str | int | float)


def _written(value: JsonValue) -> str:
    return shown(value if isinstance(value, dict) else {}, MAX_PREVIEW_LENGTH)
