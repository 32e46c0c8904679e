from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.model.approval import AutonomyLevel
from aos.model.approval_request import MAX_QUORUMS
from aos.model.cluster_policy import ClusterPolicy
from aos.model.policy import Policy
from aos.policy.approvals import BoundQuorum
from aos.policy.decision import Call, DecisionReason, Effect, decide, decide_along
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from tests.unit.policy.generated import World, a_call, a_world, approval_rules
from tests.unit.policy.make import agent, call, cluster_policy, merged, policy, rule, tool

LEADS: dict[str, JsonValue] = {"groups": ["sales-leads"]}
LEVELS = [level.value for level in AutonomyLevel]
ALL = rule("all")


def approval(name: str = "a", **spec: JsonValue) -> dict[str, JsonValue]:
    return {"name": name, **spec}


def below(*approvals: dict[str, JsonValue]) -> Policy:
    return policy(ALL, approvals=[*approvals])


def above(*approvals: dict[str, JsonValue]) -> ClusterPolicy:
    return cluster_policy(ALL, approvals=[*approvals])


def told(quorums: tuple[BoundQuorum, ...]) -> list[str]:
    """Return each quorum as RULE REQUIRED, and its percentage where it is a sample."""
    return [
        f"{quorum.rule.removeprefix('Policy baseline, ')} {quorum.required}"
        + (f" of {quorum.sample_percent} %" if quorum.sample_percent < 100 else "")
        for quorum in quorums
    ]


# Whether Read and Write are held, and by what, by risk and autonomy, where no rule says anything.
NOTHING: list[str] = []
MEDIUM, HIGH, PROPOSE = ["risk Medium 1"], ["risk High 2"], ["autonomy Propose 1"]
DEFAULTS = {
    ("Low", "Read"): (NOTHING, NOTHING, NOTHING, NOTHING),
    ("Low", "Write"): (PROPOSE, NOTHING, NOTHING, NOTHING),
    ("Medium", "Read"): (MEDIUM, MEDIUM, NOTHING, NOTHING),
    ("Medium", "Write"): (MEDIUM, MEDIUM, NOTHING, NOTHING),
    ("High", "Read"): (HIGH, HIGH, HIGH, HIGH),
    ("High", "Write"): (HIGH, HIGH, HIGH, HIGH),
}


@pytest.mark.parametrize(("risk", "access"), DEFAULTS)
def test_what_is_held_by_default_follows_from_risk_and_autonomy(risk: str, access: str) -> None:
    for level, expected in zip(LEVELS, DEFAULTS[risk, access], strict=True):
        world = merged(below(), of=agent(autonomy=level), tools=[tool(risk=risk, access=access)])
        decision = decide(world, call("update_contact"))
        assert told(decision.before) == expected, level
        assert decision.effect is (Effect.HOLD if expected else Effect.ALLOW), level
        is_reviewed = (risk, level) == ("Medium", "Sampled")
        assert told(decision.after) == (["autonomy Sampled 1 of 10 %"] if is_reviewed else []), level


@dataclass(frozen=True)
class Row:
    """What approval rules make of a call of update_contact."""

    says: str
    policies: tuple[Policy | ClusterPolicy, ...]
    before: list[str]
    after: list[str]
    risk: str = "Medium"
    level: str = "Supervised"


TABLE = (
    Row("a rule takes the place of the default", (below(approval()),), ["approval a 1"], []),
    Row("a rule for more people does too", (below(approval(required=3)),), ["approval a 3"], []),
    Row("every rule that matches is a quorum of its own", (below(approval(), approval("b", required=2)),), ["approval a 1", "approval b 2"], []),
    Row("rules of all policies count", (below(approval()), policy(ALL, name="other", approvals=[approval()]), above(approval())), ["ClusterPolicy floor, approval a 1", "approval a 1", "Policy other, approval a 1"], []),
    Row("a rule holds what would run", (below(approval()),), ["approval a 1"], [], risk="Low"),
    Row("a rule holds at every level of autonomy", (below(approval()),), ["approval a 1"], [], level="Autonomous"),
    Row("a rule for other calls does not count", (below(approval(match={"access": ["Read"]})),), MEDIUM, []),
    Row("a rule by tool", (below(approval(match={"tools": [{"name": "crm", "actions": ["update_*"]}]})),), ["approval a 1"], []),
    Row("a rule for another tool does not count", (below(approval(match={"tools": [{"name": "erp"}]})),), MEDIUM, []),
    Row("a rule by risk", (below(approval(match={"risk": ["Medium"]})),), ["approval a 1"], []),
    Row("a rule for another risk does not count", (below(approval(match={"risk": ["High"]})),), MEDIUM, []),
    Row("a rule by data class", (below(approval(match={"dataClasses": ["phi"]})),), MEDIUM, []),
    Row("a condition that holds", (below(approval(when="args.x == 1")),), ["approval a 1"], []),
    Row("a condition that does not hold", (below(approval(when="args.x == 2")),), MEDIUM, []),
    Row("a condition that fails holds the call", (below(approval(when="args.y == 2")),), ["approval a 1"], [], risk="Low"),
    Row("a sample leaves the default", (below(approval(samplePercent=5)),), ["approval a 1 of 5 %", *MEDIUM], []),
    Row("a sample of what runs holds none for sure", (below(approval(samplePercent=5)),), ["approval a 1 of 5 %"], [], risk="Low"),
    Row("a sample of all is none", (below(approval(samplePercent=100)),), ["approval a 1"], []),
    Row("a review leaves the default", (below(approval(review="After")),), MEDIUM, ["approval a 1"]),
    Row("a review of what runs", (below(approval(review="After", samplePercent=5)),), [], ["approval a 1 of 5 %"], risk="Low"),
    Row("a rule takes the place of the sampled review", (below(approval()),), ["approval a 1"], [], level="Sampled"),
    Row("a review takes the place of the sampled review", (below(approval(review="After")),), [], ["approval a 1"], level="Sampled"),
    Row("a sample leaves the sampled review", (below(approval(samplePercent=5)),), ["approval a 1 of 5 %"], ["autonomy Sampled 1 of 10 %"], level="Sampled"),
    Row("high risk needs two whatever a Policy says", (below(approval()),), ["approval a 1", *HIGH], [], risk="High"),
    Row("two of a Policy's rule are two", (below(approval(required=2)),), ["approval a 2"], [], risk="High"),
    Row("two of a sample are none", (below(approval(required=2, samplePercent=5)),), ["approval a 2 of 5 %", *HIGH], [], risk="High"),
    Row("two of a review are none", (below(approval(required=2, review="After")),), HIGH, ["approval a 2"], risk="High"),
    Row("a ClusterPolicy may say that one is enough", (below(), above(approval())), ["ClusterPolicy floor, approval a 1"], [], risk="High"),
    Row("its sample does not say so", (below(), above(approval(samplePercent=5))), ["ClusterPolicy floor, approval a 1 of 5 %", *HIGH], [], risk="High"),
    Row("nor does it where its condition fails", (below(), above(approval(when="args.y == 1"))), ["ClusterPolicy floor, approval a 1", *HIGH], [], risk="High"),
    Row("nor where it does not hold", (below(), above(approval(when="args.x == 2"))), HIGH, [], risk="High"),
    Row("at Propose a write needs no more than a rule says", (below(approval()),), ["approval a 1"], [], risk="Low", level="Propose"),
    Row("at Propose a sample does not do", (below(approval(samplePercent=5)),), ["approval a 1 of 5 %", *PROPOSE], [], risk="Low", level="Propose"),
    Row("a ceiling lowers the autonomy", (policy(ALL, autonomy={"ceiling": "Supervised"}),), MEDIUM, [], level="Autonomous"),
    Row("the lowest ceiling counts", (policy(ALL, autonomy={"ceiling": "Propose"}), cluster_policy(ALL, autonomy={"ceiling": "Sampled"})), PROPOSE, [], level="Autonomous", risk="Low"),
    Row("a ceiling above lowers it too", (below(), cluster_policy(ALL, autonomy={"ceiling": "Propose"})), PROPOSE, [], level="Autonomous", risk="Low"),
    Row("no ceiling gives more than is asked for", (policy(ALL, autonomy={"ceiling": "Autonomous"}),), MEDIUM, []),
)  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.says)
def test_truth_table(row: Row) -> None:
    world = merged(*row.policies, of=agent(autonomy=row.level), tools=[tool(risk=row.risk)])
    decision = decide(world, call("update_contact", {"x": 1}))
    assert told(decision.before) == row.before
    assert told(decision.after) == row.after
    is_held = any("%" not in name for name in row.before)
    assert decision.effect is (Effect.HOLD if is_held else Effect.ALLOW)
    assert decision.reason is (DecisionReason.APPROVAL_NEEDED if is_held else DecisionReason.ALLOWED)


def test_a_quorum_says_all_that_its_rule_does() -> None:
    (found,) = decide(
        merged(
            below(
                approval(
                    approvers=LEADS,
                    timeout="90m",
                    remindAfter="15m",
                    escalate={"after": "1h", "approvers": {"users": ["cfo"]}},
                )
            )
        ),
        call(),
    ).before
    assert found.approvers.groups == ("sales-leads",)
    assert (found.timeout_seconds, found.remind_after_seconds) == (5_400, 900)
    assert found.escalation is not None
    assert (found.escalation.after_seconds, found.escalation.approvers.users) == (3_600, ("cfo",))
    (plain,) = decide(merged(below(approval())), call()).before
    assert (plain.timeout_seconds, plain.remind_after_seconds, plain.escalation) == (14_400, None, None)


def test_a_held_call_says_in_one_sentence_who_must_approve_it() -> None:
    held = decide(
        merged(below(approval("outbound", approvers=LEADS), approval("draw", samplePercent=5))),
        call("update_contact"),
    )
    assert held.message == (
        "crm.update_contact waits for 1 approval (Policy baseline, approval outbound: group sales-leads)"
    )
    assert [str(found) for found in held.determined_by] == ["Policy baseline, rule all"]
    assert held.obligations is not None
    assert not held.allowed
    two = decide(merged(below(approval(approvers=LEADS))), call("export_contacts"))
    assert two.message.endswith(
        "waits for 1 approval (Policy baseline, approval a: group sales-leads)"
        " and 2 approvals (risk High: anybody who may approve it)"
    )


def test_a_condition_that_fails_is_told_with_its_rule() -> None:
    decision = decide(merged(below(approval(when="args.y == 1"))), call())
    assert [str(failure.rule) for failure in decision.failures] == ["Policy baseline, approval a"]
    assert "y" in decision.failures[0].message


def test_arguments_that_are_too_large_hold_the_call() -> None:
    world = merged(below(approval(when="args.x == 1", match={"access": ["Read"]})))
    large = {"x": "a" * 70_000}
    assert decide(world, call(arguments=large)).effect is Effect.HOLD
    assert decide(world, call(arguments={"x": 2})).allowed


def test_conditions_of_rules_and_of_approvals_share_the_time_that_a_call_has() -> None:
    slow = "args.l.all(x, args.l.all(y, y == x || true))"
    by_rule = merged(policy(rule("a", when="args.l != []")))
    action = by_rule.action("crm", "get_contact")
    assert action is not None
    both = merged(policy(rule("a", when="args.l != []"), approvals=[approval(when=slow)]))
    assert both.room("crm", action).values < by_rule.room("crm", action).values
    other = merged(
        policy(rule("a", when="args.l != []"), approvals=[approval(when=slow, match={"access": ["Write"]})])
    )
    assert other.room("crm", action) == by_rule.room("crm", action)


def test_the_variables_of_approvals_are_bound() -> None:
    world = merged(below(approval(when="ns.name == 'sales' && task.name == 't1'")))
    assert world.variables == {"ns", "task"}
    assert decide(world, call()).effect is Effect.HOLD


@pytest.mark.parametrize("requested_by", ["", "system:serviceaccount:sales:ci"])
def test_where_nobody_knows_which_person_asked_one_more_must_approve(requested_by: str) -> None:
    world = merged(below(approval(required=2), approval("r", review="After")), tools=[tool(risk="High")])
    nobodys = replace(call("update_contact"), requested_by=requested_by)
    decision = decide(world, nobodys)
    assert told(decision.before) == ["approval a 3"]
    assert told(decision.after) == ["approval r 2"]
    assert told(decide(merged(below()), nobodys).before) == ["risk Medium 2"]
    assert decide(merged(below()), replace(call(), requested_by="")).allowed


def test_a_call_that_more_rules_match_than_a_request_has_room_for_is_denied() -> None:
    most = [approval(f"a{number:02}") for number in range(MAX_QUORUMS)]
    assert decide(merged(below(*most)), call()).effect is Effect.HOLD
    for more in (approval("one-more"), approval("one-more", samplePercent=5)):
        decision = decide(merged(below(*most, more)), call())
        assert decision.reason is DecisionReason.TOO_MANY_QUORUMS
        assert decision.effect is Effect.DENY
        assert not decision.before
        assert "needs 17 quorums, and people are asked for at most 16" in decision.message
        assert "Policy baseline, approval one-more" in decision.message
    reviews = [approval(f"a{number:02}", review="After") for number in range(MAX_QUORUMS + 1)]
    assert decide(merged(below(*reviews)), call()).reason is DecisionReason.TOO_MANY_QUORUMS


def test_a_denied_call_asks_nobody() -> None:
    world = merged(policy(ALL, rule("no", "Deny"), approvals=[approval(), approval("r", review="After")]))
    decision = decide(world, call())
    assert (decision.effect, decision.before, decision.after) == (Effect.DENY, (), ())


def test_along_a_lineage_the_quorums_of_all_agents_count_each_once() -> None:
    shared = below(approval("shared"))
    own = merged(shared, of=agent(autonomy="Autonomous"))
    planner = merged(
        shared,
        policy(ALL, name="other", approvals=[approval("theirs", required=2), approval("r", review="After")]),
    )
    decision = decide_along([own, planner], call("update_contact"))
    assert told(decision.before) == ["approval shared 1", "Policy other, approval theirs 2"]
    assert told(decision.after) == ["Policy other, approval r 1"]
    assert "Policy other, approval theirs" in decision.message


def test_along_a_lineage_the_lowest_autonomy_counts() -> None:
    own = merged(below(), of=agent(autonomy="Autonomous"))
    asking = merged(below(), of=agent(autonomy="Supervised"))
    assert decide(own, call("update_contact")).allowed
    for along in ([own, asking], [asking, own]):
        decision = decide_along(along, call("update_contact"))
        assert decision.effect is Effect.HOLD
        assert (
            decision.message
            == "crm.update_contact waits for 1 approval (risk Medium: anybody who may approve it)"
        )
    assert decide_along([own, own], call("update_contact")).allowed


def test_along_a_lineage_a_denial_beats_a_hold_wherever_it_is() -> None:
    held, denied = merged(below()), merged(policy(rule("reads", access=["Read"])))
    for along in ([held, denied], [denied, held]):
        assert decide_along(along, call("update_contact")).effect is Effect.DENY


def test_along_a_lineage_there_may_be_too_many_quorums_too() -> None:
    half = [approval(f"a{number}") for number in range(9)]
    one, other = merged(below(*half)), merged(policy(ALL, name="other", approvals=[*half]))
    assert decide(one, call()).effect is Effect.HOLD
    assert decide_along([one, other], call()).reason is DecisionReason.TOO_MANY_QUORUMS


def test_which_policies_lower_the_autonomy_is_told() -> None:
    world = merged(
        policy(ALL, autonomy={"ceiling": "Supervised"}),
        policy(ALL, name="other", autonomy={"ceiling": "Sampled"}),
        cluster_policy(ALL, autonomy={"ceiling": "Supervised"}),
        of=agent(autonomy="Autonomous"),
    )
    assert world.autonomy is AutonomyLevel.SUPERVISED
    assert world.granted.asked is AutonomyLevel.AUTONOMOUS
    assert world.granted.lowered_by == ("ClusterPolicy floor", "Policy baseline")
    unlowered = merged(policy(ALL, autonomy={"ceiling": "Supervised"}))
    assert (unlowered.autonomy, unlowered.granted.lowered_by) == (AutonomyLevel.SUPERVISED, ())


def test_an_approval_rule_that_does_not_compile_denies_every_call_and_is_named() -> None:
    world = merged(below(approval("odd", when="args.")))
    decision = decide(world, call())
    assert decision.reason is DecisionReason.POLICY_NOT_ACCEPTED
    assert "Policy baseline: spec.approvals[odd].when: line 1" in decision.message


def test_what_people_are_asked_is_part_of_the_digest() -> None:
    plain = merged(below())
    different = (
        merged(below(approval())),
        merged(policy(ALL, autonomy={"ceiling": "Propose"})),
        merged(policy(ALL, autonomy={"ceiling": "Autonomous"})),
        merged(below(), of=agent(autonomy="Sampled")),
    )
    assert len({plain.digest, *(world.digest for world in different)}) == 5
    assert b'"autonomy":{"asked":"Supervised","granted":"Supervised"}' in plain.document()


def test_what_is_asked_whatever_the_call_is_looked_up_once() -> None:
    world = merged(below(approval()))
    action = world.action("crm", "get_contact")
    assert action is not None
    assert world.unconditional_quorums("crm", action) is world.unconditional_quorums("crm", action)
    conditional = merged(below(approval(), approval("b", when="true")))
    assert conditional.unconditional_quorums("crm", action) is None


RANK = {Effect.ALLOW: 0, Effect.HOLD: 1, Effect.DENY: 2}


def with_approvals(random: Random, world: World) -> PolicyInputs:
    """Return ``world`` with approval rules added to one of its Policies."""
    inputs = world.inputs()
    chosen = random.choice(list(inputs.policies))
    kept = [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in chosen.spec.approvals]
    more = approval_rules(random, world.conditions, "x", random.randint(1, 3))
    changed = policy(
        *[item.model_dump(mode="json", by_alias=True) for item in chosen.spec.rules],
        name=chosen.metadata.name,
        match_labels=chosen.spec.agents.match_labels,
        approvals=[*kept, *more],
        autonomy={"ceiling": chosen.spec.autonomy.ceiling.value} if chosen.spec.autonomy else None,
    )
    return replace(inputs, policies=[changed if item is chosen else item for item in inputs.policies])


def people_needed(quorums: tuple[BoundQuorum, ...]) -> int:
    return max((quorum.required for quorum in quorums if quorum.sample_percent == 100), default=0)


def both(
    random: Random, one: EffectivePolicy, other: EffectivePolicy
) -> tuple[Call, tuple[Effect, Effect], tuple[int, int]]:
    asked = a_call(random)
    first, second = decide(one, asked), decide(other, asked)
    return asked, (first.effect, second.effect), (people_needed(first.before), people_needed(second.before))


@settings(max_examples=100)
@given(st.randoms(use_true_random=False))
def test_another_approval_rule_of_a_policy_never_lets_a_call_through_nor_lowers_how_many_are_needed(
    random: Random,
) -> None:
    world = a_world(random)
    if not any(isinstance(item, Policy) for item in world.policies):
        return
    before, after = effective_policy(world.inputs()), effective_policy(with_approvals(random, world))
    for _ in range(10):
        asked = a_call(random)
        first, second = decide(before, asked), decide(after, asked)
        assert RANK[second.effect] >= RANK[first.effect], asked
        if second.effect is not Effect.DENY:
            assert people_needed(second.before) >= people_needed(first.before), asked


@settings(max_examples=100)
@given(st.randoms(use_true_random=False), st.sampled_from(LEVELS))
def test_a_ceiling_never_takes_a_quorum_away_nor_lets_a_call_through(random: Random, level: str) -> None:
    world = a_world(random)
    ceiling = cluster_policy(ALL, name="ceiling", autonomy={"ceiling": level})
    before = effective_policy(world.inputs())
    after = effective_policy(replace(world, policies=(*world.policies, ceiling)).inputs())
    assert LEVELS.index(after.autonomy) <= min(LEVELS.index(before.autonomy), LEVELS.index(level))
    for _ in range(10):
        asked = a_call(random)
        first, second = decide(before, asked), decide(after, asked)
        if first.effect is not Effect.DENY:
            assert {quorum.rule for quorum in first.before} <= {quorum.rule for quorum in second.before}
            assert RANK[second.effect] >= RANK[first.effect]


@settings(max_examples=100)
@given(st.randoms(use_true_random=False))
def test_to_act_for_another_agent_never_lowers_what_people_are_asked(random: Random) -> None:
    own, other = (effective_policy(a_world(random).inputs()) for _ in range(2))
    for _ in range(10):
        asked = a_call(random)
        alone, along = decide(own, asked), decide_along([own, other], asked)
        theirs = decide(other, asked)
        assert RANK[along.effect] >= max(RANK[alone.effect], RANK[theirs.effect])
        if along.effect is not Effect.DENY:
            rules = {quorum.rule for quorum in (*alone.before, *theirs.before)}
            assert {quorum.rule for quorum in along.before} == rules
