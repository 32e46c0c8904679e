"""Which people a call is put to: what rules, its risk and the agent's autonomy ask for. Nothing here says that one is allowed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from aos.model.approval import ApprovalRule, AutonomyLevel, ReviewTime
from aos.model.cluster_policy import ClusterPolicy
from aos.model.duration import duration_seconds
from aos.model.tool import Access, Risk, ToolAction
from aos.policy.approvals import ALWAYS, DEFAULT_REVIEW_PERCENT, BoundEscalation, BoundQuorum
from aos.policy.expression import Expression, ExpressionError, compile_expression
from aos.policy.matching import means
from aos.policy.merging import AnyPolicy
from aos.policy.obligations import PartReference

FOR_HIGH: Final = 2
"""How many people approve a High call where no policy says otherwise."""
MEDIUM_QUORUM: Final = BoundQuorum("risk Medium", required=1)
HIGH_QUORUM: Final = BoundQuorum("risk High", required=FOR_HIGH)
PROPOSE_QUORUM: Final = BoundQuorum("autonomy Propose", required=1)
SAMPLED_REVIEW: Final = BoundQuorum("autonomy Sampled", required=1, sample_percent=DEFAULT_REVIEW_PERCENT)

_LEVELS: Final = tuple(AutonomyLevel)
"""Least first."""
_UNASKED: Final = frozenset({AutonomyLevel.SAMPLED, AutonomyLevel.AUTONOMOUS})
"""Levels at which Medium calls run."""


@dataclass(frozen=True, slots=True)
class CompiledApproval:
    """An approval rule with its condition compiled; no condition always holds.

    Attributes:
        reference: which rule of which object.
        rule: as it is written.
        condition: None where the rule has none.
        quorum: what it asks for.
        is_of_ceiling: whether it is a ClusterPolicy's.
    """

    reference: PartReference
    rule: ApprovalRule
    condition: Expression | None
    quorum: BoundQuorum
    is_of_ceiling: bool

    @property
    def reviews(self) -> bool:
        """Whether people look at the call when it is made."""
        return self.rule.review is ReviewTime.AFTER

    @property
    def holds_every(self) -> bool:
        """Whether every call that it matches waits; else the gateway draws a sample, or the call is reviewed later."""
        return not self.reviews and self.quorum.sample_percent >= ALWAYS

    def concerns(self, tool: str, action: ToolAction) -> bool:
        """Whether the rule is about ``action`` of ``tool``, its condition aside."""
        return means(self.rule.match, tool, action)


@dataclass(frozen=True, slots=True)
class MatchingApproval:
    """An approval rule that matches a call; ``has_failed`` if only because its condition could not be evaluated."""

    approval: CompiledApproval
    has_failed: bool


@dataclass(frozen=True, slots=True)
class Quorums:
    """What people are asked about a call: before it is made, and after."""

    before: tuple[BoundQuorum, ...] = ()
    after: tuple[BoundQuorum, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantedAutonomy:
    """How much an agent may do unasked.

    Attributes:
        asked: what its spec asks for.
        level: what is granted: the lowest of that and of all ceilings.
        lowered_by: the policies with the lowest ceiling, as ``KIND NAME``; empty where none lowers it.
    """

    asked: AutonomyLevel
    level: AutonomyLevel
    lowered_by: tuple[str, ...] = ()


def compile_approvals(policy: AnyPolicy) -> tuple[tuple[CompiledApproval, ...], tuple[str, ...]]:
    """Return the compiled approval rules of ``policy``, in order of name, and in words what of them can't be used."""
    approvals: list[CompiledApproval] = []
    problems: list[str] = []
    for rule in sorted(policy.spec.approvals, key=lambda rule: rule.name):
        try:
            condition = compile_expression(rule.when) if rule.when else None
        except ExpressionError as error:
            problems.append(f"spec.approvals[{rule.name}].when: {error}")
        else:
            approvals.append(_compiled(policy, rule, condition))
    return tuple(approvals), tuple(problems)


def granted_autonomy(asked: AutonomyLevel, policies: Sequence[AnyPolicy]) -> GrantedAutonomy:
    """Return what ``policies`` leave of the autonomy that an agent asks for: they only lower it."""
    ceilings = [
        (policy.spec.autonomy.ceiling, f"{policy.kind} {policy.metadata.name}")
        for policy in policies
        if policy.spec.autonomy is not None
    ]
    level = min((asked, *(ceiling for ceiling, _ in ceilings)), key=_LEVELS.index)
    lowering = [name for ceiling, name in ceilings if ceiling is level] if level is not asked else []
    return GrantedAutonomy(asked, level, tuple(lowering))


def quorums_for(action: ToolAction, level: AutonomyLevel, matching: Sequence[MatchingApproval]) -> Quorums:
    """Return what people are asked about an allowed call of ``action``.

    Args:
        action: what is called.
        level: the autonomy that is granted.
        matching: the approval rules that match the call.
    """
    definite = [item for item in matching if item.approval.holds_every]
    asked = [item.approval.quorum for item in matching if not item.approval.reviews]
    after = [item.approval.quorum for item in matching if item.approval.reviews]
    before = [*asked, *_defaults(action, level, definite)]
    if action.risk is Risk.MEDIUM and level is AutonomyLevel.SAMPLED and not definite and not after:
        after = [SAMPLED_REVIEW]
    return Quorums(tuple(before), tuple(after))


def one_more(quorums: Quorums) -> Quorums:
    """Return ``quorums`` for a Task that nobody knows who asked for: somebody among the people may have."""
    if not quorums.before and not quorums.after:
        return quorums
    return Quorums(
        tuple([replace(quorum, required=quorum.required + 1) for quorum in quorums.before]),
        tuple([replace(quorum, required=quorum.required + 1) for quorum in quorums.after]),
    )


def _defaults(
    action: ToolAction, level: AutonomyLevel, definite: Sequence[MatchingApproval]
) -> tuple[BoundQuorum, ...]:
    """Return the quorums that hold a call besides those of ``definite``, rules that hold every such call."""
    if action.risk is Risk.HIGH:
        return () if any(map(_suffices_for_high, definite)) else (HIGH_QUORUM,)
    if definite:
        return ()
    if action.risk is Risk.MEDIUM and level not in _UNASKED:
        return (MEDIUM_QUORUM,)
    return (PROPOSE_QUORUM,) if level is AutonomyLevel.PROPOSE and action.access is Access.WRITE else ()


def _suffices_for_high(item: MatchingApproval) -> bool:
    # Arguments that make a ceiling's condition fail must not lower how many people a call needs.
    return item.approval.quorum.required >= FOR_HIGH or (item.approval.is_of_ceiling and not item.has_failed)


def _compiled(policy: AnyPolicy, rule: ApprovalRule, condition: Expression | None) -> CompiledApproval:
    reference = PartReference(
        kind=policy.kind,
        namespace=policy.metadata.namespace,
        name=policy.metadata.name,
        part=f"approval {rule.name}",
    )
    escalate = rule.escalate
    return CompiledApproval(
        reference=reference,
        rule=rule,
        condition=condition,
        quorum=BoundQuorum(
            rule=str(reference),
            required=rule.required,
            approvers=rule.approvers,
            timeout_seconds=_seconds(rule.timeout),
            sample_percent=rule.sample_percent or ALWAYS,
            remind_after_seconds=_seconds(rule.remind_after) if rule.remind_after is not None else None,
            escalation=BoundEscalation(_seconds(escalate.after), escalate.approvers)
            if escalate is not None
            else None,
        ),
        is_of_ceiling=isinstance(policy, ClusterPolicy),
    )


def _seconds(duration: str) -> int:
    return int(duration_seconds(duration))
