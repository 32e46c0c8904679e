"""What the store's answers mean to the caller: refusals that name the bound, the holder, and when it is over. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Final

from pydantic import JsonValue

from aos.gateway.control.asked import AskedCall
from aos.gateway.control.charges import APPROVALS, CALLS, CALLS_PER_TASK, HANDOFFS, IDENTICAL_CALLS, prefix_of
from aos.gateway.control.records import writes
from aos.gateway.control.refusals import MAX_REFUSALS
from aos.gateway.refusal import RefusalCode, Refused
from aos.policy.decision import Effect
from aos.store.interface import Duplicate, Exhausted, Lease

STORE_RETRY_SECONDS: Final = 5.0
DUPLICATE_RETRY_SECONDS: Final = 2.0


def exhausted(asked: AskedCall, found: Exhausted) -> Refused:
    """Return the refusal of a call that one counter has too little left for."""
    charge = found.charge
    if charge.resource == APPROVALS:
        return _approval_used(asked)
    frees = found.frees_after_seconds
    when = "; time alone does not free it" if frees is None else f"; enough is free in {_span(frees)}"
    said = _reason_of(asked, found)
    message = f"{_name(asked)} exceeds {charge.name}: {found.used} of {charge.limit} {charge.resource} are used, the call takes {charge.amount}{when}"
    if said is RefusalCode.LOOP_DETECTED:
        message = f"{_name(asked)} was called {found.used} times with these arguments by one Task, which is {charge.name}; do something else, or end the task"
    elif said is RefusalCode.TOO_MANY_TASK_CALLS:
        what = "calls" if charge.resource == CALLS_PER_TASK else "handoffs, with those of Tasks below it"
        message = f"the Task, or one it comes from, has made {found.used} {what}, which is {charge.name}; end the task with what is known"
    facts: dict[str, JsonValue] = {
        "bound": charge.name,
        "resource": charge.resource,
        "limit": charge.limit,
        "used": found.used,
    }
    return Refused(
        Effect.DENY,
        said,
        message,
        asked.rules,
        retry_after_seconds=None if frees is None else max(frees, 0.0),
        facts=facts,
        note=f"calls of {asked.subject.value} {asked.name} exceed {charge.name}",
    )


def record_busy(asked: AskedCall, lease: Lease) -> Refused:
    """Return the refusal of a write to a record that another Task holds."""
    until = datetime.fromtimestamp(lease.expires_at, UTC)
    seconds = max((until - datetime.now(UTC)).total_seconds(), 0.0)
    where = "" if lease.namespace == asked.caller.namespace else f" of namespace {lease.namespace}"
    facts: Mapping[str, JsonValue] = {
        "record": lease.record,
        "holder": {"agent": lease.agent, "task": lease.task, "namespace": lease.namespace},
        "heldUntil": until.isoformat(timespec="seconds"),
    }
    return Refused(
        Effect.DENY,
        RefusalCode.RECORD_BUSY,
        f"{lease.record} is held by Task {lease.task} of agent {lease.agent}{where} until"
        f" {until.isoformat(timespec='seconds')}; it is free when that Task ends, or then",
        asked.rules,
        retry_after_seconds=seconds,
        facts=facts,
        note=f"a record that {asked.name}.{asked.action} would write is held by Task {lease.task}"
        f" of agent {lease.agent}{where}",
    )


def in_flight(asked: AskedCall, found: Duplicate) -> Refused:
    """Return the refusal of a write whose twin is under way, or of unknown outcome."""
    how = "is making" if found.under_way else "made"
    known = "" if found.under_way else ", and what became of it is not known"
    return Refused(
        Effect.DENY,
        RefusalCode.DUPLICATE_IN_FLIGHT,
        f"Task {found.task} of agent {found.agent} {how} the identical call of {_name(asked)}{known}; read what is there"
        " before you write",
        asked.rules,
        retry_after_seconds=DUPLICATE_RETRY_SECONDS,
        facts={"holder": {"agent": found.agent, "task": found.task}},
        note=f"{_name(asked)} is being made by Task {found.task} of agent {found.agent} with identical arguments",
    )


def repeated(asked: AskedCall, found: Duplicate) -> str:
    """Return what people are told of a write that was answered with what an identical one gave."""
    return (
        f"{_name(asked)} was not made again: Task {found.task} of agent {found.agent} made the identical call, and its"
        " answer was given"
    )


def record_unknown(asked: AskedCall, why: str) -> Refused:
    """Return the refusal of a write whose record can't be told."""
    return Refused(
        Effect.DENY,
        RefusalCode.RECORD_UNKNOWN,
        f"{_name(asked)} writes a record that its arguments do not name: {why}",
        asked.rules,
        note=f"the record that {_name(asked)} writes can't be told from its arguments: see the Tool's record",
    )


def refused_too_often(asked: AskedCall) -> Refused:
    """Return the refusal of whatever a Task asks for that was refused again and again."""
    return Refused(
        Effect.DENY,
        RefusalCode.TOO_MANY_TASK_CALLS,
        f"{_name(asked)} was not made: calls of this Task were refused {MAX_REFUSALS} times; end the task with what is known",
        asked.rules,
        note=f"calls of the Task were refused {MAX_REFUSALS} times; nothing more is let through, or recorded, for it",
    )


def store_unavailable(asked: AskedCall) -> Refused:
    """Return the refusal of a call that nobody could count or record."""
    return Refused(
        Effect.DENY,
        RefusalCode.STORE_UNAVAILABLE,
        f"{_name(asked)} was not made: the gateway's store can't be written now, and nothing runs without its record; try again later",
        asked.rules,
        retry_after_seconds=STORE_RETRY_SECONDS,
        note="calls are denied: the gateway's store can't be written",
    )


def _approval_used(asked: AskedCall) -> Refused:
    name = ", ".join(asked.approvals)
    return Refused(
        Effect.DENY,
        RefusalCode.APPROVAL_USED,
        f"{_name(asked)} was approved once, and was made; it is not made again",
        asked.rules,
        outcome_unknown=writes(asked),
        facts={"approval": name, "namespace": asked.caller.namespace},
        note=f"a call of {_name(asked)} was made already: ApprovalRequest {name}",
    )


def _reason_of(asked: AskedCall, found: Exhausted) -> RefusalCode:
    charge = found.charge
    if charge.resource == IDENTICAL_CALLS:
        return RefusalCode.LOOP_DETECTED
    if charge.resource in (CALLS_PER_TASK, HANDOFFS):
        return RefusalCode.TOO_MANY_TASK_CALLS
    if charge.resource == CALLS and any(
        charge.counter.startswith(prefix_of(limit.reference)) for limit in asked.obligations.limits
    ):
        return RefusalCode.LIMIT_EXCEEDED
    return RefusalCode.BUDGET_EXCEEDED


def _name(asked: AskedCall) -> str:
    return f"{asked.name}.{asked.action}"


def _span(seconds: float) -> str:
    return f"{max(ceil(seconds), 1)} s"
