"""Why a call is decided as it is: the decision, and what each rule about the action says on its own. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from aos.model.rule import RuleEffect
from aos.policy.decision import Call, Decision, DecisionReason, decide
from aos.policy.effective import CompiledRule, EffectivePolicy, Layer, RuleReference


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
    """A decision and every rule that was about the action.

    Attributes:
        decision: what `decide` says; never anything else.
        considered: empty where the call was decided before any rule was asked.
    """

    decision: Decision
    considered: tuple[ConsideredRule, ...]


def explain(policy: EffectivePolicy, call: Call) -> Explanation:
    """Judge ``call``, and have each rule about its action judge it on its own."""
    decision = decide(policy, call)
    action = policy.action(call.tool, call.action)
    if action is None or not decision.considered:
        return Explanation(decision=decision, considered=())
    return Explanation(
        decision=decision,
        considered=tuple(
            _considered(policy, call, rule, decides=rule.reference in decision.determined_by)
            for layer in policy.concerning(call.tool, action)
            for rule in layer
        ),
    )


def _considered(policy: EffectivePolicy, call: Call, rule: CompiledRule, *, decides: bool) -> ConsideredRule:
    # A policy of this rule alone is judged by the same code as every call, so that the two can't disagree.
    alone = decide(_only(policy, rule), call)
    failure = alone.failures[0].message if alone.failures else ""
    matches = alone.reason in {DecisionReason.ALLOWED, DecisionReason.DENIED_BY_RULE}
    return ConsideredRule(
        reference=rule.reference,
        effect=rule.rule.effect,
        condition=rule.rule.when,
        verdict=_verdict(matches=matches, failed=bool(failure)),
        failure=failure,
        decides=decides,
    )


def _verdict(*, matches: bool, failed: bool) -> RuleVerdict:
    if failed:
        return RuleVerdict.FAILED
    return RuleVerdict.MATCHES if matches else RuleVerdict.DOES_NOT_MATCH


def _only(policy: EffectivePolicy, rule: CompiledRule) -> EffectivePolicy:
    return EffectivePolicy(
        agent=policy.agent,
        namespace_labels=policy.namespace_labels,
        tools=policy.tools,
        policies=(),
        layers=(Layer(kind=rule.reference.kind, rules=(rule,)),),
        problems=(),
        sources=(),
    )
