"""What ``aos why`` says of people: the approval rules about a call, the quorums that it needs, the agent's autonomy."""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from aos.cli.output import Table, one_line, wrapped
from aos.model.approval import ApprovalRule, ReviewTime
from aos.model.base import JsonObject
from aos.policy.approvals import BoundQuorum
from aos.policy.approving import GrantedAutonomy
from aos.policy.decision import Decision
from aos.policy.explanation import ConsideredApproval, Explanation, RuleVerdict
from aos.policy.quorums_told import told_quorum

_VERDICTS: Final[Mapping[RuleVerdict, str]] = {
    RuleVerdict.MATCHES: "matches",
    RuleVerdict.DOES_NOT_MATCH: "does not match",
    RuleVerdict.FAILED: "failed, so it matches",
}


def people(explanation: Explanation, decision: Decision, width: int | None) -> list[str]:
    """Return who is asked about the call, in lines of at most ``width`` characters where words allow it."""
    lines: list[str] = []
    if explanation.approvals:
        lines += ["", "Approval rules about it", *_rules(explanation.approvals, width)]
    if decision.before or decision.after:
        lines += ["", "People who are asked"]
        for when, quorums in (("before", decision.before), ("after", decision.after)):
            for quorum in quorums:
                lines += wrapped(f"{when}  {quorum.rule}: {told_quorum(quorum)}", width, "  ")
    for approval in explanation.approvals:
        if approval.failure:
            lines += wrapped(f"{approval.reference} failed: {approval.failure}", width, "  ")
    return lines


def told_autonomy(autonomy: GrantedAutonomy) -> str:
    """Return how much the agent may do unasked, and who lowered it."""
    if not autonomy.lowered_by:
        return f"{autonomy.level.value}, as the agent asks"
    return f"{autonomy.level.value}: the agent asks for {autonomy.asked.value}, lowered by {', '.join(autonomy.lowered_by)}"


def people_data(explanation: Explanation, decision: Decision) -> JsonObject:
    """Return the same for programs."""
    autonomy = explanation.autonomy
    return {
        "approvals": [_rule_data(approval) for approval in explanation.approvals],
        "before": [_quorum_data(quorum) for quorum in decision.before],
        "after": [_quorum_data(quorum) for quorum in decision.after],
        "autonomy": {
            "asked": autonomy.asked.value,
            "granted": autonomy.level.value,
            "loweredBy": list(autonomy.lowered_by),
        },
    }


def _rules(approvals: tuple[ConsideredApproval, ...], width: int | None) -> list[str]:
    rows = tuple(
        (
            _named(approval),
            _asks(approval.rule),
            _VERDICTS[approval.verdict],
            one_line(approval.rule.when),
        )
        for approval in approvals
    )
    lines = Table(headings=("RULE", "ASKS", "VERDICT", "WHEN"), rows=rows).render(width and width - 2)
    return [f"  {line}" for line in lines]


def _named(approval: ConsideredApproval) -> str:
    kind = "" if approval.reference.kind == "Policy" else f"{approval.reference.kind} "
    return f"{kind}{approval.reference.name}/{approval.rule.name}"


def _asks(rule: ApprovalRule) -> str:
    sample = f" of {rule.sample_percent} %" if rule.sample_percent is not None else ""
    when = "before" if rule.review is ReviewTime.BEFORE else "after"
    return f"{rule.required} {when}{sample}"


def _rule_data(approval: ConsideredApproval) -> JsonObject:
    rule = approval.rule
    return {
        "kind": approval.reference.kind,
        "name": approval.reference.name,
        "rule": rule.name,
        "review": rule.review.value,
        "required": rule.required,
        "samplePercent": rule.sample_percent,
        "when": rule.when,
        "verdict": approval.verdict.value,
        "failure": approval.failure,
    }


def _quorum_data(quorum: BoundQuorum) -> JsonObject:
    escalation = quorum.escalation
    escalated: JsonValue = (
        {
            "afterSeconds": escalation.after_seconds,
            "approvers": escalation.approvers.model_dump(mode="json", by_alias=True),
        }
        if escalation is not None
        else None
    )
    return {
        "rule": quorum.rule,
        "required": quorum.required,
        "approvers": quorum.approvers.model_dump(mode="json", by_alias=True),
        "timeoutSeconds": quorum.timeout_seconds,
        "samplePercent": quorum.sample_percent,
        "remindAfterSeconds": quorum.remind_after_seconds,
        "escalation": escalated,
    }
