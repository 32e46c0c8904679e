"""How long one decision takes, over the number of rules and of conditions that are evaluated."""

import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from aos.model.agent import Agent
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.decision import Call, decide
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from tests.bench.table import show

ROUNDS = 7
CALLS = 5_000
CONDITION = "args.?territory.orValue(agent.labels.territory) == agent.labels.territory"


def main(options: Sequence[str] = ()) -> None:
    """Print the table; there are no options."""
    if options:
        raise SystemExit("the benchmark of decisions has no options")
    rows = []
    for rules, conditions in ((1, 0), (1, 1), (200, 0), (200, 1), (200, 20)):
        policy = _policy(rules, conditions)
        microseconds = [_round(policy) * 1e6 for _ in range(ROUNDS)]
        rows.append(
            [
                str(rules),
                str(conditions),
                f"{statistics.median(microseconds):.1f}",
                f"{max(microseconds):.1f}",
            ]
        )
    show("decision", ("rules", "conditions evaluated", "median us", "max us"), rows)


def _policy(rules: int, conditions: int) -> EffectivePolicy:
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
            "spec": {"agents": {}, "rules": [*denies, *others, allow]},
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
        requested_by="",
        now=datetime.now(UTC),
    )
    if not decide(policy, call).allowed:
        raise RuntimeError("the benchmark's call must be allowed")
    started = time.perf_counter()
    for _ in range(CALLS):
        decide(policy, call)
    return (time.perf_counter() - started) / CALLS


if __name__ == "__main__":
    main()
