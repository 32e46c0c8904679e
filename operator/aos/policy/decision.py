"""One call judged against one effective policy: a chain of checks, the first that speaks decides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import JsonValue

from aos.model.approval_request import MAX_QUORUMS
from aos.model.task import StepOfRun
from aos.model.tool import ToolAction
from aos.policy.approvals import ALWAYS, BoundQuorum
from aos.policy.approving import CompiledApproval, MatchingApproval, Quorums, one_more, quorums_for
from aos.policy.cost import Size, size_of, told
from aos.policy.effective import LOWER_LAYER, CompiledRule, EffectivePolicy, RuleReference
from aos.policy.expression import HOLDS, Activation, Expression, Verdict
from aos.policy.obligations import Obligations, PartReference
from aos.policy.quorums import is_known
from aos.policy.quorums_told import told_quorums


class Effect(StrEnum):
    """What becomes of a call."""

    ALLOW = "Allow"
    DENY = "Deny"
    HOLD = "Hold"
    """It waits for people, who may let it through."""


class DecisionReason(StrEnum):
    """Why; stable codes for logs, metrics and tests."""

    ALLOWED = "Allowed"
    APPROVAL_NEEDED = "ApprovalNeeded"
    AGENT_SUSPENDED = "AgentSuspended"
    POLICY_NOT_ACCEPTED = "PolicyNotAccepted"
    NO_POLICY = "NoPolicy"
    TOOL_UNKNOWN = "ToolUnknown"
    TOOL_NOT_ACCEPTED = "ToolNotAccepted"
    ACTION_UNKNOWN = "ActionUnknown"
    NOT_REQUESTED = "NotRequested"
    DENIED_BY_RULE = "DeniedByRule"
    NOT_ALLOWED = "NotAllowed"
    TOO_MANY_QUORUMS = "TooManyQuorums"


REASON_DOCS: Final[Mapping[DecisionReason, str]] = {
    DecisionReason.ALLOWED: "A rule allows the call in every layer, and no rule denies it.",
    DecisionReason.APPROVAL_NEEDED: "Rules allow the call, and people must approve it before it is made.",
    DecisionReason.AGENT_SUSPENDED: "The Agent's spec.suspend is true.",
    DecisionReason.POLICY_NOT_ACCEPTED: "An object that bears on the agent is broken; nothing is allowed until it is mended.",
    DecisionReason.NO_POLICY: "No Policy selects the agent; nothing is allowed.",
    DecisionReason.TOOL_UNKNOWN: "The namespace has no Tool of that name, or the Agent does not list it.",
    DecisionReason.TOOL_NOT_ACCEPTED: "The Tool does not say in a usable way which record the action writes.",
    DecisionReason.ACTION_UNKNOWN: "The Tool declares no such action.",
    DecisionReason.NOT_REQUESTED: "The Agent's spec.tools does not list the action.",
    DecisionReason.DENIED_BY_RULE: "A Deny rule matches, or its condition failed.",
    DecisionReason.NOT_ALLOWED: "No Allow rule matches.",
    DecisionReason.TOO_MANY_QUORUMS: f"More than {MAX_QUORUMS} approval rules match; make fewer of them.",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an action.

    Attributes:
        tool: the Tool's name.
        action: the action's name.
        arguments: the arguments as sent.
        task: the Task's name.
        requested_by: who asked for the Task; empty if nobody said.
        now: the time at which the call is judged.
        lineage: names of the agents that led to the Task, first to last, without the one that calls.
        run: the step of a run that the Task is done for.
    """

    tool: str
    action: str
    arguments: Mapping[str, JsonValue]
    task: str
    requested_by: str
    now: datetime
    lineage: tuple[str, ...] = ()
    run: StepOfRun | None = None


@dataclass(frozen=True, slots=True)
class RuleFailure:
    """A rule, or an approval rule, whose condition could not be evaluated."""

    rule: RuleReference | PartReference
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a call, and by which rules.

    Attributes:
        effect: Allow, Deny or Hold.
        reason: why, as a code.
        message: why, for people, with the way out.
        determined_by: the rules that made it so; empty where no rule had a say.
        considered: how many rules were about this action.
        failures: rules whose condition failed.
        obligations: what the call is held to; None where it is denied.
        before: quorums that a call waits for. A Hold has one at least that waits for every such call; of the others,
            in any decision, the gateway draws a sample.
        after: quorums that review a call once it is made; of those the gateway draws a sample too.
    """

    effect: Effect
    reason: DecisionReason
    message: str
    determined_by: tuple[RuleReference, ...] = ()
    considered: int = 0
    failures: tuple[RuleFailure, ...] = ()
    obligations: Obligations | None = None
    before: tuple[BoundQuorum, ...] = ()
    after: tuple[BoundQuorum, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the call may be made without a person, unless a sample is drawn that it is in."""
        return self.effect is Effect.ALLOW


def decide(policy: EffectivePolicy, call: Call) -> Decision:
    """Judge ``call``. Whatever is not allowed by a rule, in every layer, is denied."""
    barred = _standing(policy)
    if barred is not None:
        return barred
    action = policy.action(call.tool, call.action)
    if action is None or not policy.asks_for(call.tool, call.action):
        return _unavailable(policy, call, action)
    broken = policy.broken_actions.get((call.tool, call.action))
    if broken is not None:
        return _deny(DecisionReason.TOOL_NOT_ACCEPTED, f"the action is denied until this is mended: {broken}")
    return _judge(policy, call, action)


def decide_along(policies: Sequence[EffectivePolicy], call: Call) -> Decision:
    """Judge ``call`` by the caller's policy and those of the agents that it acts for: delegation only narrows.

    Args:
        policies: the caller's first, then those along the lineage; all must allow the call.
        call: as the caller makes it.

    Returns:
        The first denial; else the caller's decision, with the rules, the bounds and the quorums of all.
    """
    decisions: list[Decision] = []
    for policy in policies:
        decision = decide(policy, call)
        if decision.effect is Effect.DENY:
            return decision if not decisions else replace(decision, message=_along(policy, decision))
        decisions.append(decision)
    if not decisions:
        return _deny(DecisionReason.NO_POLICY, "no policy bears on the call, so it is not allowed")
    if len(decisions) == 1:
        return decisions[0]
    united = replace(
        decisions[0],
        determined_by=tuple(dict.fromkeys(rule for each in decisions for rule in each.determined_by)),
        failures=tuple(dict.fromkeys(failure for each in decisions for failure in each.failures)),
        considered=sum(decision.considered for decision in decisions),
        obligations=policies[0].narrowed(
            tuple(decision.obligations for decision in decisions if decision.obligations is not None)
        ),
    )
    return _put_to_people(
        united,
        call,
        Quorums(
            before=_once(quorum for decision in decisions for quorum in decision.before),
            after=_once(quorum for decision in decisions for quorum in decision.after),
        ),
    )


def _once(quorums: Iterable[BoundQuorum]) -> tuple[BoundQuorum, ...]:
    """Return each quorum once: policies that select several agents of a lineage ask for one of each rule."""
    return tuple({quorum.rule: quorum for quorum in quorums}.values())


def _along(policy: EffectivePolicy, decision: Decision) -> str:
    return (
        f"the call is made for agent {policy.agent.metadata.name}, which may not make it: {decision.message}"
    )


def may_ever(policy: EffectivePolicy, tool: str, action: str) -> bool:
    """Whether some call of the action could be allowed; what can't be is not even listed to the agent."""
    declared = policy.action(tool, action)
    if declared is None or _standing(policy) is not None or not policy.asks_for(tool, action):
        return False
    if (tool, action) in policy.broken_actions:
        return False
    layers = policy.concerning(tool, declared)
    always_denied = any(rule.denies and rule.condition is None for layer in layers for rule in layer)
    return not always_denied and all(any(not rule.denies for rule in layer) for layer in layers)


def _standing(policy: EffectivePolicy) -> Decision | None:
    """Return what denies every call of the agent, if anything does."""
    agent = policy.agent.metadata.name
    if policy.agent.spec.suspend:
        return _deny(DecisionReason.AGENT_SUSPENDED, f"agent {agent} is suspended (spec.suspend)")
    if policy.problems:
        return _deny(
            DecisionReason.POLICY_NOT_ACCEPTED,
            f"nothing is allowed until this is mended: {policy.problems[0]}",
        )
    if not any(layer.kind == LOWER_LAYER for layer in policy.layers):
        return _deny(DecisionReason.NO_POLICY, f"no Policy selects agent {agent}, so nothing is allowed")
    return None


def _unavailable(policy: EffectivePolicy, call: Call, action: ToolAction | None) -> Decision:
    if call.tool not in policy.tools:
        return _deny(
            DecisionReason.TOOL_UNKNOWN,
            f"there is no Tool {call.tool} that agent {policy.agent.metadata.name} asks for in spec.tools",
        )
    if action is None:
        return _deny(DecisionReason.ACTION_UNKNOWN, f"Tool {call.tool} declares no action {call.action}")
    return _deny(
        DecisionReason.NOT_REQUESTED,
        f"agent {policy.agent.metadata.name} does not ask for {call.tool}.{call.action} in spec.tools",
    )


def _judge(policy: EffectivePolicy, call: Call, action: ToolAction) -> Decision:
    layers = policy.concerning(call.tool, action)
    considered = sum(len(layer) for layer in layers)
    evaluate = Evaluator(policy, call, action)
    denying = [rule for layer in layers for rule in layer if rule.denies and evaluate.denies(rule)]
    if denying:
        return _denied_by(denying[0], call, considered, evaluate.failures)
    allowing: list[RuleReference] = []
    for layer, rules in zip(policy.layers, layers, strict=True):
        found = next((rule for rule in rules if not rule.denies and evaluate.allows(rule)), None)
        if found is None:
            return _not_allowed(layer.kind, call, considered, evaluate.failures)
        allowing.append(found.reference)
    quorums = _quorums(policy, call, action, evaluate)
    allowed = Decision(
        effect=Effect.ALLOW,
        reason=DecisionReason.ALLOWED,
        message=f"allowed by {allowing[0]}",
        determined_by=tuple(allowing),
        considered=considered,
        failures=tuple(evaluate.failures),
        obligations=policy.obligations(call.tool, action),
    )
    return _put_to_people(allowed, call, quorums)


def _quorums(policy: EffectivePolicy, call: Call, action: ToolAction, evaluate: "Evaluator") -> Quorums:
    quorums = policy.unconditional_quorums(call.tool, action)
    if quorums is None:
        matching = [
            matched
            for approval in policy.asking(call.tool, action)
            if (matched := evaluate.asks(approval)) is not None
        ]
        quorums = quorums_for(action, policy.autonomy, matching)
    return quorums if is_known(call.requested_by) else one_more(quorums)


def effect_of(quorums: Quorums) -> Effect:
    """Return what becomes of a call that rules allow and that ``quorums`` are asked about, samples aside."""
    if max(len(quorums.before), len(quorums.after)) > MAX_QUORUMS:
        return Effect.DENY
    return Effect.HOLD if _holding(quorums) else Effect.ALLOW


def _put_to_people(allowed: Decision, call: Call, quorums: Quorums) -> Decision:
    """Return what becomes of ``allowed`` when ``quorums`` are asked."""
    if not quorums.before and not quorums.after:
        return allowed
    effect = effect_of(quorums)
    if effect is Effect.DENY:
        return _too_many(allowed, call, quorums)
    if effect is Effect.ALLOW:
        return replace(allowed, before=quorums.before, after=quorums.after)
    return replace(
        allowed,
        effect=Effect.HOLD,
        reason=DecisionReason.APPROVAL_NEEDED,
        message=f"{call.tool}.{call.action} waits for {told_quorums(_holding(quorums))}",
        before=quorums.before,
        after=quorums.after,
    )


def _holding(quorums: Quorums) -> list[BoundQuorum]:
    return [quorum for quorum in quorums.before if quorum.sample_percent >= ALWAYS]


def _too_many(allowed: Decision, call: Call, quorums: Quorums) -> Decision:
    found = max((quorums.before, quorums.after), key=len)
    return Decision(
        effect=Effect.DENY,
        reason=DecisionReason.TOO_MANY_QUORUMS,
        message=f"{call.tool}.{call.action} needs {len(found)} quorums, and people are asked for at most {MAX_QUORUMS}"
        f" at once: make fewer approval rules that match it, such as {found[0].rule} and {found[-1].rule}",
        considered=allowed.considered,
        failures=allowed.failures,
    )


class Evaluator:
    """Evaluates the conditions of one call; values are bound and measured when the first one is met."""

    def __init__(self, policy: EffectivePolicy, call: Call, action: ToolAction) -> None:
        self._policy = policy
        self._call = call
        self._action = action
        self._bound: _Bound | None = None
        self.failures: list[RuleFailure] = []

    def allows(self, rule: CompiledRule) -> bool:
        """An Allow whose condition fails does not match."""
        return self.verdict(rule).holds

    def denies(self, rule: CompiledRule) -> bool:
        """A Deny whose condition fails does match."""
        verdict = self.verdict(rule)
        return verdict.holds or bool(verdict.failure)

    def asks(self, approval: CompiledApproval) -> MatchingApproval | None:
        """An approval rule whose condition fails does match; None where it does not."""
        verdict = self.verdict(approval)
        if not verdict.holds and not verdict.failure:
            return None
        return MatchingApproval(approval, has_failed=bool(verdict.failure))

    def verdict(self, rule: CompiledRule | CompiledApproval) -> Verdict:
        """Return what the rule's condition comes to."""
        if rule.condition is None:
            return HOLDS
        if self._bound is None:
            self._bound = _bind(self._policy, self._call, self._action)
        too_large = self._bound.too_large_for(rule.condition)
        verdict = (
            Verdict(holds=False, failure=too_large)
            if too_large
            else rule.condition.evaluate(self._bound.activation)
        )
        if verdict.failure:
            self.failures.append(RuleFailure(rule=rule.reference, message=verdict.failure))
        return verdict


@dataclass(frozen=True, slots=True)
class _Bound:
    """Values bound for the conditions of one call.

    Attributes:
        activation: the values.
        context_problem: why no condition that reads more than names and the clock can be judged; empty if it can.
        arguments_problem: why none that reads ``args`` can.
    """

    activation: Activation
    context_problem: str
    arguments_problem: str

    def too_large_for(self, condition: Expression) -> str:
        """Return why ``condition`` can't be judged in time; empty if it can."""
        if "args" in condition.variables:
            return self.arguments_problem
        return self.context_problem if condition.variables & _CONTEXT else ""


_CONTEXT: Final = frozenset({"agent", "ns", "task", "run"})


def _bind(policy: EffectivePolicy, call: Call, action: ToolAction) -> _Bound:
    task: dict[str, JsonValue] = {
        "name": call.task,
        "requestedBy": call.requested_by,
        "lineage": list(call.lineage),
        "depth": len(call.lineage),
    }
    run = _run_binding(call.run)
    values: dict[str, Mapping[str, JsonValue] | str | datetime] = {
        "args": call.arguments,
        "agent": policy.agent_binding,
        "tool": call.tool,
        "action": call.action,
        "ns": policy.namespace_binding,
        "task": task,
        "run": run,
        "now": call.now,
    }
    context_problem, arguments_problem = _problems(policy, call, action, [task, run])
    return _Bound(
        activation=Activation({name: values[name] for name in policy.variables}),
        context_problem=context_problem,
        arguments_problem=arguments_problem,
    )


def _run_binding(run: StepOfRun | None) -> dict[str, JsonValue]:
    if run is None:
        return {"name": "", "workflow": "", "step": ""}
    return {"name": run.name, "workflow": run.workflow, "step": run.step}


def _problems(
    policy: EffectivePolicy, call: Call, action: ToolAction, task: list[JsonValue]
) -> tuple[str, str]:
    """Return why conditions can't read the agent's and its Task's data, and why they can't read arguments."""
    room = policy.room(call.tool, action)
    read = [*task, dict(call.arguments)] if "args" in policy.variables else task
    whole = _sum(policy.context_size, size_of(read))
    if whole is not None and whole.fits(room):
        return "", ""
    context = _sum(policy.context_size, size_of(task))
    return (
        _problem("the agent's and its Task's data", context, room),
        _problem("the arguments, with the agent's and its Task's data,", whole, room),
    )


def _sum(first: Size | None, second: Size | None) -> Size | None:
    return first + second if first is not None and second is not None else None


def _problem(what: str, size: Size | None, room: Size) -> str:
    if size is not None and size.fits(room):
        return ""
    return f"{what} are too large for conditions: {told(size, room)}"


def _denied_by(rule: CompiledRule, call: Call, considered: int, failures: list[RuleFailure]) -> Decision:
    failed = next((failure.message for failure in failures if failure.rule == rule.reference), "")
    because = f"; its condition failed, and a Deny that fails denies: {failed}" if failed else ""
    return Decision(
        effect=Effect.DENY,
        reason=DecisionReason.DENIED_BY_RULE,
        message=f"{call.tool}.{call.action} is denied by {rule.reference}{because}",
        determined_by=(rule.reference,),
        considered=considered,
        failures=tuple(failures),
    )


def _not_allowed(layer: str, call: Call, considered: int, failures: list[RuleFailure]) -> Decision:
    failed = f"; {failures[0].rule} failed: {failures[0].message}" if failures else ""
    return Decision(
        effect=Effect.DENY,
        reason=DecisionReason.NOT_ALLOWED,
        message=f"no {layer} rule allows {call.tool}.{call.action} with these arguments{failed}",
        considered=considered,
        failures=tuple(failures),
    )


def _deny(reason: DecisionReason, message: str) -> Decision:
    return Decision(effect=Effect.DENY, reason=reason, message=message)
