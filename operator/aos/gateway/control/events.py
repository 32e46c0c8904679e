"""Audit rows of calls: an intent before, an outcome after, or one refusal. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from aos.audit.event import AuditEvent, Phase
from aos.gateway.control.asked import AskedCall, Finished, Tokens
from aos.gateway.control.charges import estimate_micro_usd, tenant_of
from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import RefusalCode
from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import RuleReference

MAX_NAME_LENGTH: Final = 192
"""Names of what is not there are the caller's own words: they are cut, and rid of U+0000, which PostgreSQL keeps in no text."""

_REPLACEMENT: Final = "\ufffd"
_NO_TOKENS: Final = Tokens(0, 0)
_MILLISECONDS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Said:
    """What a row says of how the call stands."""

    effect: Effect
    reason: DecisionReason | RefusalCode
    outcome: str = ""
    tokens: Tokens = _NO_TOKENS
    cost_micro_usd: int = 0
    duration_seconds: float = 0
    data_classes: frozenset[str] = frozenset()


_ALLOWED: Final = _Said(Effect.ALLOW, DecisionReason.ALLOWED)


def intent(call: str, asked: AskedCall, record: str) -> AuditEvent:
    """Return the row that is durable before the call is forwarded; its cost is what is reserved."""
    cost = estimate_micro_usd(asked)
    said = _Said(Effect.ALLOW, DecisionReason.ALLOWED, cost_micro_usd=cost) if cost else _ALLOWED
    return _event(Phase.INTENT, call, asked, record, said)


def outcome(call: str, asked: AskedCall, record: str, finished: Finished) -> AuditEvent:
    """Return the row that says what became of the call."""
    cost = 0
    if not finished.released:
        known = finished.cost_micro_usd
        cost = asked.obligations.cost_micro_usd + (asked.cost_micro_usd if known is None else known)
    said = _Said(
        finished.effect,
        finished.reason,
        finished.outcome,
        finished.tokens or _NO_TOKENS,
        cost,
        finished.duration_seconds,
        finished.data_classes,
    )
    return _event(Phase.OUTCOME, call, asked, record, said)


def refusal(call: str, asked: AskedCall, reason: DecisionReason | RefusalCode) -> AuditEvent:
    """Return the only row of a call that was not forwarded."""
    return _event(Phase.REFUSAL, call, asked, "", _Said(Effect.DENY, reason, CallOutcome.REFUSED))


def asking(call: str, asked: AskedCall, record: str) -> AuditEvent:
    """Return the row of a call that people are asked about; it names the ApprovalRequest."""
    said = _Said(Effect.HOLD, RefusalCode.APPROVAL_PENDING, CallOutcome.REFUSED)
    return _event(Phase.REFUSAL, call, asked, record, said)


def repetition(call: str, asked: AskedCall, record: str) -> AuditEvent:
    """Return the only row of a write that was answered with what another Task's identical one gave."""
    said = _Said(Effect.ALLOW, DecisionReason.ALLOWED, CallOutcome.DUPLICATE)
    return _event(Phase.REFUSAL, call, asked, record, said)


def _event(phase: Phase, call: str, asked: AskedCall, record: str, said: _Said) -> AuditEvent:
    caller, declared = asked.caller, asked.declared
    task = caller.task
    found = asked.data_classes | said.data_classes
    # Words of enumerations are texts as they are; their values would cost a call each.
    return AuditEvent(
        phase=phase,
        call=call,
        time=_now(),
        namespace=caller.namespace,
        tenant=tenant_of(caller.policy),
        agent=caller.agent,
        pod=caller.pod_name,
        pod_uid=caller.pod_uid,
        revision=caller.revision,
        task=task.metadata.name,
        task_uid=task.metadata.uid,
        lineage=tuple([ancestor.agent for ancestor in task.spec.lineage]),
        requested_by=task.spec.requested_by,
        subject=asked.subject,
        name=asked.name[:MAX_NAME_LENGTH].replace("\0", _REPLACEMENT),
        action=asked.action[:MAX_NAME_LENGTH].replace("\0", _REPLACEMENT),
        access=declared.access if declared else "",
        risk=declared.risk if declared else "",
        arguments_digest=asked.arguments_digest,
        identity=asked.identity,
        record=record,
        data_classes=tuple(sorted(found)) if found else (),
        policy_digest=caller.policy.digest,
        effect=said.effect,
        reason=said.reason,
        rules=(*_texts(asked.rules), *asked.quorums) if asked.quorums else _texts(asked.rules),
        approvals=asked.approvals,
        approvers=asked.approvers,
        outcome=said.outcome,
        prompt_tokens=said.tokens.prompt,
        completion_tokens=said.tokens.completion,
        cost_micro_usd=said.cost_micro_usd,
        revision_digest=caller.running.digest if caller.running else "",
        duration_ms=round(said.duration_seconds * _MILLISECONDS),
    )


@lru_cache(maxsize=4096)
def _texts(rules: tuple[RuleReference, ...]) -> tuple[str, ...]:
    return tuple(str(rule) for rule in rules)


def _now() -> str:
    """Return the time as `aos.kube.timestamps.micro_time` does, in a third of the time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")[:_LENGTH_WITHOUT_ZONE] + "Z"


_LENGTH_WITHOUT_ZONE: Final = len("2026-01-02T03:04:05.678901")
