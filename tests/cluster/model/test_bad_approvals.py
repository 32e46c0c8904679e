"""Bad approvals, autonomy and previews fail at ``kubectl apply`` with a message that names the field; good ones pass."""

import pytest
import yaml
from pydantic import JsonValue

from hack.cluster.handle import Handle
from tests.cluster.model.manifests import Bad, Manifest, apply, changed, good

LEADS: Manifest = {"groups": ["sales-leads"]}
APPROVAL: Manifest = {"name": "outbound", "approvers": LEADS}
WRITE: Manifest = {"name": "update_contact", "access": "Write", "risk": "Medium"}
READ: Manifest = {"name": "get_contact", "access": "Read", "risk": "Low"}
NAMES: list[JsonValue] = [f"name-{number}" for number in range(17)]
TIMEOUT = "timeout must be between 1m and 168h"
REMINDER = "remindAfter must be at least 1m and less than timeout"
ESCALATION = "escalate.after must be at least 1m and less than timeout"


def approval(says: str, **fields: JsonValue) -> tuple[list[JsonValue], str]:
    return [{**APPROVAL, **fields}], says


def escalation(after: str, **approvers: JsonValue) -> Manifest:
    return {"after": after, "approvers": approvers}


def previewed(action: Manifest, by: str, **arguments: JsonValue) -> Manifest:
    return {**action, "preview": {"action": by, "arguments": arguments}}


BAD_APPROVALS: tuple[tuple[list[JsonValue], str], ...] = (
    ([APPROVAL, APPROVAL], "spec.approvals[1]: Duplicate value"),
    ([{**APPROVAL, "name": f"a{number}"} for number in range(33)], "spec.approvals: Too many"),
    ([{"approvers": LEADS}], "spec.approvals[0].name: Required value"),
    approval("spec.approvals[0].name", name="Out bound"),
    approval("spec.approvals[0].required", required=0),
    approval("spec.approvals[0].required", required=11),
    approval("spec.approvals[0].samplePercent", samplePercent=0),
    approval("spec.approvals[0].samplePercent", samplePercent=101),
    approval("spec.approvals[0].samplePercent", samplePercent=12.5),
    approval('spec.approvals[0].review: Unsupported value: "Never"', review="Never"),
    approval('spec.approvals[0].onTimeout: Unsupported value: "Approve"', onTimeout="Approve"),
    approval("spec.approvals[0].when", when="x" * 2049),
    approval("spec.approvals[0].timeout", timeout="a while"),
    approval(TIMEOUT, timeout="59s"),
    approval(TIMEOUT, timeout="169h"),
    approval(REMINDER, remindAfter="30s"),
    approval(REMINDER, remindAfter="4h"),
    approval(REMINDER, timeout="1h", remindAfter="1h"),
    approval(ESCALATION, escalate=escalation("30s", **LEADS)),
    approval(ESCALATION, escalate=escalation("4h", **LEADS)),
    approval(ESCALATION, timeout="10m", escalate=escalation("10m", **LEADS)),
    approval("name whom to ask in escalate.approvers", escalate=escalation("1h")),
    approval("name approvers too", approvers=None, escalate=escalation("1h", **LEADS)),
    approval("spec.approvals[0].escalate.approvers: Required value", escalate={"after": "1h"}),
    approval("spec.approvals[0].approvers.groups: Too many", approvers={"groups": NAMES}),
    approval("spec.approvals[0].approvers.groups[1]: Duplicate value", approvers={"groups": ["a", "a"]}),
    approval("spec.approvals[0].approvers.users[0]", approvers={"users": [""]}),
    approval("spec.approvals[0].approvers.serviceAccounts[0]", approvers={"serviceAccounts": ["bot"]}),
    approval('unknown field "spec.approvals[0].approvers.roles"', approvers={"roles": ["a"]}),
    approval("spec.approvals[0].match.risk[0]", match={"risk": ["Severe"]}),
    approval("spec.approvals[0].match.access[0]", match={"access": ["Execute"]}),
    approval("spec.approvals[0].match.dataClasses[0]", match={"dataClasses": ["a b"]}),
    approval("spec.approvals[0].match.tools[0].name: Required value", match={"tools": [{}]}),
    approval('unknown field "spec.approvals[0].match.agents"', match={"agents": []}),
)
BAD_PREVIEWS: tuple[tuple[list[JsonValue], str], ...] = (
    ([previewed(READ, "get_contact")], "only an action with access Write has something"),
    ([previewed(WRITE, "get_contact")], "preview.action must be another action"),
    ([previewed(WRITE, "update_contact")], "preview.action must be another action"),
    ([{**WRITE, "preview": {}}, READ], "spec.actions[0].preview.action: Required value"),
    ([previewed(WRITE, "get_contact", id="x" * 513), READ], "spec.actions[0].preview.arguments.id"),
    (
        [previewed(WRITE, "get_contact", **{f"a{number}": "" for number in range(17)}), READ],
        "spec.actions[0].preview.arguments: Too many",
    ),
)
BAD_AUTONOMY: tuple[tuple[JsonValue, str], ...] = (
    ({}, "spec.autonomy.ceiling: Required value"),
    ({"ceiling": "Free"}, 'spec.autonomy.ceiling: Unsupported value: "Free"'),
    ({"ceiling": "Propose", "promote": {}}, 'unknown field "spec.autonomy.promote"'),
)
CASES = (
    *(
        Bad(kind, "spec.approvals", value, says)
        for kind in ("Policy", "ClusterPolicy")
        for value, says in BAD_APPROVALS
    ),
    *(
        Bad(kind, "spec.autonomy", value, says)
        for kind in ("Policy", "ClusterPolicy")
        for value, says in BAD_AUTONOMY
    ),
    *(Bad("Tool", "spec.actions", value, says) for value, says in BAD_PREVIEWS),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.says[:60]}")
def test_a_bad_manifest_is_refused_with_the_name_of_its_field(cluster: Handle, case: Bad) -> None:
    code, output = apply(cluster, changed(good(case.kind), case.path, case.value))
    assert code != 0
    assert case.says in output


GOOD: tuple[tuple[str, str, JsonValue], ...] = (
    ("Policy", "spec.approvals", [APPROVAL, {"name": "least"}]),
    (
        "ClusterPolicy",
        "spec.approvals",
        [
            {
                "name": "most",
                "match": {"tools": [{"name": "*"}], "access": ["Write"], "risk": ["High"], "dataClasses": ["pii"]},
                "when": "args.amount > 1000",
                "required": 10,
                "approvers": {**LEADS, "users": ["ada@example.com"], "serviceAccounts": ["ci:bot"]},
                "timeout": "168h",
                "samplePercent": 100,
                "review": "After",
                "remindAfter": "1m",
                "escalate": escalation("167h59m", **LEADS),
                "onTimeout": "Reject",
            }
        ],
    ),
    ("Policy", "spec.autonomy", {"ceiling": "Propose"}),
    ("Agent", "spec.autonomy", "Autonomous"),
    (
        "Tool",
        "spec.actions",
        [previewed(WRITE, "get_contact", id="${args.id}"), READ],
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "path", "value"), GOOD, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_good_manifest_is_accepted(cluster: Handle, kind: str, path: str, value: JsonValue) -> None:
    code, output = apply(cluster, changed(good(kind), path, value))
    assert code == 0, output


@pytest.mark.parametrize("kind", ["Policy", "ClusterPolicy"])
def test_the_most_approvals_are_within_the_api_servers_limit_of_cost(cluster: Handle, kind: str) -> None:
    names: list[JsonValue] = [f"{'x' * 200}-{number}" for number in range(16)]
    approvers: Manifest = {"groups": names, "users": names}
    tools: list[JsonValue] = [{"name": "x" * 128, "actions": ["a"] * 64}] * 4
    approvals: list[JsonValue] = [
        {
            "name": f"a{number}",
            "match": {"tools": tools},
            "when": "x" * 2048,
            "approvers": approvers,
            "timeout": "167h59m59s",
            "remindAfter": "166h59m59s",
            "escalate": escalation("165h59m59s", **approvers),
        }
        for number in range(32)
    ]
    manifest = changed(good(kind), "spec.approvals", approvals)
    done = cluster.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(manifest)
    )
    assert done.returncode == 0, done.stderr
