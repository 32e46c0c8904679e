from dataclasses import dataclass, field, replace

import pytest
from pydantic import JsonValue

from aos.model.cluster_policy import ClusterPolicy
from aos.model.policy import Policy
from aos.model.task import StepOfRun
from aos.policy.decision import REASON_DOCS, DecisionReason, Effect, decide, decide_along, may_ever
from aos.policy.effective import MAX_NARROWED
from aos.policy.obligations import Obligations
from tests.unit.policy.make import agent, call, cluster_policy, merged, policy, rule, tool

ALLOW = rule("allow")
DENY = rule("deny", "Deny")
DENY_EXPORT = rule("no-export", "Deny", actions=["export_*"])


@dataclass(frozen=True)
class Row:
    """One row of the truth table."""

    says: str
    policies: tuple[Policy | ClusterPolicy, ...]
    reason: DecisionReason
    action: str = "get_contact"
    arguments: dict[str, JsonValue] = field(default_factory=dict)


R = DecisionReason
TABLE = (
    Row("nothing selects the agent", (), R.NO_POLICY),
    Row("a policy for other agents is none", (policy(ALLOW, match_labels={"role": "sales"}),), R.NO_POLICY),
    Row("an allow allows", (policy(ALLOW),), R.ALLOWED),
    Row("allows of two policies add up", (policy(rule("w", actions=["update_*"])), policy(ALLOW, name="b")), R.ALLOWED),
    Row("a deny alone denies", (policy(DENY),), R.DENIED_BY_RULE),
    Row("a deny beats an allow of its policy", (policy(ALLOW, DENY),), R.DENIED_BY_RULE),
    Row("a deny beats an allow of another policy", (policy(ALLOW), policy(DENY, name="b")), R.DENIED_BY_RULE),
    Row("an allow for another action does not count", (policy(rule("a", actions=["update_*"])),), R.NOT_ALLOWED),
    Row("an allow for another tool does not count", (policy(rule("a", tool_name="erp")),), R.NOT_ALLOWED),
    Row("an allow for another access does not count", (policy(rule("a", access=["Write"])),), R.NOT_ALLOWED),
    Row("an allow by access counts", (policy(rule("a", access=["Read"])),), R.ALLOWED),
    Row("a glob names actions", (policy(rule("a", actions=["*_contact"])),), R.ALLOWED),
    Row("a condition that holds allows", (policy(rule("a", when="args.x == 1")),), R.ALLOWED, arguments={"x": 1}),
    Row("a condition that does not hold", (policy(rule("a", when="args.x == 1")),), R.NOT_ALLOWED, arguments={"x": 2}),
    Row("an allow whose condition fails does not match", (policy(rule("a", when="args.x == 1")),), R.NOT_ALLOWED),
    Row("a deny whose condition fails matches", (policy(ALLOW, rule("d", "Deny", when="args.x == 1")),), R.DENIED_BY_RULE),
    Row("a deny whose condition holds not", (policy(ALLOW, rule("d", "Deny", when="args.x == 1")),), R.ALLOWED, arguments={"x": 2}),
    Row("only exactly true allows", (policy(rule("a", when="args.x")),), R.NOT_ALLOWED, arguments={"x": "true"}),
    Row("a number is not true", (policy(rule("a", when="args.x")),), R.NOT_ALLOWED, arguments={"x": 1}),
    Row("true is true", (policy(rule("a", when="args.x")),), R.ALLOWED, arguments={"x": True}),
    Row("a rule that does not compile denies all", (policy(ALLOW, rule("b", when="args.")),), R.POLICY_NOT_ACCEPTED),
    Row("an undeclared action is unknown", (policy(ALLOW),), R.ACTION_UNKNOWN, action="drop_tables"),
    Row("agents' labels are there", (policy(rule("a", when="agent.labels.territory == 'emea'")),), R.ALLOWED),
    Row("the owner is there", (policy(rule("a", when="agent.owner.team == 'revops'")),), R.ALLOWED),
    Row("whom to ask is there", (policy(rule("a", when="agent.owner.contact == 'oncall@example.com'")),), R.ALLOWED),
    Row("the tenant is the namespace by default", (policy(rule("a", when="ns.tenant == 'sales'")),), R.ALLOWED),
    Row("the environment is there", (policy(rule("a", when="ns.environment == 'dev'")),), R.ALLOWED),
    Row("the task is there", (policy(rule("a", when="task.requestedBy == 'ana@example.com'")),), R.ALLOWED),
    Row("the clock is there", (policy(rule("a", when="now < timestamp('2027-01-01T00:00:00Z')")),), R.ALLOWED),
    Row("tool and action are there", (policy(rule("a", when="tool + '.' + action == 'crm.get_contact'")),), R.ALLOWED),
    Row("optional access works", (policy(rule("a", when="args.?t.orValue('emea') == 'emea'")),), R.ALLOWED),
    Row("string functions work", (policy(rule("a", when="action.split('_')[0] == 'get'")),), R.ALLOWED),
    Row("huge numbers fail the condition", (policy(rule("a", when="args.x > 1")),), R.NOT_ALLOWED, arguments={"x": 2**70}),
    Row("task lineage and depth are there", (policy(rule("a", when="task.depth == 0 && task.lineage == []")),), R.ALLOWED),
    Row("a ClusterPolicy alone allows nothing", (cluster_policy(ALLOW),), R.NO_POLICY),
    Row("a call needs an Allow in each layer", (policy(ALLOW), cluster_policy(rule("w", actions=["update_*"]))), R.NOT_ALLOWED),
    Row("a ceiling that allows leaves it to the Policy", (policy(rule("w", actions=["update_*"])), cluster_policy(ALLOW)), R.NOT_ALLOWED),
    Row("both layers allow", (policy(ALLOW), cluster_policy(ALLOW)), R.ALLOWED),
    Row("allows of two ClusterPolicies add up", (policy(ALLOW), cluster_policy(rule("w", actions=["update_*"])), cluster_policy(ALLOW, name="b")), R.ALLOWED),
    Row("a Deny above ends it", (policy(ALLOW), cluster_policy(ALLOW, DENY)), R.DENIED_BY_RULE),
    Row("a Deny below ends it", (policy(ALLOW, DENY), cluster_policy(ALLOW)), R.DENIED_BY_RULE),
    Row("a ClusterPolicy of Denies alone allows nothing", (policy(ALLOW), cluster_policy(rule("x", "Deny", actions=["export_*"]))), R.NOT_ALLOWED),
    Row("a ClusterPolicy for other namespaces is none", (policy(ALLOW), cluster_policy(DENY, namespaces={"aos.dev/environment": "prod"})), R.ALLOWED),
    Row("a ClusterPolicy for this namespace counts", (policy(ALLOW), cluster_policy(DENY, namespaces={"aos.dev/environment": "dev"})), R.DENIED_BY_RULE),
    Row("a ClusterPolicy for other agents is none", (policy(ALLOW), cluster_policy(DENY, match_labels={"role": "sales"})), R.ALLOWED),
    Row("a ClusterPolicy that does not compile denies all", (policy(ALLOW), cluster_policy(ALLOW, rule("b", when="1 +"))), R.POLICY_NOT_ACCEPTED),
    Row("a broken ClusterPolicy for other agents does no harm", (policy(ALLOW), cluster_policy(rule("b", when="1 +"), match_labels={"role": "sales"})), R.ALLOWED),
    Row("a pattern that is no expression denies all", (policy(ALLOW, data={"block": ["id"], "patterns": [{"name": "id", "regex": "("}]}),), R.POLICY_NOT_ACCEPTED),
    Row("an allow by risk counts", (policy(rule("a", risk=["Low"])),), R.ALLOWED),
    Row("an allow for another risk does not count", (policy(rule("a", risk=["High"])),), R.NOT_ALLOWED),
    Row("a deny by data class matches what declares it", (policy(ALLOW, rule("d", "Deny", dataClasses=["pii"])),), R.DENIED_BY_RULE, action="export_contacts"),
    Row("a deny by data class leaves the rest", (policy(ALLOW, rule("d", "Deny", dataClasses=["pii"])),), R.ALLOWED),
    Row("numbers of both kinds compare", (policy(rule("a", when="args.x == 1")),), R.ALLOWED, arguments={"x": 1.0}),
    Row("a text is no number", (policy(rule("a", when="args.x == 1")),), R.NOT_ALLOWED, arguments={"x": "1"}),
    Row("a condition on arguments that are too large: an allow does not match", (policy(rule("a", when="args.x != ''")),), R.NOT_ALLOWED, arguments={"x": "a" * 70_000}),
    Row("a condition on arguments that are too large: a deny does", (policy(ALLOW, rule("d", "Deny", when="args.x == ''")),), R.DENIED_BY_RULE, arguments={"x": "a" * 70_000}),
    Row("large arguments do not touch other conditions", (policy(rule("a", when="agent.labels.role == 'research'"), rule("b", when="args.x == 1")),), R.ALLOWED, arguments={"x": "a" * 70_000}),
    Row("arguments that JSON can't carry fail conditions on them", (policy(ALLOW, rule("d", "Deny", when="args.y == 1")),), R.DENIED_BY_RULE, arguments={"x": 2**70, "y": 2}),
    Row("a text with U+0000 is never cut to one that is allowed", (policy(rule("a", when="args.x == 'ok'")),), R.NOT_ALLOWED, arguments={"x": "ok\0evil"}),
    Row("nor is a key", (policy(rule("a", when="has(args.x)")),), R.NOT_ALLOWED, arguments={"x\0y": 1}),
    Row("endless work fails the condition", (policy(rule("a", when="args.l.all(x, args.l.all(y, y == x || true))")),), R.NOT_ALLOWED, arguments={"l": list(range(500))}),
)  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.says)
def test_truth_table(row: Row) -> None:
    decision = decide(merged(*row.policies), call(row.action, arguments=row.arguments))
    assert decision.reason is row.reason
    assert decision.allowed is (row.reason is DecisionReason.ALLOWED)
    assert decision.message


def test_a_suspended_agent_is_denied_whatever_policies_say() -> None:
    decision = decide(merged(policy(ALLOW), of=agent(suspend=True)), call())
    assert decision.reason is DecisionReason.AGENT_SUSPENDED


def test_an_unreadable_policy_denies_every_call() -> None:
    decision = decide(merged(policy(ALLOW), unreadable=["broken"]), call())
    assert decision.reason is DecisionReason.POLICY_NOT_ACCEPTED
    assert "Policy broken" in decision.message


def test_a_tool_that_the_agent_does_not_list_is_unknown_to_it() -> None:
    decision = decide(merged(policy(ALLOW), of=agent(tools=[])), call())
    assert decision.reason is DecisionReason.TOOL_UNKNOWN


def test_an_action_that_the_agent_does_not_ask_for_is_denied() -> None:
    asking = agent(tools=[{"name": "crm", "actions": ["search_*"]}])
    assert decide(merged(policy(ALLOW), of=asking), call()).reason is DecisionReason.NOT_REQUESTED


def test_an_allowed_call_names_the_rule_that_allows_it() -> None:
    decision = decide(merged(policy(ALLOW, rule("other", actions=["none"]))), call())
    assert [str(found) for found in decision.determined_by] == ["Policy baseline, rule allow"]
    assert decision.considered == 1
    assert decision.effect is Effect.ALLOW


def test_a_denied_call_names_the_rule_that_denies_it() -> None:
    decision = decide(merged(policy(ALLOW, DENY)), call())
    assert [str(found) for found in decision.determined_by] == ["Policy baseline, rule deny"]
    assert decision.message == "crm.get_contact is denied by Policy baseline, rule deny"


def test_a_failed_condition_is_told() -> None:
    decision = decide(merged(policy(rule("a", when="args.x == 1"))), call())
    assert [str(failure.rule) for failure in decision.failures] == ["Policy baseline, rule a"]
    assert "x" in decision.failures[0].message
    denied = decide(merged(policy(ALLOW, rule("d", "Deny", when="args.x == 1"))), call())
    assert "its condition failed" in denied.message


def test_every_reason_is_documented() -> None:
    assert set(REASON_DOCS) == set(DecisionReason)


@pytest.mark.parametrize(
    ("says", "policies", "action", "expected"),
    [
        ("an unconditional deny hides", (policy(ALLOW, DENY),), "get_contact", False),
        (
            "a conditional deny does not",
            (policy(ALLOW, rule("d", "Deny", when="args.x == 1")),),
            "get_contact",
            True,
        ),
        ("a conditional allow shows", (policy(rule("a", when="args.x == 1")),), "get_contact", True),
        ("no allow hides", (policy(rule("a", actions=["update_*"])),), "get_contact", False),
        ("no policy hides", (), "get_contact", False),
        ("an unknown action is hidden", (policy(ALLOW),), "nope", False),
    ],
)
def test_only_what_may_be_allowed_is_listed(
    says: str, policies: tuple[Policy, ...], action: str, *, expected: bool
) -> None:
    assert may_ever(merged(*policies), "crm", action) is expected, says


def test_what_the_agent_does_not_ask_for_is_not_listed() -> None:
    asking = agent(tools=[{"name": "crm", "actions": ["search_*"]}])
    assert not may_ever(merged(policy(ALLOW), of=asking), "crm", "get_contact")


def test_the_rules_of_an_action_are_looked_up_once() -> None:
    effective = merged(policy(ALLOW))
    declared = effective.action("crm", "get_contact")
    assert declared is not None
    assert effective.concerning("crm", declared) is effective.concerning("crm", declared)


def test_of_what_the_agent_asks_for_only_declared_actions_are_remembered() -> None:
    effective = merged(policy(ALLOW))
    for action in ("get_contact", "made_up"):
        assert effective.asks_for("crm", action)
        assert effective.asks_for("crm", action)
    assert list(effective._requested) == [("crm", "get_contact")]


def test_the_variables_of_a_policy_are_those_of_all_its_conditions() -> None:
    rules = policy(rule("a", when="args.x == 1"), rule("b", "Deny", when="task.name == 't'"), ALLOW)
    assert merged(rules).variables == {"args", "task"}


def test_an_unreadable_cluster_policy_denies_every_call() -> None:
    decision = decide(merged(policy(ALLOW), unreadable_cluster=["floor"]), call())
    assert decision.reason is DecisionReason.POLICY_NOT_ACCEPTED
    assert "ClusterPolicy floor: could not be read" in decision.message


def test_an_action_whose_record_does_not_compile_is_denied_and_not_listed_and_others_are_not() -> None:
    effective = merged(policy(ALLOW), tools=[tool(record="contact/${args.}")])
    decision = decide(effective, call("update_contact"))
    assert decision.reason is DecisionReason.TOOL_NOT_ACCEPTED
    assert "Tool crm: spec.actions[update_contact].record" in decision.message
    assert not may_ever(effective, "crm", "update_contact")
    assert decide(effective, call()).allowed


def test_an_allowed_call_has_obligations_and_a_denied_one_none() -> None:
    effective = merged(policy(ALLOW, DENY_EXPORT, loops={"maxDepth": 2}))
    held = decide(effective, call()).obligations
    assert held is not None
    assert held.loops.max_depth == 2
    assert decide(effective, call("export_contacts")).obligations is None


def test_what_is_too_large_is_told_with_its_bound() -> None:
    effective = merged(policy(rule("a", when="args.x != ''")))
    decision = decide(effective, call(arguments={"x": "a" * 70_000}))
    assert "too large for conditions: 70" in decision.message
    assert "65536 bytes and 1024 values can be judged in time" in decision.message


def test_an_agent_whose_labels_are_too_large_fails_conditions_on_them() -> None:
    labels = {f"label-{number}": "x" * 60 for number in range(1500)}
    effective = merged(
        policy(rule("a", when="ns.name == 'sales'"), rule("b", "Deny", when="tool == 'erp'")),
        of=agent(labels),
    )
    decision = decide(effective, call())
    assert decision.reason is DecisionReason.NOT_ALLOWED
    assert "the agent's and its Task's data are too large" in decision.message


@pytest.mark.parametrize(
    ("workflow", "step", "allowed"),
    [("outreach", "send", True), ("outreach", "draft", False), ("other", "send", False), ("", "", False)],
)
def test_a_rule_may_ask_for_which_step_of_which_workflow_a_call_is_made(
    workflow: str, step: str, *, allowed: bool
) -> None:
    effective = merged(policy(rule("a", when="run.workflow == 'outreach' && run.step == 'send'")))
    run = StepOfRun(name="r", uid="u", root_uid="u", workflow=workflow, step=step) if workflow else None
    assert decide(effective, replace(call(), run=run)).allowed is allowed


def test_a_call_along_a_lineage_needs_every_agent_to_be_allowed() -> None:
    own = merged(policy(ALLOW, limits=[{"name": "own", "calls": 1, "per": "1m"}]))
    planner = merged(policy(ALLOW, name="other", data={"redact": ["pii"]}, loops={"maxDepth": 1}))
    barred = merged(policy(rule("w", actions=["update_*"])))
    assert decide_along([own], call()) == decide(own, call())
    both = decide_along([own, planner], call())
    assert both.allowed
    assert [str(rule) for rule in both.determined_by] == [
        "Policy baseline, rule allow",
        "Policy other, rule allow",
    ]
    assert both.obligations is not None
    assert [str(limit.reference) for limit in both.obligations.limits] == ["Policy baseline, limit own"]
    assert both.obligations.data.redact_request == {"pii"}
    assert both.obligations.loops.max_depth == 1
    denied = decide_along([own, barred], call())
    assert not denied.allowed
    assert denied.message.startswith(
        "the call is made for agent enricher, which may not make it: no Policy rule"
    )
    assert decide_along([barred, own], call()).message.startswith("no Policy rule")
    assert decide_along([], call()).reason is DecisionReason.NO_POLICY


def test_the_same_lineage_has_the_same_obligations_object_without_end() -> None:
    own, other = merged(policy(ALLOW)), merged(policy(ALLOW, name="other"))
    first = decide_along([own, other], call()).obligations
    assert first is decide_along([own, other], call()).obligations
    for _ in range(MAX_NARROWED):
        own.narrowed((Obligations(), Obligations()))
    assert len(own._narrowed) <= MAX_NARROWED


@pytest.mark.parametrize("value", ["true", 1, 1.0, [True], {"a": True}, None, "TRUE", "\0"])
def test_attack_25_only_exactly_true_allows_whatever_the_value_looks_like(value: JsonValue) -> None:
    for when in (
        "args.x",
        "args.x || false",
        "args.x && true",
        "args.x ? true : false",
        "[args.x].all(v, v)",
    ):
        assert not decide(merged(policy(rule("a", when=when))), call(arguments={"x": value})).allowed
        denying = merged(policy(ALLOW, rule("d", "Deny", when=when)))
        assert not decide(denying, call(arguments={"x": value})).allowed


def test_attack_25_a_text_is_never_cut_to_one_that_is_allowed() -> None:
    effective = merged(policy(rule("a", when="args.to == 'ok@example.com'")))
    assert decide(effective, call(arguments={"to": "ok@example.com"})).allowed
    assert not decide(effective, call(arguments={"to": "ok@example.com\0, evil@example.com"})).allowed


def test_attack_31_a_namespace_can_not_allow_what_the_ceiling_leaves_out() -> None:
    ceiling = cluster_policy(rule("reads", access=["Read"]))
    everything = policy(rule("all", tool_name="*"))
    assert decide(merged(everything), call("update_contact")).effect is Effect.HOLD
    assert decide(merged(everything, ceiling), call("update_contact")).effect is Effect.DENY
    assert decide(merged(everything, ceiling), call()).allowed
