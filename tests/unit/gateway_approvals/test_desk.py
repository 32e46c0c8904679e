import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aos.audit.event import Phase
from aos.gateway.approvals.desk import Hooks
from aos.gateway.approvals.held import HeldCall, Released
from aos.gateway.control.asked import Finished, Ticket
from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import RefusalCode, Refused
from aos.kube.errors import Target, Unavailable
from aos.model.approval_request import Preview, Verdict
from aos.policy.approvals import BoundQuorum
from aos.policy.decision import Decision, DecisionReason, Effect
from tests.unit.gateway_approvals.people import LAPSED, WAIT_SECONDS
from tests.unit.gateway_approvals.world import (
    DONE,
    OUTBOUND,
    PATIENT,
    QUICK,
    Desk,
    call,
    caller,
    desk,
    effective,
)

OUTAGE = Unavailable(Target("get", "approvalrequests"), 0, "Timeout", "no answer")
NOT_MADE = Finished(CallOutcome.FAILED, RefusalCode.UPSTREAM_UNREACHABLE, 0.1, released=True)
LOST = Finished(CallOutcome.FAILED, RefusalCode.UPSTREAM_TIMEOUT, 0.1)


def effective_decision(quorums: tuple[BoundQuorum, ...]) -> Decision:
    return Decision(Effect.HOLD, DecisionReason.APPROVAL_NEEDED, "it waits", before=quorums)


async def approved(at: Desk, held: HeldCall) -> None:
    """Ask about a call, and let a lead approve it."""
    assert (await at.refused(held)).reason is RefusalCode.APPROVAL_PENDING
    at.people.decide(held.name, "lena@example.com", groups=("sales-leads",))


async def test_a_call_that_nobody_decided_is_told_to_come_again_with_the_same_arguments() -> None:
    async with desk() as at:
        held = call()
        refused = await at.refused(held)
        assert (refused.effect, refused.reason) == (Effect.HOLD, RefusalCode.APPROVAL_PENDING)
        assert "call again with exactly the same arguments" in refused.message
        assert refused.retry_after_seconds == 10
        assert refused.facts["approval"] == held.name
        assert refused.facts["namespace"] == "sales"
        assert str(refused.facts["expiresAt"]).endswith("Z")
        (asked,) = await at.held.rows()
    assert (asked.phase, asked.effect, asked.reason) == (Phase.REFUSAL, "Hold", "ApprovalPending")
    assert asked.approvals == (held.name,)
    assert asked.record == held.record
    assert asked.rules[-1] == OUTBOUND.rule


async def test_the_identical_call_finds_its_request_and_is_not_on_record_twice() -> None:
    async with desk() as at:
        held = call()
        for _ in range(3):
            refused = await at.refused(call())
            assert not at.desk.is_news(held, refused)
        assert len(at.people.objects) == 1
        assert len(await at.held.rows()) == 1


async def test_a_call_is_let_through_while_it_waits() -> None:
    async with desk(PATIENT) as at:
        held = call()
        waiting = asyncio.create_task(at.ask(held))
        await at.people.asked()
        at.people.decide(held.name, "lena@example.com", groups=("sales-leads",))
        async with asyncio.timeout(WAIT_SECONDS):
            found = await waiting
    assert isinstance(found, Released)
    assert found.decided_at is not None


async def test_a_call_is_let_through_when_it_is_made_again() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        ticket = await at.make(held)
        marked = await at.people.marked(held.name, "use")
        intent, outcome = (await at.held.rows())[-2:]
        assert "aos_gateway_approvals_total" in at.held.metrics.exposition().decode()
    assert marked["call"] == ticket.call
    assert (intent.phase, intent.approvals) == (Phase.INTENT, (held.name,))
    assert (outcome.phase, outcome.approvals) == (Phase.OUTCOME, (held.name,))
    assert intent.approvers == outcome.approvers == ("lena@example.com Approve",)
    assert intent.rules[-1] == OUTBOUND.rule


async def test_the_cache_may_not_know_yet_what_was_asked() -> None:
    async with desk() as at:
        at.people.lags = True
        await at.refused(call())
        assert (await at.refused(call())).reason is RefusalCode.APPROVAL_PENDING
        assert len(at.people.objects) == 1


async def test_two_replicas_that_are_asked_the_same_at_once_make_one_request() -> None:
    async with desk() as one, desk(store=one.held.store, people=one.people) as other:
        found = await asyncio.gather(one.refused(call()), other.refused(call()))
        assert [refused.reason for refused in found] == [RefusalCode.APPROVAL_PENDING] * 2
        assert len(one.people.objects) == 1


async def test_attack_21_an_approval_lets_one_call_through_whichever_replica_it_comes_to() -> None:
    async with desk() as one, desk(store=one.held.store, people=one.people) as other:
        held = call()
        await approved(one, held)
        released = [await one.released(held), await other.released(held)]
        found = await asyncio.gather(
            one.admit(held, released[0]), other.admit(held, released[1]), other.admit(held, released[1])
        )
        assert len([ticket for ticket in found if isinstance(ticket, Ticket)]) == 1
        refused = [each for each in found if isinstance(each, Refused)]
        assert {each.reason for each in refused} == {RefusalCode.APPROVAL_USED}
        assert all(each.outcome_unknown for each in refused)


async def test_attack_21_an_approval_that_was_used_is_used_after_every_restart() -> None:
    async with desk() as one:
        held = call()
        await approved(one, held)
        one.people.failure = None
        ticket = await one.make(held)
        await one.people.marked(held.name, "use")
        async with desk(store=one.held.store, people=one.people) as other:
            refused = await other.refused(held)
    assert refused.reason is RefusalCode.APPROVAL_USED
    assert refused.facts["call"] == ticket.call
    assert not refused.outcome_unknown
    assert "was answered" in refused.message


async def test_attack_21_an_approval_is_used_though_nobody_could_say_so() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        released = await at.released(held)
        ticket = await at.admit(held, released)
        assert isinstance(ticket, Ticket)
        again = await at.released(held)
        refused = await at.admit(held, again)
        assert isinstance(refused, Refused)
        told = await at.desk.use(held, again, refused)
    assert told.reason is RefusalCode.APPROVAL_USED
    assert told.outcome_unknown
    assert told.facts["call"] == ticket.call


async def test_a_read_that_was_made_says_nothing_of_an_unknown_outcome() -> None:
    async with desk() as at:
        held = call(action="get_contact")
        await approved(at, held)
        released = await at.released(held)
        await at.admit(held, released)
        refused = await at.admit(held, await at.released(held))
        assert isinstance(refused, Refused)
    assert not refused.outcome_unknown


async def test_an_approval_is_given_back_when_the_call_certainly_was_not_made() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        await at.make(held, NOT_MADE)
        await at.make(held)
        assert (await at.refused(held)).reason is RefusalCode.APPROVAL_USED


async def test_a_write_whose_outcome_is_unknown_is_never_made_again() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        await at.make(held, LOST)
        refused = await at.refused(held)
    assert refused.reason is RefusalCode.APPROVAL_USED
    assert refused.outcome_unknown
    assert "it is not known what came of it" in refused.message


async def test_an_answer_that_was_withheld_is_no_unknown_outcome() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        await at.make(held, Finished(CallOutcome.FAILED, RefusalCode.DATA_BLOCKED, 0.1))
        assert not (await at.refused(held)).outcome_unknown


async def test_a_rejected_call_hears_who_said_no_and_why() -> None:
    async with desk(PATIENT) as at:
        held = call()
        waiting = asyncio.create_task(at.ask(held))
        await at.people.asked()
        at.people.decide(
            held.name,
            "lena@example.com",
            verdict=Verdict.REJECT,
            comment="wrong stage",
            groups=("sales-leads",),
        )
        refused = await waiting
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalCode.APPROVAL_REJECTED
        assert "lena@example.com: wrong stage" in refused.message
        assert at.desk.is_news(held, refused)
        again = await at.refused(held)
        assert again.reason is RefusalCode.APPROVAL_REJECTED
        assert not at.desk.is_news(held, again)


async def test_an_approval_counts_until_it_expires_by_the_gateways_own_clock() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        at.people.spec(held.name, expiresAt=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
        assert (await at.refused(held)).reason is RefusalCode.APPROVAL_EXPIRED


async def test_a_call_waits_no_longer_than_its_request() -> None:
    async with desk(PATIENT) as at:
        held = call()
        at.people.lags = True
        short = replace(OUTBOUND, timeout_seconds=1)
        async with asyncio.timeout(WAIT_SECONDS / 2):
            refused = await at.refused(replace(held, quorums=(short,)))
    assert refused.reason in (RefusalCode.APPROVAL_PENDING, RefusalCode.APPROVAL_EXPIRED)


async def test_a_request_that_goes_while_a_call_waits_ends_its_waiting() -> None:
    async with desk(PATIENT) as at:
        held = call()
        waiting = asyncio.create_task(at.ask(held))
        await at.people.asked()
        await asyncio.sleep(0.01)
        at.people.remove(next(iter(at.people.objects)))
        async with asyncio.timeout(WAIT_SECONDS):
            refused = await waiting
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.APPROVAL_STALE
    assert "was deleted" in refused.message


async def test_approvals_do_not_count_while_the_admission_policies_are_out_of_force() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        at.people.status(held.name, conditions=[LAPSED])
        refused = await at.refused(held)
        assert refused.reason is RefusalCode.APPROVAL_PENDING
        assert "admission policies are missing or altered" in refused.message
        at.people.status(held.name, conditions=[])
        assert (await at.refused(held)).reason is RefusalCode.APPROVAL_PENDING


async def test_attack_20_a_status_without_the_decisions_for_it_lets_nothing_through() -> None:
    async with desk() as at:
        held = call()
        await at.refused(held)
        at.people.decide(held.name, "mallory@example.com", groups=("interns",))
        at.people.status(held.name, state="Approved")
        refused = await at.refused(held)
    assert refused.reason is RefusalCode.APPROVAL_STALE
    assert "decisions are not enough" in refused.message


async def test_attack_20_what_the_operator_counted_is_nothing_without_the_decision_itself() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        at.people.spec(held.name, decisions=[])
        assert (await at.refused(held)).reason is RefusalCode.APPROVAL_STALE


async def test_attack_27_a_store_that_was_lost_lets_no_approval_through_again() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        assert isinstance(await at.admit(held, await at.released(held)), Ticket)
        async with desk(people=at.people) as other:
            refused = await other.refused(held)
    assert refused.reason is RefusalCode.APPROVAL_STALE
    assert "store does not know that people were asked" in refused.message


@pytest.mark.parametrize(
    "spec",
    [
        {"argumentsDigest": "sha256:" + "0" * 64},
        {"definitionDigest": "sha256:" + "0" * 64},
        {"policyDigest": "sha256:" + "0" * 64},
        {"agent": {"name": "other", "revision": "enricher-1"}},
        {"agent": {"name": "enricher", "revision": "enricher-2"}},
        {"task": {"name": "t1", "uid": "another"}},
        {"tool": "erp"},
        {"action": "delete_contact"},
        {"access": "Read"},
        {"risk": "Low"},
        {"type": "Review"},
        {"requestedBy": "eve@example.com"},
        {"quorums": [{"rule": OUTBOUND.rule, "required": 1}]},
        {"quorums": [{"rule": "risk Medium", "required": 1, "approvers": {"groups": ["sales-leads"]}}]},
    ],
)
async def test_attack_20_a_request_for_another_call_lets_nothing_through_under_this_ones_name(
    spec: dict[str, object],
) -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        at.people.spec(held.name, **spec)  # type: ignore[arg-type] # parts of a spec, as JSON
        refused = await at.refused(held)
    assert refused.reason is RefusalCode.APPROVAL_STALE


async def test_attack_21_other_arguments_are_another_request() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        refused = await at.refused(call({"id": "7", "stage": "lost"}))
        assert refused.reason is RefusalCode.APPROVAL_PENDING
        assert refused.facts["approval"] != held.name
        assert len(at.people.objects) == 2


async def test_attack_21_another_policy_revision_or_definition_is_another_request() -> None:
    held = call()
    by = caller()
    others = [
        call(by=caller(effective({"loops": {"maxDepth": 2}}))),
        call(by=replace(by, revision="enricher-2")),
        call(definition="sha256:" + "e" * 64),
    ]
    assert len({held.name, *(other.name for other in others)}) == 4


async def test_a_quorum_that_is_asked_for_since_makes_the_request_stale() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        more = replace(held, quorums=(*held.quorums, BoundQuorum("Policy above, approval all", 1)))
        assert (await at.refused(more)).reason is RefusalCode.APPROVAL_STALE


async def test_a_call_whose_policy_changes_while_it_waits_is_not_made() -> None:
    async with desk(PATIENT) as at:
        held = call()
        waiting = asyncio.create_task(at.ask(held))
        await at.people.asked()
        at.people.caller = caller(effective({"loops": {"maxDepth": 2}}))
        at.people.decide(held.name, "lena@example.com", groups=("sales-leads",))
        refused = await waiting
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalCode.APPROVAL_STALE
    assert "policy of agent enricher is another one" in refused.message


async def test_a_record_that_another_call_changed_makes_the_approval_stale() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        other = call({"id": "7", "stage": "lost"})
        ticket = await at.held.calls.admit_tool(other.asked)
        assert isinstance(ticket, Ticket)
        at.held.calls.finish(ticket, DONE)
        await at.held.settled()
        refused = await at.refused(held)
        marked = await at.people.marked(held.name, "overtaken")
        assert marked["call"] == ticket.call
        assert refused.reason is RefusalCode.APPROVAL_STALE
        assert "contact/7 was changed by another call" in refused.message
        assert (await at.refused(held)).reason is RefusalCode.APPROVAL_STALE


async def test_people_are_not_kept_waiting_for_a_record_that_has_changed() -> None:
    async with desk() as at:
        held = call()
        await at.refused(held)
        ticket = await at.held.calls.admit_tool(call({"id": "7"}).asked)
        assert isinstance(ticket, Ticket)
        at.held.calls.finish(ticket, DONE)
        assert (await at.refused(held)).reason is RefusalCode.APPROVAL_STALE
        await at.people.marked(held.name, "overtaken")


async def test_a_write_of_before_people_were_asked_and_one_of_another_record_change_nothing() -> None:
    async with desk() as at:
        held = call()
        for arguments in ({"id": "7"}, {"id": "8"}):
            ticket = await at.held.calls.admit_tool(call(dict(arguments)).asked)
            assert isinstance(ticket, Ticket)
            at.held.calls.finish(ticket, DONE)
        await at.held.settled()
        await approved(at, held)
        ticket = await at.held.calls.admit_tool(call({"id": "8", "stage": "x"}).asked)
        assert isinstance(ticket, Ticket)
        await at.make(held)


async def test_a_write_that_was_under_way_when_people_were_asked_overtakes_the_request() -> None:
    async with desk() as at:
        held = call()
        under_way = await at.held.calls.admit_tool(call({"id": "7"}).asked)
        assert isinstance(under_way, Ticket)
        await approved(at, held)
        at.held.calls.finish(under_way, DONE)
        await at.held.settled()
        assert (await at.refused(held)).reason is RefusalCode.APPROVAL_STALE


async def test_of_two_approved_calls_of_one_record_that_race_none_is_made_on_what_people_did_not_see() -> (
    None
):
    async with desk() as at:
        first, second = call(), call({"id": "7", "stage": "lost"})
        await approved(at, first)
        await approved(at, second)
        released = [await at.released(first), await at.released(second)]
        tickets = [await at.admit(first, released[0]), await at.admit(second, released[1])]
        assert all(isinstance(ticket, Ticket) for ticket in tickets)
        found = [
            await at.desk.confirm(held, by, ticket.call)
            for held, by, ticket in zip((first, second), released, tickets, strict=True)
            if isinstance(ticket, Ticket)
        ]
    assert [refused.reason if refused else None for refused in found] == [RefusalCode.APPROVAL_STALE] * 2


async def test_an_agent_may_have_so_many_calls_wait_and_no_more() -> None:
    async with desk(QUICK.model_copy(update={"max_pending_approvals": 3})) as at:
        at.people.lags = True
        found = await asyncio.gather(*(at.refused(call({"id": str(number)})) for number in range(8)))
        reasons = [refused.reason for refused in found]
        assert reasons.count(RefusalCode.APPROVAL_PENDING) == 3
        assert reasons.count(RefusalCode.TOO_MANY_APPROVALS) == 5
        assert len(at.people.objects) == 3
        for key in list(at.people.objects):
            at.people.tell(key)
        at.people.lags = False
        pending = next(iter(at.people.objects)).name
        at.people.decide(pending, "lena@example.com", groups=("sales-leads",))
        assert (await at.refused(call({"id": "99"}))).reason is RefusalCode.APPROVAL_PENDING


async def test_a_held_call_reserves_nothing_and_spends_no_limit() -> None:
    policy = effective({"limits": [{"name": "calls", "calls": 1, "per": "1h"}]})
    async with desk() as at:
        held = call(by=caller(policy))
        for _ in range(5):
            await at.refused(held)
        at.people.decide(held.name, "lena@example.com", groups=("sales-leads",))
        await at.make(held)


async def test_while_the_api_server_is_away_nothing_is_asked_and_nothing_let_through() -> None:
    async with desk() as at:
        held = call()
        at.people.failure = OUTAGE
        assert (await at.refused(held)).reason is RefusalCode.STALE
        at.people.failure = None
        await approved(at, held)
        at.people.failure = OUTAGE
        refused = await at.refused(held)
        assert refused.reason is RefusalCode.STALE
        assert refused.retry_after_seconds
        at.people.failure = None
        await at.make(held)


async def test_an_api_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.gateway.approvals.desk.ANSWER_SECONDS", 0.02)
    async with desk() as at:
        at.people.hangs = True
        assert (await at.refused(call())).reason is RefusalCode.STALE
        at.people.hangs = False
        held = call()
        await approved(at, held)
        at.people.hangs = True
        assert (await at.refused(held)).reason is RefusalCode.STALE


async def test_while_the_store_is_away_nothing_is_asked_and_nothing_let_through() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        released = await at.released(held)
        await at.held.store.close()
        for refused in (await at.refused(held), await at.refused(call({"id": "8"}))):
            assert refused.reason is RefusalCode.STORE_UNAVAILABLE
        confirmed = await at.desk.confirm(held, released, "call-1")
        assert confirmed is not None
        assert confirmed.reason is RefusalCode.STORE_UNAVAILABLE
        assert len(at.people.objects) == 1
        kept = await at.desk.use(held, released, refused)
        assert kept is refused


async def test_a_request_that_cannot_be_read_lets_nothing_through() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        raw = at.people.only()
        spec = raw["spec"]
        assert isinstance(spec, dict)
        at.people.lags = True
        at.people.put({**raw, "spec": {**spec, "unheardOf": 1}})
        refused = await at.refused(held)
    assert refused.reason is RefusalCode.APPROVAL_STALE
    assert "can't be read" in refused.message


async def test_people_are_shown_what_the_hook_found_out() -> None:
    class Shows:
        async def preview(self, held: HeldCall) -> Preview | None:
            assert held.record_name == "contact/7"
            return Preview(before='{"stage":"new"}', after='{"stage":"won"}')

    async with desk(hooks=Hooks(previewer=Shows())) as at:
        await at.refused(call())
        (asked,) = await at.people.asked()
    assert asked.spec.preview == Preview(before='{"stage":"new"}', after='{"stage":"won"}')


async def test_a_sample_is_drawn_by_the_hook_and_what_always_holds_is_never_left_out() -> None:
    class Never:
        def draws(self, subject: str, quorum: BoundQuorum) -> bool:
            assert subject.startswith("sha256:")
            return False

    sampled = replace(OUTBOUND, rule="Policy baseline, approval sample", sample_percent=10)
    decision = effective_decision((OUTBOUND, sampled))
    async with desk(hooks=Hooks(sampler=Never())) as none, desk() as every:
        assert none.desk.quorums(decision, call().identity) == (OUTBOUND,)
        assert every.desk.quorums(decision, call().identity) == (OUTBOUND, sampled)


async def test_the_journal_of_refusals_forgets_what_is_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.gateway.approvals.desk.MAX_REMEMBERED", 1)
    async with desk() as at:
        first, second = call(), call({"id": "8"})
        refused = Refused(Effect.DENY, RefusalCode.APPROVAL_REJECTED, "no")
        assert at.desk.is_news(first, refused)
        assert at.desk.is_news(second, refused)
        assert at.desk.is_news(first, refused)


async def test_a_call_whose_record_was_changed_is_asked_about_anew_when_it_is_made_again() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        ticket = await at.held.calls.admit_tool(call({"id": "7"}).asked)
        assert isinstance(ticket, Ticket)
        at.held.calls.finish(ticket, DONE)
        await at.held.settled()
        assert (await at.refused(held)).reason is RefusalCode.APPROVAL_STALE
        await at.people.marked(held.name, "overtaken")
        anew = at.desk.current(held)
        assert anew.after == (ticket.call,)
        assert anew.name != held.name
        await approved(at, anew)
        assert at.desk.current(held) == anew
        await at.make(at.desk.current(held))


async def test_a_call_that_was_made_is_not_asked_about_anew_whatever_changed_its_record_since() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        assert isinstance(await at.admit(held, await at.released(held)), Ticket)
        ticket = await at.held.calls.admit_tool(call({"id": "7"}).asked)
        assert isinstance(ticket, Ticket)
        at.held.calls.finish(ticket, DONE)
        await at.held.settled()
        refused = await at.refused(held)
        assert refused.reason is RefusalCode.APPROVAL_USED
        assert refused.outcome_unknown
        assert at.desk.current(held) == held


async def test_people_are_not_asked_about_one_call_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.gateway.approvals.desk.MAX_ANEW", 2)
    async with desk() as at:
        held = call()
        for number in range(3):
            anew = at.desk.current(held)
            await at.refused(anew)
            time = datetime.now(UTC).isoformat()
            at.people.status(anew.name, overtaken={"call": f"c{number}", "time": time})
        assert at.desk.current(held).after == ("c0", "c1")
        assert (await at.refused(at.desk.current(held))).reason is RefusalCode.APPROVAL_STALE
