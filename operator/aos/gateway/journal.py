"""The record of every decision: one line of JSON, one span, and metrics. Never arguments, results or messages."""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import orjson
from opentelemetry import trace
from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.metrics import CallLabels, GatewayMetrics, TokenLabels
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.usage import Usage
from aos.model.canonical import json_digest
from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import RuleReference


class Subject(StrEnum):
    """What was decided on."""

    TOOL = "tool"
    MODEL = "model"
    AGENT = "agent"


class CallOutcome(StrEnum):
    """What became of a call in the end."""

    ANSWERED = "Answered"
    ERROR_ANSWERED = "ErrorAnswered"
    REFUSED = "Refused"
    FAILED = "Failed"
    ABORTED = "Aborted"
    DUPLICATE = "Duplicate"


@dataclass(frozen=True, slots=True)
class Entry:
    """One decided call.

    Attributes:
        caller: who called.
        subject: what kind of thing was called.
        name: the Tool, the Model, or the Agent that work was handed to.
        action: the Tool's action; for a Model or an Agent its endpoint.
        effect: whether the call was allowed; Hold where it waits for people.
        reason: why, as a code. Messages quote arguments and are never recorded.
        outcome: what became of it.
        duration_seconds: from the request to the end of the answer.
        rules: rules that decided.
        arguments_digest: `arguments_digest` of the arguments; empty where there were none.
        upstream_seconds: part of the duration that was spent waiting for the tool or model.
        prompt_tokens: tokens that the model counted in the request.
        completion_tokens: tokens that the model counted in its answer.
        approvals: names of the ApprovalRequests that released the call.
    """

    caller: Caller
    subject: Subject
    name: str
    action: str
    effect: Effect
    reason: DecisionReason | RefusalCode
    outcome: CallOutcome
    duration_seconds: float
    rules: tuple[RuleReference, ...] = ()
    arguments_digest: str = ""
    upstream_seconds: float = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    approvals: tuple[str, ...] = ()


class Journal:
    """Writes entries, and counts them for the caller's Task."""

    def __init__(
        self, usage: Usage, metrics: GatewayMetrics, write: Callable[[bytes], None], tracer: trace.Tracer
    ) -> None:
        """Make a journal.

        Args:
            usage: counters of Tasks.
            metrics: counters of the gateway.
            write: takes a line; quick, and raises nothing.
            tracer: makes spans.
        """
        self._usage = usage
        self._metrics = metrics
        self._write = write
        # Where no collector is named there is nobody to make spans for.
        self._tracer = None if isinstance(tracer, trace.NoOpTracer) else tracer
        self._refusals = _Rate(MAX_REFUSAL_LINES_PER_SECOND)

    def record(self, entry: Entry) -> None:
        """Record one decision, once it is known what became of the call. It never raises and never waits."""
        ended_at = datetime.now(UTC)
        try:
            self._count(entry)
            fields = _fields(entry)
            self._write(_line(ended_at, "decision", fields))
            if self._tracer is not None:
                _trace(self._tracer, entry, ended_at, fields)
        except Exception:  # noqa: BLE001 - a call that was made is not undone by a record that failed
            self._metrics.journal_failure()

    def refused(self, refusal: Refusal, client_address: str) -> None:
        """Record a request that was refused before anything was decided; of a flood only the first lines each second."""
        self._metrics.refusal(refusal.code.value)
        if self._refusals.allows():
            fields: dict[str, JsonValue] = {
                "code": refusal.code.value,
                "status": refusal.status,
                "client": client_address,
            }
            self._write(_line(datetime.now(UTC), "refusal", fields))

    def _count(self, entry: Entry) -> None:
        caller = entry.caller
        denied = entry.effect is Effect.DENY
        self._usage.add(
            caller.task.metadata.uid,
            calls=1 if entry.effect is Effect.ALLOW else 0,
            denied=1 if denied else 0,
            prompt_tokens=entry.prompt_tokens,
            completion_tokens=entry.completion_tokens,
        )
        name, action = _known_names(entry)
        labels = CallLabels(
            caller.namespace,
            caller.agent,
            entry.subject.value,
            name,
            action,
            entry.effect.value,
            entry.reason.value,
            entry.outcome.value,
        )
        self._metrics.call(labels, entry.duration_seconds, entry.upstream_seconds)
        for direction, count in (("prompt", entry.prompt_tokens), ("completion", entry.completion_tokens)):
            if count:
                self._metrics.tokens(TokenLabels(caller.namespace, caller.agent, name, direction), count)


MAX_REFUSAL_LINES_PER_SECOND: Final = 20
_NANOSECONDS: Final = 1_000_000_000
_MAX_NAME_LENGTH: Final = 192
_UNKNOWN: Final = "(unknown)"
_CALLED: Final[Mapping[Subject, str]] = {
    Subject.TOOL: "tool",
    Subject.MODEL: "model",
    Subject.AGENT: "delegate",
}
"""Fields that name what was called; ``agent`` is who called."""


class _Rate:
    """Allows so many events in each second."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = 0
        self._count = 0

    def allows(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= self._per_second


def _trace(tracer: trace.Tracer, entry: Entry, ended_at: datetime, fields: Mapping[str, JsonValue]) -> None:
    end_ns = int(ended_at.timestamp() * _NANOSECONDS)
    span = tracer.start_span(
        f"aos.gateway.{entry.subject.value}",
        kind=trace.SpanKind.SERVER,
        start_time=end_ns - int(entry.duration_seconds * _NANOSECONDS),
    )
    if span.is_recording():
        for name, value in fields.items():
            if isinstance(value, str | int | float):
                span.set_attribute(f"aos.{name}", value)
        span.set_attribute("aos.rules", [str(rule) for rule in entry.rules])
    span.end(end_ns)


def _fields(entry: Entry) -> dict[str, JsonValue]:
    caller = entry.caller
    fields: dict[str, JsonValue] = {
        "namespace": caller.namespace,
        "agent": caller.agent,
        "task": caller.task.metadata.name,
        "pod": caller.pod_name,
        "podUid": caller.pod_uid,
        "revision": caller.revision,
        _CALLED[entry.subject]: entry.name[:_MAX_NAME_LENGTH],
        "action": entry.action[:_MAX_NAME_LENGTH],
        "effect": entry.effect.value,
        "reason": entry.reason.value,
        "rules": [f"{rule.kind}/{rule.name}/{rule.rule}" for rule in entry.rules],
        "policy": caller.policy.digest,
        "outcome": entry.outcome.value,
        "durationSeconds": round(entry.duration_seconds, 6),
        "upstreamSeconds": round(entry.upstream_seconds, 6),
    }
    if entry.approvals:
        fields["approvals"] = list(entry.approvals)
    if entry.arguments_digest:
        fields["arguments"] = entry.arguments_digest
    if entry.prompt_tokens or entry.completion_tokens:
        fields["promptTokens"] = entry.prompt_tokens
        fields["completionTokens"] = entry.completion_tokens
    return fields


def _line(moment: datetime, kind: str, fields: Mapping[str, JsonValue]) -> bytes:
    record: dict[str, JsonValue | datetime] = {"time": moment, "kind": kind, **fields}
    return orjson.dumps(record, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


def _known_names(entry: Entry) -> tuple[str, str]:
    """Return the names to count by: callers can make up names without end, so only those that exist count."""
    spec = entry.caller.policy.agent.spec
    match entry.subject:
        case Subject.MODEL:
            return (entry.name if spec.model and entry.name == spec.model.name else _UNKNOWN), entry.action
        case Subject.AGENT:
            # Denied handoffs may name anybody.
            return (entry.name if entry.effect is Effect.ALLOW else _UNKNOWN), entry.action
        case Subject.TOOL:
            if entry.caller.policy.action(entry.name, entry.action) is None:
                return _UNKNOWN, _UNKNOWN
            return entry.name, entry.action


def arguments_digest(arguments: Mapping[str, JsonValue]) -> str:
    """Return the digest by which a call's arguments are recorded: ``sha256:`` over RFC 8785 JSON."""
    encoded = orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)
    if encoded.isascii() and not _PERHAPS_FRACTION.search(encoded):
        # For ASCII without fractions sorted JSON is canonical JSON, at a fraction of the cost.
        return "sha256:" + hashlib.sha256(encoded).hexdigest()
    return json_digest(arguments)


_PERHAPS_FRACTION: Final = re.compile(rb"[0-9][.eE][0-9+-]|null")
"""Every number that is not an integer looks so, and so may texts; what is no number at all is written as null."""
