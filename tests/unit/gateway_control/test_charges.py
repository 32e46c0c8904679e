import pytest
from pydantic import JsonValue

from aos.gateway.control.asked import Finished, Tokens
from aos.gateway.control.charges import Charges, settled, used_counters
from aos.gateway.journal import CallOutcome
from aos.policy.decision import DecisionReason
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
