from aos.model.base import JsonObject
from aos.model.policy import PolicyStatus
from aos.reconcile.plan import Plan
from aos.reconcile.policy import ObservedPolicy, reconcile_policy
from tests.unit.reconcile.make import NOW, cluster_policy, conditions_of, message_of, policy


def test_a_policy_whose_rules_compile_is_accepted_and_counts_its_agents() -> None:
    labels = [{"role": "research"}, {"role": "other"}, {"role": "research", "x": "y"}]
    plan = reconcile_policy(ObservedPolicy(policy(), labels), NOW)
    assert conditions_of(plan) == {"Accepted": ("True", "Accepted"), "Ready": ("True", "Ready")}
    assert plan.status is not None
    assert plan.status["selectedAgents"] == 2


def test_an_expression_that_does_not_compile_is_named_with_rule_and_position() -> None:
    plan = reconcile_policy(ObservedPolicy(policy(when="args.x ==")), NOW)
    assert conditions_of(plan)["Accepted"] == ("False", "InvalidExpression")
    assert "spec.rules[read].when: line 1, column" in message_of(plan, "Accepted")
    assert conditions_of(plan)["Ready"] == ("False", "NotAccepted")
    assert [event.reason for event in plan.events] == ["NotAccepted"]


def test_an_expression_that_gives_no_bool_is_refused() -> None:
    plan = reconcile_policy(ObservedPolicy(policy(when="'text'")), NOW)
    assert conditions_of(plan)["Accepted"] == ("False", "InvalidExpression")


def test_a_condition_of_an_approval_rule_is_looked_at_too() -> None:
    broken: JsonObject = {"name": "outbound", "when": "args."}
    plan = reconcile_policy(ObservedPolicy(cluster_policy(approvals=[broken])), NOW)
    assert conditions_of(plan)["Accepted"] == ("False", "InvalidExpression")
    assert "spec.approvals[outbound].when: line 1, column" in message_of(plan, "Accepted")


def test_a_policy_that_was_mended_says_so() -> None:
    broken = reconcile_policy(ObservedPolicy(policy(when="1 +")), NOW)
    mended = policy().model_copy(update={"status": PolicyStatus.model_validate(broken.status)})
    plan = reconcile_policy(ObservedPolicy(mended), NOW)
    assert [event.reason for event in plan.events] == ["Accepted"]


def test_nothing_is_written_once_the_status_is_so() -> None:
    first = reconcile_policy(ObservedPolicy(policy(), [{"role": "research"}]), NOW)
    done = policy().model_copy(update={"status": PolicyStatus.model_validate(first.status)})
    assert reconcile_policy(ObservedPolicy(done, [{"role": "research"}]), NOW) == Plan()
    assert reconcile_policy(ObservedPolicy(done, []), NOW).status is not None


def test_a_policy_that_is_being_deleted_is_left_alone() -> None:
    going = policy()
    deleted = going.model_copy(
        update={"metadata": going.metadata.model_copy(update={"deletion_timestamp": NOW})}
    )
    assert reconcile_policy(ObservedPolicy(deleted), NOW) == Plan()


def test_a_cluster_policy_has_the_same_conditions() -> None:
    plan = reconcile_policy(ObservedPolicy(cluster_policy(), [{}, {"role": "x"}]), NOW)
    assert conditions_of(plan) == {"Accepted": ("True", "Accepted"), "Ready": ("True", "Ready")}
    assert plan.status is not None
    assert plan.status["selectedAgents"] == 2
    broken: JsonObject = {"name": "all", "effect": "Allow", "tools": [{"name": "*"}], "when": "1 +"}
    plan = reconcile_policy(ObservedPolicy(cluster_policy(rules=[broken])), NOW)
    assert conditions_of(plan)["Accepted"] == ("False", "InvalidExpression")
    assert "spec.rules[all].when: line 1, column" in message_of(plan, "Accepted")
