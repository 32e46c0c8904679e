from dataclasses import replace

import pytest

from aos.audit.event import Phase
from aos.cli.diff_policy import data, load, recorded, report
from aos.cli.exits import CommandError
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
    lines = report(replayed, None)
    assert (
        lines[0]
        == "4 recorded calls: 2 would be denied, 0 would be held, 0 would be allowed, 1 stay as they are, 1 can't be told"
    )
    assert lines[2].split()[:4] == ["denied", "lead-enricher", "crm.update_contact", "2"]
    said = data(replayed)
    assert said["counts"] == {"NowDenied": 2, "Same": 1, "Unknown": 1}
    assert report([replayed[2]], None)[1:] == []


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


def test_what_would_be_held_is_told() -> None:
    (call,) = CALLS
    lines = report([Replayed(call, Outcome.NOW_HELD, "it waits")], None)
    assert "1 would be held" in lines[0]
    assert lines[2].split()[0] == "held"
