from dataclasses import replace

import pytest
from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.control.asked import AskedCall, Finished, Tokens
from aos.gateway.control.charges import Charges, approval_charge, settled, used_counters
from aos.gateway.journal import CallOutcome, Subject
from aos.model.base import JsonObject
from aos.model.policy import Policy
from aos.model.task import Task
from aos.policy.decision import DecisionReason
from aos.policy.effective import EffectivePolicy
from aos.store.interface import Charge
from tests.unit.gateway_control.make import asked, asked_of_model, caller, effective, policy, task, tool

LIMIT: JsonValue = {"name": "calls", "calls": 60, "per": "1m"}
BUDGET: JsonValue = {
    "name": "daily",
    "microUSD": 100,
    "tokens": 10,
    "calls": 5,
    "per": "24h",
    "scope": "Namespace",
}
DONE = Finished(CallOutcome.ANSWERED, DecisionReason.ALLOWED, 0.1)


def test_every_call_is_counted_for_its_task_and_as_itself() -> None:
    first, second = Charges().of(asked(caller(effective())))
    assert (first.counter, first.limit, first.window_seconds, first.owner) == (
        "Task///loops/callsPerTask/Task/uid-t1",
        1000,
        0,
        "uid-t1",
    )
    assert second.counter.startswith("Task///loops/identicalCalls/Task/uid-t1/tool/crm/get_contact/")
    assert second.limit == 10


@pytest.mark.parametrize(
    ("scope", "ending"),
    [
        ("Agent", "calls/Agent/sales/enricher"),
        ("Namespace", "calls/Namespace/sales"),
        ("Task", "calls/Task/uid-t1"),
    ],
)
def test_a_limit_counts_whom_its_scope_says(scope: str, ending: str) -> None:
    limit: JsonValue = {"name": "calls", "calls": 60, "per": "1m", "scope": scope}
    charges = Charges().of(asked(caller(effective(policy(limits=[limit])))))
    (counted,) = [charge for charge in charges if charge.resource == "calls"]
    assert counted.counter == f"Policy/sales/baseline/limit calls/{ending}"
    assert (counted.amount, counted.limit, counted.window_seconds) == (1, 60, 60)
    assert counted.owner == ("uid-t1" if scope == "Task" else "")
    assert "Policy baseline, limit calls" in counted.name


def test_two_policies_count_each_for_itself() -> None:
    both = effective(policy(limits=[LIMIT]), policy("other", limits=[LIMIT]))
    counted = [charge.counter for charge in Charges().of(asked(caller(both))) if charge.resource == "calls"]
    assert len(set(counted)) == 2


def test_agents_of_one_policy_do_not_share_counters_of_scope_agent() -> None:
    charges = Charges()
    one, other = (
        {
            charge.counter
            for charge in charges.of(asked(caller(effective(policy(limits=[LIMIT]), agent=name))))
        }
        for name in ("enricher", "writer")
    )
    assert any("sales/enricher" in counter for counter in one)
    assert not any("sales/enricher" in counter for counter in other)


def test_a_budget_takes_what_the_call_may_use() -> None:
    charges = Charges().of(asked_of_model(caller(effective(policy(budgets=[BUDGET]))), 8, 90))
    assert {charge.resource: charge.amount for charge in charges if "budget" in charge.counter} == {
        "calls": 1,
        "tokens": 8,
        "microUSD": 90,
    }


def test_a_tool_that_costs_nothing_takes_no_money_and_no_tokens() -> None:
    by = caller(effective(policy(budgets=[BUDGET])))
    assert {charge.resource for charge in Charges().of(asked(by)) if "budget" in charge.counter} == {"calls"}
    costly = caller(effective(policy(budgets=[BUDGET]), of=tool(costMicroUSD=40)))
    (money,) = [c for c in Charges().of(asked(costly, "update_contact")) if c.resource == "microUSD"]
    assert money.amount == 40


def test_a_budget_of_a_task_lasts_as_long_as_the_task() -> None:
    budget: JsonValue = {"name": "whole", "tokens": 10, "scope": "Task"}
    charges = Charges().of(asked_of_model(caller(effective(policy(budgets=[budget]))), 8, 0))
    (tokens,) = [charge for charge in charges if charge.resource == "tokens"]
    assert (tokens.window_seconds, tokens.owner) == (0, "uid-t1")


def test_what_depends_on_policy_alone_is_made_once_and_not_mixed_up_between_tasks() -> None:
    charges, policies = Charges(), effective(policy(limits=[LIMIT]))
    one = charges.of(asked(caller(policies, task("a"))))
    two = charges.of(asked(caller(policies, task("b"))))
    assert one[0] is two[0]
    assert one[1].counter != two[1].counter


def test_plans_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.gateway.control.charges.MAX_PLANS", 2)
    charges = Charges()
    for name in ("a", "b", "c"):
        charges.of(asked(caller(effective(agent=name))))
    assert len(charges._plans) == 1


def test_what_is_known_is_settled_and_the_rest_stays_reserved() -> None:
    made = asked_of_model(caller(effective(policy(budgets=[BUDGET]))), 8, 90)
    charges = Charges().of(made)
    counters = {charge.resource: charge.counter for charge in charges if "budget" in charge.counter}
    assert settled(made, charges, DONE) == {}
    used = Finished(CallOutcome.ANSWERED, DecisionReason.ALLOWED, 0.1, tokens=Tokens(2, 3), cost_micro_usd=7)
    own = used_counters("uid-t1")
    assert settled(made, charges, used) == {
        counters["tokens"]: 5,
        counters["microUSD"]: 7,
        own["promptTokens"]: 2,
        own["completionTokens"]: 3,
        own["costMicroUSD"]: 7,
    }


def test_what_was_not_done_gives_everything_back_but_its_place_in_the_loop() -> None:
    made = asked(caller(effective(policy(limits=[LIMIT], budgets=[BUDGET]))))
    charges = Charges().of(made)
    released = Finished(CallOutcome.FAILED, DecisionReason.ALLOWED, 0.1, released=True)
    given_back = settled(made, charges, released)
    assert set(given_back.values()) == {0}
    assert set(given_back) == {charge.counter for charge in charges if charge.resource == "calls"}


def acting_for(*before: EffectivePolicy, own: EffectivePolicy) -> Caller:
    """The caller of a Task that agents with these policies handed over, one to the next."""
    lineage: list[JsonValue] = [
        {"agent": item.agent.metadata.name, "task": f"t{number}", "taskUID": f"uid-before-{number}"}
        for number, item in enumerate(before)
    ]
    name = own.agent.metadata.name
    return replace(caller(own, task("t9", name, lineage)), ancestors=before)


def test_attack_19_what_is_done_for_another_agent_counts_for_that_one_too() -> None:
    limits: list[JsonValue] = [
        {"name": scope.lower(), "calls": 60, "per": "1m", "scope": scope}
        for scope in ("Agent", "Task", "Namespace")
    ]
    lead = effective(policy("of-lead", limits=limits), agent="lead")
    writer = effective(policy("of-writer", limits=limits), agent="writer")
    charges = Charges().of(asked(acting_for(lead, own=writer)))
    counted = {
        charge.counter.removeprefix("Policy/sales/") for charge in charges if charge.resource == "calls"
    }
    assert counted == {
        "of-lead/limit agent/calls/Agent/sales/lead",
        "of-lead/limit task/calls/Task/uid-before-0",
        "of-lead/limit namespace/calls/Namespace/sales",
        "of-writer/limit agent/calls/Agent/sales/writer",
        "of-writer/limit task/calls/Task/uid-t9",
        "of-writer/limit namespace/calls/Namespace/sales",
    }


def test_what_a_chain_has_in_common_counts_once() -> None:
    shared = policy(limits=[{**LIMIT, "scope": "Namespace"}], budgets=[BUDGET])  # type: ignore[dict-item] # an object
    lead, writer = effective(shared, agent="lead"), effective(shared, agent="writer")
    # The writer works on this a second time: lead > writer > lead > writer.
    by = acting_for(lead, writer, lead, own=writer)
    charges = Charges().of(asked_of_model(by, 7, 40))
    counters = [charge.counter for charge in charges]
    assert len(counters) == len(set(counters))
    assert [charge.amount for charge in charges if charge.resource == "tokens"] == [7]
    assert [charge.amount for charge in charges if charge.resource == "microUSD"] == [40]


def test_a_budget_of_a_task_covers_what_the_task_hands_over() -> None:
    budget: JsonValue = {"name": "whole", "tokens": 10, "scope": "Task"}
    lead = effective(policy(budgets=[budget]), agent="lead")
    writer = effective(policy("none"), agent="writer")
    for name in ("first", "second"):
        by = acting_for(lead, own=writer)
        charges = Charges().of(
            asked_of_model(replace(by, task=task(name, "writer", [*lineage_of(by)])), 5, 1)
        )
        (charged,) = [charge for charge in charges if charge.resource == "tokens"]
        assert charged.counter.endswith("tokens/Task/uid-before-0")
        assert (charged.owner, charged.window_seconds) == ("uid-before-0", 0)


def test_repetition_counts_for_the_callers_own_task_alone() -> None:
    loops: JsonValue = {"maxCallsPerTask": 7, "maxIdenticalCalls": 3}
    lead = effective(policy(loops=loops), agent="lead")
    by = acting_for(lead, own=effective(policy("of-writer"), agent="writer"))
    merged = by.policy.narrowed((by.policy.handoff_obligations(), lead.handoff_obligations()))
    charges = Charges().of(replace(asked(by), obligations=merged))
    bounds = {charge.resource: (charge.owner, charge.limit) for charge in charges}
    assert bounds == {"callsPerTask": ("uid-t9", 7), "identicalCalls": ("uid-t9", 3)}


def test_attack_22_what_one_task_sets_off_in_all_is_bounded_and_not_only_how_deep_it_goes() -> None:
    def handoff(by: Caller) -> set[tuple[str, int]]:
        made = replace(
            asked(by),
            subject=Subject.AGENT,
            declared=None,
            obligations=by.policy.handoff_obligations(),
        )
        charges = Charges().of(made)
        assert not [item for item in Charges().of(replace(made, likeness="")) if item.resource == "handoffs"]
        return {(item.owner, item.limit) for item in charges if item.resource == "handoffs"}

    lead = effective(policy(loops={"maxCallsPerTask": 7}), agent="lead")
    writer = effective(policy("of-writer"), agent="writer")
    assert handoff(caller(lead, task("first", "lead"))) == {("uid-first", 7)}
    assert handoff(acting_for(lead, own=writer)) == {("uid-before-0", 7), ("uid-t9", 1000)}
    assert not [item for item in Charges().of(asked(caller(lead))) if item.resource == "handoffs"]


def lineage_of(by: Caller) -> list[JsonValue]:
    return [item.model_dump(mode="json", by_alias=True) for item in by.task.spec.lineage]


def test_an_approval_lets_one_call_through_and_is_kept_longer_than_any_may_wait() -> None:
    made = asked(caller(effective()))
    assert approval_charge(made) == ()
    released = replace(made, approvals=("apr-1",), approval_uid="uid-1")
    (charge,) = approval_charge(released)
    assert (charge.counter, charge.amount, charge.limit) == ("approval/uid-1", 1, 1)
    assert charge.window_seconds > 3 * 168 * 3600
    assert charge.owner == ""
    gone = settled(released, (charge,), replace(DONE, released=True))
    assert gone == {charge.counter: 0}
    assert settled(released, (charge,), DONE) == {}


def budgets(*uids: str, **most: JsonValue) -> JsonObject:
    return {"budgets": [{"runUID": uid, "workflow": "outreach", **most} for uid in uids]}


def of_runs(made: AskedCall) -> dict[str, Charge]:
    return {item.counter: item for item in Charges().of(made) if item.counter.startswith("WorkflowRun/")}


def test_a_call_for_a_run_takes_from_its_budget_and_from_those_of_the_runs_above() -> None:
    run = budgets("uid-r1", "uid-r0", calls=5, tokens=100, microUSD=900)
    found = of_runs(asked_of_model(caller(effective(), task(run=run)), 8, 90))
    assert {counter: (item.amount, item.limit) for counter, item in found.items()} == {
        f"WorkflowRun///budget/{resource}/WorkflowRun/{uid}": bound
        for uid in ("uid-r1", "uid-r0")
        for resource, bound in (("calls", (1, 5)), ("tokens", (8, 100)), ("microUSD", (90, 900)))
    }
    assert {(item.owner, item.window_seconds) for item in found.values()} == {
        ("uid-r1", 0),
        ("uid-r0", 0),
    }
    assert {item.name for item in found.values()} == {
        "Workflow outreach's budget (run r1)",
        "Workflow outreach's budget (run uid-r0)",
    }


def test_a_call_that_costs_nothing_takes_no_money_of_a_run() -> None:
    run = budgets("uid-r1", tokens=100, microUSD=900)
    assert of_runs(asked(caller(effective(), task(run=run)))) == {}
    assert of_runs(asked(caller(effective(), task(run={})))) == {}


def test_attack_19_what_is_handed_over_takes_from_the_same_budget_of_the_run() -> None:
    run = budgets("uid-r1", calls=5)
    lead, writer = effective(agent="lead"), effective(agent="writer")
    by = acting_for(lead, own=writer)
    below = replace(by, task=task("t9", "writer", lineage_of(by), run))
    handoff = replace(
        asked(caller(lead, task("first", "lead", run=run))), subject=Subject.AGENT, declared=None
    )
    (first,), (second,) = of_runs(handoff).values(), of_runs(asked(below)).values()
    assert first == second


def test_what_a_run_really_used_is_settled_and_what_was_not_made_is_given_back() -> None:
    run = budgets("uid-r1", calls=5, tokens=100, microUSD=900)
    made = asked_of_model(caller(effective(), task(run=run)), 8, 90)
    charges = Charges().of(made)
    key = "WorkflowRun///budget/{}/WorkflowRun/uid-r1".format
    used = settled(made, charges, replace(DONE, tokens=Tokens(2, 3), cost_micro_usd=7))
    assert (used[key("tokens")], used[key("microUSD")]) == (5, 7)
    assert key("calls") not in used
    gone = settled(made, charges, replace(DONE, released=True))
    assert [gone[key(resource)] for resource in ("calls", "tokens", "microUSD")] == [0, 0, 0]


WHOLE: JsonValue = {"name": "whole", "calls": 5, "per": "1h", "scope": "Workflow"}


@pytest.mark.parametrize("held", [policy(limits=[WHOLE]), policy(budgets=[WHOLE])])
def test_what_counts_by_workflow_counts_over_the_first_run_of_the_chain_or_the_first_task(
    held: Policy,
) -> None:
    def counted(work: Task) -> list[tuple[str, str]]:
        made = Charges().of(asked(caller(effective(held), work)))
        return [(item.counter.rpartition("/")[2], item.owner) for item in made if item.resource == "calls"]

    below: JsonObject = {"uid": "uid-r2", "rootUID": "uid-r1", "name": "r2"}
    assert counted(task(run={})) == counted(task("t2", run=below)) == [("uid-r1", "uid-r1")]
    assert counted(task("t3")) == [("uid-t3", "uid-t3")]


def test_a_budget_of_a_whole_run_covers_what_is_handed_over_and_every_agent_of_it() -> None:
    budget: JsonValue = {"name": "whole", "tokens": 10, "scope": "Workflow"}
    lead = effective(policy(budgets=[budget]), agent="lead")
    writer = effective(policy(budgets=[budget]), agent="writer")
    by = acting_for(lead, own=writer)
    below = asked_of_model(replace(by, task=task("t9", "writer", lineage_of(by), {})), 5, 1)
    alone = asked_of_model(caller(lead, task("t2", "lead", run={"step": "send"})), 5, 1)
    for made in (below, alone):
        (tokens,) = [item for item in Charges().of(made) if item.resource == "tokens"]
        assert (tokens.counter, tokens.window_seconds) == (
            "Policy/sales/baseline/budget whole/tokens/Workflow/uid-r1",
            0,
        )
