from dataclasses import replace

import pytest

from aos.audit.event import Phase
from aos.cli.diff_policy import NotJudged, data, load, not_judged, recorded, report
from aos.cli.exits import CommandError
from aos.model.names import review_request
from aos.policy.decision import Effect
from aos.policy.replay import Outcome, Replayed
from tests.unit.audit.make import EVENT, chain_of

POLICY = """
apiVersion: aos.dev/v1alpha1
kind: Policy
metadata: {name: baseline}
spec:
  agents: {}
  rules: [{name: read, effect: Allow, tools: [{name: crm}]}]
"""
CALLS = recorded(chain_of([replace(EVENT, phase=Phase.INTENT)]))


def test_manifests_are_policies_of_the_namespace_that_is_asked_about() -> None:
    upper = POLICY.replace("kind: Policy", "kind: ClusterPolicy").replace(
        "agents: {}", "agents: {}\n  namespaces: {}"
    )
    found = load(f"{POLICY}---\n{upper}---\n", "a.yaml", "sales")
    assert [(item.kind, item.metadata.namespace) for item in found] == [
        ("Policy", "sales"),
        ("ClusterPolicy", ""),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no Policy"),
        ("a: [", "is not YAML"),
        ("kind: Agent", "something else"),
        ("[]", "something else"),
        (POLICY.replace("name: baseline", "name: a, namespace: b"), "name its namespace with -n b"),
        (POLICY.replace("effect: Allow", "effect: Maybe"), "Policy baseline in a.yaml: spec.rules"),
    ],
)
def test_what_is_no_policy_is_a_usage_error(text: str, problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        load(text, "a.yaml", "sales")


def test_each_tool_call_counts_once_with_what_became_of_it() -> None:
    rows = chain_of(
        [
            replace(EVENT, phase=Phase.INTENT),
            EVENT,
            replace(EVENT, phase=Phase.REFUSAL, effect="Deny", reason="NoRule"),
            replace(EVENT, phase=Phase.INTENT, subject="model"),
            replace(EVENT, phase=Phase.CHANGE, agent=""),
        ]
    )
    calls = recorded(rows)
    assert [(item.agent, item.call.tool, item.effect, item.reason) for item in calls] == [
        ("lead-enricher", "crm", Effect.ALLOW, "Allowed"),
        ("lead-enricher", "crm", Effect.DENY, "NoRule"),
    ]
    assert not calls[0].has_arguments
    assert calls[0].call.lineage == ("planner",)


def test_what_would_change_is_told_by_agent_and_call() -> None:
    (call,) = CALLS
    replayed = [
        Replayed(call, Outcome.NOW_DENIED, "rule no-write denies it"),
        Replayed(call, Outcome.NOW_DENIED, "rule no-write denies it"),
        Replayed(call, Outcome.SAME, ""),
        Replayed(call, Outcome.UNKNOWN, "a condition reads args"),
    ]
    lines = report(replayed, NotJudged(), None)
    assert (
        lines[0]
        == "4 recorded calls: 2 would be denied, 0 would be held, 0 would be allowed, 1 stay as they are, 1 can't be told"
    )
    assert lines[2].split()[:4] == ["denied", "lead-enricher", "crm.update_contact", "2"]
    said = data(replayed, NotJudged())
    assert said["counts"] == {"NowDenied": 2, "Same": 1, "Unknown": 1}
    assert report([replayed[2]], NotJudged(), None)[1:] == []


@pytest.mark.parametrize(
    ("says", "effect", "reason", "approvals"),
    [
        ("waiting", "Hold", "ApprovalPending", ("apr-1",)),
        ("rejected", "Deny", "ApprovalRejected", ()),
        ("too many others waited", "Deny", "TooManyApprovals", ()),
        ("approved and made", "Allow", "Allowed", ("apr-1",)),
    ],
)
def test_a_call_that_people_were_asked_about_was_held_whatever_they_said(
    says: str, effect: str, reason: str, approvals: tuple[str, ...]
) -> None:
    event = replace(EVENT, phase=Phase.INTENT, effect=effect, reason=reason, approvals=approvals)
    assert [item.effect for item in recorded(chain_of([event]))] == [Effect.HOLD], says


@pytest.mark.parametrize(
    ("approvals", "effect"),
    [
        ((review_request(EVENT.call),), Effect.ALLOW),
        (("apr-1", review_request(EVENT.call)), Effect.HOLD),
        ((review_request("another call"),), Effect.HOLD),
    ],
)
def test_a_call_that_people_only_reviewed_after_it_was_made_was_allowed(
    approvals: tuple[str, ...], effect: Effect
) -> None:
    for phase in (Phase.INTENT, Phase.REFUSAL):
        event = replace(EVENT, phase=phase, approvals=approvals)
        assert [item.effect for item in recorded(chain_of([event]))] == [effect]


BOUNDS = """
  limits: [{name: calls, calls: 1, per: 1h}]
  budgets: []
  data: {block: [pii]}
  loops: {maxCallsPerTask: 1}
  conflicts: {}
  autonomy: {ceiling: Supervised}
  approvals:
  - {name: spot, match: {access: [Write]}, review: After, approvers: {groups: [leads]}}
  - {name: hold, match: {access: [Write]}, approvers: {groups: [leads]}}
"""


def test_what_a_verdict_says_nothing_about_is_said() -> None:
    upper = POLICY.replace("kind: Policy", "kind: ClusterPolicy").replace(
        "agents: {}", "agents: {}\n  namespaces: {}"
    )
    candidates = load(f"{POLICY}{BOUNDS}---\n{upper}", "a.yaml", "sales")
    model = replace(EVENT, subject="model")
    rows = chain_of(
        [
            replace(EVENT, phase=Phase.INTENT),
            replace(model, phase=Phase.INTENT),
            model,
            replace(EVENT, phase=Phase.REFUSAL, subject="agent"),
            replace(EVENT, phase=Phase.CHANGE, subject="record", agent=""),
        ]
    )
    found = not_judged(candidates, rows)
    assert found == NotJudged(
        (
            "Policy baseline, limits",
            "Policy baseline, data",
            "Policy baseline, loops",
            "Policy baseline, conflicts",
            "Policy baseline, reviews by approval spot",
        ),
        2,
    )
    first, parts, calls = report([], found, None)
    assert first.startswith("0 recorded calls")
    assert parts.startswith("not judged: Policy baseline, limits; Policy baseline, data; ")
    assert calls == "not judged: 2 requests to models and handoffs; only calls of tools are"
    assert data([], found)["notJudged"] == {"parts": list(found.parts), "calls": 2}
    assert report([], not_judged(load(POLICY, "a.yaml", "sales"), rows[:1]), None) == [first]


def test_what_would_be_held_is_told() -> None:
    (call,) = CALLS
    lines = report([Replayed(call, Outcome.NOW_HELD, "it waits")], NotJudged(), None)
    assert "1 would be held" in lines[0]
    assert lines[2].split()[0] == "held"
