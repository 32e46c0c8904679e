"""Agent: identity, isolation and revision as children; what may be said of its policy and its readiness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aos.model.agent import Agent, AgentStatus, EffectivePolicyStatus
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.conditions import ConditionType, Reason
from aos.model.model import Model
from aos.model.names import agent_deployment, agent_service_account
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from aos.policy.prices import prices_of
from aos.reconcile.agent_checks import Surroundings, check_agent
from aos.reconcile.bounds import ExceededBound, within_bounds
from aos.reconcile.children import controller_revision, network_policy, service_account
from aos.reconcile.claim import Spare, is_service
from aos.reconcile.conditions import Verdict, conditions, no, unchanged, yes
from aos.reconcile.deployment import deployment, service_ready
from aos.reconcile.events import EventReason, Happening, happenings, restored
from aos.reconcile.fingerprint import fingerprint
from aos.reconcile.guard import Guard
from aos.reconcile.plan import ChildKey, Deletion, ObservedChild, Plan
from aos.reconcile.pod import PodMaker
from aos.reconcile.reliability import Judged, counted
from aos.reconcile.revision import ObservedRevision, Revision, number_of, revision_of, superfluous
from aos.reconcile.settings import OperatorSettings, Platform
from aos.reconcile.transitions import AGENT, transitions
from aos.reconcile.warm import WarmBounds, WarmPlan, lost_pods, warm_asked, warm_plan

_NAMES_SHOWN: Final = 3
_OUR_CHANGES: Final = ("ControllerRevision", "Deployment")
"""Children that change as the agent does; what people do to them is not told from that."""


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """What one replica of the gateway says that it enforces for the agent.

    Attributes:
        replica: its pod.
        digest: of the effective policy; empty if it does not know the agent.
        problem: why its word does not count, such as a lost connection; empty if it does.
        store_problem: why it can't use the store, and so denies every call; empty if it can.
        is_ready: whether calls come to it.
        exceeded: the bound that it keeps refusing the agent's calls for; None if there is none.
    """

    replica: str
    digest: str = ""
    problem: str = ""
    store_problem: str = ""
    is_ready: bool = True
    exceeded: ExceededBound | None = None


@dataclass(frozen=True, slots=True)
class ObservedAgent:
    """All that an agent's children and status are made from.

    Attributes:
        agent: as the API server has it.
        namespace_labels: of its namespace.
        tools: the namespace's Tools by name.
        models: the namespace's Models by name.
        agents: names of the namespace's Agents.
        policies: the namespace's Policies.
        unreadable: names of Policies that could not be read.
        cluster_policies: all ClusterPolicies.
        unreadable_cluster: names of ClusterPolicies that could not be read.
        instructions: the ConfigMap that ``instructionsFrom`` names; None if it is missing or lacks the label.
        children: what there is of its children.
        revisions: its ControllerRevisions.
        revisions_in_use: those that open Tasks run.
        gateways: one report for each ready replica, and for others that say why they are not.
        guard: whether the admission policies are in place.
        platform: where the gateway is.
        can_own_users: whether the agent's runtime can give a pod users of its own wherever it may land.
        spares: its pods that were made before they had a Task.
        confirmed: whether the Tasks that such pods are claimed for were read from the API server, where the cache has none.
        warm: what bounds the pods that are kept warm.
        judged: what people said of its calls, by the uid of each ApprovalRequest that is not marked as counted.
        refused: what the API server said when a child was to be written; empty if it took all.
    """

    agent: Agent
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, Tool] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    agents: frozenset[str] = frozenset()
    policies: Sequence[Policy] = ()
    unreadable: Sequence[str] = ()
    cluster_policies: Sequence[ClusterPolicy] = ()
    unreadable_cluster: Sequence[str] = ()
    instructions: Mapping[str, str] | None = None
    children: Mapping[ChildKey, ObservedChild] = field(default_factory=dict)
    revisions: Sequence[ObservedRevision] = ()
    revisions_in_use: frozenset[str] = frozenset()
    gateways: Sequence[GatewayReport] = ()
    guard: Guard = field(default_factory=Guard)
    platform: Platform = field(default_factory=Platform)
    can_own_users: bool = False
    spares: Sequence[Spare] = ()
    confirmed: bool = False
    warm: WarmBounds = field(default_factory=WarmBounds)
    judged: Mapping[str, Judged] = field(default_factory=dict)
    refused: str = ""


def reconcile_agent(observed: ObservedAgent, settings: OperatorSettings, now: datetime) -> Plan:
    """Return what the agent needs."""
    if observed.agent.metadata.deletion_timestamp is not None:
        return Plan()
    accepted = _accepted(observed)
    revision = _revision(observed, settings) if accepted.holds else None
    policy = policy_of(observed)
    desired = _children(observed, revision, settings)
    missing = {
        key: child for key, child in desired.items() if not _is_there(child, observed.children.get(key))
    }
    status = _status(observed, accepted, revision, policy, now)
    warm = _warm(observed, revision, settings, now)
    lost = lost_pods(observed.spares, observed.agent)
    return Plan(
        apply=tuple(missing.values()),
        keep=warm.keep,
        delete=(
            *_obsolete(observed, revision),
            *_obsolete_deployment(observed),
            *warm.delete,
            *(lost if observed.confirmed else ()),
        ),
        status=None if _stands(observed.agent.status, status) else _as_json(status),
        events=(
            *_child_events(observed, missing, revision),
            *transitions(observed.agent.status.conditions, status.conditions, AGENT),
        ),
        requeue_after_seconds=warm.look_again_seconds,
        confirm=bool(lost) and not observed.confirmed,
    )


def instructions_of(agent: Agent, config_map: Mapping[str, str] | None) -> str | None:
    """Return what the agent is told; None if it can't be found."""
    source = agent.spec.instructions_from
    if source is None:
        return agent.spec.instructions
    return (config_map or {}).get(source.config_map_key_ref.key) or None


def _accepted(observed: ObservedAgent) -> Verdict:
    there = Surroundings(
        instructions=instructions_of(observed.agent, observed.instructions),
        tools=observed.tools,
        models=observed.models,
        agents=observed.agents,
    )
    return check_agent(observed.agent.spec, there)


def _revision(observed: ObservedAgent, settings: OperatorSettings) -> Revision:
    text = instructions_of(observed.agent, observed.instructions)
    return revision_of(observed.agent, text or "", settings)


def policy_of(observed: ObservedAgent) -> EffectivePolicy:
    """Return the agent's effective policy."""
    return effective_policy(
        PolicyInputs(
            agent=observed.agent,
            namespace_labels=observed.namespace_labels,
            tools=observed.tools,
            policies=observed.policies,
            unreadable=observed.unreadable,
            cluster_policies=observed.cluster_policies,
            unreadable_cluster=observed.unreadable_cluster,
        )
    )


def _children(
    observed: ObservedAgent, revision: Revision | None, settings: OperatorSettings
) -> dict[ChildKey, JsonObject]:
    metadata = observed.agent.metadata
    # Isolation first: no pod can be made before its identity is there.
    made = [network_policy(metadata, settings), service_account(metadata)]
    if revision is not None:
        number = number_of(revision.name, observed.revisions)
        made.append(controller_revision(metadata, revision, number))
        if is_service(observed.agent) and _may_run(observed):
            made.append(deployment(_maker(observed, revision.name, settings)))
    return {ChildKey.of(child): child for child in made}


def _may_run(observed: ObservedAgent) -> bool:
    """Whether all is there that a pod needs to be made."""
    return not observed.guard.problem and not observed.platform.missing


def _maker(observed: ObservedAgent, revision: str, settings: OperatorSettings) -> PodMaker:
    return PodMaker(observed.agent, revision, settings, observed.platform, observed.can_own_users)


def _warm(
    observed: ObservedAgent, revision: Revision | None, settings: OperatorSettings, now: datetime
) -> WarmPlan:
    name = revision.name if revision is not None else observed.agent.status.revision
    return warm_plan(
        _maker(observed, name, settings),
        observed.spares,
        observed.warm,
        now,
        may_create=revision is not None and _may_run(observed),
    )


def _obsolete_deployment(observed: ObservedAgent) -> tuple[Deletion, ...]:
    key = ChildKey("Deployment", agent_deployment(observed.agent.metadata.name))
    found = observed.children.get(key)
    return (Deletion(key.kind, key.name, found.uid),) if found and not is_service(observed.agent) else ()


def _is_there(desired: JsonObject, observed: ObservedChild | None) -> bool:
    return observed is not None and observed.fingerprint == fingerprint(desired)


def _obsolete(observed: ObservedAgent, revision: Revision | None) -> tuple[Deletion, ...]:
    if revision is None:
        return ()
    return tuple(
        Deletion("ControllerRevision", item.name, item.uid)
        for item in superfluous(revision.name, observed.revisions, observed.revisions_in_use)
    )


def _status(
    observed: ObservedAgent,
    accepted: Verdict,
    revision: Revision | None,
    policy: EffectivePolicy,
    now: datetime,
) -> AgentStatus:
    agent = observed.agent
    enforced = _enforced(observed, accepted, policy)
    verdicts = {
        ConditionType.ACCEPTED: accepted,
        ConditionType.ADMISSION_GUARDED: _guarded(observed.guard),
        ConditionType.POLICY_ENFORCED: enforced,
        ConditionType.SUSPENDED: _suspended(agent),
        ConditionType.READY: _ready(observed, accepted, enforced, revision),
        ConditionType.WITHIN_BOUNDS: within_bounds(
            report.exceeded for report in observed.gateways if report.exceeded
        ),
    }
    return AgentStatus(
        observed_generation=agent.metadata.generation,
        conditions=conditions(agent.status.conditions, verdicts, agent.metadata.generation, now),
        # While the spec is not accepted the last revision stays on show; no Task starts meanwhile.
        revision=revision.name if revision else agent.status.revision,
        service_account=agent_service_account(agent.metadata.name),
        policy=EffectivePolicyStatus(digest=policy.digest, sources=policy.sources),
        autonomy=policy.autonomy,
        reliability=counted(agent.status.reliability, observed.judged),
    )


def _enforced(observed: ObservedAgent, accepted: Verdict, policy: EffectivePolicy) -> Verdict:
    if not accepted.holds:
        return no(Reason.NOT_ACCEPTED, "the Agent is not accepted; see Accepted")
    if policy.problems:
        return no(Reason.POLICY_NOT_ACCEPTED, f"every call is denied: {policy.problems[0]}")
    if not any(layer.kind == "Policy" for layer in policy.layers):
        return no(Reason.NO_POLICY, _no_policy(observed.agent))
    return _priced(observed, policy) or _reported(observed.gateways, policy.digest)


def _no_policy(agent: Agent) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(agent.metadata.labels.items()))
    has = f"it has the labels {labels}" if labels else "it has no labels"
    return (
        f"no Policy selects this agent, so every call is denied; apply one whose spec.agents fits it: {has}"
    )


def _priced(observed: ObservedAgent, policy: EffectivePolicy) -> Verdict | None:
    """Say that money can't be counted, where it is to be: the gateway then refuses every request to the model."""
    asked = observed.agent.spec.model
    model = observed.models.get(asked.name) if asked else None
    if model is None or prices_of(model.spec) is not None:
        return None
    counted = [bound.reference for bound in policy.model_obligations().budgets if bound.budget.micro_usd]
    if not counted:
        return None
    return no(
        Reason.PRICE_UNKNOWN,
        f"{counted[0]} counts microUSD, and nobody knows what {model.spec.model} costs: every request to the model is"
        f" denied until spec.prices of Model {model.metadata.name} says it",
    )


def _reported(gateways: Sequence[GatewayReport], digest: str) -> Verdict:
    ready = [report for report in gateways if report.is_ready]
    without_store = [report for report in ready or gateways if report.store_problem]
    if without_store:
        return no(
            Reason.STORE_UNAVAILABLE,
            "limits, budgets, records, duplicates and the audit trail can't be kept, so every call is denied: "
            + _listed([f"{report.replica}: {report.store_problem}" for report in without_store]),
        )
    if not ready:
        return no(Reason.NO_GATEWAY, "no gateway replica is ready")
    behind = [report for report in ready if report.problem or report.digest != digest]
    if behind:
        told = [f"{report.replica}: {report.problem or 'enforces another policy still'}" for report in behind]
        return no(Reason.GATEWAY_BEHIND, _listed(told))
    count = len(ready)
    return yes(Reason.ENFORCED, f"{count} gateway replica{'s' if count > 1 else ''} of {count} enforce it")


def _listed(told: Sequence[str]) -> str:
    more = f" and {len(told) - _NAMES_SHOWN} more" if len(told) > _NAMES_SHOWN else ""
    return "; ".join(told[:_NAMES_SHOWN]) + more


def _guarded(guard: Guard) -> Verdict:
    if guard.problem:
        return no(Reason.POLICY_MISSING, guard.problem)
    return yes(Reason.GUARDED)


def _suspended(agent: Agent) -> Verdict:
    return yes(Reason.SUSPENDED) if agent.spec.suspend else no(Reason.NOT_SUSPENDED)


def _ready(
    observed: ObservedAgent, accepted: Verdict, enforced: Verdict, revision: Revision | None
) -> Verdict:
    if observed.guard.problem:
        return no(Reason.POLICY_MISSING, observed.guard.problem)
    if not accepted.holds:
        return no(Reason.NOT_ACCEPTED, accepted.message)
    if observed.agent.spec.suspend:
        return no(Reason.SUSPENDED, "spec.suspend is true")
    if observed.refused:
        return no(Reason.PROVISIONING, observed.refused)
    if not enforced.holds:
        return no(Reason.NOT_ENFORCED, enforced.message)
    return _staffed(observed, revision)


def _staffed(observed: ObservedAgent, revision: Revision | None) -> Verdict:
    if is_service(observed.agent) and revision is not None:
        return service_ready(observed.agent, revision.name, observed.spares)
    asked, share = warm_asked(observed.agent), observed.warm.share
    return yes(
        Reason.READY,
        f"{share} of {asked} warm pods are kept: the namespace may have no more" if share < asked else "",
    )


def _stands(observed: AgentStatus, desired: AgentStatus) -> bool:
    return (
        unchanged(observed.conditions, desired.conditions)
        and observed.observed_generation == desired.observed_generation
        and observed.revision == desired.revision
        and observed.service_account == desired.service_account
        and observed.policy == desired.policy
        and observed.autonomy == desired.autonomy
        and observed.reliability == desired.reliability
    )


def _as_json(status: AgentStatus) -> JsonObject:
    said = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: value for name, value in said.items() if value != ""}


def _child_events(
    observed: ObservedAgent, missing: Mapping[ChildKey, JsonObject], revision: Revision | None
) -> tuple[Happening, ...]:
    was_provisioned = observed.agent.status.service_account != ""
    altered = [
        key
        for key in missing
        if key in observed.children or (was_provisioned and key.kind not in _OUR_CHANGES)
    ]
    renumbered = [key for key in altered if key.kind in _OUR_CHANGES]
    is_new = revision is not None and observed.agent.status.revision != revision.name
    return (
        *restored(key for key in altered if key not in renumbered),
        *happenings(
            Happening(EventReason.REVISION_CREATED, f"new Tasks run revision {revision.name}")
            if revision is not None and is_new
            else None,
            Happening(EventReason.CHILD_REFUSED, observed.refused) if observed.refused else None,
        ),
    )
