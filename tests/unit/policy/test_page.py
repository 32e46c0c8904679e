"""What the guide to policies says is so."""

import re
from pathlib import Path

import yaml

from aos.model.approval import AutonomyLevel
from aos.model.approval_request import MAX_QUORUMS
from aos.model.cluster_policy import ClusterPolicy
from aos.model.policy import Policy
from aos.policy import approvals, cost, obligations, template
from aos.policy.decision import Decision, decide
from aos.policy.effective import compile_rules
from tests.unit.policy.make import agent, call, merged, policy, rule, tool

PAGE = (Path(__file__).resolve().parents[3] / "docs/policy.md").read_text(encoding="utf-8")


def test_every_policy_that_the_guide_shows_compiles() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    shown = [manifest for block in blocks for manifest in yaml.safe_load_all(block)]
    assert {manifest["kind"] for manifest in shown} == {"Policy", "ClusterPolicy"}
    for manifest in shown:
        kind = Policy if manifest["kind"] == "Policy" else ClusterPolicy
        assert compile_rules(kind.parse(manifest))[1] == ()


def test_the_guide_tells_the_bounds_that_are() -> None:
    whole = cost.SIZES[-1]
    told = [
        f"take {cost.MAX_WORK_NS // 1_000_000} ms together",
        f"{int(whole.text_bytes) // 1024} KiB and {int(whole.values):,} values",
        f"at most {cost.MAX_PATTERN_SIZE:,} instructions",
        f"at most {template.MAX_RENDERED_LENGTH} characters",
        f"`conflicts.leaseSeconds` | how long a record stays with the Task that wrote it | {obligations.DEFAULT_LEASE_SECONDS}",
        f"by handoffs | {obligations.DEFAULT_MAX_DEPTH}",
        f"in that row | {obligations.DEFAULT_MAX_VISITS}",
        f"nearly the same arguments | {obligations.DEFAULT_MAX_IDENTICAL_CALLS}",
        f"calls of one Task | {obligations.DEFAULT_MAX_CALLS_PER_TASK:,}",
        f"the {approvals.DEFAULT_REVIEW_PERCENT} % of `Sampled`",
        f"at most {MAX_QUORUMS} quorums before and {MAX_QUORUMS} after",
    ]
    text = " ".join(PAGE.split())
    assert [line for line in told if line not in text] == []


def test_the_guide_s_table_of_risk_and_autonomy_is_what_is_decided() -> None:
    rows = {
        first: cells
        for first, *cells in (
            [cell.strip() for cell in line.strip("| ").split("|")]
            for line in PAGE.splitlines()
            if line.startswith(("| Low", "| Medium", "| High"))
        )
    }
    assert list(rows) == ["Low, Read", "Low, Write", "Medium", "High"]
    for row, cells in rows.items():
        risk, _, access = row.partition(", ")
        for level, cell in zip(AutonomyLevel, cells, strict=True):
            for declared in (access,) if access else ("Read", "Write"):
                world = merged(
                    policy(rule("a")),
                    of=agent(autonomy=level.value),
                    tools=[tool(risk=risk, access=declared)],
                )
                assert says(decide(world, call("update_contact"))) == cell, (row, level)


def says(decision: Decision) -> str:
    if decision.allowed:
        return "".join(["runs", *(f", {quorum.sample_percent} % are reviewed" for quorum in decision.after)])
    (quorum,) = decision.before
    return {1: "one person", 2: "two people"}[quorum.required]
