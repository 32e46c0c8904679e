from collections.abc import Mapping

import pytest
from pydantic import JsonValue

from aos.policy.decision import Effect
from aos.policy.effective import EffectivePolicy, PolicyInputs
from aos.policy.merging import AnyPolicy
from aos.policy.replay import Outcome, RecordedCall, replay, with_candidates
from tests.unit.policy.make import agent, call, cluster_policy, merged, policy, rule, tool

ALLOW, DENY = Effect.ALLOW, Effect.DENY
BY_ARGS = "args.x == 1"


def recorded(
    effect: Effect,
    reason: str = "",
    arguments: Mapping[str, JsonValue] | None = None,
    lineage: tuple[str, ...] = (),
    action: str = "get_contact",
) -> RecordedCall:
    return RecordedCall(
        agent="enricher",
        call=call(action, arguments, lineage=lineage),
        has_arguments=arguments is not None,
        effect=effect,
        reason=reason or ("Allowed" if effect is ALLOW else "NotAllowed"),
    )


def outcome(item: RecordedCall, *policies: AnyPolicy) -> Outcome:
    (found,) = replay({"enricher": merged(*policies)}, [item])
    assert found.recorded is item
    assert found.message
    return found.outcome


NARROW = policy(rule("a", when=BY_ARGS))
OPEN = policy(rule("a"))


@pytest.mark.parametrize(
    ("says", "item", "policies", "expected"),
    [
        ("still allowed", recorded(ALLOW, arguments={"x": 1}), (NARROW,), Outcome.SAME),
        ("now denied", recorded(ALLOW, arguments={"x": 2}), (NARROW,), Outcome.NOW_DENIED),
        ("now allowed", recorded(DENY, arguments={"x": 1}), (NARROW,), Outcome.NOW_ALLOWED),
        ("still denied", recorded(DENY, arguments={"x": 2}), (NARROW,), Outcome.SAME),
        ("allowed whatever was sent", recorded(ALLOW), (OPEN,), Outcome.SAME),
        ("denied whatever was sent", recorded(ALLOW), (policy(rule("a"), rule("d", "Deny")),), Outcome.NOW_DENIED),
        ("no policy", recorded(ALLOW), (), Outcome.NOW_DENIED),
        ("no such action", recorded(ALLOW, action="gone"), (OPEN,), Outcome.NOW_DENIED),
        ("no rule about it", recorded(ALLOW), (policy(rule("a", actions=["x"])),), Outcome.NOW_DENIED),
        ("an allow depends on arguments", recorded(ALLOW), (NARROW,), Outcome.UNKNOWN),
        ("an allow depends on the run", recorded(ALLOW), (policy(rule("a", when="run.step == 'send'")),), Outcome.UNKNOWN),
        ("a deny depends on arguments", recorded(ALLOW), (policy(rule("a"), rule("d", "Deny", when=BY_ARGS)),), Outcome.UNKNOWN),
        ("an allow that does not hold", recorded(ALLOW), (policy(rule("a", when="tool == 'erp'")),), Outcome.NOW_DENIED),
        ("one layer can't allow", recorded(ALLOW), (NARROW, cluster_policy(rule("a", when="tool == 'erp'"))), Outcome.NOW_DENIED),
        ("one allow is sure", recorded(ALLOW), (policy(rule("a", when=BY_ARGS), rule("b", when="tool == 'crm'")),), Outcome.SAME),
        ("a limit refused it", recorded(DENY, "LimitExceeded", {}), (OPEN,), Outcome.UNKNOWN),
        ("refused by a limit, denied now", recorded(DENY, "LimitExceeded", {}), (policy(rule("d", "Deny")),), Outcome.SAME),
        ("an ancestor is gone", recorded(ALLOW, arguments={}, lineage=("planner",)), (OPEN,), Outcome.UNKNOWN),
        ("an agent that is its own ancestor", recorded(ALLOW, arguments={}, lineage=("enricher",)), (OPEN,), Outcome.SAME),
    ],
)  # fmt: skip
def test_a_recorded_call_is_judged_anew(
    says: str, item: RecordedCall, policies: tuple[AnyPolicy, ...], expected: Outcome
) -> None:
    assert outcome(item, *policies) is expected, says


HOLD = Effect.HOLD
UPDATE = "update_contact"
SEVENTEEN: list[dict[str, JsonValue]] = [{"name": f"p{number}"} for number in range(17)]


def asking(*approvals: dict[str, JsonValue]) -> AnyPolicy:
    return policy(rule("a"), approvals=[*approvals])


@pytest.mark.parametrize(
    ("says", "item", "policies", "expected"),
    [
        ("now held", recorded(ALLOW, arguments={}), (asking({"name": "p"}),), Outcome.NOW_HELD),
        ("now held whatever was sent", recorded(ALLOW), (asking({"name": "p"}),), Outcome.NOW_HELD),
        ("still held", recorded(HOLD, action=UPDATE), (OPEN,), Outcome.SAME),
        ("held, and denied now", recorded(HOLD, action=UPDATE), (policy(rule("d", "Deny")),), Outcome.NOW_DENIED),
        ("held, and allowed now", recorded(HOLD), (OPEN,), Outcome.NOW_ALLOWED),
        ("held, and allowed now by what was sent", recorded(HOLD, arguments={}), (OPEN,), Outcome.NOW_ALLOWED),
        ("held after asking, whatever the answer", recorded(HOLD, "ApprovalRejected"), (OPEN,), Outcome.NOW_ALLOWED),
        ("denied, and held now", recorded(DENY, action=UPDATE), (OPEN,), Outcome.NOW_HELD),
        ("a limit refused it", recorded(DENY, "LimitExceeded", action=UPDATE), (OPEN,), Outcome.UNKNOWN),
        ("whether it is held depends on arguments", recorded(ALLOW), (asking({"name": "p", "when": BY_ARGS}),), Outcome.UNKNOWN),
        ("it is held in any case", recorded(ALLOW, action=UPDATE), (asking({"name": "p", "when": BY_ARGS}),), Outcome.NOW_HELD),
        ("a condition on other things", recorded(ALLOW), (asking({"name": "p", "when": "tool == 'crm'"}),), Outcome.NOW_HELD),
        ("one that does not hold", recorded(ALLOW), (asking({"name": "p", "when": "tool == 'erp'"}),), Outcome.SAME),
        ("a review", recorded(ALLOW), (asking({"name": "p", "review": "After", "when": BY_ARGS}),), Outcome.SAME),
        ("a sample of what was allowed", recorded(ALLOW), (asking({"name": "p", "samplePercent": 5}),), Outcome.SAME),
        ("a sample of what was held", recorded(HOLD), (asking({"name": "p", "samplePercent": 5}),), Outcome.UNKNOWN),
        ("a sample by arguments", recorded(HOLD), (asking({"name": "p", "samplePercent": 5, "when": BY_ARGS}),), Outcome.UNKNOWN),
        ("a sample of what was sent", recorded(HOLD, arguments={}), (asking({"name": "p", "samplePercent": 5}),), Outcome.UNKNOWN),
        ("too many quorums", recorded(ALLOW), (asking(*SEVENTEEN),), Outcome.NOW_DENIED),
    ],
)  # fmt: skip
def test_that_people_are_asked_is_a_third_outcome(
    says: str, item: RecordedCall, policies: tuple[AnyPolicy, ...], expected: Outcome
) -> None:
    assert outcome(item, *policies) is expected, says


def test_a_call_along_a_lineage_is_judged_by_all_its_agents() -> None:
    policies: dict[str, EffectivePolicy] = {
        "enricher": merged(OPEN),
        "planner": merged(policy(rule("d", "Deny"))),
    }
    either: tuple[dict[str, JsonValue] | None, ...] = (None, {})
    for arguments in either:
        (found,) = replay(policies, [recorded(ALLOW, arguments=arguments, lineage=("planner",))])
        assert found.outcome is Outcome.NOW_DENIED


def test_candidates_replace_what_has_their_name_and_come_on_top_of_the_rest() -> None:
    inputs = PolicyInputs(
        agent=agent(),
        namespace_labels={},
        tools={"crm": tool()},
        policies=[policy(rule("old"), name="a"), policy(rule("kept"), name="b")],
        unreadable=["c", "d"],
        cluster_policies=[cluster_policy(rule("old"))],
        unreadable_cluster=["floor", "other"],
    )
    named = policy(rule("x"), name="z")
    elsewhere = named.model_copy(
        update={"metadata": named.metadata.model_copy(update={"namespace": "other"})}
    )
    candidates: list[AnyPolicy] = [elsewhere, cluster_policy(rule("new"))]
    candidates += [policy(rule("new"), name=name) for name in ("a", "c")]
    after = with_candidates(inputs, candidates)
    assert [(item.metadata.name, item.spec.rules[0].name) for item in after.policies] == [
        ("a", "new"),
        ("b", "kept"),
        ("c", "new"),
    ]
    assert [item.spec.rules[0].name for item in after.cluster_policies] == ["new"]
    assert list(after.unreadable) == ["d"]
    assert list(after.unreadable_cluster) == ["other"]
