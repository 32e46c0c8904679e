"""Who may hand work to whom, as tables."""

from dataclasses import replace

import pytest
from pydantic import JsonValue

from aos.gateway.a2a import rights
from aos.gateway.caller import Caller
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.policy import Policy
from aos.model.task import Task
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from aos.policy.obligations import LoopBounds
from tests.unit.gateway.make import raw_agent, raw_policy, raw_task


def policy(name: str = "lead", rules: list[JsonObject] | None = None, **spec: JsonValue) -> EffectivePolicy:
    agent = Agent.parse(raw_agent(name, **spec))  # type: ignore[arg-type] # parts of a spec
    standing = raw_policy() if rules is None else raw_policy(rules=[*rules])
    return effective_policy(
        PolicyInputs(agent=agent, namespace_labels={}, tools={}, policies=[Policy.parse(standing)])
    )


def without_policy(name: str = "lead") -> EffectivePolicy:
    agent = Agent.parse(raw_agent(name))
    return effective_policy(PolicyInputs(agent=agent, namespace_labels={}, tools={}, policies=[]))


def caller(*lineage: str, own: EffectivePolicy | None = None, by: tuple[EffectivePolicy, ...] = ()) -> Caller:
    entries: list[JsonValue] = [
        {"agent": name, "task": f"t{number}", "taskUID": f"u{number}"} for number, name in enumerate(lineage)
    ]
    task = Task.parse(raw_task(agentRef={"name": "lead"}, lineage=entries))
    return Caller("sales", "lead", task, "p", "u", "r", own or policy(delegates=["writer"]), by)


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        ("sales", "writer", True),
        ("sales", "other", False),
        ("sales", "lead", False),
        ("finance", "writer", False),
        ("", "writer", False),
    ],
)
def test_only_delegates_of_the_own_namespace_are_handed_work(
    namespace: str,
    name: str,
    expected: bool,  # noqa: FBT001
) -> None:
    assert rights.is_delegate(caller(), namespace, name) is expected


BROKEN: JsonObject = {"name": "r", "effect": "Deny", "tools": [{"name": "*"}], "when": "1 +"}


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (policy(), None),
        (policy(suspend=True), "AgentSuspended"),
        (policy(rules=[BROKEN]), "PolicyNotAccepted"),
        (without_policy(), "NoPolicy"),
    ],
)
def test_neither_the_caller_nor_anybody_before_it_may_be_barred(
    standing: EffectivePolicy, expected: str | None
) -> None:
    for who in (caller(own=standing), caller("first", by=(standing,))):
        refused = rights.refusal_of_caller(who)
        assert (refused.reason if refused else None) == expected


def agent(reason: str = "Ready", status: str = "True", generation: int = 1, **spec: JsonValue) -> Agent:
    ready = {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    item = raw_agent("writer", **spec)  # type: ignore[arg-type] # parts of a spec
    return Agent.parse({**item, "status": {"conditions": [ready]}})


@pytest.mark.parametrize(
    ("receiver", "expected"),
    [
        (agent(), None),
        (None, "AgentUnknown"),
        (agent(suspend=True), "AgentSuspended"),
        (agent("NotEnforced", "False"), "DelegateNotReady"),
        (agent(generation=0), "DelegateNotReady"),
        (Agent.parse(raw_agent("writer")), "DelegateNotReady"),
    ],
)
def test_the_receiver_has_to_be_ready(receiver: Agent | None, expected: str | None) -> None:
    refused = rights.refusal_of_receiver("writer", receiver)
    assert (refused.reason if refused else None) == expected
    # Only what passes by itself is worth trying again.
    assert refused is None or (refused.retry_after_seconds is not None) == (expected == "DelegateNotReady")


@pytest.mark.parametrize(
    ("lineage", "name", "depth", "visits", "expected"),
    [
        ((), "writer", 1, 1, None),
        (("a",), "writer", 1, 1, "TooDeep"),
        (("a",), "writer", 2, 1, None),
        (("a", "b", "c"), "writer", 4, 2, None),
        (("a", "b", "c", "d"), "writer", 4, 2, "TooDeep"),
        ((), "lead", 4, 2, None),
        ((), "lead", 4, 1, "TooManyVisits"),
        (("writer",), "writer", 4, 2, None),
        (("writer",), "writer", 4, 1, "TooManyVisits"),
        (("writer", "lead", "writer"), "writer", 16, 2, "TooManyVisits"),
        (tuple("abcdefghijklmnop"), "writer", 16, 16, "TooDeep"),
    ],
)
def test_attack_22_a_chain_is_bounded_in_depth_and_visits(
    lineage: tuple[str, ...], name: str, depth: int, visits: int, expected: str | None
) -> None:
    refused = rights.refusal_of_chain(caller(*lineage), name, LoopBounds(max_depth=depth, max_visits=visits))
    assert (refused.reason if refused else None) == expected
    assert refused is None or f"> {name}" in refused.message


def test_the_tightest_of_all_policies_holds() -> None:
    def bounded(depth: int) -> EffectivePolicy:
        standing = Policy.parse(raw_policy(loops={"maxDepth": depth}))
        return effective_policy(
            PolicyInputs(agent=Agent.parse(raw_agent()), namespace_labels={}, tools={}, policies=[standing])
        )

    who = replace(caller("a"), policy=bounded(5), ancestors=(bounded(3),))
    own = rights.obligations_of(who)
    assert own.loops.max_depth == 3
    assert rights.obligations_of(who) is own
    assert rights.with_receiver(own, bounded(2)).loops.max_depth == 2
    assert rights.with_receiver(own, None) is own
    alone = replace(who, ancestors=())
    assert rights.obligations_of(alone).loops.max_depth == 5
