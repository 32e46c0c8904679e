"""``aos why`` against a real API server."""

from pydantic import JsonValue

from tests.cluster.cli.conftest import Namespace, condition

EMEA = '{"id": "emea-0001"}'


def digest_of(namespace: Namespace) -> str:
    policy = namespace.aos("why", "enricher", "crm.get_contact", "-o", "json").data["policy"]
    assert isinstance(policy, dict)
    return str(policy["digest"])


def enforced(namespace: Namespace) -> dict[str, JsonValue]:
    value = namespace.aos("why", "enricher", "crm.get_contact", "-o", "json").data["enforced"]
    assert isinstance(value, dict)
    return value


def test_an_allowed_call_ends_with_zero_and_names_the_rule(sales: Namespace) -> None:
    done = sales.aos("why", "enricher", "crm.get_contact", "--args", EMEA)
    assert done.code == 0, done.err
    assert "Allow  crm.get_contact  for agent enricher" in done.out
    assert "Allowed: allowed by Policy baseline, rule read" in done.out
    assert "baseline/read" in done.out


def test_a_denied_call_ends_with_one_and_shows_every_rule_about_it(sales: Namespace) -> None:
    done = sales.aos("why", "enricher", "crm.export_contacts", "--args", EMEA)
    assert done.code == 1
    assert "DeniedByRule: crm.export_contacts is denied by Policy baseline, rule no-export" in done.out
    assert "matches, decides" in done.out
    assert "baseline/read" in done.out


def test_a_rule_that_fails_is_shown_with_its_error(sales: Namespace) -> None:
    done = sales.aos("why", "enricher", "crm.get_contact")
    assert done.code == 1
    assert "failed" in done.out
    assert 'it reads "id", which is not there' in done.out


def test_a_call_that_waits_for_people_ends_with_five_and_says_for_whom(sales: Namespace) -> None:
    rule: dict[str, JsonValue] = {"name": "all", "effect": "Allow", "tools": [{"name": "crm"}]}
    leads: dict[str, JsonValue] = {"name": "leads", "approvers": {"groups": ["sales-leads"]}}
    sales.create("Policy", "people", {"agents": {}, "rules": [rule], "approvals": [leads]})
    done = sales.aos("why", "enricher", "crm.get_contact", "--args", EMEA)
    assert done.code == 5, done.err
    assert "Hold  crm.get_contact  for agent enricher" in done.out
    assert "waits for 1 approval (Policy people, approval leads: group sales-leads)" in done.out


def test_without_a_policy_everything_is_denied(sales: Namespace) -> None:
    sales.kubectl("delete", "policy", "baseline")
    done = sales.aos("why", "enricher", "crm.get_contact", "-o", "json")
    assert done.code == 1
    assert done.data["reason"] == "NoPolicy"


def test_it_says_whether_the_cluster_enforces_the_same_policy(sales: Namespace) -> None:
    assert enforced(sales)["sameDigest"] is False
    digest = digest_of(sales)
    sales.patch_status(
        "agent",
        "enricher",
        {"policy": {"digest": digest}, "conditions": [condition("PolicyEnforced", "True", "Enforced")]},
    )
    assert enforced(sales) == {
        "publishedDigest": digest,
        "sameDigest": True,
        "status": "True",
        "reason": "Enforced",
        "message": "",
    }
    assert (
        "every gateway replica enforces exactly this policy"
        in sales.aos("why", "enricher", "crm.get_contact").out
    )


def test_the_namespace_labels_have_their_part_in_the_policy(sales: Namespace) -> None:
    before = digest_of(sales)
    sales.kubectl("label", "namespace", sales.name, "aos.dev/environment=prod")
    assert digest_of(sales) != before


def test_a_task_lends_its_requester(sales: Namespace) -> None:
    rule: dict[str, JsonValue] = {
        "name": "ana",
        "effect": "Allow",
        "tools": [{"name": "crm"}],
        "when": "task.requestedBy == 'ana@example.com' && task.name == 't1'",
    }
    sales.kubectl("delete", "policy", "baseline")
    sales.create("Policy", "people", {"agents": {}, "rules": [rule]})
    sales.create("Task", "t1", {"agentRef": {"name": "enricher"}, "requestedBy": "ana@example.com"})
    assert sales.aos("why", "enricher", "crm.get_contact").code == 1
    assert sales.aos("why", "enricher", "crm.get_contact", "--task", "t1").code == 0


def test_a_task_of_another_agent_is_a_usage_error(sales: Namespace) -> None:
    sales.create("Task", "t1", {"agentRef": {"name": "other"}})
    done = sales.aos("why", "enricher", "crm.get_contact", "--task", "t1")
    assert done.code == 2
    assert "Task t1 is for agent other, not enricher" in done.err


def test_an_action_that_the_gateway_quarantined_is_not_called_allowed(sales: Namespace) -> None:
    observed: dict[str, JsonValue] = {
        "name": "get_contact",
        "state": "Quarantined",
        "message": "hidden characters",
    }
    sales.patch_status("tool", "crm", {"actions": [observed]})
    done = sales.aos("why", "enricher", "crm.get_contact", "--args", EMEA)
    assert done.code == 1
    assert "quarantined: hidden characters" in done.out


def test_what_is_not_there_is_named(sales: Namespace) -> None:
    agent = sales.aos("why", "nobody", "crm.get_contact")
    assert (agent.code, "there is no Agent nobody" in agent.err) == (3, True)
    task = sales.aos("why", "enricher", "crm.get_contact", "--task", "t9")
    assert (task.code, "there is no Task t9" in task.err) == (3, True)


def test_a_malformed_call_or_argument_is_a_usage_error(sales: Namespace) -> None:
    assert sales.aos("why", "enricher", "crm").code == 2
    assert sales.aos("why", "enricher", "crm.get_contact", "--args", "[1]").code == 2
