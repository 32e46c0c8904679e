"""Recorded calls judged anew by a candidate set of policies: what would be decided otherwise. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from aos.model.cluster_policy import ClusterPolicy
from aos.model.policy import Policy
from aos.model.tool import ToolAction
from aos.policy.approving import CompiledApproval, MatchingApproval, quorums_for
from aos.policy.decision import Call, DecisionReason, Effect, Evaluator, decide, decide_along, effect_of
from aos.policy.effective import CompiledRule, EffectivePolicy, PolicyInputs
from aos.policy.merging import AnyPolicy


class Outcome(StrEnum):
    """What the candidate would make of a recorded call."""

    SAME = "Same"
    NOW_ALLOWED = "NowAllowed"
    NOW_HELD = "NowHeld"
    """It would wait for people."""
    NOW_DENIED = "NowDenied"
    UNKNOWN = "Unknown"
    """It can't be said; the message tells why."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call on record.

    Attributes:
        agent: name of the agent that called.
        call: the call; its arguments count only with ``has_arguments``.
        has_arguments: whether the record holds the arguments.
        effect: what became of it; Hold if people were asked, whatever they said.
        reason: why, as a code of decisions or of the gateway's refusals.
    """

    agent: str
    call: Call
    has_arguments: bool
    effect: Effect
    reason: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded call, and what the candidate would make of it; ``message`` says why, for people."""

    recorded: RecordedCall
    outcome: Outcome
    message: str


def with_candidates(inputs: PolicyInputs, candidates: Sequence[AnyPolicy]) -> PolicyInputs:
    """Return ``inputs`` as if ``candidates`` had been applied: they replace what has their name, or come on top.

    Policies of other namespaces have no part.
    """
    namespace = inputs.agent.metadata.namespace
    upper = {item.metadata.name: item for item in candidates if isinstance(item, ClusterPolicy)}
    lower = {
        item.metadata.name: item
        for item in candidates
        if isinstance(item, Policy) and item.metadata.namespace == namespace
    }
    return replace(
        inputs,
        policies=tuple(({item.metadata.name: item for item in inputs.policies} | lower).values()),
        unreadable=[name for name in inputs.unreadable if name not in lower],
        cluster_policies=tuple(
            ({item.metadata.name: item for item in inputs.cluster_policies} | upper).values()
        ),
        unreadable_cluster=[name for name in inputs.unreadable_cluster if name not in upper],
    )


def replay(policies: Mapping[str, EffectivePolicy], recorded: Iterable[RecordedCall]) -> tuple[Replayed, ...]:
    """Judge each call by ``policies``, the candidate's effective policies by agent.

    Rules alone are judged: a call that a limit, a budget or a lease refused stays refused as far as anybody can say.
    """
    return tuple(_replayed(policies, item) for item in recorded)


def _replayed(policies: Mapping[str, EffectivePolicy], recorded: RecordedCall) -> Replayed:
    names = (recorded.agent, *dict.fromkeys(name for name in recorded.call.lineage if name != recorded.agent))
    missing = [name for name in names if name not in policies]
    if missing:
        return Replayed(recorded, Outcome.UNKNOWN, f"there is no agent {missing[0]} any more")
    along = [policies[name] for name in names]
    if recorded.has_arguments:
        decision = decide_along(along, recorded.call)
        return _compared(recorded, _Sure(decision.effect, bool(decision.before)), decision.message)
    found = [_without_arguments(policy, recorded.call) for policy in along]
    if any(each is not None and each.effect is Effect.DENY for each in found):
        return _compared(recorded, _Sure(Effect.DENY), "denied whatever its arguments were")
    sure = [each for each in found if each is not None]
    if len(sure) < len(found):
        return Replayed(recorded, Outcome.UNKNOWN, "a condition reads args or run, and neither is on record")
    if any(each.effect is Effect.HOLD for each in sure):
        return _compared(recorded, _Sure(Effect.HOLD), "people are asked whatever its arguments were")
    drawn = any(each.may_be_drawn for each in sure)
    return _compared(recorded, _Sure(Effect.ALLOW, drawn), "allowed whatever its arguments were")


@dataclass(frozen=True, slots=True)
class _Sure:
    """What the candidate makes of a call; ``may_be_drawn`` if a sample of such calls waits for people."""

    effect: Effect
    may_be_drawn: bool = False


def _compared(recorded: RecordedCall, sure: _Sure, message: str) -> Replayed:
    effect = sure.effect
    if effect is recorded.effect:
        return Replayed(recorded, Outcome.SAME, message)
    if effect is Effect.DENY:
        return Replayed(recorded, Outcome.NOW_DENIED, message)
    if recorded.effect is Effect.DENY and recorded.reason not in set(DecisionReason):
        return Replayed(
            recorded, Outcome.UNKNOWN, f"it was refused with {recorded.reason}, which no rule decides"
        )
    if effect is Effect.HOLD:
        return Replayed(recorded, Outcome.NOW_HELD, message)
    if recorded.effect is Effect.HOLD and sure.may_be_drawn:
        return Replayed(
            recorded, Outcome.UNKNOWN, "a sample of such calls waits for people, and is drawn anew"
        )
    return Replayed(recorded, Outcome.NOW_ALLOWED, message)


def _without_arguments(policy: EffectivePolicy, call: Call) -> _Sure | None:
    """Return what ``policy`` says of ``call`` whatever its arguments are; None where it depends on them."""
    action = policy.action(call.tool, call.action)
    decision = decide(policy, call)
    if action is None or not decision.considered:
        return _Sure(decision.effect)
    evaluator = Evaluator(policy, call, action)
    rules = policy.concerning(call.tool, action)
    denying = [evaluator.denies(rule) for layer in rules for rule in layer if rule.denies and not _asks(rule)]
    if any(denying):
        return _Sure(Effect.DENY)
    allowing = [[rule for rule in layer if not rule.denies] for layer in rules]
    sure = [any(not _asks(rule) and evaluator.allows(rule) for rule in layer) for layer in allowing]
    if not all(known or any(map(_asks, layer)) for known, layer in zip(sure, allowing, strict=True)):
        return _Sure(Effect.DENY)
    is_open = any(rule.denies and _asks(rule) for layer in rules for rule in layer)
    return None if is_open or not all(sure) else _asked_without_arguments(policy, call, action, evaluator)


def _asked_without_arguments(
    policy: EffectivePolicy, call: Call, action: ToolAction, evaluator: Evaluator
) -> _Sure | None:
    """Return what people are asked of an allowed call: the same if no rule that reads arguments matches, and if all do."""
    about = policy.asking(call.tool, action)
    fixed = [found for item in about if not _asks(item) and (found := evaluator.asks(item)) is not None]
    open_ones = [MatchingApproval(item, has_failed=False) for item in about if _asks(item)]
    least = quorums_for(action, policy.autonomy, fixed)
    most = quorums_for(action, policy.autonomy, [*fixed, *open_ones])
    effect = effect_of(most)
    return _Sure(effect, bool(most.before)) if effect_of(least) is effect else None


_UNRECORDED: Final = frozenset({"args", "run"})


def _asks(rule: CompiledRule | CompiledApproval) -> bool:
    return rule.condition is not None and not _UNRECORDED.isdisjoint(rule.condition.variables)
