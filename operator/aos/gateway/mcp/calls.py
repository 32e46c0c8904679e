"""One call of a tool: resolved, validated, decided, given the tool's credential, forwarded, checked and recorded."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.journal import CallOutcome, Entry, Journal, Subject, arguments_digest
from aos.gateway.mcp import answers
from aos.gateway.mcp.catalogue import Catalogue
from aos.gateway.mcp.definitions import Listing, OfferedAction
from aos.gateway.mcp.header_values import ParamHeaderError, check_param_headers, headers_for
from aos.gateway.mcp.message import RpcError, RpcRequest
from aos.gateway.mcp.outbound import target_of
from aos.gateway.mcp.protocol import HEADER_MISMATCH, Era, Method
from aos.gateway.mcp.upstream import Upstream
from aos.gateway.mcp.upstream_error import UpstreamError
from aos.gateway.refusal import RefusalCode, Refused
from aos.gateway.registry import Registry
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.tool import Access, ActionState, Tool
from aos.policy.decision import Call, Decision, DecisionReason, Effect, decide, may_ever
from aos.policy.effective import RuleReference

CONTENT_TYPES: Final = ("text", "image", "audio", "resource", "resource_link")
"""Kinds of content that MCP knows; a client can't read others. A tuple: what is looked for may be unhashable."""

_MAX_PROBLEMS: Final = 5


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call as it came.

    Attributes:
        request: the message.
        headers: of the HTTP request, by name in lower case.
        caller: who calls.
        tool: name of the Tool.
        action: name of the action.
        arguments: as sent.
    """

    request: RpcRequest
    headers: Mapping[bytes, bytes]
    caller: Caller
    tool: str
    action: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class _Cleared:
    """A call that may be made."""

    tool: Tool
    action: OfferedAction
    decision: Decision


@dataclass(slots=True)
class _Record:
    """What is known so far of what becomes of a call; it is recorded even if nothing more comes."""

    effect: Effect
    reason: DecisionReason | RefusalCode
    outcome: CallOutcome
    rules: tuple[RuleReference, ...]
    upstream_seconds: float = 0


class ToolCalls:
    """Makes calls."""

    def __init__(
        self,
        registry: Registry,
        catalogue: Catalogue,
        upstream: Upstream,
        journal: Journal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._catalogue = catalogue
        self._upstream = upstream
        self._journal = journal
        self._clock = clock

    async def make(self, call: ToolCall) -> bytes:
        """Return the answer to ``call``, encoded.

        Raises:
            RpcError: headers and arguments do not agree.
        """
        started_at = self._clock()
        judged = self._judge(call)
        if isinstance(judged, Refused):
            record = _Record(judged.effect, judged.reason, CallOutcome.REFUSED, judged.rules)
            self._write(call, record, started_at)
            return answers.refused(call.request, judged)
        decision = judged.decision
        # A call that nobody waits for any more is recorded as aborted.
        record = _Record(decision.effect, decision.reason, CallOutcome.ABORTED, decision.determined_by)
        try:
            return await self._forward(call, judged, record)
        except UpstreamError as error:
            failed = _failed(call, judged, error)
            record.reason, record.outcome = failed.reason, CallOutcome.FAILED
            return answers.refused(call.request, failed)
        finally:
            self._write(call, record, started_at)

    def _judge(self, call: ToolCall) -> _Cleared | Refused:
        tool = call.caller.policy.tools.get(call.tool)
        listing = None if tool is None else self._catalogue.listing(tool)
        action = None if listing is None else listing.actions.get(call.action)
        if tool is None or action is None:
            return self._barred(call) or _not_offered(call, listing)
        invalid = _check_arguments(call, action)
        if invalid is not None:
            return self._barred(call) or invalid
        decision = self._decide(call)
        if not decision.allowed:
            return _denied(decision)
        _check_mirrored(call, action)
        return _Cleared(tool, action, decision)

    def _barred(self, call: ToolCall) -> Refused | None:
        """Return the denial of an action that can't be allowed: of such a one nothing else is said to the agent."""
        if may_ever(call.caller.policy, call.tool, call.action):
            return None
        decision = self._decide(call)
        return None if decision.allowed else _denied(decision)

    def _decide(self, call: ToolCall) -> Decision:
        task = call.caller.task
        return decide(
            call.caller.policy,
            Call(
                tool=call.tool,
                action=call.action,
                arguments=call.arguments,
                task=task.metadata.name,
                requested_by=task.spec.requested_by,
                now=datetime.now(UTC),
            ),
        )

    async def _forward(self, call: ToolCall, cleared: _Cleared, record: _Record) -> bytes:
        target = target_of(self._registry, cleared.tool)
        sent_at = self._clock()
        try:
            result = await self._upstream.request(
                target,
                Method.CALL_TOOL,
                {"name": call.action, "arguments": call.arguments},
                owner=call.caller.task.metadata.uid,
                param_headers=headers_for(cleared.action.mirrored, call.arguments),
            )
        finally:
            record.upstream_seconds = self._clock() - sent_at
        _check_result(result, cleared.action)
        answer = answers.answered(call.request, result)
        if target.gives_away(answer):
            raise UpstreamError(
                RefusalCode.UPSTREAM_INVALID,
                "its answer holds the gateway's credential and was withheld",
                maybe_done=True,
            )
        failed = result.get("isError") is True
        record.outcome = CallOutcome.ERROR_ANSWERED if failed else CallOutcome.ANSWERED
        return answer

    def _write(self, call: ToolCall, record: _Record, started_at: float) -> None:
        self._journal.record(
            Entry(
                caller=call.caller,
                subject=Subject.TOOL,
                name=call.tool,
                action=call.action,
                effect=record.effect,
                reason=record.reason,
                outcome=record.outcome,
                duration_seconds=self._clock() - started_at,
                rules=record.rules,
                arguments_digest=arguments_digest(call.arguments),
                upstream_seconds=record.upstream_seconds,
            )
        )


def _denied(decision: Decision) -> Refused:
    return Refused(decision.effect, decision.reason, decision.message, decision.determined_by)


def _not_offered(call: ToolCall, listing: Listing | None) -> Refused:
    """Say that an action can't be called; why is said in the Tool's status, to people."""
    name = f"{call.tool}.{call.action}"
    if listing is None:
        return Refused(
            Effect.DENY,
            RefusalCode.UPSTREAM_UNREACHABLE,
            f"{name} can't be called yet: the gateway is reading the tool's definitions; try again in a moment",
        )
    match listing.availability.reason:
        case Reason.UNREACHABLE:
            code, why = RefusalCode.UPSTREAM_UNREACHABLE, "its tool does not answer"
        case Reason.CREDENTIALS_MISSING:
            code, why = RefusalCode.CREDENTIALS_MISSING, "the gateway has no credential for its tool"
        case _ if listing.state(call.action) is ActionState.MISSING:
            code, why = RefusalCode.ACTION_QUARANTINED, "its tool does not offer it"
        case _:
            code, why = RefusalCode.ACTION_QUARANTINED, "its definition is quarantined"
    return Refused(Effect.DENY, code, f"{name} can't be called: {why}; see the status of Tool {call.tool}")


def _check_arguments(call: ToolCall, action: OfferedAction) -> Refused | None:
    if action.input.is_valid(call.arguments):
        return None
    problems = action.input.problems(call.arguments)[:_MAX_PROBLEMS]
    said = "; ".join(f"{problem.path or '/'}: {problem.message}" for problem in problems)
    return Refused(
        Effect.DENY,
        RefusalCode.ARGUMENTS_INVALID,
        f"the arguments do not fit the input schema of {call.tool}.{call.action}: {said}",
    )


def _check_mirrored(call: ToolCall, action: OfferedAction) -> None:
    try:
        check_param_headers(
            action.mirrored, call.arguments, call.headers, required=call.request.era is Era.MODERN
        )
    except ParamHeaderError as error:
        raise RpcError(HEADER_MISMATCH, str(error)) from None


def _check_result(result: Mapping[str, JsonValue], action: OfferedAction) -> None:
    """Check that a result is whole, readable, and what its schema says.

    Raises:
        UpstreamError: it is not.
    """
    if result.get("resultType", "complete") != "complete":
        raise _unsound("it asks for something that agents are not asked for")
    content = result.get("content")
    if not isinstance(content, list) or not all(
        isinstance(item, dict) and item.get("type") in CONTENT_TYPES for item in content
    ):
        raise _unsound("its result has no readable content")
    if action.output is None or result.get("isError") is True:
        return
    if "structuredContent" not in result or not action.output.is_valid(result["structuredContent"]):
        raise _unsound("its result does not fit its own output schema")


def _unsound(message: str) -> UpstreamError:
    return UpstreamError(RefusalCode.UPSTREAM_INVALID, message, maybe_done=True)


def _failed(call: ToolCall, cleared: _Cleared, error: UpstreamError) -> Refused:
    unknown = error.maybe_done and cleared.action.declared.access is Access.WRITE
    advice = "; its outcome is unknown: check what it did before you repeat it" if unknown else ""
    return Refused(
        Effect.ALLOW,
        error.code,
        f"{call.tool}.{call.action} gave no result: {error.message}{advice}",
        cleared.decision.determined_by,
        outcome_unknown=unknown,
    )
