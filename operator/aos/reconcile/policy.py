"""Policy and ClusterPolicy: whether its rules compile, and how many agents it selects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from aos.model.conditions import ConditionType, Reason
from aos.policy.effective import compile_rules
from aos.policy.merging import AnyPolicy
from aos.reconcile.conditions import Verdict, as_json, conditions, no, unchanged, yes
from aos.reconcile.plan import Plan
from aos.reconcile.transitions import ACCEPTING, transitions


@dataclass(frozen=True, slots=True)
class ObservedPolicy:
    """A policy, and the labels of each agent of the namespaces that it reaches."""

    policy: AnyPolicy
    agent_labels: Iterable[Mapping[str, str]] = ()


def reconcile_policy(observed: ObservedPolicy, now: datetime) -> Plan:
    """Return what the policy needs."""
    policy = observed.policy
    if policy.metadata.deletion_timestamp is not None:
        return Plan()
    accepted = _accepted(policy)
    ready = yes(Reason.READY) if accepted.holds else no(Reason.NOT_ACCEPTED, accepted.message)
    generation = policy.metadata.generation
    verdicts = {ConditionType.ACCEPTED: accepted, ConditionType.READY: ready}
    after = conditions(policy.status.conditions, verdicts, generation, now)
    selected = sum(policy.spec.agents.matches(labels) for labels in observed.agent_labels)
    stands = (
        unchanged(policy.status.conditions, after)
        and policy.status.observed_generation == generation
        and policy.status.selected_agents == selected
    )
    return Plan(
        status=None
        if stands
        else {
            "observedGeneration": generation,
            "conditions": list(as_json(after)),
            "selectedAgents": selected,
        },
        events=transitions(policy.status.conditions, after, ACCEPTING),
    )


def _accepted(policy: AnyPolicy) -> Verdict:
    _, problems = compile_rules(policy)
    if not problems:
        return yes(Reason.ACCEPTED)
    told = "; ".join(problem.message for problem in problems)
    return no(Reason.INVALID_EXPRESSION, f"every call of the selected agents is denied: {told}")
