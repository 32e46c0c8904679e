from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.policy.decision import DecisionReason, decide
from aos.policy.explanation import ConsideredRule, RuleVerdict, explain
from tests.unit.policy.make import agent, call, cluster_policy, merged, policy, rule, tool

READ = rule("read", access=["Read"], when="args.id.startsWith('emea-')")
NO_EXPORT = rule("no-export", "Deny", "*", actions=["export_*"])
WRITE = rule("write", actions=["update_*"])
EMEA = {"id": "emea-1"}


def verdicts(rules: Sequence[ConsideredRule]) -> dict[str, tuple[RuleVerdict, bool]]:
    return {item.reference.rule: (item.verdict, item.decides) for item in rules}


def test_each_rule_about_the_action_has_its_verdict_and_the_decisive_one_is_marked() -> None:
    explanation = explain(merged(policy(READ, NO_EXPORT, WRITE)), call("export_contacts", EMEA))
    assert explanation.decision.reason is DecisionReason.DENIED_BY_RULE
    assert verdicts(explanation.considered) == {
        "no-export": (RuleVerdict.MATCHES, True),
        "read": (RuleVerdict.MATCHES, False),
    }


def test_a_condition_that_does_not_hold_does_not_match() -> None:
    explanation = explain(merged(policy(READ)), call(arguments={"id": "amer-1"}))
    assert verdicts(explanation.considered) == {"read": (RuleVerdict.DOES_NOT_MATCH, False)}


def test_a_deny_whose_condition_does_not_hold_does_not_match() -> None:
    explanation = explain(merged(policy(rule("no", "Deny", when="false"), rule("yes"))), call())
    assert explanation.decision.allowed
    assert verdicts(explanation.considered) == {
        "no": (RuleVerdict.DOES_NOT_MATCH, False),
        "yes": (RuleVerdict.MATCHES, True),
    }


def test_a_condition_that_fails_is_shown_with_its_message_and_a_deny_then_decides() -> None:
    failing = rule("broken", "Deny", when="args.missing == 1")
    (considered,) = explain(merged(policy(failing)), call()).considered
    assert considered.verdict is RuleVerdict.FAILED
    assert considered.decides
    assert considered.failure
    assert considered.condition == "args.missing == 1"


def test_an_allow_whose_condition_fails_decides_nothing() -> None:
    (considered,) = explain(merged(policy(READ)), call()).considered
    assert considered.verdict is RuleVerdict.FAILED
    assert not considered.decides


def test_a_call_that_no_rule_was_asked_about_has_no_considered_rules() -> None:
    suspended = merged(policy(READ), of=agent(suspend=True))
    assert explain(suspended, call(arguments=EMEA)).considered == ()
    assert explain(merged(policy(READ)), call("no_such_action")).considered == ()
    assert explain(merged(policy(WRITE)), call(arguments=EMEA)).considered == ()


EFFECTS = st.sampled_from(["Allow", "Deny"])
CONDITIONS = st.sampled_from(["", "true", "false", "args.missing == 1", "args.id == 'emea-1'"])


@given(st.lists(st.tuples(EFFECTS, CONDITIONS), min_size=1, max_size=5))
def test_the_decision_is_the_one_that_decide_makes_and_its_rules_are_among_the_considered(
    drawn: list[tuple[str, str]],
) -> None:
    rules = [rule(f"r{number}", effect, when=when) for number, (effect, when) in enumerate(drawn)]
    effective = merged(policy(*rules))
    explanation = explain(effective, call(arguments=EMEA))
    assert explanation.decision == decide(effective, call(arguments=EMEA))
    assert len(explanation.considered) == len(rules)
    marked = {item.reference for item in explanation.considered if item.decides}
    assert marked == set(explanation.decision.determined_by)
    for item in explanation.considered:
        if item.decides and item.effect == "Allow":
            assert item.verdict is RuleVerdict.MATCHES


def test_a_rule_on_arguments_that_are_too_large_has_failed_on_its_own_as_well() -> None:
    effective = merged(policy(rule("a", when="args.x != ''"), rule("b")))
    explanation = explain(effective, call(arguments={"x": "a" * 70_000}))
    assert verdicts(explanation.considered) == {
        "a": (RuleVerdict.FAILED, False),
        "b": (RuleVerdict.MATCHES, True),
    }


def test_rules_of_both_layers_are_considered_the_upper_first() -> None:
    effective = merged(policy(READ), cluster_policy(rule("ceiling"), rule("no", "Deny", actions=["x"])))
    explanation = explain(effective, call(arguments=EMEA))
    assert [(item.reference.kind, item.decides) for item in explanation.considered] == [
        ("ClusterPolicy", True),
        ("Policy", True),
    ]


def test_the_bounds_of_an_action_are_told_even_where_the_call_is_denied() -> None:
    bounded = policy(WRITE, limits=[{"name": "calls", "calls": 60, "per": "1m"}])
    told = {bound.name for bound in explain(merged(bounded), call()).bounds}
    assert "Policy baseline, limit calls" in told
    assert explain(merged(bounded), call("no_such_action")).bounds == ()
    broken = merged(bounded, tools=[tool(record="${args.}")])
    assert explain(broken, call("update_contact")).bounds == ()


def test_each_approval_rule_about_the_action_has_its_verdict_even_where_the_call_is_denied() -> None:
    approvals: list[JsonValue] = [
        {"name": "all"},
        {"name": "emea", "when": "args.id.startsWith('emea-')"},
        {"name": "no", "when": "false"},
        {"name": "reads", "match": {"access": ["Read"]}},
        {"name": "unknown", "when": "args.missing == 1"},
    ]
    for effect in ("Allow", "Deny"):
        explanation = explain(
            merged(policy(rule("a", effect), approvals=approvals)), call("update_contact", EMEA)
        )
        assert [(item.rule.name, item.verdict) for item in explanation.approvals] == [
            ("all", RuleVerdict.MATCHES),
            ("emea", RuleVerdict.MATCHES),
            ("no", RuleVerdict.DOES_NOT_MATCH),
            ("unknown", RuleVerdict.FAILED),
        ]
        assert [bool(item.failure) for item in explanation.approvals] == [False, False, False, True]
        assert str(explanation.approvals[0].reference) == "Policy baseline, approval all"


def test_the_autonomy_that_is_granted_is_told_whatever_is_decided() -> None:
    lowered = merged(policy(READ, autonomy={"ceiling": "Propose"}))
    for action in ("get_contact", "update_contact", "no_such_action"):
        autonomy = explain(lowered, call(action, EMEA)).autonomy
        assert (autonomy.level, autonomy.lowered_by) == ("Propose", ("Policy baseline",))
