"""What tool calls carry, held to the data rules: arguments on their way out, results on their way back."""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.mcp.judging import Cleared, ToolCall
from aos.gateway.off_loop import OFF_LOOP, size_of
from aos.gateway.refusal import RefusalCode, Refused
from aos.inspection.inspector import Inspector, inspector_for
from aos.inspection.projection import ProjectionError, project
from aos.inspection.sizes import DataTooLargeError
from aos.inspection.urls import check_urls
from aos.model.base import JsonObject
from aos.model.tool import Access
from aos.policy.decision import Effect
from aos.policy.obligations import DataRules

NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Sendable:
    """Arguments that may be sent, and the data classes that were found in the agent's."""

    arguments: JsonObject
    found: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Answerable:
    """A result that may be answered, and the data classes that were found in the tool's."""

    result: JsonObject
    found: frozenset[str] = NOTHING


async def request_inspected(call: ToolCall, cleared: Cleared) -> Sendable | Refused:
    """Return what ``inspect_request`` does; long arguments are looked through beside the event loop."""
    work = partial(inspect_request, call, cleared)
    try:
        return await OFF_LOOP.do(call.caller.task.metadata.uid, size_of(call.arguments), work)
    except DataTooLargeError as error:
        return _too_large(cleared, f"the arguments of {call.tool}.{call.action}", str(error))


async def result_inspected(call: ToolCall, cleared: Cleared, result: JsonObject) -> Answerable | Refused:
    """Return what ``inspect_result`` does; long results are looked through beside the event loop."""
    if _inspector(cleared).idle and not cleared.obligations.data.projections:
        return inspect_result(call, cleared, result)
    work = partial(inspect_result, call, cleared, result)
    try:
        return await OFF_LOOP.do(call.caller.task.metadata.uid, size_of(result), work)
    except DataTooLargeError as error:
        return _withheld(cleared, _too_large(cleared, f"the answer of {call.tool}.{call.action}", str(error)))


def inspect_request(call: ToolCall, cleared: Cleared) -> Sendable | Refused:
    """Return the arguments to send: redacted where policy says so; or why nothing is sent."""
    problem = check_urls(call.arguments, cleared.obligations.data.url_hosts)
    if problem is not None:
        return _refused(
            cleared,
            RefusalCode.URL_NOT_ALLOWED,
            f"the arguments of {call.tool}.{call.action} name what must not be reached: {problem.where}: {problem.message}",
            f"arguments of {call.tool}.{call.action} name a host or address that must not be reached",
        )
    inspector = _inspector(cleared)
    return Sendable(call.arguments) if inspector.idle else _look_through(call, cleared, inspector)


def _look_through(call: ToolCall, cleared: Cleared, inspector: Inspector) -> Sendable | Refused:
    try:
        inspected = inspector.request(call.arguments)
    except DataTooLargeError as error:
        return _too_large(cleared, f"the arguments of {call.tool}.{call.action}", str(error))
    if inspected.blocked:
        return _blocked(cleared, f"the arguments of {call.tool}.{call.action}", inspected.blocked)
    if inspected.value is call.arguments:
        return Sendable(call.arguments, inspected.found)
    if not isinstance(inspected.value, dict) or not cleared.action.input.is_valid(inspected.value):
        # What a policy took out was needed: without it the tool would be asked for something else.
        return _refused(
            cleared,
            RefusalCode.DATA_BLOCKED,
            f"the arguments of {call.tool}.{call.action} hold {_named(inspected.found)}, which policy redacts, and do not fit the"
            " action's input schema without it",
            f"arguments of {call.tool}.{call.action} are of no use without what policy redacts",
        )
    return Sendable(inspected.value, inspected.found)


def inspect_result(call: ToolCall, cleared: Cleared, result: JsonObject) -> Answerable | Refused:
    """Return what of a result may be answered: looked through, cut down to the fields that policies keep; or why nothing."""
    rules = cleared.obligations.data
    inspector = _inspector(cleared)
    what = f"the answer of {call.tool}.{call.action}"
    found: frozenset[str] = inspector.declared
    if not inspector.idle:
        try:
            inspected = inspector.response(_said(result))
        except DataTooLargeError as error:
            return _withheld(cleared, _too_large(cleared, what, str(error)))
        found = inspected.found
        if inspected.blocked:
            return _withheld(cleared, _blocked(cleared, what, inspected.blocked))
        if isinstance(inspected.value, dict):
            result = {**result, **inspected.value}
    if not rules.projections:
        return Answerable(result, found)
    try:
        return Answerable(_projected(result, rules.projections), found)
    except ProjectionError as error:
        message = f"{what} can't be cut down to the fields that policy keeps: {error}"
        return _withheld(cleared, _refused(cleared, RefusalCode.PROJECTION_FAILED, message, message))


def changes_results(rules: DataRules) -> bool:
    """Whether results may come back in another form than the tool's own schema says."""
    return bool(rules.projections or rules.redact_response)


def _inspector(cleared: Cleared) -> Inspector:
    return inspector_for(cleared.obligations.data, _classes(cleared.action.declared.data_classes))


@lru_cache(maxsize=512)
def _classes(declared: tuple[str, ...]) -> frozenset[str]:
    return frozenset(declared)


def _said(result: JsonObject) -> JsonObject:
    """Return all of a result that reaches the agent."""
    return {name: result[name] for name in _ANSWERED if name in result}


_ANSWERED: Final = ("content", "structuredContent")


def _projected(result: JsonObject, sets: frozenset[frozenset[str]]) -> JsonObject:
    """Return a result with nothing but the kept fields, and text that says the same.

    Raises:
        ProjectionError: it has no fields to choose from.
    """
    if result.get("isError") is True:
        return {"content": [_text(_WITHHELD_ERROR)], "isError": True}
    structured = result.get("structuredContent")
    if structured is not None:
        kept = project(structured, sets)
        return {"content": [_text(_written(kept))], "structuredContent": kept}
    content = result.get("content")
    blocks = content if isinstance(content, list) else []
    return {"content": [_text(_written(project(_read(block), sets))) for block in blocks]}


def _read(block: JsonValue) -> JsonValue:
    text = block.get("text") if isinstance(block, dict) and block.get("type") == "text" else None
    if not isinstance(text, str):
        raise ProjectionError("it holds something other than text")
    try:
        value: JsonValue = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ProjectionError("it holds text that is not JSON") from None
    return value


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _written(value: JsonValue) -> str:
    return orjson.dumps(value).decode()


_WITHHELD_ERROR: Final = (
    "the tool reported an error; its text is withheld, since policy keeps only certain fields of results"
)


def _withheld(cleared: Cleared, refused: Refused) -> Refused:
    """Return the refusal of an answer: the call was made."""
    made = "; the call was made" if cleared.action.declared.access is Access.WRITE else ""
    return replace(refused, effect=Effect.ALLOW, message=f"{refused.message}, and is withheld{made}")


def _blocked(cleared: Cleared, what: str, classes: frozenset[str]) -> Refused:
    message = f"{what} holds data that policy blocks: {_named(classes)}"
    return _refused(cleared, RefusalCode.DATA_BLOCKED, message, message)


def _too_large(cleared: Cleared, what: str, why: str) -> Refused:
    message = f"{what} is too large: {why}"
    return _refused(cleared, RefusalCode.DATA_TOO_LARGE, message, message)


def _refused(cleared: Cleared, code: RefusalCode, message: str, note: str) -> Refused:
    return Refused(Effect.DENY, code, message, cleared.decision.determined_by, note=note)


def _named(classes: frozenset[str]) -> str:
    return ", ".join(sorted(classes))
