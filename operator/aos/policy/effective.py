"""The effective policy of one agent: every object that bears on its calls, merged and named by a digest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import JsonValue

from aos.model.agent import Agent, PolicySource
from aos.model.canonical import json_digest
from aos.model.names import LABEL_ENVIRONMENT, LABEL_TENANT
from aos.model.policy import Policy
from aos.model.rule import Rule, RuleEffect
from aos.model.tool import Tool, ToolAction
from aos.policy import glob
from aos.policy.expression import Expression, ExpressionError, compile_expression


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """All that an effective policy is made from.

    Attributes:
        agent: the agent.
        namespace_labels: labels of the agent's namespace.
        tools: the namespace's Tools by name.
        policies: the namespace's Policies; those that do not select the agent have no part.
        unreadable: names of Policies of the namespace that could not be parsed; they may select any agent.
    """

    agent: Agent
    namespace_labels: Mapping[str, str]
    tools: Mapping[str, Tool]
    policies: Sequence[Policy]
    unreadable: Sequence[str] = ()


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
        return any(
            glob.matches(match.name, tool)
            and (not match.actions or any(glob.matches(pattern, action.name) for pattern in match.actions))
            and (not match.access or action.access in match.access)
            for match in self.rule.tools
        )


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


@dataclass(frozen=True)
class EffectivePolicy:
    """What an agent may do. Equal content has an equal digest, wherever it was computed."""

    agent: Agent
    namespace_labels: Mapping[str, str]
    tools: Mapping[str, Tool]
    layers: tuple[Layer, ...]
    problems: tuple[Problem, ...]
    sources: tuple[PolicySource, ...]
    _concerning: dict[tuple[str, str], tuple[tuple[CompiledRule, ...], ...]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _requested: dict[tuple[str, str], bool] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @cached_property
    def digest(self) -> str:
        """``sha256:`` over the canonical content."""
        return json_digest(_content(self))

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
    def variables(self) -> frozenset[str]:
        """The variables that conditions name; others need no value."""
        conditions = [rule.condition for layer in self.layers for rule in layer.rules if rule.condition]
        return frozenset(name for condition in conditions for name in condition.variables)

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


def effective_policy(inputs: PolicyInputs) -> EffectivePolicy:
    """Merge everything that bears on the agent's calls."""
    labels = inputs.agent.metadata.labels
    selected = sorted(
        (policy for policy in inputs.policies if policy.spec.agents.matches(labels)),
        key=lambda policy: policy.metadata.name,
    )
    problems = [
        Problem(kind="Policy", name=name, message="could not be read") for name in sorted(inputs.unreadable)
    ]
    rules: list[CompiledRule] = []
    for policy in selected:
        compiled, found = compile_rules(policy)
        rules.extend(compiled)
        problems.extend(found)
    asked = {request.name for request in inputs.agent.spec.tools}
    return EffectivePolicy(
        agent=inputs.agent,
        namespace_labels=dict(inputs.namespace_labels),
        tools={name: tool for name, tool in sorted(inputs.tools.items()) if name in asked},
        layers=(Layer(kind="Policy", rules=tuple(rules)),) if selected else (),
        problems=tuple(problems),
        sources=tuple(
            PolicySource(kind="Policy", name=policy.metadata.name, generation=policy.metadata.generation)
            for policy in selected
        ),
    )


def compile_rules(policy: Policy) -> tuple[tuple[CompiledRule, ...], tuple[Problem, ...]]:
    """Return the compiled rules of ``policy``, in order of name, and what could not be compiled."""
    rules: list[CompiledRule] = []
    problems: list[Problem] = []
    name = policy.metadata.name
    for rule in sorted(policy.spec.rules, key=lambda rule: rule.name):
        reference = RuleReference(kind="Policy", name=name, rule=rule.name)
        try:
            condition = compile_expression(rule.when) if rule.when else None
        except ExpressionError as error:
            problems.append(
                Problem(kind="Policy", name=name, message=f"spec.rules[{rule.name}].when: {error}")
            )
        else:
            rules.append(CompiledRule(reference=reference, rule=rule, condition=condition))
    return tuple(rules), tuple(problems)


def _content(policy: EffectivePolicy) -> dict[str, JsonValue]:
    spec = policy.agent.spec
    return {
        "agent": policy.agent_binding,
        "namespace": policy.namespace_binding,
        "suspend": spec.suspend,
        "model": spec.model.model_dump(mode="json") if spec.model else None,
        "requests": [request.model_dump(mode="json") for request in spec.tools],
        "tools": {name: tool.spec.model_dump(mode="json") for name, tool in policy.tools.items()},
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
        "problems": [str(problem) for problem in policy.problems],
    }
