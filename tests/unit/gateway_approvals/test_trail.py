from datetime import UTC, datetime, timedelta

from aos.gateway.approvals.held import HeldCall, Released
from aos.gateway.approvals.trail import BEFORE_CREATION_SECONDS, Made
from aos.gateway.control.asked import AskedCall, Finished, Ticket
from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import RefusalCode
from tests.unit.gateway_approvals.world import DONE, Desk, call, desk


async def made(at: Desk, asked: AskedCall, finished: Finished | None = DONE) -> Ticket:
    ticket = await at.held.calls.admit_tool(asked)
    assert isinstance(ticket, Ticket)
    if finished is not None:
        at.held.calls.finish(ticket, finished)
        await at.held.settled()
    return ticket


def released(held: HeldCall) -> AskedCall:
    return Released(held.name, "uid-1", "").call(held.asked)


async def test_what_was_never_asked_here_is_not_known() -> None:
    async with desk() as at:
        found = await at.trail.history(call(), datetime.now(UTC))
    assert (found.asked_at, found.change) == ("", None)


async def test_what_was_asked_is_known_for_calls_with_and_without_a_record() -> None:
    async with desk() as at:
        for held in (call(), call(action="get_contact")):
            await at.trail.ask(held)
            assert (await at.trail.history(held, datetime.now(UTC))).asked_at


async def test_what_was_asked_long_before_the_request_was_made_is_another_asking() -> None:
    async with desk() as at:
        await at.trail.ask(call())
        later = datetime.now(UTC) + timedelta(seconds=BEFORE_CREATION_SECONDS + 5)
        assert (await at.trail.history(call(), later)).asked_at == ""


async def test_a_write_of_the_record_since_is_the_change_and_the_calls_own_tries_are_none() -> None:
    async with desk() as at:
        held = call()
        await made(at, call({"id": "7"}).asked)
        await at.trail.ask(held)
        await made(
            at,
            released(held),
            Finished(CallOutcome.FAILED, RefusalCode.UPSTREAM_UNREACHABLE, 0, released=True),
        )
        assert (await at.trail.history(held, datetime.now(UTC))).change is None
        ticket = await made(at, call({"id": "7"}).asked)
        found = await at.trail.history(held, datetime.now(UTC))
        assert found.change is not None
        assert found.change.call == ticket.call
        again = await at.trail.changed(held, found.asked_at, "another")
        assert again is not None
        assert again.call == ticket.call
        assert await at.trail.changed(held, found.asked_at, ticket.call) is None


async def test_the_call_that_an_approval_let_through_is_found_with_what_came_of_it() -> None:
    async with desk() as at:
        held, now = call(), datetime.now(UTC)

        async def last() -> Made | None:
            return await at.trail.made(held.name, "uid-t1", now)

        await at.trail.ask(held)
        assert await last() is None
        first = await made(at, released(held), None)
        found = await last()
        assert found is not None
        assert (found.call, found.is_over, found.known) == (first.call, False, False)
        at.held.calls.finish(
            first, Finished(CallOutcome.FAILED, RefusalCode.UPSTREAM_TIMEOUT, 0, released=True)
        )
        await at.held.settled()
        found = await last()
        assert found is not None
        assert (found.is_over, found.known) == (True, False)
        second = await made(at, released(held))
        found = await last()
        assert found is not None
        assert (found.call, found.is_over, found.known) == (second.call, True, True)


async def test_what_came_of_a_call_is_known_though_its_row_is_only_on_its_way() -> None:
    async with desk() as at:
        held = call()
        await at.trail.ask(held)
        ticket = await made(at, released(held), None)
        at.held.calls.finish(ticket, DONE)
        found = await at.trail.made(held.name, "uid-t1", datetime.now(UTC))
    assert found is not None
    assert found.known
