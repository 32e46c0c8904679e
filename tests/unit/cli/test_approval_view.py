from typing import Final

import pytest

from aos.cli.approval_view import Shown, pending_data, pending_lines, show_lines
from aos.cli.approvals import Caller, Hindrance, Pending, hindrance
from aos.inspection.visible import visible
from aos.model.approval_request import ApprovalRequest
from tests.unit.cli.make import (
    LEADS,
    NOW,
    TWO_PEOPLE,
    approval_request,
    condition,
    counted,
    decision,
    gate_request,
    later,
)

BEA: Final = Caller("bea", frozenset({"sales-leads"}))
HIGH: Final = approval_request(
    LEADS,
    TWO_PEOPLE,
    risk="High",
    decisions=[decision("carl", "Approve", "looks right"), decision("dan", "Approve")],
    status={"counted": [counted("carl", "risk High")]},
    preview={"before": '{"phone": "+49 1", "name": "Zoë"}', "after": '{"phone": "+49 2", "name": "Zoë"}'},
)


def pending(request: ApprovalRequest, caller: Caller = BEA) -> Pending:
    return Pending(request, hindrance(request, caller, NOW))


def shown(request: ApprovalRequest, width: int | None = 60, caller: Caller = BEA) -> list[str]:
    return show_lines(Shown(pending(request, caller), caller, "revops"), NOW, width)


def test_on_a_wide_terminal_requests_stand_in_a_table() -> None:
    lines = pending_lines((pending(HIGH),), BEA, NOW, 120, everywhere=True)
    assert lines[0].split() == ["REQUEST", "LEFT", "RISK", "NEEDS", "YOU", "WHAT"]
    assert lines[1] == (
        "sales/apr-0123456789abcdef  3h    High  you    may decide"
        "  enricher would call crm.update_contact on contact/emea-1"
    )


def test_on_a_narrow_terminal_each_request_has_lines_that_fit() -> None:
    lines = pending_lines((pending(HIGH),), BEA, NOW, 60, everywhere=False)
    assert lines == [
        "apr-0123456789abcdef  High  3h left  needs you",
        "  enricher would call crm.update_contact on contact/emea-1",
    ]
    other = Pending(HIGH, Hindrance("your own", "you asked for its Task"))
    assert pending_lines((other,), BEA, NOW, 70, everywhere=False)[0].endswith("needs 2  your own")


def test_programs_get_what_people_see() -> None:
    (data,) = pending_data((pending(HIGH),))
    assert isinstance(data, dict)
    assert (data["name"], data["need"], data["have"], data["mayDecide"]) == (
        "apr-0123456789abcdef",
        3,
        1,
        True,
    )
    assert data["quorums"] == [
        {"rule": LEADS["rule"], "required": 1, "approved": 0},
        {"rule": "risk High", "required": 2, "approved": 1},
    ]


def test_all_that_a_person_needs_is_on_one_page() -> None:
    assert shown(HIGH) == [
        "sales/apr-0123456789abcdef: a call that waits; 3h left,",
        "  until 06:04 UTC",
        "",
        "enricher would call crm.update_contact on contact/emea-1",
        "",
        "risk       High (Write)",
        "agent      enricher, team revops",
        "for        ana, by Task t1",
        "call       crm.update_contact",
        "record     contact/emea-1",
        "",
        "arguments",
        "  id     emea-1",
        "  phone  +49 1",
        "",
        "would change (- before, + after)",
        "  phone",
        "    - +49 1",
        "    + +49 2",
        "  1 that stays as it is",
        "",
        "held by",
        "  Policy sales-baseline, approval outbound: group",
        "    sales-leads: 0 of 1",
        "  risk High: anybody who may approve: 1 of 2 (carl)",
        "",
        "said so far",
        "  carl approved, 1m ago: looks right",
        "  dan approved, not counted yet",
        "",
        "you may decide it; your approval counts for: Policy",
        "  sales-baseline, approval outbound, risk High",
        "  if you approve: this call is let through once, exactly as",
        "    shown, until 06:04 UTC",
        "    aos approve apr-0123456789abcdef -n sales",
        "  if you reject: the call is refused for good, whatever",
        "    others say, and the agent is told why",
        '    aos reject apr-0123456789abcdef -n sales -m "WHY"',
    ]


def test_whoever_can_not_decide_it_is_told_why_and_gets_no_command() -> None:
    text = "\n".join(shown(HIGH, None, Caller("ana", frozenset())))
    assert "you asked for its Task, so that others must decide" in text
    assert "aos approve" not in text
    assert "aos reject" not in text


def test_a_request_that_has_ended_says_how_and_gives_no_advice() -> None:
    stale = approval_request(
        status={"state": "Stale", "conditions": [condition("Stale", "True", "PolicyChanged", "another one")]}
    )
    lines = shown(stale, None)
    assert lines[0] == "sales/apr-0123456789abcdef: a call that waited; Stale: PolicyChanged: another one"
    assert "was held by" in lines
    assert not any("aos " in line or "if you" in line for line in lines)


def test_a_gate_that_has_ended_does_not_read_as_one_that_waits() -> None:
    lines = shown(gate_request(status={"state": "Rejected"}), None)
    assert lines[0] == "sales/gate-0123456789abcdef: a gate at which a run waited; Rejected"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("Pending", "would change"),
        ("Approved", "would change"),
        ("Used", "changed"),
        ("Rejected", "would have changed"),
        ("Stale", "would have changed"),
    ],
)
def test_a_change_is_told_as_what_may_come_has_come_or_did_not_come(state: str, said: str) -> None:
    request = approval_request(status={"state": state}, preview={"before": "1", "after": "2"})
    assert f"{said} (- before, + after)" in shown(request, None)


def test_a_review_is_told_from_a_call_that_waits() -> None:
    text = "\n".join(shown(approval_request(type="Review", call="c1"), None))
    assert "a call that was made, to review" in text
    assert "asked for by" in text


def test_what_came_of_a_reviewed_call_is_shown() -> None:
    made = approval_request(type="Review", call="c1", status={"outcome": "Failed: UpstreamTimeout"})
    assert "outcome    Failed: UpstreamTimeout" in shown(made, None)
    assert "outcome    not known yet" in shown(approval_request(type="Review", call="c1"), None)
    assert not any(line.startswith("outcome") for line in shown(approval_request(), None))


def test_it_is_said_that_no_approval_counts_while_the_admission_policies_are_gone() -> None:
    lapsed = condition("EnforcementActive", "False", "PolicyMissing", "aos-approvals is gone")
    text = "\n".join(shown(approval_request(status={"conditions": [lapsed]}), None))
    assert "no approval counts now: PolicyMissing: aos-approvals is gone" in text


def test_a_decision_that_counts_for_nothing_is_told() -> None:
    request = approval_request(
        decisions=[decision("eve")],
        status={"counted": [counted("eve")]},
        requestedBy="",
        expiresAt=later(90_000),
    )
    text = "\n".join(shown(request, None))
    assert "eve approved, 1m ago, which counts for nothing" in text
    assert "nobody said who asked; Task t1" in text
    assert "until 2026-01-03 04:04 UTC" in text


@pytest.mark.parametrize("width", [None, 60])
def test_nothing_that_others_wrote_drives_the_terminal(width: int | None) -> None:
    evil = "x\x1b[2J\u202e\n\nzz"
    request = approval_request(
        {**LEADS, "rule": f"rule {evil}"},
        summary=f"does {evil}",
        record=f"contact/{evil}",
        requestedBy=f"ana{evil}",
        arguments=f'{{"note{evil}": "{evil}"}}',
        preview={"before": evil, "after": evil + "!"},
        decisions=[decision(f"dan{evil}", "Approve", evil)],
        status={
            "conditions": [condition("EnforcementActive", "False", "PolicyMissing", evil)],
        },
    )
    caller = Caller("bea", frozenset({"sales-leads"}))
    for line in [
        *shown(request, width),
        *pending_lines((pending(request),), caller, NOW, width, everywhere=True),
    ]:
        assert visible(line) == line
        assert not line.startswith("zz")


def test_a_gate_is_shown_with_its_run_its_step_and_what_there_is_to_look_at() -> None:
    assert shown(gate_request(), None) == [
        "sales/gate-0123456789abcdef: a gate at which a run waits; 3h left, until 06:04 UTC",
        "",
        "Workflow outreach, step review of run outreach-x7 asks to go on",
        "",
        "workflow   outreach",
        "step       review",
        "for        ana, by run outreach-x7",
        "",
        "to look at",
        "  subject  Hello",
        "",
        "held by",
        "  Workflow outreach, step review: group sales-leads: 0 of 1",
        "",
        "you may decide it; your approval counts for: Workflow outreach, step review",
        "  if you approve: the run goes on from here",
        "    aos approve gate-0123456789abcdef -n sales",
        "  if you reject: the step fails, whatever others say, and the run is told why",
        '    aos reject gate-0123456789abcdef -n sales -m "WHY"',
    ]


def test_a_gate_that_shows_nothing_has_nothing_to_look_at() -> None:
    assert "to look at" not in shown(gate_request(arguments='""'), None)
    assert "  Please read it." in shown(gate_request(arguments='"Please read it."'), None)


def test_whoever_asked_for_the_run_does_not_decide_at_its_gates() -> None:
    lines = shown(gate_request(), None, Caller("ana", frozenset({"sales-leads"})))
    assert "you asked for its run, so that others must decide" in lines


def test_a_gate_stands_in_the_list_beside_calls() -> None:
    found = (pending(HIGH), pending(gate_request()))
    assert pending_lines(found, BEA, NOW, 120, everywhere=False)[2].split()[:3] == [
        "gate-0123456789abcdef",
        "3h",
        "gate",
    ]
    call, gate = pending_data(found)
    assert isinstance(call, dict)
    assert isinstance(gate, dict)
    assert call.keys() == gate.keys()
    assert (gate["type"], gate["workflow"], gate["run"], gate["step"], gate["agent"]) == (
        "Gate",
        "outreach",
        "outreach-x7",
        "review",
        "",
    )
