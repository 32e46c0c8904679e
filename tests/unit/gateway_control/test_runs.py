"""Calls that are made for the steps of a run, through a real store: its budget, and writes of earlier attempts."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from aos.gateway.caller import Caller
from aos.gateway.control.asked import AskedCall, Finished, Repeated, Ticket
from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import RefusalCode, Refused
from aos.model.base import JsonObject
from aos.policy.decision import DecisionReason
from aos.store.sqlite import SqliteStore
from tests.unit.gateway_control.make import FAST, asked, asked_of_model, caller, effective, task, tool
from tests.unit.gateway_control.world import Held, controlled, opened

DONE = Finished(CallOutcome.ANSWERED, DecisionReason.ALLOWED, 0.1)
CALLS = 20


@pytest.fixture
async def held() -> AsyncIterator[Held]:
    async with opened() as store, controlled(store, FAST) as made:
        yield made


def budget(**most: int) -> JsonObject:
    return {"budgets": [{"runUID": "uid-r1", "workflow": "outreach", **most}]}


def attempt(number: int, name: str = "") -> Caller:
    return caller(effective(), task(name or f"a{number}", run={"attempt": number}))


def write(number: int, name: str = "", stage: str = "won") -> AskedCall:
    return asked(attempt(number, name), "update_contact", {"id": "7", "stage": stage})


async def answered(held: Held, made: AskedCall, result: bytes | None = b"first") -> Ticket:
    given = await held.calls.admit_tool(made)
    assert isinstance(given, Ticket)
    held.calls.finish(given, replace(DONE, result=result))
    await held.settled()
    return given


async def end(held: Held, made: AskedCall) -> None:
    """End the Task of a call, which gives its record back."""
    await held.store.end_task(made.caller.task.metadata.uid)


async def test_attack_20_what_an_earlier_attempt_wrote_is_answered_and_not_sent_again(held: Held) -> None:
    first = write(1)
    await answered(held, first)
    await end(held, first)
    for again in (write(2), write(3, "handed-over")):
        found = await held.calls.admit_tool(again)
        assert isinstance(found, Repeated)
        assert (found.result, found.task) == (b"first", "a1")
    other = write(2, stage="lost")
    assert isinstance(await held.calls.admit_tool(other), Ticket)


async def test_an_attempt_may_write_the_same_more_than_once(held: Held) -> None:
    await answered(held, write(1))
    await answered(held, write(1), b"second")
    await end(held, write(1))
    found = await held.calls.admit_tool(write(2))
    assert isinstance(found, Repeated)
    assert found.result == b"second"


async def test_a_write_of_which_nobody_knows_what_came_is_not_sent_again(held: Held) -> None:
    await answered(held, write(1), None)
    await end(held, write(1))
    refused = await held.calls.admit_tool(write(2))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.DUPLICATE_IN_FLIGHT
    assert "what became of it is not known" in refused.message


async def test_a_write_of_which_nobody_knows_what_came_is_sent_again_as_the_same_one_where_that_does_no_harm(
    held: Held,
) -> None:
    def harmless(number: int) -> AskedCall:
        by = caller(effective(of=tool(idempotent=True)), task(f"a{number}", run={"attempt": number}))
        return asked(by, "update_contact")

    first = await answered(held, harmless(1), None)
    assert first.idempotency_key == first.call
    await end(held, harmless(1))
    second = await answered(held, harmless(2))
    assert second.idempotency_key == first.call
    await end(held, harmless(2))
    assert isinstance(await held.calls.admit_tool(harmless(3)), Repeated)
    assert (await answered(held, write(4))).idempotency_key == ""


async def test_a_write_that_certainly_was_not_made_is_made_by_the_next_attempt(held: Held) -> None:
    given = await held.calls.admit_tool(write(1))
    assert isinstance(given, Ticket)
    held.calls.finish(given, replace(DONE, outcome=CallOutcome.FAILED, released=True))
    await held.settled()
    await end(held, write(1))
    assert isinstance(await held.calls.admit_tool(write(2)), Ticket)


async def test_a_runs_budget_outlives_each_of_its_tasks(held: Held) -> None:
    for number in (1, 2):
        by = caller(effective(), task(f"t{number}", run={**budget(calls=2), "step": f"s{number}"}))
        await answered(held, asked(by))
        await end(held, asked(by))
    by = caller(effective(), task("t3", run=budget(calls=2)))
    refused = await held.calls.admit_tool(asked(by))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.BUDGET_EXCEEDED
    assert "Workflow outreach's budget (run r1): 2 of 2 calls" in refused.message
    assert isinstance(await held.calls.admit_tool(asked(caller(effective(), task("t4")))), Ticket)


async def test_a_model_request_that_does_not_fit_a_runs_budget_is_refused(held: Held) -> None:
    by = caller(effective(), task("t1", run=budget(tokens=100)))
    given = await held.calls.admit(asked_of_model(by, 90, 0))
    assert isinstance(given, Ticket)
    refused = await held.calls.admit(replace(asked_of_model(by, 90, 0), likeness="other"))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.BUDGET_EXCEEDED


async def test_attack_23_gateways_that_race_for_a_runs_budget_never_let_one_call_too_many_through(
    tmp_path: Path,
) -> None:
    stores = [SqliteStore(tmp_path / "store.db", f"gateway-{number}") for number in range(2)]
    for store in stores:
        await store.open()
    try:
        async with controlled(stores[0], FAST) as one, controlled(stores[1], FAST) as other:

            async def tried(held: Held, number: int) -> bool:
                by = caller(effective(), task(f"t{number}", run={**budget(calls=CALLS), "item": number}))
                return isinstance(await held.calls.admit_tool(asked(by)), Ticket)

            found = await asyncio.gather(
                *(tried(held, number) for number in range(2 * CALLS) for held in (one, other))
            )
    finally:
        for store in stores:
            await store.close()
    assert sum(found) == CALLS
