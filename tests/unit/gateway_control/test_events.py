from dataclasses import replace

from pydantic import JsonValue

from aos.audit.event import Phase
from aos.gateway.control import events
from aos.gateway.control.asked import Finished, Tokens
from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import RefusalCode
from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import RuleReference
from tests.unit.gateway_control.make import asked, asked_of_model, caller, effective, task, tool

DONE = Finished(CallOutcome.ANSWERED, DecisionReason.ALLOWED, 1.5)


def test_a_row_names_the_chain_of_agents_and_the_rules() -> None:
    lineage: list[JsonValue] = [{"agent": "planner", "task": "t0", "taskUID": "uid-t0"}]
    made = replace(
        asked(caller(effective(labels={"aos.dev/tenant": "acme"}), task(lineage=lineage))),
        rules=(RuleReference("Policy", "baseline", "all"),),
        data_classes=frozenset({"pii"}),
        approvals=("apr-1",),
        approvers=("ana@example.com Approve",),
    )
    for each in (events.outcome("c1", made, "", DONE), events.refusal("c1", made, RefusalCode.LOOP_DETECTED)):
        assert each.approvers == ("ana@example.com Approve",)
    row = events.intent("c1", made, "")
    assert row.approvers == ("ana@example.com Approve",)
    assert (row.lineage, row.rules, row.tenant) == (
        ("planner",),
        ("Policy baseline, rule all",),
        "acme",
    )
    assert (row.data_classes, row.approvals, row.revision) == (("pii",), ("apr-1",), "enricher-1")
    assert row.policy_digest == made.caller.policy.digest
    assert row.time.endswith("Z")


def test_what_an_agent_calls_a_thing_that_is_not_there_can_be_kept_by_every_store() -> None:
    made = replace(asked(caller(effective())), name="x\0y", action="\0" * 500)
    row = events.refusal("c1", made, DecisionReason.TOOL_UNKNOWN)
    assert row.name == "x\ufffdy"
    assert row.action == "\ufffd" * events.MAX_NAME_LENGTH


def test_neither_arguments_nor_results_stand_in_a_row() -> None:
    made = asked(caller(effective()), "get_contact", {"id": "very-secret-text"})
    finished = replace(DONE, result=b"very-secret-text")
    for row in (
        events.intent("c1", made, ""),
        events.outcome("c1", made, "", finished),
        events.refusal("c1", made, RefusalCode.CIRCUIT_OPEN),
        events.repetition("c1", made, ""),
    ):
        assert "very-secret-text" not in repr(row)
        assert row.arguments_digest.startswith("sha256:")


def test_the_cost_of_an_outcome_is_what_it_cost() -> None:
    by = caller(effective(of=tool(costMicroUSD=40)))
    write = asked(by, "update_contact")
    assert events.outcome("c", write, "", DONE).cost_micro_usd == 40
    assert events.outcome("c", write, "", replace(DONE, released=True)).cost_micro_usd == 0
    model = asked_of_model(by, 100, 500)
    assert events.intent("c", model, "").cost_micro_usd == 500
    known = replace(DONE, tokens=Tokens(3, 4), cost_micro_usd=7)
    assert events.outcome("c", model, "", known).cost_micro_usd == 7
    assert events.outcome("c", model, "", DONE).cost_micro_usd == 500


def test_the_outcome_of_a_call_that_was_refused_at_last_is_a_denial() -> None:
    made = asked(caller(effective()), "update_contact")
    refused = Finished(
        CallOutcome.REFUSED, RefusalCode.APPROVAL_STALE, 0.1, released=True, effect=Effect.DENY
    )
    assert events.outcome("c", made, "", refused).effect == "Deny"
    failed = Finished(CallOutcome.FAILED, RefusalCode.UPSTREAM_TIMEOUT, 0.1)
    assert events.outcome("c", made, "", failed).effect == "Allow"


def test_a_write_that_was_answered_without_being_sent_is_allowed_and_has_one_row() -> None:
    row = events.repetition("c1", asked(caller(effective())), "r")
    assert (row.phase, row.effect, row.outcome, row.record) == (Phase.REFUSAL, "Allow", "Duplicate", "r")


def test_the_row_of_a_call_that_people_are_asked_about_names_the_request_its_rules_and_the_record() -> None:
    made = replace(
        asked(caller(effective()), "update_contact"),
        approvals=("apr-1",),
        quorums=("risk Medium",),
        rules=(RuleReference("Policy", "baseline", "all"),),
    )
    row = events.asking("c1", made, "sales/crm/contact/7")
    assert row.approvers == ()
    assert (row.phase, row.effect, row.reason) == (Phase.REFUSAL, "Hold", "ApprovalPending")
    assert row.approvals == ("apr-1",)
    assert row.rules == ("Policy baseline, rule all", "risk Medium")
    assert row.record == "sales/crm/contact/7"
