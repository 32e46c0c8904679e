"""Counts what people said of an ApprovalRequest: who counts for which quorum, and whether all are reached. Pure.

The operator writes by it what it counts, and the gateway lets a call through by it, each from what the API server holds.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aos.model.approval import Approvers
from aos.model.approval_request import (
    ApprovalDecision,
    ApprovalRequestSpec,
    CountedDecision,
    Quorum,
    QuorumStatus,
    Verdict,
)

SERVICE_ACCOUNT_PREFIX: Final = "system:serviceaccount:"
"""How the user names of service accounts begin; ``NAMESPACE:NAME`` follows."""


def is_known(requested_by: str) -> bool:
    """Whether it is known which person asked for a Task: whoever may make a service account's tokens asks in its name."""
    return bool(requested_by) and not requested_by.startswith(SERVICE_ACCOUNT_PREFIX)


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a request is.

    Attributes:
        quorums: how far each quorum is, in the order of the spec.
        need: how many approvals all quorums ask for.
        have: how many of those there are; what a quorum has beyond what it asks for does not count.
        rejected_by: who rejected it first; empty if nobody did.
        reached: whether every quorum has what it asks for, and nobody rejected.
    """

    quorums: tuple[QuorumStatus, ...]
    need: int
    have: int
    rejected_by: str
    reached: bool


def counts_for(spec: ApprovalRequestSpec, decision: ApprovalDecision, time: datetime) -> tuple[str, ...]:
    """Return the rules of the quorums that ``decision`` counts for, had it been made at ``time``."""
    return tuple(quorum.rule for quorum in spec.quorums if _counts(spec, quorum, decision, time))


def tally(spec: ApprovalRequestSpec, counted: Sequence[CountedDecision]) -> Tally:
    """Count the decisions of ``spec`` that ``counted`` names.

    A decision counts for a quorum where it stands in the spec, ``counted`` gives it for the quorum's rule, and by its
    time and its approver it does count: neither the spec nor ``counted`` suffices alone. The order of ``counted`` does
    not matter, nor that anything stands there twice.
    """
    said = {(decision.approver, decision.verdict): decision for decision in spec.decisions}
    made = [
        (decision, item)
        for item in counted
        if (decision := said.get((item.approver, item.verdict))) is not None
    ]
    for_quorums = [
        [
            item
            for decision, item in made
            if quorum.rule in item.rules and _counts(spec, quorum, decision, item.time)
        ]
        for quorum in spec.quorums
    ]
    quorums = tuple(
        QuorumStatus(rule=quorum.rule, required=quorum.required, approved=len(_approving(items)))
        for quorum, items in zip(spec.quorums, for_quorums, strict=True)
    )
    rejections = [item for items in for_quorums for item in items if item.verdict is Verdict.REJECT]
    first = min(rejections, key=lambda item: (item.time, item.approver), default=None)
    return Tally(
        quorums=quorums,
        need=sum(quorum.required for quorum in quorums),
        have=sum(min(quorum.approved, quorum.required) for quorum in quorums),
        rejected_by=first.approver if first is not None else "",
        reached=first is None and all(quorum.approved >= quorum.required for quorum in quorums),
    )


def _approving(items: Sequence[CountedDecision]) -> Collection[str]:
    return {item.approver.casefold() for item in items if item.verdict is Verdict.APPROVE}


def _counts(spec: ApprovalRequestSpec, quorum: Quorum, decision: ApprovalDecision, time: datetime) -> bool:
    # Some sources of identities tell no cases apart: what may be one person is one wherever that lets less through.
    if time > spec.expires_at or decision.approver.casefold() == spec.requested_by.casefold():
        return False
    escalation = quorum.escalation
    return _is_among(decision, quorum.approvers) or (
        escalation is not None and time >= escalation.at and _is_among(decision, escalation.approvers)
    )


def _is_among(decision: ApprovalDecision, approvers: Approvers) -> bool:
    account = decision.approver.removeprefix(SERVICE_ACCOUNT_PREFIX)
    if account != decision.approver:
        # A service account is in groups as a person is, and none decides that is not named itself.
        return account in approvers.service_accounts
    if not approvers.groups and not approvers.users:
        return True
    return decision.approver in approvers.users or not set(approvers.groups).isdisjoint(decision.groups)
