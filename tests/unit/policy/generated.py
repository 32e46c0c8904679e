"""Policies and calls at random, for the comparison of decisions with the reference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.cluster_policy import ClusterPolicy
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.decision import Call
from aos.policy.effective import PolicyInputs
from tests.unit.policy import reference
from tests.unit.policy.make import NOW, agent, cluster_policy, policy, rule, tool
from tests.unit.policy.reference import (
    LEVELS,
    Always,
    Asked,
    Begins,
    Both,
    Compare,
    Condition,
    Each,
    Either,
    Field,
    Has,
    Not,
    People,
)

T = TypeVar("T")

ACTIONS: Final = ("get_contact", "search_contacts", "update_contact", "export_contacts", "no_such")
GLOBS: Final = (*ACTIONS, "*", "get_*", "*_contact", "*c*t", "**")
LABELS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"role": "research"},
    {"role": "sales"},
    {"role": "research", "territory": "emea"},
)
PATHS: Final = (
    *(("args", name) for name in ("x", "y", "l", "m")),
    ("args", "m", "k"),
    ("agent", "labels", "role"),
    ("task", "requestedBy"),
    ("task", "depth"),
    ("task", "lineage"),
    ("ns", "environment"),
)
VALUES: Final[tuple[JsonValue, ...]] = (0, 1, 2, 1.0, 0.5, -1, True, False, None, "", "a", "true", "1", "research", "a\0b", "research\0", [], [1], ["a", 1], {"k": 1}, {"k": "a"}, {"k\0": 1}, {}, 2**63 - 1)  # fmt: skip
LITERALS: Final[tuple[int | str | bool, ...]] = (0, 1, 2, True, False, "a", "", "research", "1")


@dataclass(frozen=True)
class World:
    """Everything that bears on an agent, and each condition as a tree."""

    agent: Agent
    environment: dict[str, str]
    tools: tuple[Tool, ...]
    policies: tuple[Policy | ClusterPolicy, ...]
    unreadable: tuple[str, ...]
    conditions: dict[str, Condition]

    def inputs(self) -> PolicyInputs:
        """Return what the effective policy is made from."""
        return PolicyInputs(
            agent=self.agent,
            namespace_labels=self.environment,
            tools={item.metadata.name: item for item in self.tools},
            policies=[item for item in self.policies if isinstance(item, Policy)],
            unreadable=self.unreadable,
            cluster_policies=[item for item in self.policies if isinstance(item, ClusterPolicy)],
        )

    def reference_allows(self, call: Call) -> bool:
        """Whether the reference allows ``call``, be it that people approve it."""
        return reference.allows(self._asked(call))

    def reference_people(self, call: Call) -> People:
        """Return whom the reference asks about ``call``, which it allows."""
        return reference.people(self._asked(call))

    def _asked(self, call: Call) -> Asked:
        metadata = self.agent.metadata
        return Asked(
            agent=self.agent,
            namespace_labels=self.environment,
            tools=self.tools,
            policies=self.policies,
            unreadable=self.unreadable,
            conditions=self.conditions,
            tool=call.tool,
            action=call.action,
            variables={
                "args": dict(call.arguments),
                "agent": {"name": metadata.name, "labels": dict(metadata.labels)},
                "ns": {"environment": self.environment.get("aos.dev/environment", "")},
                "task": {
                    "requestedBy": call.requested_by,
                    "lineage": list(call.lineage),
                    "depth": len(call.lineage),
                },
            },
        )


def a_world(random: Random) -> World:
    """Return policies of both layers, an agent and its tools."""
    conditions: dict[str, Condition] = {}
    policies: list[Policy | ClusterPolicy] = [
        policy(
            *_rules(random, conditions),
            name=f"p{number}",
            match_labels=random.choice((*LABELS[:3], *LABELS[:1])),
            **_people(random, conditions),
        )
        for number in range(random.choice((0, 1, 1, 1, 2, 3)))
    ]
    policies += [
        cluster_policy(
            *_rules(random, conditions),
            name=f"c{number}",
            namespaces=random.choice(({}, {"aos.dev/environment": "prod"})),
            match_labels=random.choice(LABELS[:2]),
            **_people(random, conditions),
        )
        for number in range(random.choice((0, 0, 1, 2)))
    ]
    return World(
        agent=agent(
            labels=random.choice(LABELS),
            tools=[{"name": "crm", "actions": [random.choice(("*", "*", "get_*", "update_contact"))]}],
            suspend=random.random() < 0.02,
            autonomy=random.choice(LEVELS),
        ),
        environment=random.choice(({}, {"aos.dev/environment": "prod"})),
        tools=(tool(risk=random.choice(("Low", "Medium", "Medium", "High"))), tool("erp")),
        policies=tuple(policies),
        unreadable=("broken",) if random.random() < 0.02 else (),
        conditions=conditions,
    )


def a_call(random: Random) -> Call:
    """Return a call with arguments of every type."""
    arguments = {name: random.choice(VALUES) for name in ("x", "y", "l", "m") if random.random() < 0.7}
    return Call(
        tool=random.choice((*["crm"] * 10, "erp", "none")),
        action=random.choice(ACTIONS),
        arguments=arguments,
        task="t1",
        requested_by=random.choice(("", "a", "ana@example.com")),
        now=NOW,
        lineage=random.choice(((), (), ("a",), ("a", "b"))),
    )


def _rules(random: Random, conditions: dict[str, Condition]) -> list[dict[str, JsonValue]]:
    return [
        rule(
            f"r{number}",
            random.choice(("Allow", "Allow", "Deny")),
            random.choice(("crm", "crm", "*", "c*", "erp")),
            actions=_some(random, GLOBS),
            access=_some(random, ("Read", "Write")),
            when=_when(random, conditions),
            risk=_some(random, ("Low", "Medium", "High")),
            dataClasses=["pii"] if random.random() < 0.1 else [],
        )
        for number in range(random.randint(1, 4))
    ]


def _people(random: Random, conditions: dict[str, Condition]) -> dict[str, JsonValue]:
    """Return approval rules, and a ceiling."""
    return {
        "approvals": [*approval_rules(random, conditions, "a", random.choice((0, 0, 1, 2)))],
        "autonomy": {"ceiling": random.choice(LEVELS)} if random.random() < 0.2 else None,
    }


def approval_rules(
    random: Random, conditions: dict[str, Condition], prefix: str, count: int
) -> list[dict[str, JsonValue]]:
    """Return ``count`` approval rules, whose conditions are put into ``conditions``."""
    return [
        {
            "name": f"{prefix}{number}",
            "match": {
                "tools": [{"name": "crm", "actions": _some(random, GLOBS)}] if random.random() < 0.3 else [],
                "access": _some(random, ("Read", "Write")),
                "risk": _some(random, ("Low", "Medium", "High")),
                "dataClasses": ["pii"] if random.random() < 0.1 else [],
            },
            "when": _when(random, conditions),
            "required": random.randint(1, 3),
            "review": random.choice(("Before", "Before", "After")),
            "samplePercent": random.choice((None, None, 5, 100)),
        }
        for number in range(count)
    ]


def _some(random: Random, choices: Sequence[T]) -> list[T]:
    if random.random() < 0.6:
        return []
    return random.sample(choices, random.randint(1, min(2, len(choices))))


def _when(random: Random, conditions: dict[str, Condition]) -> str:
    if random.random() < 0.4:
        return ""
    condition = _condition(random, 2)
    conditions[condition.cel] = condition
    return condition.cel


def _condition(random: Random, depth: int) -> Condition:
    if depth and random.random() < 0.5:
        inner, other = _condition(random, depth - 1), _condition(random, depth - 1)
        return random.choice((Not(inner), Both(inner, other), Either(inner, other)))
    path = random.choice(PATHS)
    literal = random.choice(LITERALS)
    makers: tuple[Callable[[], Condition], ...] = (
        lambda: Always(value=random.random() < 0.7),
        lambda: Field(path),
        lambda: Has(path),
        lambda: Compare(path, random.choice(("==", "!=", "<")), literal),
        lambda: Compare(path, "==", literal),
        lambda: Begins(path, "a"),
        lambda: Each(path, random.random() < 0.5, literal),
    )
    return random.choice(makers)()
