from aos.reconcile.approval_subject import risk_word, subject_fields, who, work, work_kind
from tests.unit.reconcile.asked import gate, request


def test_a_call_is_told_by_its_agent_its_task_and_its_risk() -> None:
    spec = request(record="contact/7").spec
    assert (risk_word(spec), who(spec), work(spec), work_kind(spec)) == ("Medium", "enricher", "t1", "Task")


def test_a_gate_is_told_by_its_workflow_and_its_run() -> None:
    spec = gate().spec
    assert (risk_word(spec), who(spec), work(spec)) == ("gate", "workflow/outreach", "run/r1")
    assert work_kind(spec) == "run"


def test_programs_find_the_same_fields_in_every_request() -> None:
    call, at_gate = subject_fields(request(record="contact/7").spec), subject_fields(gate().spec)
    assert call.keys() == at_gate.keys()
    assert {name: value for name, value in call.items() if value} == {
        "agent": "enricher",
        "task": "t1",
        "tool": "crm",
        "action": "update_contact",
        "access": "Write",
        "risk": "Medium",
        "record": "contact/7",
    }
    assert {name: value for name, value in at_gate.items() if value} == {
        "workflow": "outreach",
        "run": "r1",
        "step": "review",
    }
