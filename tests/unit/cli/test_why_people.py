from pydantic import JsonValue

from aos.cli.why_people import people, people_data, told_autonomy
from aos.policy.decision import decide
from aos.policy.explanation import explain
from tests.unit.policy.make import agent, call, cluster_policy, merged, policy, rule

LEADS: dict[str, JsonValue] = {"groups": ["sales-leads"]}
APPROVALS: list[JsonValue] = [
    {"name": "outbound", "match": {"access": ["Write"]}, "approvers": LEADS, "when": "args.to != ''"},
    {"name": "spot", "samplePercent": 10, "review": "After"},
    {"name": "draw", "samplePercent": 5, "required": 2, "when": "args.odd"},
    {"name": "other", "match": {"access": ["Read"]}},
    {"name": "no", "when": "false"},
]
WORLD = merged(
    policy(rule("all"), approvals=APPROVALS),
    cluster_policy(rule("all"), approvals=[{"name": "floor"}], autonomy={"ceiling": "Propose"}),
    of=agent(autonomy="Sampled"),
)
CALL = call("update_contact", {"to": "bo"})


def test_each_approval_rule_about_the_call_is_shown_with_what_it_says_and_who_is_asked() -> None:
    lines = people(explain(WORLD, CALL), decide(WORLD, CALL), None)
    assert lines[:9] == [
        "",
        "Approval rules about it",
        "  RULE                       ASKS             VERDICT                WHEN",
        "  ClusterPolicy floor/floor  1 before         matches",
        "  baseline/draw              2 before of 5 %  failed, so it matches  args.odd",
        "  baseline/no                1 before         does not match         false",
        "  baseline/outbound          1 before         matches                args.to != ''",
        "  baseline/spot              1 after of 10 %  matches",
        "",
    ]
    assert lines[9:14] == [
        "People who are asked",
        "  before  ClusterPolicy floor, approval floor: 1 approval by anybody who may approve it within 4h",
        "  before  Policy baseline, approval draw: 2 approvals by anybody who may approve it within 4h, of 5 % of such calls",
        "  before  Policy baseline, approval outbound: 1 approval by group sales-leads within 4h",
        "  after  Policy baseline, approval spot: 1 approval by anybody who may approve it within 4h, of 10 % of such calls",
    ]
    assert lines[14].startswith("  Policy baseline, approval draw failed: ")
    assert len(lines) == 15


def test_of_a_call_that_nobody_is_asked_about_nothing_is_said() -> None:
    quiet = merged(policy(rule("all")))
    assert people(explain(quiet, call()), decide(quiet, call()), None) == []


def test_who_lowered_the_autonomy_is_told() -> None:
    assert (
        told_autonomy(WORLD.granted) == "Propose: the agent asks for Sampled, lowered by ClusterPolicy floor"
    )
    assert told_autonomy(merged(policy(rule("all"))).granted) == "Supervised, as the agent asks"


def test_programs_get_the_same() -> None:
    said = people_data(explain(WORLD, CALL), decide(WORLD, CALL))
    assert said["autonomy"] == {
        "asked": "Sampled",
        "granted": "Propose",
        "loweredBy": ["ClusterPolicy floor"],
    }
    approvals, before, after = said["approvals"], said["before"], said["after"]
    assert isinstance(approvals, list)
    assert approvals[-1] == {
        "kind": "Policy",
        "name": "baseline",
        "rule": "spot",
        "review": "After",
        "required": 1,
        "samplePercent": 10,
        "when": "",
        "verdict": "Matches",
        "failure": "",
    }
    assert isinstance(before, list)
    assert before[-1] == {
        "rule": "Policy baseline, approval outbound",
        "required": 1,
        "approvers": {"groups": ["sales-leads"], "users": [], "serviceAccounts": []},
        "timeoutSeconds": 14_400,
        "samplePercent": 100,
        "remindAfterSeconds": None,
        "escalation": None,
    }
    assert isinstance(after, list)
    assert len(after) == 1


def test_to_whom_a_quorum_escalates_is_told_to_programs() -> None:
    escalating: dict[str, JsonValue] = {
        "name": "a",
        "approvers": LEADS,
        "remindAfter": "1h",
        "escalate": {"after": "2h", "approvers": {"users": ["cfo"]}},
    }
    world = merged(policy(rule("all"), approvals=[escalating]))
    before = people_data(explain(world, call()), decide(world, call()))["before"]
    assert isinstance(before, list)
    assert isinstance(before[0], dict)
    assert before[0]["remindAfterSeconds"] == 3_600
    assert before[0]["escalation"] == {
        "afterSeconds": 7_200,
        "approvers": {"groups": [], "users": ["cfo"], "serviceAccounts": []},
    }
