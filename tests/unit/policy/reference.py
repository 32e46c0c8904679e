"""A second implementation of decisions, slow and obvious: what it denies or holds, the real one must never allow.

It shares no code with `aos.policy`: it reads the manifests' own fields, and knows conditions as trees, not as CEL.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.approval import ApprovalRule, CallMatch
from aos.model.cluster_policy import ClusterPolicy
from aos.model.meta import LabelSelector
from aos.model.policy import Policy
from aos.model.rule import Rule, ToolMatch
from aos.model.tool import Tool, ToolAction


class Failed(Exception):  # noqa: N818 - a result of conditions
    """A condition, or a part of it, that has no value."""


@dataclass(frozen=True)
class Always:
    """``true`` or ``false``."""

    value: bool

    @property
    def cel(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True)
class Field:
    """A value of the call: ``args.x.y``, taken for a condition of its own."""

    path: tuple[str, ...]

    @property
    def cel(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class Has:
    """Whether there is such a value."""

    path: tuple[str, ...]

    @property
    def cel(self) -> str:
        return f"has({'.'.join(self.path)})"


@dataclass(frozen=True)
class Compare:
    """A value compared with a literal."""

    path: tuple[str, ...]
    operator: str
    literal: int | str | bool

    @property
    def cel(self) -> str:
        return f"{'.'.join(self.path)} {self.operator} {_literal(self.literal)}"


@dataclass(frozen=True)
class Begins:
    """Whether a text begins with a literal."""

    path: tuple[str, ...]
    literal: str

    @property
    def cel(self) -> str:
        return f"{'.'.join(self.path)}.startsWith({_literal(self.literal)})"


@dataclass(frozen=True)
class Each:
    """``all`` or ``exists`` over a list: whether its items equal a literal."""

    path: tuple[str, ...]
    is_all: bool
    literal: int | str | bool

    @property
    def cel(self) -> str:
        return f"{'.'.join(self.path)}.{'all' if self.is_all else 'exists'}(x, x == {_literal(self.literal)})"


@dataclass(frozen=True)
class Not:
    """The opposite."""

    inner: "Condition"

    @property
    def cel(self) -> str:
        return f"!({self.inner.cel})"


@dataclass(frozen=True)
class Both:
    """``&&``: false where either is, whatever the other one comes to."""

    left: "Condition"
    right: "Condition"

    @property
    def cel(self) -> str:
        return f"({self.left.cel}) && ({self.right.cel})"


@dataclass(frozen=True)
class Either:
    """``||``: true where either is, whatever the other one comes to."""

    left: "Condition"
    right: "Condition"

    @property
    def cel(self) -> str:
        return f"({self.left.cel}) || ({self.right.cel})"


Condition = Always | Field | Has | Compare | Begins | Each | Not | Both | Either
Variables = Mapping[str, JsonValue]

LEVELS: Final = ("Propose", "Supervised", "Sampled", "Autonomous")
ALWAYS: Final = Always(value=True)


@dataclass(frozen=True)
class Asked:
    """All that the reference decides from; ``conditions`` gives each ``when`` as a tree."""

    agent: Agent
    namespace_labels: Mapping[str, str]
    tools: Sequence[Tool]
    policies: Sequence[Policy | ClusterPolicy]
    unreadable: Sequence[str]
    conditions: Mapping[str, Condition]
    tool: str
    action: str
    variables: Variables


def allows(asked: Asked) -> bool:
    """Whether the call may be made."""
    declared = _declared(asked)
    if asked.agent.spec.suspend or asked.unreadable or declared is None or not _requested(asked):
        return False
    upper = [item for item in asked.policies if isinstance(item, ClusterPolicy) and _bears(asked, item)]
    lower = [item for item in asked.policies if isinstance(item, Policy) and _bears(asked, item)]
    if not lower:
        return False
    bearing: list[Policy | ClusterPolicy] = [*upper, *lower]
    for policy in bearing:
        for rule in policy.spec.rules:
            if (
                rule.effect == "Deny"
                and _about(rule, asked.tool, declared)
                and _holds(asked, rule) is not False
            ):
                return False
    return all(_some_allow(asked, layer, declared) for layer in (upper, lower) if layer)


@dataclass(frozen=True)
class People:
    """How many people each rule asks, and of how many in a hundred calls; and which rules hold every such call."""

    before: dict[str, tuple[int, int]]
    after: dict[str, tuple[int, int]]

    @property
    def hold(self) -> bool:
        return any(percent == 100 for _, percent in self.before.values())


def people(asked: Asked) -> People:
    """Return who is asked about a call that is allowed."""
    declared = _declared(asked)
    assert declared is not None
    before: dict[str, tuple[int, int]] = {}
    after: dict[str, tuple[int, int]] = {}
    definite = False
    enough_for_high = False
    level = asked.agent.spec.autonomy.value
    for policy in asked.policies:
        if not _bears(asked, policy):
            continue
        if policy.spec.autonomy is not None:
            level = LEVELS[min(LEVELS.index(level), LEVELS.index(policy.spec.autonomy.ceiling.value))]
        for rule in policy.spec.approvals:
            held = _holds(asked, rule)
            if not _is_put(rule.match, asked.tool, declared) or held is False:
                continue
            name = f"{policy.kind} {policy.metadata.name}, approval {rule.name}"
            percent = 100 if rule.sample_percent is None else rule.sample_percent
            if rule.review == "After":
                after[name] = (rule.required, percent)
                continue
            before[name] = (rule.required, percent)
            if percent == 100:
                definite = True
                if rule.required >= 2 or (policy.kind == "ClusterPolicy" and held is True):
                    enough_for_high = True
    _add_defaults(declared, level, before, after, definite=definite, enough_for_high=enough_for_high)
    if not _field(("task", "requestedBy"), asked.variables):
        before = {name: (required + 1, percent) for name, (required, percent) in before.items()}
        after = {name: (required + 1, percent) for name, (required, percent) in after.items()}
    return People(before, after)


def _add_defaults(
    declared: ToolAction,
    level: str,
    before: dict[str, tuple[int, int]],
    after: dict[str, tuple[int, int]],
    *,
    definite: bool,
    enough_for_high: bool,
) -> None:
    match declared.risk.value, level:
        case "High", _:
            if not enough_for_high:
                before["risk High"] = (2, 100)
        case "Medium", "Propose" | "Supervised":
            if not definite:
                before["risk Medium"] = (1, 100)
        case "Medium", "Sampled":
            if not definite and not after:
                after["autonomy Sampled"] = (1, 10)
        case "Low", "Propose":
            if not definite and declared.access.value == "Write":
                before["autonomy Propose"] = (1, 100)


def _is_put(match: CallMatch, tool: str, action: ToolAction) -> bool:
    if match.tools and not any(_means(item, tool, action) for item in match.tools):
        return False
    if match.access and action.access not in match.access:
        return False
    if match.risk and action.risk not in match.risk:
        return False
    return not match.data_classes or bool(set(match.data_classes) & set(action.data_classes))


def _some_allow(asked: Asked, layer: Sequence[Policy | ClusterPolicy], declared: ToolAction) -> bool:
    for policy in layer:
        for rule in policy.spec.rules:
            if rule.effect == "Allow" and _about(rule, asked.tool, declared) and _holds(asked, rule) is True:
                return True
    return False


def _declared(asked: Asked) -> ToolAction | None:
    for tool in asked.tools:
        for action in tool.spec.actions:
            if tool.metadata.name == asked.tool and action.name == asked.action:
                return action
    return None


def _requested(asked: Asked) -> bool:
    for request in asked.agent.spec.tools:
        if request.name == asked.tool and any(_fits(pattern, asked.action) for pattern in request.actions):
            return True
    return False


def _bears(asked: Asked, policy: Policy | ClusterPolicy) -> bool:
    if not _selects(policy.spec.agents, asked.agent.metadata.labels):
        return False
    return isinstance(policy, Policy) or _selects(policy.spec.namespaces, asked.namespace_labels)


def _selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    return all(key in labels and labels[key] == value for key, value in selector.match_labels.items())


def _about(rule: Rule, tool: str, action: ToolAction) -> bool:
    return any(_means(match, tool, action) for match in rule.tools)


def _means(match: ToolMatch, tool: str, action: ToolAction) -> bool:
    if not _fits(match.name, tool):
        return False
    if match.actions and not any(_fits(pattern, action.name) for pattern in match.actions):
        return False
    if match.access and action.access not in match.access:
        return False
    if match.risk and action.risk not in match.risk:
        return False
    return not match.data_classes or bool(set(match.data_classes) & set(action.data_classes))


def _fits(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return _fits(pattern[1:], name) or (bool(name) and _fits(pattern, name[1:]))
    return bool(name) and pattern[0] == name[0] and _fits(pattern[1:], name[1:])


def _holds(asked: Asked, rule: Rule | ApprovalRule) -> bool | None:
    """Return what the rule's condition comes to; None if it has no value."""
    if not rule.when:
        return True
    try:
        return _truth(asked.conditions[rule.when], asked.variables)
    except Failed:
        return None


def _truth(condition: Condition, variables: Variables) -> bool:
    value = _EVALUATORS[type(condition)](condition, variables)
    if value is True or value is False:
        return value
    raise Failed


def _field(path: tuple[str, ...], variables: Variables) -> JsonValue:
    value: JsonValue = dict(variables)
    for part in path:
        if not isinstance(value, dict) or part not in value:
            raise Failed
        value = value[part]
    return value


def _has(path: tuple[str, ...], variables: Variables) -> bool:
    holder = _field(path[:-1], variables)
    if not isinstance(holder, dict):
        raise Failed
    return path[-1] in holder


def _compare(condition: Compare, variables: Variables) -> bool:
    value = _field(condition.path, variables)
    if condition.operator == "==":
        return _same(value, condition.literal)
    if condition.operator == "!=":
        return not _same(value, condition.literal)
    if isinstance(value, str) and isinstance(condition.literal, str):
        return value < condition.literal
    if _is_number(value) and _is_number(condition.literal):
        return float(str(value)) < float(str(condition.literal))
    if isinstance(value, bool) and isinstance(condition.literal, bool):
        return value < condition.literal
    raise Failed


def _same(value: JsonValue, literal: float | str | bool) -> bool:  # noqa: FBT001 - a value, not a switch
    if _is_number(value) and _is_number(literal):
        return value == literal
    return type(value) is type(literal) and value == literal


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _begins(condition: Begins, variables: Variables) -> bool:
    value = _field(condition.path, variables)
    if not isinstance(value, str):
        raise Failed
    return value.startswith(condition.literal)


def _each(condition: Each, variables: Variables) -> bool:
    value = _field(condition.path, variables)
    if not isinstance(value, list | dict):
        raise Failed
    results = [_same(item, condition.literal) for item in value]
    return all(results) if condition.is_all else any(results)


def _pair(left: Condition, right: Condition, variables: Variables, *, decisive: bool) -> bool:
    failed = False
    for side in (left, right):
        try:
            if _truth(side, variables) is decisive:
                return decisive
        except Failed:
            failed = True
    if failed:
        raise Failed
    return not decisive


_EVALUATORS: Final[Mapping[type, Callable[..., JsonValue]]] = {
    Always: lambda condition, _: condition.value,
    Field: lambda condition, variables: _field(condition.path, variables),
    Has: lambda condition, variables: _has(condition.path, variables),
    Compare: _compare,
    Begins: _begins,
    Each: _each,
    Not: lambda condition, variables: not _truth(condition.inner, variables),
    Both: lambda condition, variables: _pair(condition.left, condition.right, variables, decisive=False),
    Either: lambda condition, variables: _pair(condition.left, condition.right, variables, decisive=True),
}


def _literal(value: float | str | bool) -> str:  # noqa: FBT001 - a value, not a switch
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}'" if isinstance(value, str) else str(value)
