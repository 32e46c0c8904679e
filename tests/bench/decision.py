"""How long one decision takes, over rules and conditions; and conditions at their worst, against the bound on their time."""

import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.approval import MAX_APPROVAL_RULES
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.cost import SIZES, Size, room_for
from aos.policy.decision import Call, Effect, decide
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from aos.policy.expression import Activation, Expression
from tests.bench.table import show

SHAPES = ((1, 0, 0), (1, 1, 0), (200, 0, 0), (200, 1, 0), (200, 20, 0), (200, 0, 2), (200, 2, 1))
"""Rules, conditions evaluated, and approval rules that match; with conditions one of those has one."""
ROUNDS = 7
CALLS = 5_000
COSTLY = (
    "args.l.map(x, x).size() > 1",
    "args.l.filter(x, x != 3).size() > 1",
    "args.l.all(x, args.l.exists(y, x == y))",
    "args.l.map(x, args.l).size() > 1",
    "args.m.all(k, args.m[k] >= 0)",
    "args.l == args.l && args.m == args.m",
    "args.s.contains(args.t)",
    "args.s.replace(args.t, '') == ''",
    "args.s.split('').size() > 1",
    "args.s.matches('(a?){100}b')",
    "args.s.matches('[ab]*a[ab]{90}c')",
    "args.l.all(x, !args.s.matches('(x|y|z)+b'))",
)
CONDITION = "args.?territory.orValue(agent.labels.territory) == agent.labels.territory"


def main(options: Sequence[str] = ()) -> None:
    """Print the table; there are no options."""
    if options:
        raise SystemExit("the benchmark of decisions has no options")
    rows = []
    for rules, conditions, approvals in SHAPES:
        policy = _policy(rules, conditions, approvals)
        microseconds = [_round(policy) * 1e6 for _ in range(ROUNDS)]
        rows.append(
            [
                str(rules),
                str(conditions),
                str(approvals),
                f"{statistics.median(microseconds):.1f}",
                f"{max(microseconds):.1f}",
            ]
        )
    show(
        "decision",
        ("rules", "conditions evaluated", "approval rules that match", "median us", "max us"),
        rows,
    )
    _conditions()


def _conditions() -> None:
    """Show each costly condition on the largest arguments that it may read."""
    rows = []
    for source in COSTLY:
        condition = Expression(source)
        room = room_for([condition.works])
        bound_ns = next(work for work, size in zip(condition.works, SIZES, strict=True) if size == room)
        worst = max(_seconds(condition, arguments) for arguments in _arguments(room))
        rows.append(
            [
                source,
                f"{room.text_bytes / 1024:g}",
                f"{room.values:g}",
                f"{bound_ns / 1e6:.1f}",
                f"{worst * 1e3:.2f}",
            ]
        )
    show("conditions at their worst", ("condition", "KiB", "values", "bound ms", "worst ms"), rows)


def _arguments(room: Size) -> list[dict[str, JsonValue]]:
    """Return values of several shapes that fill ``room``."""
    text_bytes, values = int(room.text_bytes) - 64, int(room.values) - 8
    numbers: list[JsonValue] = list(range(min(values, text_bytes // 6)))
    return [
        {"s": "a" * (text_bytes * 2 // 3), "t": "a" * (text_bytes // 3) + "b", "l": ["a"], "m": {}},
        {"s": "ab" * (text_bytes // 4), "t": "b", "l": numbers[: values // 2], "m": {"k": 1}},
        {"s": "a", "t": "a", "l": numbers, "m": {}},
        {"s": "a", "t": "a", "l": [], "m": {str(number): number for number in numbers[: len(numbers) // 2]}},
    ]


def _seconds(condition: Expression, arguments: dict[str, JsonValue]) -> float:
    activation = Activation({"args": arguments})
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        condition.evaluate(activation)
        times.append(time.perf_counter() - started)
    # What else the machine does is no part of it.
    return min(times)


def _policy(rules: int, conditions: int, approvals: int = 0) -> EffectivePolicy:
    metadata = {"name": "a", "namespace": "n", "labels": {"territory": "emea"}}
    agent = Agent.parse(
        {
            "metadata": metadata,
            "spec": {
                "owner": {"team": "t"},
                "instructions": "x",
                "tools": [{"name": "crm", "actions": ["*"]}],
            },
        }
    )
    tool = Tool.parse(
        {
            "metadata": {"name": "crm", "namespace": "n"},
            "spec": {
                "type": "MCP",
                "url": "http://crm/",
                "actions": [{"name": "get", "access": "Read", "risk": "Low"}],
            },
        }
    )
    asking = [
        {"name": f"asking-{i}", "when": CONDITION if conditions and not i else ""} for i in range(approvals)
    ]
    others_asking = [
        {"name": f"other-{i}", "match": {"tools": [{"name": f"tool-{i}"}]}, "when": CONDITION}
        for i in range(MAX_APPROVAL_RULES - approvals)
    ]
    if conditions and approvals:
        conditions -= 1
    # Denies are all evaluated before an Allow may count: as many of them as conditions are wanted.
    denies = [
        {"name": f"deny-{i}", "effect": "Deny", "tools": [{"name": "crm"}], "when": f"!({CONDITION})"}
        for i in range(max(0, conditions - 1))
    ]
    allow = {
        "name": "zz-allow",
        "effect": "Allow",
        "tools": [{"name": "crm"}],
        "when": CONDITION if conditions else "",
    }
    others = [
        {"name": f"other-{i}", "effect": "Allow", "tools": [{"name": f"tool-{i}"}], "when": CONDITION}
        for i in range(rules - len(denies) - 1)
    ]
    policy = Policy.parse(
        {
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {
                "agents": {},
                "rules": [*denies, *others, allow],
                "approvals": [*asking, *others_asking],
            },
        }
    )
    return effective_policy(
        PolicyInputs(agent=agent, namespace_labels={}, tools={"crm": tool}, policies=[policy])
    )


def _round(policy: EffectivePolicy) -> float:
    call = Call(
        tool="crm",
        action="get",
        arguments={"territory": "emea", "id": "emea-0001"},
        task="t",
        requested_by="ana@example.com",
        now=datetime.now(UTC),
    )
    if decide(policy, call).effect is Effect.DENY:
        raise RuntimeError("the benchmark's call must not be denied")
    started = time.perf_counter()
    for _ in range(CALLS):
        decide(policy, call)
    return (time.perf_counter() - started) / CALLS


if __name__ == "__main__":
    main()
