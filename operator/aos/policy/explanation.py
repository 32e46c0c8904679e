"""Why a call is decided as it is: the decision, and what each rule about the action says on its own. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from aos.model.approval import ApprovalRule
from aos.model.rule import RuleEffect
from aos.policy.approving import CompiledApproval, GrantedAutonomy
from aos.policy.bounds_told import ToldBound, told_bounds
from aos.policy.decision import Call, Decision, Evaluator, decide
from aos.policy.effective import CompiledRule, EffectivePolicy, RuleReference
from aos.policy.expression import Verdict
from aos.policy.obligations import PartReference


class RuleVerdict(StrEnum):
    """What one rule says of one call."""

    MATCHES = "Matches"
    DOES_NOT_MATCH = "DoesNotMatch"
    FAILED = "Failed"
    """Its condition could not be evaluated: an Allow then does not match, a Deny and an approval rule do."""


@dataclass(frozen=True, slots=True)
class ConsideredRule:
    """One rule about the action, and what it says of the call.

    Attributes:
        reference: which rule of which object.
        effect: what it does to calls it matches.
        condition: its ``when``; empty if it always holds.
        verdict: whether it matches.
        failure: why its condition could not be evaluated; empty if it could.
        decides: whether the decision rests on it.
    """

    reference: RuleReference
    effect: RuleEffect
    condition: str
    verdict: RuleVerdict
    failure: str
    decides: bool


@dataclass(frozen=True, slots=True)
class ConsideredApproval:
    """One approval rule about the action, and what it says of the call; a failed one matches.

    Attributes:
        reference: which rule of which object.
        rule: as it is written.
        verdict: whether it matches.
        failure: why its condition could not be evaluated; empty if it could.
    """

    reference: PartReference
    rule: ApprovalRule
    verdict: RuleVerdict
    failure: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, every rule that was about the action, and what bounds a call of it.

    Attributes:
        decision: what `decide` says; never anything else.
        autonomy: how much the agent may do unasked.
        considered: empty where the call was decided before any rule was asked.
        approvals: approval rules about the action, as if rules allowed the call; empty where none was asked.
        bounds: what an allowed call is held to; empty where the action does not exist.
    """

    decision: Decision
    autonomy: GrantedAutonomy
    considered: tuple[ConsideredRule, ...] = ()
    approvals: tuple[ConsideredApproval, ...] = ()
    bounds: tuple[ToldBound, ...] = ()


def explain(policy: EffectivePolicy, call: Call) -> Explanation:
    """Judge ``call``, have each rule about its action judge it on its own, and tell the bounds of such calls."""
    decision = decide(policy, call)
    action = policy.action(call.tool, call.action)
    if action is None:
        return Explanation(decision, policy.granted)
    bounds = (
        told_bounds(policy.obligations(call.tool, action), action, call.arguments)
        if (call.tool, call.action) not in policy.broken_actions
        else ()
    )
    if not decision.considered:
        return Explanation(decision, policy.granted, bounds=bounds)
    evaluator = Evaluator(policy, call, action)
    return Explanation(
        decision,
        policy.granted,
        considered=tuple(
            _considered(rule, evaluator.verdict(rule), decides=rule.reference in decision.determined_by)
            for layer in policy.concerning(call.tool, action)
            for rule in layer
        ),
        approvals=tuple(
            _approval(approval, evaluator.verdict(approval)) for approval in policy.asking(call.tool, action)
        ),
        bounds=bounds,
    )


def _considered(rule: CompiledRule, verdict: Verdict, *, decides: bool) -> ConsideredRule:
    return ConsideredRule(
        reference=rule.reference,
        effect=rule.rule.effect,
        condition=rule.rule.when,
        verdict=_told(verdict),
        failure=verdict.failure,
        decides=decides,
    )


def _approval(approval: CompiledApproval, verdict: Verdict) -> ConsideredApproval:
    return ConsideredApproval(approval.reference, approval.rule, _told(verdict), verdict.failure)


def _told(verdict: Verdict) -> RuleVerdict:
    if verdict.failure:
        return RuleVerdict.FAILED
    return RuleVerdict.MATCHES if verdict.holds else RuleVerdict.DOES_NOT_MATCH
