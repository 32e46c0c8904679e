"""Whether a call may be made: resolved, validated and decided, by the caller's policy and those that led to its Task. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aos.gateway.caller import Caller
from aos.gateway.mcp.catalogue import Catalogue
from aos.gateway.mcp.definitions import Listing, OfferedAction
from aos.gateway.mcp.header_values import ParamHeaderError, check_param_headers
from aos.gateway.mcp.message import RpcError, RpcRequest
from aos.gateway.mcp.protocol import HEADER_MISMATCH, Era
from aos.gateway.mcp.waiting import NOWHERE, Waiting
from aos.gateway.refusal import RefusalCode, Refused
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.tool import ActionState, Tool
from aos.policy.decision import Call, Decision, Effect, decide_along, may_ever
from aos.policy.obligations import Obligations

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
        waiting: where it waits if people are to be asked.
    """

    request: RpcRequest
    headers: Mapping[bytes, bytes]
    caller: Caller
    tool: str
    action: str
    arguments: JsonObject
    waiting: Waiting = NOWHERE


@dataclass(frozen=True, slots=True)
class Cleared:
    """A call that policy allows, or holds for people; and what it is held to."""

    tool: Tool
    action: OfferedAction
    decision: Decision
    obligations: Obligations


def judge(call: ToolCall, catalogue: Catalogue) -> Cleared | Refused:
    """Judge ``call``.

    Raises:
        RpcError: headers and arguments do not agree.
    """
    tool = call.caller.policy.tools.get(call.tool)
    listing = None if tool is None else catalogue.listing(tool)
    action = None if listing is None else listing.actions.get(call.action)
    if tool is None or action is None:
        return _barred(call) or _not_offered(call, listing)
    invalid = _check_arguments(call, action)
    if invalid is not None:
        return _barred(call) or invalid
    decision = _decide(call)
    if decision.effect is Effect.DENY or decision.obligations is None:
        return _denied(decision)
    _check_mirrored(call, action)
    return Cleared(tool, action, decision, decision.obligations)


def _barred(call: ToolCall) -> Refused | None:
    """Return the denial of an action that can't be allowed: of such a one nothing else is said to the agent."""
    policies = (call.caller.policy, *call.caller.ancestors)
    if all(may_ever(policy, call.tool, call.action) for policy in policies):
        return None
    decision = _decide(call)
    return _denied(decision) if decision.effect is Effect.DENY else None


def _decide(call: ToolCall) -> Decision:
    caller = call.caller
    return decide_along(
        (caller.policy, *caller.ancestors),
        Call(
            tool=call.tool,
            action=call.action,
            arguments=call.arguments,
            task=caller.task.metadata.name,
            requested_by=caller.task.spec.requested_by,
            lineage=tuple([ancestor.agent for ancestor in caller.task.spec.lineage]),
            run=caller.task.spec.run,
            now=datetime.now(UTC),
        ),
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
        problem = action.binding.problem(call.arguments) if action.binding is not None else ""
        if not problem:
            return None
        return Refused(
            Effect.DENY,
            RefusalCode.ARGUMENTS_INVALID,
            f"the arguments of {call.tool}.{call.action} can't be sent: {problem}",
        )
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
