import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from aos.gateway.approvals.marks import Marks, MarkSweeper
from aos.gateway.control.asked import Finished, Ticket
from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import RefusalCode
from aos.kube.errors import Invalid, Target, Unavailable
from aos.kube.objects import child, key_of, uid_of
from aos.model.approval_request import RequestUse
from aos.store.interface import StoreUnavailableError
from tests.unit.gateway_approvals.people import WAIT_SECONDS
from tests.unit.gateway_approvals.test_desk import approved
from tests.unit.gateway_approvals.world import DONE, Desk, call, desk

USE = RequestUse(call="c1", time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
TARGET = Target("patch", "approvalrequests")


def sweeper(at: Desk) -> MarkSweeper:
    return MarkSweeper(at.people, at.held.store, at.trail, at.marks, at.settings)


async def let_through(at: Desk, finished: Finished | None = None) -> Ticket:
    """Let an approved call through by a gateway that dies before it says so."""
    held = call()
    await approved(at, held)
    ticket = await at.admit(held, await at.released(held))
    assert isinstance(ticket, Ticket)
    if finished is not None:
        at.held.calls.finish(ticket, finished)
        await at.held.settled()
    return ticket


async def written(marks: Marks) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while len(marks):  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0.001)


async def test_the_gateway_writes_its_own_fields_alone_and_keeps_those_that_it_wrote() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        raw = at.people.only()
        at.marks.used(key_of(raw), uid_of(raw), USE)
        await at.people.marked(held.name, "use")
        at.marks.overtaken(key_of(raw), uid_of(raw), replace_call("c2"))
        await at.people.marked(held.name, "overtaken")
        first, second = (child(manifest, "status") for manifest in at.people.applied)
    assert first.keys() == {"use"}
    assert second.keys() == {"use", "overtaken"}
    assert second["use"] == first["use"]


def replace_call(call_id: str) -> RequestUse:
    return USE.model_copy(update={"call": call_id})


async def test_a_mark_that_is_there_is_never_written_again() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        raw = at.people.only()
        for name in ("c1", "c2"):
            at.marks.used(key_of(raw), uid_of(raw), replace_call(name))
            await written(at.marks)
        assert (await at.people.marked(held.name, "use"))["call"] == "c1"
        assert len(at.people.applied) == 1


async def test_a_request_of_the_same_name_that_was_made_since_is_not_marked() -> None:
    async with desk() as at:
        await approved(at, call())
        at.marks.used(key_of(at.people.only()), "another-uid", USE)
        await written(at.marks)
        assert at.people.applied == []


async def test_a_mark_waits_for_the_api_server() -> None:
    async with desk() as at:
        held = call()
        await approved(at, held)
        raw = at.people.only()
        at.people.failure = Unavailable(TARGET, 503, "ServiceUnavailable", "later")
        at.marks.used(key_of(raw), uid_of(raw), USE)
        await asyncio.sleep(0.05)
        assert len(at.marks) == 1
        at.people.failure = None
        await at.people.marked(held.name, "use")


async def test_what_can_not_be_marked_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async with desk() as at:
        await approved(at, call())
        raw = at.people.only()
        at.people.failure = Invalid(TARGET, 422, "Invalid", "no such field")
        at.marks.used(key_of(raw), uid_of(raw), USE)
        await written(at.marks)
        at.people.failure = None
        at.people.remove(key_of(raw))
        at.marks.used(key_of(raw), uid_of(raw), USE)
        await written(at.marks)
    assert "can't be marked" in caplog.text


async def test_marks_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.gateway.approvals.marks.MAX_WANTED", 1)
    async with desk() as at:
        await approved(at, call())
        await at.refused(call({"id": "8"}))
        for raw in at.people.objects.values():
            at.marks.used(key_of(raw), uid_of(raw), USE)
        assert len(at.marks) == 1


async def test_a_use_that_nobody_lived_to_mark_is_found() -> None:
    async with desk() as at:
        ticket = await let_through(at, DONE)
        assert await sweeper(at).sweep(datetime.now(UTC)) == 1
        marked = await at.people.marked(call().name, "use")
        assert marked["call"] == ticket.call
        assert await sweeper(at).sweep(datetime.now(UTC)) == 0


async def test_a_use_is_found_though_the_request_expired_meanwhile() -> None:
    async with desk() as at:
        await let_through(at, DONE)
        at.people.status(call().name, state="Expired")
        assert await sweeper(at).sweep(datetime.now(UTC)) == 1
        at.people.status(call().name, state="Stale")
        long_after = datetime.now(UTC) + timedelta(days=2)
        assert await sweeper(at).sweep(long_after) == 0


async def test_a_call_that_may_be_under_way_is_left_to_who_makes_it() -> None:
    async with desk() as at:
        ticket = await let_through(at)
        now = datetime.now(UTC)
        assert await sweeper(at).sweep(now) == 0
        lost = now + timedelta(seconds=at.settings.reservation_seconds + 5)
        assert await sweeper(at).sweep(lost) == 1
        assert (await at.people.marked(call().name, "use"))["call"] == ticket.call


async def test_an_approval_that_was_given_back_is_not_used() -> None:
    async with desk() as at:
        await let_through(
            at, Finished(CallOutcome.FAILED, RefusalCode.UPSTREAM_UNREACHABLE, 0.1, released=True)
        )
        assert await sweeper(at).sweep(datetime.now(UTC)) == 0


async def test_what_is_not_approved_is_not_looked_at() -> None:
    async with desk() as at:
        await at.refused(call())
        await at.held.store.close()
        assert await sweeper(at).sweep(datetime.now(UTC)) == 0


async def test_the_sweeper_goes_on_while_the_store_is_away(caplog: pytest.LogCaptureFixture) -> None:
    async with desk() as at:
        await let_through(at, DONE)
        await at.held.store.close()
        quick = MarkSweeper(
            at.people,
            at.held.store,
            at.trail,
            at.marks,
            at.settings.model_copy(update={"store_sweep_seconds": 0.01}),
        )
        with pytest.raises(StoreUnavailableError):
            await quick.sweep(datetime.now(UTC))
        running = asyncio.create_task(quick.run())
        await asyncio.sleep(0.05)
        assert not running.done()
        running.cancel()
        await asyncio.wait((running,))
    assert "are not looked for" in caplog.text
