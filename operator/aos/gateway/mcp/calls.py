"""One call of a tool: judged, inspected, let through the store, given the tool's credential, sent, checked, settled."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.approvals.desk import ApprovalDesk
from aos.gateway.approvals.reviews import ReviewDesk, outcome_text
from aos.gateway.control.asked import AskedCall, Finished, Repeated, Ticket
from aos.gateway.control.control import CallControl
from aos.gateway.control.guard import ToolGuard
from aos.gateway.control.likeness import likeness
from aos.gateway.control.records import in_full, is_kept
from aos.gateway.control.retries import BACKOFF, RetryBudget, may_repeat
from aos.gateway.journal import CallOutcome, Entry, Journal, Subject, arguments_digest
from aos.gateway.mcp import answers
from aos.gateway.mcp.catalogue import Catalogue
from aos.gateway.mcp.definitions import OfferedAction
from aos.gateway.mcp.holding import Gate, Passed
from aos.gateway.mcp.inspecting import Sendable, request_inspected, result_inspected
from aos.gateway.mcp.judging import Cleared, ToolCall, judge
from aos.gateway.mcp.system import SystemCall, SystemResult, Systems
from aos.gateway.memory.places import system_of_memory
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.refusal import RefusalCode, Refused
from aos.gateway.registry import Registry
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.outbound import target_of
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.model.base import JsonObject
from aos.model.tool import Access, Tool
from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import RuleReference

CONTENT_TYPES: Final = ("text", "image", "audio", "resource", "resource_link")
"""Kinds of content that MCP knows; a client can't read others. A tuple: what is looked for may be unhashable."""

_NOT_ENDED: Final = (CallOutcome.ABORTED, CallOutcome.REFUSED)
"""Outcomes of calls that say nothing of the Tool."""

KEPT: Final = ("content", "structuredContent", "isError")
"""What is kept of a Write's result, to answer identical ones."""


@dataclass(frozen=True, slots=True)
class Control:
    """What holds tool calls besides policy.

    Attributes:
        calls: charges, records and the audit trail.
        desk: where held calls wait for people.
        reviews: where made calls are looked at by people.
        guard: circuits.
        retries: how many calls may be sent once more.
        metrics: where those are counted.
    """

    calls: CallControl
    desk: ApprovalDesk
    reviews: ReviewDesk
    guard: ToolGuard
    retries: RetryBudget
    metrics: GatewayMetrics


@dataclass(slots=True)
class _Record:
    """What is known so far of what becomes of a call; it is recorded even if nothing more comes."""

    effect: Effect
    reason: DecisionReason | RefusalCode
    outcome: CallOutcome
    rules: tuple[RuleReference, ...]
    digest: str
    upstream_seconds: float = 0
    released: bool = False
    undone: bool = False
    result: bytes | None = None
    found: frozenset[str] = field(default_factory=frozenset)


class ToolCalls:
    """Makes calls."""

    def __init__(
        self,
        registry: Registry,
        catalogue: Catalogue,
        systems: Systems,
        journal: Journal,
        control: Control,
        settings: GatewaySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._catalogue = catalogue
        self._systems = systems
        self._journal = journal
        self._control = control
        self._gate = Gate(control.desk, control.reviews, control.calls, catalogue)
        self._namespace = settings.namespace
        self._max_attempts = settings.max_call_attempts
        self._max_kept_result_bytes = settings.max_kept_result_bytes
        self._clock = clock

    async def make(self, call: ToolCall) -> bytes:
        """Return the answer to ``call``, encoded.

        Raises:
            RpcError: headers and arguments do not agree.
            ClientDisconnected: the client went away while people were waited for.
        """
        started_at = self._clock()
        digest = arguments_digest(call.arguments)
        judged = judge(call, self._catalogue)
        if isinstance(judged, Refused):
            return self._refuse(call, _asked_in_vain(call, digest, judged), judged, started_at)
        sendable = await request_inspected(call, judged)
        asked = _asked(call, judged, digest, sendable, self._namespace)
        if isinstance(sendable, Refused):
            return self._refuse(call, asked, sendable, started_at)
        passed = await self._gate.let(call, judged, asked)
        if isinstance(passed, Refused):
            return self._refused(call, passed, digest, started_at)
        return await self._admit(call, passed, started_at)

    async def _admit(self, call: ToolCall, passed: Passed, started_at: float) -> bytes:
        """Take what the call needs, and make it."""
        asked, cleared = passed.asked, passed.cleared
        barred = self._control.guard.barred(call.caller, cleared.tool)
        if barred is not None:
            return self._refuse(call, asked, barred, started_at)
        admitted: Ticket | Repeated | Refused | None = None
        try:
            admitted = await self._control.calls.admit_tool(asked)
        finally:
            if not isinstance(admitted, Ticket):
                self._control.guard.left(call.caller, cleared.tool)
        match admitted:
            case Ticket():
                return await self._send(call, passed, admitted, started_at)
            case Repeated():
                return await self._repeat(call, cleared, admitted, asked.arguments_digest, started_at)
            case _:
                refused = await self._gate.explained(passed, admitted)
                return self._refused(call, refused, asked.arguments_digest, started_at)

    def _refuse(self, call: ToolCall, asked: AskedCall, refused: Refused, started_at: float) -> bytes:
        self._control.calls.refuse(asked, refused)
        return self._refused(call, refused, asked.arguments_digest, started_at)

    def _refused(self, call: ToolCall, refused: Refused, digest: str, started_at: float) -> bytes:
        record = _Record(refused.effect, refused.reason, CallOutcome.REFUSED, refused.rules, digest)
        self._write(call, record, self._clock() - started_at)
        return answers.refused(call.request, refused)

    async def _repeat(
        self, call: ToolCall, cleared: Cleared, repeated: Repeated, digest: str, started_at: float
    ) -> bytes:
        """Answer with what the identical write of another Task gave, as this caller may see it."""
        decision = cleared.decision
        record = _Record(
            decision.effect, decision.reason, CallOutcome.DUPLICATE, decision.determined_by, digest
        )
        result: JsonObject = orjson.loads(repeated.result)
        checked = await result_inspected(call, cleared, result)
        if isinstance(checked, Refused):
            record.reason = checked.reason
        else:
            self._control.metrics.findings(checked.found, "out")
        self._write(call, record, self._clock() - started_at)
        if isinstance(checked, Refused):
            return answers.refused(call.request, checked)
        return answers.answered(call.request, checked.result)

    async def _send(self, call: ToolCall, passed: Passed, ticket: Ticket, started_at: float) -> bytes:
        cleared = passed.cleared
        decision = cleared.decision
        # A call that nobody waits for any more is recorded as aborted; it may have been carried out.
        record = _Record(
            decision.effect,
            decision.reason,
            CallOutcome.ABORTED,
            decision.determined_by,
            ticket.asked.arguments_digest,
            released=True,
        )
        try:
            refused = await self._gate.confirm(passed, ticket.call)
            if refused is not None:
                record.effect, record.reason = refused.effect, refused.reason
                record.outcome = CallOutcome.REFUSED
                return answers.refused(call.request, refused)
            record.released = False
            return await self._forward(call, cleared, ticket, record)
        except UpstreamError as error:
            failed = _failed(call, cleared, error)
            record.reason, record.outcome = failed.reason, CallOutcome.FAILED
            record.released = not error.maybe_done
            self._control.guard.failed(call.caller, cleared.tool, error, record.upstream_seconds)
            return answers.refused(call.request, failed)
        finally:
            if record.outcome in _NOT_ENDED:
                self._control.guard.left(call.caller, cleared.tool)
            outcome = outcome_text(record.outcome, record.reason)
            self._gate.ended(passed, ticket.call, outcome, made=not record.released)
            seconds = self._clock() - started_at
            self._control.calls.finish(
                ticket,
                Finished(
                    record.outcome,
                    record.reason,
                    seconds,
                    released=record.released,
                    undone=record.undone,
                    result=record.result,
                    data_classes=record.found,
                    effect=record.effect,
                ),
            )
            self._write(call, record, seconds, ticket.asked.approvals)

    async def _forward(self, call: ToolCall, cleared: Cleared, ticket: Ticket, record: _Record) -> bytes:
        target = target_of(self._registry, cleared.tool)
        sent_at = self._clock()
        try:
            answered = await self._ask(
                SystemCall(
                    cleared.tool,
                    target,
                    cleared.action,
                    dict(ticket.asked.arguments),
                    call.caller.task,
                    ticket.idempotency_key,
                )
            )
        finally:
            record.upstream_seconds = self._clock() - sent_at
        result = answered.result
        _check_result(result, cleared.action)
        failed = result.get("isError") is True
        # To send one again that its tool says has failed can do no harm where it may be repeated at all.
        repeatable = answered.undone or (failed and ticket.asked.is_idempotent)
        record.undone = repeatable and not answered.in_doubt
        # What an earlier try has come to stays unknown, and the write the same one, if this answer does not tell.
        keeps = is_kept(ticket.asked) and not (repeatable and answered.in_doubt)
        checked = await result_inspected(call, cleared, result)
        if isinstance(checked, Refused):
            self._control.guard.answered(
                call.caller, cleared.tool, record.upstream_seconds, with_error=failed
            )
            record.outcome, record.reason = CallOutcome.FAILED, checked.reason
            record.result = (
                _kept_text("the identical call was made; its answer is withheld") if keeps else None
            )
            self._control.calls.announce(call.caller, checked)
            return answers.refused(call.request, checked)
        record.found = checked.found
        answer = answers.answered(call.request, checked.result)
        if target.gives_away(answer):
            raise UpstreamError(
                RefusalCode.UPSTREAM_INVALID,
                "its answer holds the gateway's credential and was withheld",
                maybe_done=True,
            )
        self._control.guard.answered(call.caller, cleared.tool, record.upstream_seconds, with_error=failed)
        record.outcome = CallOutcome.ERROR_ANSWERED if failed else CallOutcome.ANSWERED
        record.result = self._kept(checked.result) if keeps else None
        return answer

    async def _ask(self, call: SystemCall) -> SystemResult:
        """Send the call, and once more where that can do no harm and the Tool's retries are not used up."""
        retries, tool = self._control.retries, call.tool.metadata
        system = self._systems[call.tool.spec.type]
        retries.called(tool.uid)
        attempt, was_maybe_done = 1, False
        while True:
            try:
                answered = await system.call(call)
            except UpstreamError as error:
                # That the last try certainly did nothing says nothing of those before.
                was_maybe_done = error.maybe_done = was_maybe_done or error.maybe_done
                repeats = attempt < self._max_attempts and may_repeat(call.action.declared, error)
                if not repeats or not retries.take(tool.uid):
                    raise
            else:
                return replace(answered, in_doubt=True) if was_maybe_done else answered
            self._control.metrics.retry(tool.name)
            await asyncio.sleep(BACKOFF.delay_seconds(attempt))
            attempt += 1

    def _kept(self, result: JsonObject) -> bytes:
        # What a tool says besides was not looked into, and reaches nobody.
        kept = orjson.dumps({name: result[name] for name in KEPT if name in result})
        if len(kept) <= self._max_kept_result_bytes:
            return kept
        return _kept_text("the identical call was made; its answer is too large to be kept")

    def _write(
        self, call: ToolCall, record: _Record, seconds: float, approvals: tuple[str, ...] = ()
    ) -> None:
        self._journal.record(
            Entry(
                caller=call.caller,
                subject=Subject.TOOL,
                name=call.tool,
                action=call.action,
                effect=record.effect,
                reason=record.reason,
                outcome=record.outcome,
                duration_seconds=seconds,
                rules=record.rules,
                arguments_digest=record.digest,
                upstream_seconds=record.upstream_seconds,
                approvals=approvals,
            )
        )


def _asked_in_vain(call: ToolCall, digest: str, refused: Refused) -> AskedCall:
    """Return the record of a call that policy does not allow, or that can't be made."""
    return AskedCall(
        caller=call.caller,
        subject=Subject.TOOL,
        name=call.tool,
        action=call.action,
        rules=refused.rules,
        arguments_digest=digest,
        declared=call.caller.policy.action(call.tool, call.action),
    )


def _asked(
    call: ToolCall, cleared: Cleared, digest: str, sendable: Sendable | Refused, namespace: str
) -> AskedCall:
    sent = sendable if isinstance(sendable, Sendable) else _NOTHING
    return AskedCall(
        caller=call.caller,
        subject=Subject.TOOL,
        name=call.tool,
        action=call.action,
        obligations=cleared.obligations,
        rules=cleared.decision.determined_by,
        arguments=sent.arguments,
        arguments_digest=digest,
        likeness=likeness(call.arguments),
        declared=cleared.action.declared,
        system=in_full(cleared.tool.spec.url, namespace) or system_of_memory(cleared.tool, call.caller.task),
        account=_account(cleared.tool),
        data_classes=sent.found,
    )


def _account(tool: Tool) -> str:
    auth = tool.spec.auth
    return f"{tool.metadata.namespace}/{auth.secret_ref.name}/{auth.secret_ref.key}" if auth else ""


_NOTHING: Final = Sendable({})


def _kept_text(text: str) -> bytes:
    return orjson.dumps({"content": [{"type": "text", "text": text}]})


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


def _failed(call: ToolCall, cleared: Cleared, error: UpstreamError) -> Refused:
    unknown = error.maybe_done and cleared.action.declared.access is Access.WRITE
    advice = "; its outcome is unknown: check what it did before you repeat it" if unknown else ""
    return Refused(
        Effect.ALLOW,
        error.code,
        f"{call.tool}.{call.action} gave no result: {error.message}{advice}",
        cleared.decision.determined_by,
        outcome_unknown=unknown,
    )
