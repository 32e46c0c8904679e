import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from aos.audit.event import Phase
from aos.audit.query import AuditQuery
from aos.gateway.control.asked import Finished, Repeated, Ticket, Tokens
from aos.gateway.control.charges import Charges
from aos.gateway.control.refusals import Refusals
from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import RefusalCode, Refused
from aos.gateway.registry import Revision
from aos.model.base import JsonObject
from aos.model.canonical import canonical_json, json_digest
from aos.model.task import TaskUsage
from aos.policy.decision import DecisionReason, Effect
from aos.store.interface import StoreUnavailableError
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore
from tests.unit.gateway_control.make import (
    FAST,
    asked,
    asked_of_model,
    caller,
    effective,
    policy,
    task,
    tool,
)
from tests.unit.gateway_control.world import Held, controlled, opened

TWO: JsonValue = {"name": "calls", "calls": 2, "per": "1h"}
BUDGET: JsonValue = {"name": "daily", "tokens": 100, "microUSD": 1000, "per": "24h"}
HASTY = StoreSettings(answer_seconds=1)
DONE = Finished(CallOutcome.ANSWERED, DecisionReason.ALLOWED, 0.25)


@pytest.fixture
async def held() -> AsyncIterator[Held]:
    async with opened() as store, controlled(store, FAST) as made:
        yield made


async def test_attack_27_an_agent_that_is_refused_without_end_does_not_fill_the_store(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held.calls, "_refusals", Refusals(most=3))
    by = caller(effective())
    for _ in range(5):
        held.calls.refuse(asked(by), Refused(Effect.DENY, DecisionReason.NOT_ALLOWED, "no rule allows it"))
    given = [await held.calls.admit_tool(asked(by)), await held.calls.admit(asked_of_model(by, 1, 1))]
    assert [item.reason for item in given if isinstance(item, Refused)] == ["TooManyTaskCalls"] * 2
    assert len(await held.rows()) == 3
    other = caller(effective(), task("t2"))
    assert isinstance(await held.calls.admit_tool(asked(other)), Ticket)


async def test_a_call_is_on_record_before_it_is_made_and_when_it_is_over(held: Held) -> None:
    by = caller(effective(of=tool(costMicroUSD=40)))
    given = await held.calls.admit_tool(asked(by, "update_contact"))
    assert isinstance(given, Ticket)
    (intent,) = await held.rows()
    assert (intent.phase, intent.call, intent.reason, intent.cost_micro_usd) == (
        Phase.INTENT,
        given.call,
        "Allowed",
        40,
    )
    held.calls.finish(given, replace(DONE, data_classes=frozenset({"pii"})))
    _, outcome = await held.rows()
    assert (outcome.phase, outcome.call, outcome.outcome) == (Phase.OUTCOME, given.call, "Answered")
    assert (outcome.record, outcome.duration_ms, outcome.data_classes) == (
        "sales/crm.sales-tools:8080/mcp/contact/7",
        250,
        ("pii",),
    )
    assert (outcome.agent, outcome.pod, outcome.task, outcome.requested_by, outcome.access) == (
        "enricher",
        "t1-pod",
        "t1",
        "ana@example.com",
        "Write",
    )


async def test_a_limit_that_is_used_up_refuses_and_says_which_and_until_when(held: Held) -> None:
    by = caller(effective(policy(limits=[TWO])))
    for number in range(2):
        assert isinstance(await held.calls.admit_tool(asked(by, arguments={"id": str(number)})), Ticket)
    refused = await held.calls.admit_tool(asked(by, arguments={"id": "3"}))
    assert isinstance(refused, Refused)
    assert (refused.effect, refused.reason) == (Effect.DENY, RefusalCode.LIMIT_EXCEEDED)
    assert "Policy baseline, limit calls (Agent sales/enricher): 2 of 2 calls" in refused.message
    assert refused.retry_after_seconds == pytest.approx(3600, abs=60)
    assert refused.facts["limit"] == 2
    *_, row = await held.rows()
    assert (row.phase, row.effect, row.reason, row.outcome) == (
        Phase.REFUSAL,
        "Deny",
        "LimitExceeded",
        "Refused",
    )
    assert held.news.told == [("enricher", "LimitExceeded", refused.note)]


async def test_what_was_found_in_calls_and_their_answers_is_counted_once_by_class_and_direction(
    held: Held,
) -> None:
    by = caller(effective(policy(limits=[TWO])))
    for number in range(3):
        found = frozenset({"pii", "secret"} if number else {"pii"})
        given = await held.calls.admit_tool(
            replace(asked(by, arguments={"id": str(number)}), data_classes=found)
        )
        if isinstance(given, Ticket):
            held.calls.finish(given, replace(DONE, data_classes=frozenset({"health"})))
    shown = held.metrics.exposition().decode()
    for data_class, direction, count in (("pii", "in", 3), ("secret", "in", 2), ("health", "out", 2)):
        labels = f'{{data_class="{data_class}",direction="{direction}"}}'
        assert f"aos_gateway_data_findings_total{labels} {count}.0" in shown


async def test_a_call_that_was_not_made_spends_nothing(held: Held) -> None:
    by = caller(effective(policy(limits=[TWO])))
    for number in range(5):
        given = await held.calls.admit_tool(asked(by, arguments={"id": str(number)}))
        assert isinstance(given, Ticket)
        held.calls.finish(given, replace(DONE, outcome=CallOutcome.FAILED, released=True))
        await held.settled()


@pytest.mark.parametrize(("released", "undone"), [(True, False), (False, True), (False, False)])
async def test_only_a_call_that_was_certainly_not_made_leaves_its_record_to_others(
    held: Held, *, released: bool, undone: bool
) -> None:
    given = await held.calls.admit_tool(asked(caller(effective()), "update_contact"))
    assert isinstance(given, Ticket)
    held.calls.finish(given, replace(DONE, outcome=CallOutcome.FAILED, released=released, undone=undone))
    await held.settled()
    other = await held.calls.admit_tool(asked(caller(effective(), task("t2")), "update_contact"))
    assert isinstance(other, Ticket) is released


async def test_a_budget_is_reserved_by_estimate_and_settled_by_use(held: Held) -> None:
    by = caller(effective(policy(budgets=[BUDGET])))
    for number in range(3):
        given = await held.calls.admit(replace(asked_of_model(by, 60, 500), likeness=str(number)))
        assert isinstance(given, Ticket)
        refused = await held.calls.admit(replace(asked_of_model(by, 60, 500), likeness="other"))
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalCode.BUDGET_EXCEEDED
        held.calls.finish(given, replace(DONE, tokens=Tokens(8, 2), cost_micro_usd=100))
        await held.settled()
    rows = [row for row in await held.rows() if row.phase is Phase.OUTCOME]
    assert [(row.prompt_tokens, row.completion_tokens, row.cost_micro_usd) for row in rows] == [
        (8, 2, 100)
    ] * 3


async def test_attack_23_use_that_nobody_reports_costs_what_was_reserved(held: Held) -> None:
    by = caller(effective(policy(budgets=[BUDGET])))
    given = await held.calls.admit(asked_of_model(by, 60, 500))
    assert isinstance(given, Ticket)
    held.calls.finish(given, replace(DONE, outcome=CallOutcome.ABORTED))
    await held.settled()
    refused = await held.calls.admit(replace(asked_of_model(by, 60, 500), likeness="1"))
    assert isinstance(refused, Refused)
    assert refused.facts["used"] == 60


async def test_attack_22_the_same_call_again_and_again_is_a_loop(held: Held) -> None:
    by = caller(effective(policy(loops={"maxIdenticalCalls": 3})))
    spellings = ("acme", "ACME ", "ac\u200bme", "\uff41cme")
    answers = [await held.calls.admit_tool(asked(by, arguments={"id": text})) for text in spellings]
    assert [isinstance(answer, Ticket) for answer in answers] == [True, True, True, False]
    assert isinstance(answers[3], Refused)
    assert answers[3].reason is RefusalCode.LOOP_DETECTED
    assert answers[3].retry_after_seconds is None
    assert isinstance(await held.calls.admit_tool(asked(by, arguments={"id": "other"})), Ticket)
    of_another_task = caller(by.policy, task("t2"))
    assert isinstance(await held.calls.admit_tool(asked(of_another_task, arguments={"id": "acme"})), Ticket)


async def test_attack_22_failures_are_part_of_a_loop(held: Held) -> None:
    by = caller(effective(policy(loops={"maxIdenticalCalls": 2})))
    for _ in range(2):
        given = await held.calls.admit_tool(asked(by))
        assert isinstance(given, Ticket)
        held.calls.finish(given, replace(DONE, outcome=CallOutcome.FAILED, released=True))
        await held.settled()
    assert isinstance(await held.calls.admit_tool(asked(by)), Refused)


async def test_attack_22_a_task_has_an_end_of_calls(held: Held) -> None:
    by = caller(effective(policy(loops={"maxCallsPerTask": 2})))
    for number in range(2):
        await held.calls.admit_tool(asked(by, arguments={"id": str(number)}))
    refused = await held.calls.admit_tool(asked(by, arguments={"id": "3"}))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.TOO_MANY_TASK_CALLS


async def test_of_two_tasks_that_write_one_record_the_second_is_told_who_has_it(held: Held) -> None:
    first = caller(effective(agent="enricher"))
    second = caller(effective(agent="writer"), task("t2", agent="writer"))
    made = await held.calls.admit_tool(asked(first, "update_contact"))
    assert isinstance(made, Ticket)
    refused = await held.calls.admit_tool(asked(second, "update_contact"))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.RECORD_BUSY
    assert "is held by Task t1 of agent enricher until" in refused.message
    assert refused.facts["holder"] == {"agent": "enricher", "task": "t1", "namespace": "sales"}
    assert "contact/7" not in refused.note
    assert isinstance(await held.calls.admit_tool(asked(second, "update_contact", {"id": "8"})), Ticket)
    held.calls.finish(made, DONE)
    await held.settled()
    await held.store.end_task("uid-t1")
    again = asked(second, "update_contact", {"id": "7", "name": "Ana"})
    assert isinstance(await held.calls.admit_tool(again), Ticket)


async def test_a_write_whose_record_is_unknown_is_refused(held: Held) -> None:
    refused = await held.calls.admit_tool(asked(caller(effective()), "update_contact", {"name": "Ana"}))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.RECORD_UNKNOWN
    (row,) = await held.rows()
    assert row.reason == "RecordUnknown"


WINDOW = policy(conflicts={"duplicateWindowSeconds": 600, "leaseSeconds": 1})


async def test_an_identical_write_of_another_task_is_answered_with_the_first_ones_result(held: Held) -> None:
    plain = tool(record=None)
    one = asked(caller(effective(WINDOW, of=plain)), "update_contact")
    other = asked(caller(effective(WINDOW, of=plain), task("t2")), "update_contact")
    given = await held.calls.admit_tool(one)
    assert isinstance(given, Ticket)
    under_way = await held.calls.admit_tool(other)
    assert isinstance(under_way, Refused)
    assert under_way.reason is RefusalCode.DUPLICATE_IN_FLIGHT
    assert "is making the identical call" in under_way.message
    held.calls.finish(given, replace(DONE, result=b'{"content":[]}'))
    await held.settled()
    repeated = await held.calls.admit_tool(other)
    assert isinstance(repeated, Repeated)
    assert (repeated.result, repeated.task) == (b'{"content":[]}', "t1")
    *_, row = await held.rows()
    assert (row.outcome, row.effect, row.task, row.call) == ("Duplicate", "Allow", "t2", repeated.call)
    assert held.news.told[1:] == [
        (
            "enricher",
            "DuplicateAnswered",
            "crm.update_contact was not made again: Task t1 of agent enricher made the identical call, and its answer was given",
        )
    ]
    assert isinstance(await held.calls.admit_tool(one), Ticket)


async def test_a_write_of_unknown_outcome_is_not_repeated(held: Held) -> None:
    plain = tool(record=None)
    one = asked(caller(effective(WINDOW, of=plain)), "update_contact")
    other = asked(caller(effective(WINDOW, of=plain), task("t2")), "update_contact")
    given = await held.calls.admit_tool(one)
    assert isinstance(given, Ticket)
    held.calls.finish(given, replace(DONE, outcome=CallOutcome.ABORTED))
    await held.settled()
    unknown = await held.calls.admit_tool(other)
    assert isinstance(unknown, Refused)
    assert "what became of it is not known" in unknown.message


async def test_a_write_that_was_certainly_not_made_may_be_made_by_another(held: Held) -> None:
    plain = tool(record=None)
    one = asked(caller(effective(WINDOW, of=plain)), "update_contact")
    other = asked(caller(effective(WINDOW, of=plain), task("t2")), "update_contact")
    given = await held.calls.admit_tool(one)
    assert isinstance(given, Ticket)
    held.calls.finish(given, replace(DONE, outcome=CallOutcome.FAILED, released=True))
    await held.settled()
    assert isinstance(await held.calls.admit_tool(other), Ticket)


async def test_a_call_that_policy_refused_has_one_row(held: Held) -> None:
    made = replace(asked(caller(effective())), name="nonsense" * 100)
    held.calls.refuse(made, Refused(Effect.DENY, DecisionReason.NOT_ALLOWED, "no rule allows it"))
    (row,) = await held.rows()
    assert (row.phase, row.reason, len(row.name)) == (Phase.REFUSAL, "NotAllowed", 192)
    assert held.news.told == []


async def test_what_a_task_used_is_known_to_every_replica(held: Held) -> None:
    by = caller(effective(of=tool(costMicroUSD=40)))
    model = await held.calls.admit(asked_of_model(by, 60, 500))
    write = await held.calls.admit_tool(asked(by, "update_contact"))
    assert isinstance(model, Ticket)
    assert isinstance(write, Ticket)
    held.calls.finish(model, replace(DONE, tokens=Tokens(8, 2), cost_micro_usd=100))
    held.calls.finish(write, DONE)
    await held.settled()
    async with controlled(held.store, FAST) as other:
        used = await other.calls.used_by("uid-t1")
        nothing = await other.calls.used_by("uid-t9")
    assert used == TaskUsage(calls=2, prompt_tokens=8, completion_tokens=2, cost_micro_usd=140)
    assert nothing == TaskUsage()


async def test_what_a_digest_stands_for_is_kept_with_its_rows(held: Held) -> None:
    by = caller(effective())
    await held.calls.admit_tool(asked(by))
    (intent,) = await held.rows()
    assert await held.store.document(intent.policy_digest) == by.policy.document()


async def test_what_the_agent_ran_is_kept_with_its_rows_when_its_revision_is_long_gone(held: Held) -> None:
    content: JsonObject = {"instructions": "Enrich.", "image": "aos:1", "spec": {}}
    running = Revision("enricher-1", "Enrich.", effective().agent.spec, json_digest(content), content)
    await held.calls.admit_tool(asked(replace(caller(effective()), running=running)))
    (intent,) = await held.rows()
    assert intent.revision_digest == running.digest
    assert await held.store.document(intent.revision_digest) == canonical_json(content)


class SlowToKeep(SqliteStore):
    """Keeps documents once it is let."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "gateway-0-1")
        self.let = asyncio.Event()
        self.asked: list[str] = []

    async def put_document(self, digest: str, content: bytes) -> None:
        self.asked.append(digest)
        await self.let.wait()
        await super().put_document(digest, content)


async def test_no_intent_names_a_policy_that_is_not_kept_yet_and_once_it_is_nobody_waits(
    tmp_path: Path,
) -> None:
    store = SlowToKeep(tmp_path / "store.db")
    await store.open()
    by = caller(effective())
    async with controlled(store, FAST) as held:
        both = [asyncio.create_task(held.calls.admit_tool(asked(by))) for _ in range(2)]
        asking = asyncio.create_task(held.calls.ask(asked(by), ""))
        gone = asyncio.create_task(held.calls.admit_tool(asked(by)))
        await asyncio.sleep(0.05)
        gone.cancel()
        assert [row async for row in store.rows(AuditQuery(agent=by.agent))] == []
        assert not any(task.done() for task in (*both, asking))
        store.let.set()
        assert all(isinstance(given, Ticket) for given in await asyncio.gather(*both))
        await asking
        assert len(await held.rows()) == 3
        store.let.clear()
        assert isinstance(await held.calls.admit_tool(asked(by)), Ticket)
        assert store.asked == [by.policy.digest]
    await store.close()


async def test_a_call_whose_policy_can_not_be_kept_is_denied_and_tried_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", "gateway-0-1", StoreSettings(max_document_bytes=10))
    await store.open()
    async with controlled(store, FAST) as held:
        made = asked(caller(effective()))
        for _ in range(2):
            refused = await held.calls.admit_tool(made)
            assert isinstance(refused, Refused)
            assert refused.reason is RefusalCode.STORE_UNAVAILABLE
        with pytest.raises(StoreUnavailableError, match="could not be kept"):
            await held.calls.ask(made, "")
        assert {row.phase for row in await held.rows()} == {Phase.REFUSAL}
    await store.close()


async def test_what_the_row_of_a_refusal_names_is_kept_too(held: Held) -> None:
    by = caller(effective())
    held.calls.refuse(asked(by), Refused(Effect.DENY, DecisionReason.NOT_ALLOWED, "no rule allows it"))
    (row,) = await held.rows()
    assert await held.store.document(row.policy_digest) == by.policy.document()


async def test_attack_23_who_goes_away_while_the_store_grants_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path, "gateway-0-1")
    await store.open()
    by = caller(effective(policy(limits=[TWO])))
    async with opened(store), controlled(store, FAST) as held:
        held.calls.refuse(asked(by), Refused(Effect.DENY, DecisionReason.NOT_ALLOWED, "to keep its policy"))
        await held.settled()
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(held.calls.admit_tool(asked(by)))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            other.execute("ROLLBACK")
        await held.settled()
        limit = next(charge for charge in Charges().of(asked(by)) if charge.resource == "calls")
        assert await store.used([(limit.counter, limit.window_seconds)]) == {limit.counter: 0}
        assert [row.outcome for row in (await held.rows())[1:]] in ([], ["", "Aborted"])
    await store.close()


async def test_attack_26_a_store_that_does_not_answer_denies_and_recovers_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path, "gateway-0-1", HASTY)
    await store.open()
    by = caller(effective())
    async with controlled(store, FAST) as held:
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = await held.calls.admit_tool(asked(by))
            assert isinstance(refused, Refused)
            assert refused.reason is RefusalCode.STORE_UNAVAILABLE
            assert refused.retry_after_seconds == 5
            other.execute("ROLLBACK")
        await held.settled()
        assert isinstance(await held.calls.admit_tool(asked(by)), Ticket)
    await store.close()


async def test_attack_26_a_store_that_is_not_there_denies_every_call_and_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aos.gateway.control.control.GIVE_BACK_SECONDS", 0)
    folder = tmp_path / "volume"
    store = SqliteStore(folder / "store.db", "gateway-0-1")
    by = caller(effective())
    async with controlled(store, FAST) as held:
        refused = await held.calls.admit_tool(asked(by))
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalCode.STORE_UNAVAILABLE
        held.calls.refuse(asked(by), refused)
        await held.settled()
        assert b'aos_gateway_store_failures_total{operation="append"} 1.0' in held.metrics.exposition()
        assert b"aos_gateway_audit_losses_total 2.0" in held.metrics.exposition()
        folder.mkdir()
        await store.open()
        assert isinstance(await held.calls.admit_tool(asked(by)), Ticket)
    await store.close()


async def test_nothing_is_let_through_while_too_much_waits(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aos.gateway.control.control.MAX_PENDING", 0)
    refused = await held.calls.admit_tool(asked(caller(effective())))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.STORE_UNAVAILABLE
    assert await held.rows() == []
    assert b"aos_gateway_audit_losses_total 1.0" in held.metrics.exposition()


async def test_a_settlement_is_tried_until_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path, "gateway-0-1", HASTY)
    await store.open()
    async with controlled(store, FAST) as held:
        given = await held.calls.admit_tool(asked(caller(effective())))
        assert isinstance(given, Ticket)
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            held.calls.finish(given, DONE)
            await asyncio.sleep(0.3)
            assert held.calls.pending
            other.execute("ROLLBACK")
        assert [row.phase for row in await held.rows()] == [Phase.INTENT, Phase.OUTCOME]
    await store.close()


async def test_what_is_left_at_the_end_is_written_and_not_waited_for_without_end(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path, "gateway-0-1")
    await store.open()
    async with controlled(store, FAST) as held:
        first, second = [
            await held.calls.admit_tool(asked(caller(effective()), arguments={"id": name})) for name in "ab"
        ]
        assert isinstance(first, Ticket)
        assert isinstance(second, Ticket)
        held.calls.finish(first, DONE)
        await held.calls.close(5)
        assert len(await held.rows()) == 3
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            held.calls.finish(second, DONE)
            await held.calls.close(0.1)
            assert held.calls.pending == 0
            other.execute("ROLLBACK")
    await store.close()


async def test_a_refusal_that_is_on_record_is_counted_and_not_recorded_again(held: Held) -> None:
    made = asked(caller(effective()))
    held.calls.refuse_again(made, Refused(Effect.DENY, RefusalCode.APPROVAL_REJECTED, "no"))
    held.calls.refuse_again(made, Refused(Effect.HOLD, RefusalCode.APPROVAL_PENDING, "not yet"))
    assert await held.rows() == []
    shown = held.metrics.exposition().decode()
    assert 'result="ApprovalRejected"' in shown
    assert 'result="ApprovalPending"' in shown


async def test_a_task_that_repeats_a_refused_call_without_end_is_refused_everything(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held.calls, "_refusals", Refusals(most=3))
    made = asked(caller(effective()))
    for _ in range(3):
        held.calls.refuse_again(made, Refused(Effect.DENY, RefusalCode.APPROVAL_REJECTED, "no"))
    refused = await held.calls.admit_tool(made)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.TOO_MANY_TASK_CALLS


async def test_that_people_are_asked_is_written_before_anything_else_happens(held: Held) -> None:
    made = replace(asked(caller(effective()), "update_contact"), approvals=("apr-1",))
    await held.calls.ask(made, "sales/crm/contact/7")
    (row,) = [row.event async for row in held.store.rows(AuditQuery(record="sales/crm/contact/7"))]
    assert row.approvals == ("apr-1",)
    await held.store.close()
    with pytest.raises(StoreUnavailableError):
        await held.calls.ask(made, "")
