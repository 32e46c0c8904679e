from collections.abc import Sequence
from dataclasses import replace

from pydantic import JsonValue

from aos.cli.exits import ExitCode
from aos.cli.why import Answer, answered, data, enforcement, report
from aos.model.agent import Agent
from aos.model.tool import Tool
from aos.policy.effective import PolicyInputs, effective_policy
from tests.unit.cli.make import Object, condition
from tests.unit.policy.make import agent, call, cluster_policy, policy, rule, tool

OTHER = "sha256:" + "0" * 64
RULES = (rule("read", access=["Read"]), rule("no-export", "Deny", "*", actions=["export_*"], when="args.all"))


def inputs(of: Agent | None = None, tools: Sequence[Tool] = ()) -> PolicyInputs:
    known = tools or (tool(),)
    return PolicyInputs(
        agent=of or agent(),
        namespace_labels={},
        tools={item.metadata.name: item for item in known},
        policies=(policy(*RULES),),
    )


def with_status(**status: JsonValue) -> Agent:
    raw = agent().model_dump(mode="json", by_alias=True, exclude_none=True)
    return Agent.parse({**raw, "status": status})


def asked(action: str = "get_contact", arguments: Object | None = None, of: Agent | None = None) -> Answer:
    return answered(inputs(of), call(action, arguments))


def own_digest() -> str:
    return effective_policy(inputs()).digest


def test_an_allowed_call_names_the_rule_that_allows_it() -> None:
    answer = asked()
    assert answer.exit_code is ExitCode.SUCCESS
    lines = report(answer, None)
    assert lines[0] == "Allow  crm.get_contact  for agent enricher in sales"
    assert lines[1] == "  Allowed: allowed by Policy baseline, rule read"
    assert "  baseline/read  Allow   matches, decides" in lines


def test_a_denied_call_shows_all_rules_about_it() -> None:
    lines = report(asked("export_contacts", {"all": True}), None)
    assert lines[0].startswith("Deny  crm.export_contacts")
    assert "  baseline/no-export  Deny    matches, decides  args.all" in lines
    assert "  baseline/read       Allow   matches" in lines


def test_what_failed_is_shown_with_its_error() -> None:
    text = "\n".join(report(asked("export_contacts"), None))
    assert "baseline/no-export  Deny    failed, decides" in text
    assert "a Deny that fails denies: " in text
    assert "no-export failed: " not in text, "the decision's message has told it"
    narrow = PolicyInputs(
        agent(), {}, {"crm": tool()}, (policy(rule("a", when="args.x == 1"), rule("b", when="args.y\n== 1")),)
    )
    both = report(answered(narrow, call()), None)
    assert any(line.startswith("  Policy baseline, rule b failed: ") for line in both)
    assert any(line.endswith("args.y == 1") for line in both)


def test_lines_keep_to_a_narrow_terminal() -> None:
    lines = report(asked("export_contacts", {"all": True}), 40)
    assert max(len(line) for line in lines[1:]) <= 40


def test_a_quarantined_action_is_not_allowed_whatever_policy_says() -> None:
    raw = tool().model_dump(mode="json", by_alias=True, exclude_none=True)
    observed: Object = {"name": "get_contact", "state": "Quarantined", "message": "its definition changed"}
    quarantined = Tool.parse({**raw, "status": {"actions": [observed]}})
    answer = answered(inputs(tools=(quarantined,)), call())
    assert answer.explanation.decision.allowed
    assert answer.exit_code is ExitCode.FAILURE
    assert "  but the gateway refuses the action, which is quarantined: its definition changed" in report(
        answer, None
    )
    assert data(answer)["allowed"] is False


def test_an_action_that_is_offered_or_was_not_looked_at_is_no_obstacle() -> None:
    raw = tool().model_dump(mode="json", by_alias=True, exclude_none=True)
    offered = Tool.parse({**raw, "status": {"actions": [{"name": "get_contact", "state": "Offered"}]}})
    assert answered(inputs(tools=(offered,)), call()).exit_code is ExitCode.SUCCESS
    assert not answered(inputs(), call(tool_name="none")).obstacle


def test_whether_the_cluster_enforces_the_policy_is_said_in_one_sentence() -> None:
    same: Object = {"digest": own_digest()}
    enforced = condition("PolicyEnforced", "True", "Enforced")
    behind = condition("PolicyEnforced", "False", "GatewayBehind", "replica a is behind")
    table = (
        (with_status(), "unknown: the operator has published no policy"),
        (
            with_status(policy={"digest": OTHER}, conditions=[enforced]),
            "no: the operator published 000000000000",
        ),
        (with_status(policy=same), "unknown: the operator has not said"),
        (with_status(policy=same, conditions=[behind]), "no: GatewayBehind: replica a is behind"),
        (with_status(policy=same, conditions=[enforced]), "yes: every gateway replica"),
    )
    for of, says in table:
        assert enforcement(asked(of=of)).startswith(says)


def test_programs_get_the_same() -> None:
    answer = asked("export_contacts", {"all": True})
    said = data(answer)
    assert said["effect"] == "Deny"
    assert said["reason"] == "DeniedByRule"
    assert said["policy"] == {
        "digest": own_digest(),
        "sources": [{"kind": "Policy", "name": "baseline", "generation": 3}],
    }
    assert said["considered"] == [
        {
            "kind": "Policy",
            "name": "baseline",
            "rule": "no-export",
            "effect": "Deny",
            "when": "args.all",
            "verdict": "Matches",
            "failure": "",
            "decides": True,
        },
        {
            "kind": "Policy",
            "name": "baseline",
            "rule": "read",
            "effect": "Allow",
            "when": "",
            "verdict": "Matches",
            "failure": "",
            "decides": False,
        },
    ]
    enforced = said["enforced"]
    assert isinstance(enforced, dict)
    assert (enforced["status"], enforced["sameDigest"]) == ("Unknown", False)


def test_rules_of_a_cluster_policy_and_all_bounds_are_shown() -> None:
    floor = cluster_policy(
        rule("all", "Allow", "*"),
        limits=[{"name": "calls", "calls": 60, "per": "1m"}],
        data={"redact": ["pii"], "maxResponseBytes": 1024},
    )
    with_floor = replace(inputs(), cluster_policies=[floor])
    answer = answered(with_floor, call())
    lines = report(answer, None)
    assert "  ClusterPolicy floor/all  Allow   matches, decides" in lines
    assert "Bounds on crm.get_contact" in lines
    assert "  ClusterPolicy floor, limit calls: 60 calls per 1m, counted by Agent" in lines
    assert "  data: pii: redacted in the request" in lines
    assert "ClusterPolicy floor (generation 5), Policy baseline" in lines[-3]
    told = data(answer)["bounds"]
    assert isinstance(told, list)
    assert {"name": "data", "says": "the answer has at most 1024 bytes"} in told


def test_a_call_for_an_agent_that_may_not_make_it_is_refused() -> None:
    planner = Agent.parse(
        {
            "metadata": {"name": "planner", "namespace": "sales"},
            "spec": {"owner": {"team": "t"}, "instructions": "x"},
        }
    )
    assert answered(inputs(), call()).exit_code is ExitCode.SUCCESS
    answer = answered(inputs(), call(), [planner])
    assert answer.exit_code is ExitCode.FAILURE
    assert "but the call is made for agent planner, which may not make it" in "\n".join(report(answer, None))


def test_a_held_call_is_neither_allowed_nor_denied_and_ends_with_an_exit_code_of_its_own() -> None:
    answer = answered(replace(inputs(), policies=(policy(rule("all")),)), call("update_contact"))
    assert answer.exit_code is ExitCode.HELD
    lines = report(answer, None)
    assert lines[0] == "Hold  crm.update_contact  for agent enricher in sales"
    assert lines[1].startswith("  ApprovalNeeded: crm.update_contact waits for 1 approval (risk Medium")
    said = data(answer)
    assert (said["effect"], said["allowed"], said["held"]) == ("Hold", False, True)


def test_an_agent_of_the_lineage_that_is_asked_about_holds_the_call() -> None:
    unasked = agent(autonomy="Autonomous")
    planner = agent({"role": "planner"})
    world = replace(inputs(unasked), policies=(policy(rule("all")),))
    assert answered(world, call("update_contact")).exit_code is ExitCode.SUCCESS
    held = answered(world, call("update_contact"), [planner])
    assert held.exit_code is ExitCode.HELD
    assert report(held, None)[0].startswith("Hold")


def test_a_held_call_that_the_gateway_would_refuse_is_refused() -> None:
    raw = tool().model_dump(mode="json", by_alias=True, exclude_none=True)
    gone = Tool.parse({**raw, "status": {"actions": [{"name": "update_contact", "state": "Missing"}]}})
    answer = answered(replace(inputs(tools=(gone,)), policies=(policy(rule("all")),)), call("update_contact"))
    assert answer.exit_code is ExitCode.FAILURE
    assert "  but the gateway refuses the action, which is missing" in report(answer, None)
    assert data(answer)["held"] is False
