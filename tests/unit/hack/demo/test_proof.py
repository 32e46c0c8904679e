import json
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import JsonValue

from aos.model.approval_request import Verdict
from hack.demo.proof import Decided, Proof, accesses, decisions, fingerprint

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UNTIL = datetime(2026, 1, 2, 3, 4, 7, tzinfo=UTC)
HELD = fingerprint("made-up")
Line = dict[str, JsonValue]


def decision(action: str, effect: str, tool: str = "crm", task: str = "t1") -> Line:
    return {
        "time": "2026-01-02T03:04:06Z",
        "kind": "decision",
        "task": task,
        "tool": tool,
        "action": action,
        "effect": effect,
        "reason": "Allowed" if effect == "Allow" else "DeniedByRule",
        "outcome": "Answered" if effect == "Allow" else "Refused",
        "rules": [f"Policy/sales-baseline/{action}"],
    }


def access(action: str, credential: str = HELD, second: int = 6, method: str = "tools/call") -> Line:
    return {
        "time": f"2026-01-02T03:04:0{second}.123+00:00",
        "method": method,
        "action": action,
        "record": "emea-0001",
        "status": 200,
        "credential": credential,
        "headers": ["authorization"],
    }


def log(*lines: Line) -> str:
    return "\n".join(
        ["2026-01-02 INFO not JSON", *(json.dumps(line) for line in lines), '{"other": 1}', "[]"]
    )


def proof(decided: list[Line], reached: list[Line]) -> Proof:
    return Proof(decisions(log(*decided), "t1"), accesses(log(*reached), SINCE, UNTIL), HELD)


def test_only_the_decisions_on_the_task_are_taken_from_the_gateways_log() -> None:
    found = proof([decision("get_contact", "Allow"), decision("get_contact", "Allow", task="t2")], [])
    assert len(found.decisions) == 1
    assert found.decisions[0].call == "crm.get_contact"


def test_only_calls_of_tools_while_the_task_ran_are_taken_from_the_crms_log() -> None:
    found = proof(
        [],
        [
            access("before", second=4),
            access("after", second=8),
            access("", method="tools/list"),
            access("get_contact"),
        ],
    )
    assert [line.action for line in found.accesses] == ["get_contact"]


def test_what_was_denied_and_did_not_arrive_is_no_flaw() -> None:
    found = proof(
        [decision("get_contact", "Allow"), decision("export_contacts", "Deny")], [access("get_contact")]
    )
    assert found.flaws == ()
    assert [line.action for line in found.allowed] == ["get_contact"]
    assert [line.action for line in found.denied] == ["export_contacts"]


def test_a_denied_call_that_arrived_is_a_flaw() -> None:
    found = proof([decision("export_contacts", "Deny")], [access("export_contacts")])
    assert found.flaws == ("export_contacts was denied and reached the CRM all the same",)


def test_an_action_that_was_both_allowed_and_denied_may_arrive() -> None:
    found = proof(
        [decision("get_contact", "Deny"), decision("get_contact", "Allow")], [access("get_contact")]
    )
    assert found.flaws == ()


def test_another_credential_is_a_flaw() -> None:
    found = proof([decision("get_contact", "Allow")], [access("get_contact", "sha256:00000000")])
    assert "with sha256:00000000 and not with the Secret's credential" in found.flaws[0]
    assert found.access_table()[1].endswith("NO")


def test_calls_of_models_are_shown_and_are_no_calls_of_tools() -> None:
    line = decision("chat/completions", "Allow")
    del line["tool"]
    found = proof([{**line, "model": "default", "rules": []}], [])
    assert found.allowed == ()
    assert found.decision_table()[1].startswith("model default")
    assert found.decision_table()[1].endswith("-")


def test_the_tables_name_rule_and_credential() -> None:
    found = proof([decision("get_contact", "Allow")], [access("get_contact")])
    assert found.decision_table()[1].split()[-1] == "Policy/sales-baseline/get_contact"
    assert found.access_table()[1].split() == ["get_contact", "emea-0001", "200", HELD, "yes"]


def test_a_credential_is_written_as_the_crm_writes_it() -> None:
    assert HELD.startswith("sha256:")
    assert len(HELD) == len("sha256:") + 8


def test_what_was_said_of_held_calls_stands_beside_what_the_crm_saw_of_them() -> None:
    said = tuple(Decided("update_contact", verdict) for verdict in (Verdict.APPROVE, Verdict.REJECT))
    found = replace(proof([], [access("update_contact")]), decided=said)
    assert found.flaws == ()
    assert found.held_lines() == [
        "People approved 1 of 2 held calls of update_contact, and the CRM's own log shows 1."
    ]


def test_a_call_that_people_approved_names_their_request() -> None:
    found = proof([{**decision("update_contact", "Allow"), "approvals": ["apr-1"]}], [])
    assert found.decision_table()[1].endswith("Policy/sales-baseline/update_contact, apr-1")


def test_a_read_that_the_agent_did_not_make_is_told_as_the_preview_that_it_is() -> None:
    said = (Decided("update_contact", Verdict.REJECT),)
    read = access("get_contact")
    found = replace(proof([decision("get_contact", "Allow")], [read, read]), decided=said)
    assert found.held_lines()[1:] == [
        "Reads of the contact by the gateway itself, to show what would change: 1."
    ]
    assert replace(found, accesses=found.accesses[:1]).held_lines()[1:] == []
