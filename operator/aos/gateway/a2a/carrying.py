"""What a handoff may carry there and back: the data rules of everybody concerned, and the receiver's schema."""

from collections.abc import Callable
from functools import partial
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.off_loop import OFF_LOOP, size_of
from aos.gateway.refusal import RefusalCode, Refused
from aos.gateway.schemas import Schema, SchemaError, compile_schema
from aos.inspection.inspector import Inspected, inspector_for
from aos.inspection.sizes import DataTooLargeError
from aos.inspection.urls import check_urls
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.structural import MAX_FREE_PROPERTIES, MAX_INPUT_BYTES
from aos.policy.decision import Effect
from aos.policy.obligations import DataRules

_MAX_PROBLEMS: Final = 5
_MAX_SCHEMAS: Final = 1024


async def input_checked(owner: str, rules: DataRules, content: JsonObject) -> Inspected | Refused:
    """Return what ``checked_input`` does; long inputs of ``owner`` are looked through beside the event loop."""
    try:
        return await OFF_LOOP.do(owner, size_of(content), partial(checked_input, rules, content))
    except DataTooLargeError as error:
        return _denied(RefusalCode.DATA_TOO_LARGE, f"the input was withheld: {error}")


async def output_checked(owner: str, rules: DataRules, content: JsonValue) -> Inspected | Refused:
    """Return what ``checked_output`` does; long outputs for ``owner`` are looked through beside the event loop."""
    try:
        return await OFF_LOOP.do(owner, size_of(content), partial(checked_output, rules, content))
    except DataTooLargeError as error:
        return _denied(RefusalCode.DATA_TOO_LARGE, f"the output was withheld: {error}")


def checked_input(rules: DataRules, content: JsonObject) -> Inspected | Refused:
    """Return the input as it may be handed over: redacted where policy says so, or why it may not be at all."""
    inspected = _inspected(inspector_for(rules).request, content, "the input")
    if isinstance(inspected, Refused):
        return inspected
    outsized = _outsized(inspected.value)
    if outsized:
        return _denied(RefusalCode.DATA_TOO_LARGE, f"the input was not handed over: {outsized}")
    problem = check_urls(inspected.value, rules.url_hosts)
    if problem is not None:
        return _denied(RefusalCode.URL_NOT_ALLOWED, f"the input was not handed over: {problem}")
    return inspected


def checked_output(rules: DataRules, content: JsonValue) -> Inspected | Refused:
    """Return what the receiver said as it may be given back, or why it may not be at all."""
    return _inspected(inspector_for(rules).response, content, "the output")


class InputSchemas:
    """The receivers' input schemas, each compiled once for each generation of its Agent."""

    def __init__(self) -> None:
        self._schemas: dict[tuple[str, int], Schema | None] = {}

    def misfit(self, agent: Agent, content: JsonValue) -> Refused | None:
        """Return why ``content`` is no input for ``agent``; None if it is."""
        try:
            schema = self._schema(agent)
        except SchemaError as error:
            return _denied(
                RefusalCode.DELEGATE_NOT_READY,
                f"the input schema of agent {agent.metadata.name} can't be used: {error}",
            )
        if schema is None or schema.is_valid(content):
            return None
        problems = schema.problems(content)[:_MAX_PROBLEMS]
        said = "; ".join(f"{problem.path or '/'}: {problem.message}" for problem in problems)
        return _denied(
            RefusalCode.ARGUMENTS_INVALID,
            f"the input does not fit the input schema of agent {agent.metadata.name}: {said}",
        )

    def _schema(self, agent: Agent) -> Schema | None:
        key = (agent.metadata.uid, agent.metadata.generation)
        if key not in self._schemas:
            if len(self._schemas) >= _MAX_SCHEMAS:
                self._schemas.clear()
            said = agent.spec.input
            self._schemas[key] = compile_schema(said.schema_, older_dialects=False) if said else None
        return self._schemas[key]


def _outsized(content: JsonValue) -> str:
    """Return why a Task can't hold the input, as it is after redaction; empty if it can."""
    fields = len(content) if isinstance(content, dict) else 0
    if fields > MAX_FREE_PROPERTIES:
        return f"it has {fields} fields, more than {MAX_FREE_PROPERTIES}; put them into one of their own"
    size_bytes = len(orjson.dumps(content))
    if size_bytes > MAX_INPUT_BYTES:
        return f"it has {size_bytes} bytes as JSON, more than {MAX_INPUT_BYTES}"
    return ""


def _inspected(
    inspect: Callable[[JsonValue], Inspected], content: JsonValue, what: str
) -> Inspected | Refused:
    try:
        inspected = inspect(content)
    except DataTooLargeError as error:
        return _denied(RefusalCode.DATA_TOO_LARGE, f"{what} was withheld: {error}")
    if inspected.blocked:
        found = ", ".join(sorted(inspected.blocked))
        return _denied(
            RefusalCode.DATA_BLOCKED,
            f"{what} was withheld: it holds data that policy blocks ({found})",
            note=f"{what} of a handoff held data that policy blocks ({found})",
        )
    return inspected


def _denied(code: RefusalCode, message: str, note: str = "") -> Refused:
    return Refused(Effect.DENY, code, message, note=note)
