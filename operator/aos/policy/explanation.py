"""Why a call is decided as it is: the decision, and what each rule about the action says on its own. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from aos.model.rule import RuleEffect
from aos.policy.bounds_told import ToldBound, told_bounds
from aos.policy.decision import Call, Decision, Evaluator, decide
from aos.policy.effective import CompiledRule, EffectivePolicy, RuleReference
from aos.policy.expression import Verdict


class RuleVerdict(StrEnum):
    """What one rule says of one call."""

    MATCHES = "Matches"
    DOES_NOT_MATCH = "DoesNotMatch"
    FAILED = "Failed"
    """Its condition could not be evaluated: an Allow then does not match, a Deny does."""


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
class Explanation:
    """A decision, every rule that was about the action, and what bounds a call of it.

    Attributes:
        decision: what `decide` says; never anything else.
        considered: empty where the call was decided before any rule was asked.
        bounds: what an allowed call is held to; empty where the action does not exist.
    """

    decision: Decision
    considered: tuple[ConsideredRule, ...]
    bounds: tuple[ToldBound, ...] = ()


def explain(policy: EffectivePolicy, call: Call) -> Explanation:
    """Judge ``call``, have each rule about its action judge it on its own, and tell the bounds of such calls."""
    decision = decide(policy, call)
    action = policy.action(call.tool, call.action)
    if action is None:
        return Explanation(decision=decision, considered=())
    bounds = (
        told_bounds(policy.obligations(call.tool, action), action, call.arguments)
        if (call.tool, call.action) not in policy.broken_actions
        else ()
    )
    if not decision.considered:
        return Explanation(decision=decision, considered=(), bounds=bounds)
    evaluator = Evaluator(policy, call, action)
    return Explanation(
        decision=decision,
        considered=tuple(
            _considered(rule, evaluator.verdict(rule), decides=rule.reference in decision.determined_by)
            for layer in policy.concerning(call.tool, action)
            for rule in layer
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


def _told(verdict: Verdict) -> RuleVerdict:
    if verdict.failure:
        return RuleVerdict.FAILED
    return RuleVerdict.MATCHES if verdict.holds else RuleVerdict.DOES_NOT_MATCH
