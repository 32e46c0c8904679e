"""The effective policy of one agent: every object that bears on its calls, merged and named by a digest."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeVar

from pydantic import JsonValue

from aos.model.agent import Agent, PolicySource
from aos.model.approval import AutonomyLevel
from aos.model.bounds import PolicyRules
from aos.model.canonical import canonical_json, json_digest
from aos.model.cluster_policy import ClusterPolicy
from aos.model.names import LABEL_ENVIRONMENT, LABEL_TENANT
from aos.model.policy import Policy
from aos.model.rule import Rule, RuleEffect
from aos.model.tool import Tool, ToolAction
from aos.policy import glob
from aos.policy.approving import (
    CompiledApproval,
    GrantedAutonomy,
    MatchingApproval,
    Quorums,
    compile_approvals,
    granted_autonomy,
    quorums_for,
)
from aos.policy.cost import Size, room_for, size_of
from aos.policy.expression import Expression, ExpressionError, compile_expression
from aos.policy.filling import compile_filling
from aos.policy.matching import concerns
from aos.policy.merging import AnyPolicy, narrowest, other_obligations, tool_obligations
from aos.policy.obligations import Obligations
from aos.policy.patterns import pattern_problem
from aos.policy.template import compile_template

UPPER_LAYER: Final = "ClusterPolicy"
LOWER_LAYER: Final = "Policy"
"""The layer that must be there: a ceiling alone allows nothing."""
AnyPolicyT = TypeVar("AnyPolicyT", Policy, ClusterPolicy)

MAX_NARROWED: Final = 1024
_BOUNDS: Final = set(PolicyRules.model_fields)


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """All that an effective policy is made from.

    Attributes:
        agent: the agent.
        namespace_labels: labels of the agent's namespace.
        tools: the namespace's Tools by name.
        policies: the namespace's Policies; those that do not select the agent have no part.
        unreadable: names of Policies of the namespace that could not be parsed; they may select any agent.
        cluster_policies: all ClusterPolicies; those that do not select the namespace and the agent have no part.
        unreadable_cluster: names of ClusterPolicies that could not be parsed; they may select any agent.
    """

    agent: Agent
    namespace_labels: Mapping[str, str]
    tools: Mapping[str, Tool]
    policies: Sequence[Policy]
    unreadable: Sequence[str] = ()
    cluster_policies: Sequence[ClusterPolicy] = ()
    unreadable_cluster: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RuleReference:
    """One rule of one object."""

    kind: str
    name: str
    rule: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}, rule {self.rule}"


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its condition compiled; no condition always holds."""

    reference: RuleReference
    rule: Rule
    condition: Expression | None

    @property
    def denies(self) -> bool:
        """Whether a match ends the call."""
        return self.rule.effect is RuleEffect.DENY

    def concerns(self, tool: str, action: ToolAction) -> bool:
        """Whether the rule is about ``action`` of ``tool``, its condition aside."""
        return concerns(self.rule.tools, tool, action)


@dataclass(frozen=True, slots=True)
class Layer:
    """Policies of one level: their Allow rules add up; every layer that has a policy must allow a call."""

    kind: str
    rules: tuple[CompiledRule, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """An object that bears on the agent and can't be used; it denies every call."""

    kind: str
    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Narrowed:
    """Obligations merged; what they were merged from is kept, so that nothing else can have its identity."""

    merged_from: tuple[Obligations, ...]
    result: Obligations


@dataclass(frozen=True)
class EffectivePolicy:
    """What an agent may do. Equal content has an equal digest, wherever it was computed.

    Attributes:
        agent: whose policy it is.
        namespace_labels: labels of its namespace.
        tools: the Tools that it asks for, by name.
        policies: all that select it, of every layer.
        layers: their rules, the upper layer first.
        approvals: their approval rules, the upper layer's first.
        problems: objects that bear on it and can't be used; any of them denies every call.
        sources: the policies by name and generation.
        broken_actions: actions by Tool and name that can't be called until their Tool is mended.
    """

    agent: Agent
    namespace_labels: Mapping[str, str]
    tools: Mapping[str, Tool]
    policies: tuple[AnyPolicy, ...]
    layers: tuple[Layer, ...]
    approvals: tuple[CompiledApproval, ...]
    problems: tuple[Problem, ...]
    sources: tuple[PolicySource, ...]
    broken_actions: Mapping[tuple[str, str], Problem] = field(default_factory=dict, compare=False)
    _concerning: dict[tuple[str, str], tuple[tuple[CompiledRule, ...], ...]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _asking: dict[tuple[str, str], tuple[CompiledApproval, ...]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    _unconditional: dict[tuple[str, str], Quorums] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    _requested: dict[tuple[str, str], bool] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    _rooms: dict[tuple[str, str], Size] = field(default_factory=dict, init=False, compare=False, repr=False)
    _obligations: dict[tuple[str, str], Obligations] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    _narrowed: dict[tuple[int, ...], _Narrowed] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @cached_property
    def digest(self) -> str:
        """``sha256:`` over the canonical content."""
        return json_digest(_content(self))

    def document(self) -> bytes:
        """Return the canonical content that the digest names, as RFC 8785 JSON: what an audit row's digest can be read by."""
        return canonical_json(_content(self))

    @cached_property
    def namespace_binding(self) -> dict[str, JsonValue]:
        """The variable ``ns`` of conditions."""
        name = self.agent.metadata.namespace
        return {
            "name": name,
            "tenant": self.namespace_labels.get(LABEL_TENANT, name),
            "environment": self.namespace_labels.get(LABEL_ENVIRONMENT, ""),
        }

    @cached_property
    def agent_binding(self) -> dict[str, JsonValue]:
        """The variable ``agent`` of conditions."""
        return {
            "name": self.agent.metadata.name,
            "labels": dict(self.agent.metadata.labels),
            "owner": {"team": self.agent.spec.owner.team, "contact": self.agent.spec.owner.contact},
        }

    @cached_property
    def context_size(self) -> Size | None:
        """How large the variables ``agent`` and ``ns`` are together."""
        return size_of([self.agent_binding, self.namespace_binding])

    @cached_property
    def variables(self) -> frozenset[str]:
        """The variables that conditions name; others need no value."""
        conditions = [rule.condition for layer in self.layers for rule in layer.rules]
        conditions += [approval.condition for approval in self.approvals]
        return frozenset(name for condition in conditions if condition for name in condition.variables)

    @cached_property
    def granted(self) -> GrantedAutonomy:
        """How much the agent may do unasked, and which policies lowered it."""
        return granted_autonomy(self.agent.spec.autonomy, self.policies)

    @property
    def autonomy(self) -> AutonomyLevel:
        """How much the agent may do unasked: the lowest of what it asks for and of all ceilings."""
        return self.granted.level

    @cached_property
    def _actions(self) -> dict[tuple[str, str], ToolAction]:
        return {(name, item.name): item for name, tool in self.tools.items() for item in tool.spec.actions}

    def action(self, tool: str, action: str) -> ToolAction | None:
        """Return the declared action, or None if the Tool or its action does not exist."""
        return self._actions.get((tool, action))

    def asks_for(self, tool: str, action: str) -> bool:
        """Whether the agent's own spec lists the action."""
        key = (tool, action)
        found = self._requested.get(key)
        if found is None:
            found = any(
                request.name == tool and any(glob.matches(pattern, action) for pattern in request.actions)
                for request in self.agent.spec.tools
            )
            # Callers can make up names without end: only those that exist are remembered.
            if key in self._actions:
                self._requested[key] = found
        return found

    def concerning(self, tool: str, action: ToolAction) -> tuple[tuple[CompiledRule, ...], ...]:
        """Return, layer by layer, the rules about ``action`` of ``tool``; looked up once per action."""
        key = (tool, action.name)
        found = self._concerning.get(key)
        if found is None:
            found = tuple(
                tuple(rule for rule in layer.rules if rule.concerns(tool, action)) for layer in self.layers
            )
            self._concerning[key] = found
        return found

    def asking(self, tool: str, action: ToolAction) -> tuple[CompiledApproval, ...]:
        """Return the approval rules about ``action`` of ``tool``; looked up once per action."""
        key = (tool, action.name)
        found = self._asking.get(key)
        if found is None:
            found = tuple(approval for approval in self.approvals if approval.concerns(tool, action))
            self._asking[key] = found
        return found

    def unconditional_quorums(self, tool: str, action: ToolAction) -> Quorums | None:
        """Return what people are asked about any allowed call of ``action``; None where that depends on the call."""
        key = (tool, action.name)
        found = self._unconditional.get(key)
        if found is None:
            about = self.asking(tool, action)
            if any(approval.condition is not None for approval in about):
                return None
            matching = [MatchingApproval(approval, has_failed=False) for approval in about]
            found = self._unconditional[key] = quorums_for(action, self.autonomy, matching)
        return found

    def room(self, tool: str, action: ToolAction) -> Size:
        """Return how large what the conditions about ``action`` read may be, so that all of them are judged in time."""
        key = (tool, action.name)
        found = self._rooms.get(key)
        if found is None:
            conditions = [rule.condition for layer in self.concerning(tool, action) for rule in layer]
            conditions += [approval.condition for approval in self.asking(tool, action)]
            found = room_for([condition.works for condition in conditions if condition is not None])
            self._rooms[key] = found
        return found

    def obligations(self, tool: str, action: ToolAction) -> Obligations:
        """Return what an allowed call of ``action`` of ``tool`` is held to; merged once per action.

        Raises:
            ExpressionError: the action's record does not compile; such a call is never allowed.
        """
        key = (tool, action.name)
        found = self._obligations.get(key)
        if found is None:
            record = compile_template(action.record) if action.record is not None else None
            found = tool_obligations(self.policies, tool, action, record)
            self._obligations[key] = found
        return found

    def model_obligations(self) -> Obligations:
        """Return what the agent's model requests are held to."""
        return self._other_obligations

    def handoff_obligations(self) -> Obligations:
        """Return what the agent's handoffs are held to."""
        return self._other_obligations

    def narrowed(self, obligations: tuple[Obligations, ...]) -> Obligations:
        """Return what holds a call to all of ``obligations``, the agent's own first; the same ones give the same object."""
        # By identity: to compare all bounds on every call would take longer than to judge it.
        key = tuple(id(item) for item in obligations)
        found = self._narrowed.get(key)
        if found is None:
            if len(self._narrowed) >= MAX_NARROWED:
                self._narrowed.clear()
            found = self._narrowed[key] = _Narrowed(obligations, narrowest(*obligations))
        return found.result

    @cached_property
    def _other_obligations(self) -> Obligations:
        return other_obligations(self.policies)


def effective_policy(inputs: PolicyInputs) -> EffectivePolicy:
    """Merge everything that bears on the agent's calls."""
    upper, lower = _selected(inputs)
    problems = [
        *_unreadable(UPPER_LAYER, inputs.unreadable_cluster),
        *_unreadable(LOWER_LAYER, inputs.unreadable),
    ]
    layers: list[Layer] = []
    approvals: list[CompiledApproval] = []
    for kind, policies in ((UPPER_LAYER, upper), (LOWER_LAYER, lower)):
        rules: list[CompiledRule] = []
        for policy in policies:
            compiled, found = compile_rules(policy)
            rules.extend(compiled)
            problems.extend(found)
            approvals.extend(compile_approvals(policy)[0])
        if policies:
            layers.append(Layer(kind=kind, rules=tuple(rules)))
    asked = {request.name for request in inputs.agent.spec.tools}
    tools = {name: tool for name, tool in sorted(inputs.tools.items()) if name in asked}
    bearing: tuple[AnyPolicy, ...] = (*upper, *lower)
    return EffectivePolicy(
        agent=inputs.agent,
        namespace_labels=dict(inputs.namespace_labels),
        tools=tools,
        policies=bearing,
        layers=tuple(layers),
        approvals=tuple(approvals),
        problems=tuple(problems),
        sources=tuple(
            PolicySource(kind=policy.kind, name=policy.metadata.name, generation=policy.metadata.generation)
            for policy in bearing
        ),
        broken_actions={
            (name, action): problem
            for name, tool in tools.items()
            for action, problem in tool_problems(tool).items()
        },
    )


def _selected(inputs: PolicyInputs) -> tuple[list[ClusterPolicy], list[Policy]]:
    labels = inputs.agent.metadata.labels
    upper = (
        policy
        for policy in inputs.cluster_policies
        if policy.spec.namespaces.matches(inputs.namespace_labels) and policy.spec.agents.matches(labels)
    )
    lower = (policy for policy in inputs.policies if policy.spec.agents.matches(labels))
    return _by_name(upper), _by_name(lower)


def _by_name(policies: Iterable[AnyPolicyT]) -> list[AnyPolicyT]:
    """Return each policy once, in order of name."""
    ordered = sorted(policies, key=lambda policy: policy.metadata.name)
    return [policy for place, policy in enumerate(ordered) if not place or policy != ordered[place - 1]]


def _unreadable(kind: str, names: Iterable[str]) -> list[Problem]:
    return [Problem(kind=kind, name=name, message="could not be read") for name in sorted(set(names))]


def compile_rules(policy: AnyPolicy) -> tuple[tuple[CompiledRule, ...], tuple[Problem, ...]]:
    """Return the compiled rules of ``policy``, in order of name, and what of it can't be used, its approvals with it."""
    rules: list[CompiledRule] = []
    problems: list[Problem] = []
    kind, name = policy.kind, policy.metadata.name
    for rule in sorted(policy.spec.rules, key=lambda rule: rule.name):
        try:
            condition = compile_expression(rule.when) if rule.when else None
        except ExpressionError as error:
            problems.append(Problem(kind, name, f"spec.rules[{rule.name}].when: {error}"))
        else:
            reference = RuleReference(kind=kind, name=name, rule=rule.name)
            rules.append(CompiledRule(reference=reference, rule=rule, condition=condition))
    problems.extend(Problem(kind, name, message) for message in compile_approvals(policy)[1])
    for pattern in policy.spec.data.patterns if policy.spec.data is not None else ():
        problem = pattern_problem(pattern.regex)
        if problem:
            problems.append(Problem(kind, name, f"spec.data.patterns[{pattern.name}].regex: {problem}"))
    return tuple(rules), tuple(problems)


def tool_problems(tool: Tool) -> dict[str, Problem]:
    """Return what of ``tool`` can't be used, by action; every call of such an action is denied."""
    problems: dict[str, Problem] = {}
    for action in tool.spec.actions:
        where = "record"
        try:
            if action.record is not None:
                compile_template(action.record)
            for name, source in action.preview.arguments.items() if action.preview is not None else ():
                where = f"preview.arguments[{name}]"
                compile_filling(source)
        except ExpressionError as error:
            message = f"spec.actions[{action.name}].{where}: {error}"
            problems[action.name] = Problem("Tool", tool.metadata.name, message)
    return problems


def _told(tool: Tool) -> dict[str, JsonValue]:
    """Return a Tool's spec as canonical JSON can carry it: a schema may hold any number, so it stands there as text."""
    told: dict[str, JsonValue] = tool.spec.model_dump(mode="json")
    memory = tool.spec.memory
    if memory is not None and memory.value_schema is not None:
        kept = memory.model_dump(mode="json")
        told["memory"] = {**kept, "value_schema": json.dumps(memory.value_schema, sort_keys=True)}
    return told


def _content(policy: EffectivePolicy) -> dict[str, JsonValue]:
    spec = policy.agent.spec
    return {
        "agent": policy.agent_binding,
        "namespace": policy.namespace_binding,
        "suspend": spec.suspend,
        "model": spec.model.model_dump(mode="json") if spec.model else None,
        "requests": [request.model_dump(mode="json") for request in spec.tools],
        "delegates": list(spec.delegates),
        "autonomy": {"asked": spec.autonomy.value, "granted": policy.autonomy.value},
        "tools": {name: _told(tool) for name, tool in policy.tools.items()},
        "layers": [
            {
                "kind": layer.kind,
                "rules": [
                    {"source": str(rule.reference), **rule.rule.model_dump(mode="json")}
                    for rule in layer.rules
                ],
            }
            for layer in policy.layers
        ],
        "bounds": [
            {
                "source": f"{item.kind} {item.metadata.name}",
                **item.spec.model_dump(mode="json", include=_BOUNDS),
            }
            for item in policy.policies
        ],
        "problems": [str(problem) for problem in policy.problems],
    }
