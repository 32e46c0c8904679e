from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aos.agent.conversation import CallTool
from aos.agent.holding import LONGEST_HOLD, HeldCalls
from aos.agent.settings import Bounds
from aos.agent.tools import Hold, ToolReply

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
COMMAND = CallTool("crm.update_contact", {"id": "emea-0001", "stage": "won"})
DONE = ToolReply("done")
LOST = ToolReply("failed: the gateway can't be reached", failed=True, lost=True)
BOUNDS = Bounds(retry_pause_seconds=0.5, max_retry_pause_seconds=5, max_held_pause_seconds=60)


def held(pause_seconds: float = 5, expires_in: timedelta | None = timedelta(hours=4)) -> ToolReply:
    expires = None if expires_in is None else NOW + expires_in
    hold = Hold("apr-0123456789abcdef", pause_seconds, expires)
    return ToolReply("held", failed=True, reason="ApprovalPending", hold=hold)


def refused(reason: str, pause_seconds: float | None = None) -> ToolReply:
    return ToolReply(
        f"denied: {reason}",
        failed=True,
        denied=True,
        reason=reason,
        stale=reason == "ApprovalStale",
        pause_seconds=pause_seconds,
    )


class Gateway:
    """Answers by a script, in a time that passes while it is waited for."""

    def __init__(self, *replies: ToolReply) -> None:
        self.replies = list(replies)
        self.calls: list[CallTool] = []
        self.pauses: list[float] = []
        self.time = NOW

    async def call(self, command: CallTool) -> ToolReply:
        self.calls.append(command)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += timedelta(seconds=seconds)

    async def see_through(self, first: ToolReply, bounds: Bounds = BOUNDS) -> ToolReply:
        return await HeldCalls(self.call, bounds, self.sleep, lambda: self.time).see_through(COMMAND, first)


async def test_the_same_call_is_repeated_until_people_have_decided() -> None:
    gateway = Gateway(held(7), held(9), DONE)
    assert await gateway.see_through(held(5)) == DONE
    assert gateway.calls == [COMMAND] * 3
    assert gateway.pauses == [5, 7, 9]


@pytest.mark.parametrize(("asked", "kept"), [(0, 0.5), (0.1, 0.5), (3600, 60)])
async def test_a_pause_is_neither_none_nor_endless(asked: float, kept: float) -> None:
    gateway = Gateway(DONE)
    await gateway.see_through(held(asked))
    assert gateway.pauses == [kept]


@pytest.mark.parametrize("reason", ["ApprovalRejected", "ApprovalExpired", "ApprovalUsed", "NotAllowed"])
async def test_what_people_decided_is_told_and_not_tried_again(reason: str) -> None:
    gateway = Gateway(refused(reason))
    assert await gateway.see_through(held()) == refused(reason)
    assert len(gateway.calls) == 1


async def test_a_gateway_that_is_away_is_asked_again_with_growing_pauses() -> None:
    gateway = Gateway(*[LOST] * 6, held(1), LOST, DONE)
    assert await gateway.see_through(held(5)) == DONE
    assert gateway.pauses == [5, 0.5, 1, 2, 4, 5, 5, 1, 0.5]


async def test_a_gateway_that_stays_away_is_given_up_once_the_request_has_expired() -> None:
    gateway = Gateway(LOST)
    assert await gateway.see_through(held(5, timedelta(minutes=1))) == LOST
    assert timedelta(minutes=1) <= gateway.time - NOW < timedelta(minutes=1, seconds=10)


async def test_where_nobody_could_say_when_it_expires_the_longest_time_is_waited() -> None:
    gateway = Gateway(LOST)
    slow = replace(BOUNDS, max_retry_pause_seconds=36_000)
    assert await gateway.see_through(held(5, None), slow) == LOST
    assert gateway.time - NOW >= LONGEST_HOLD


async def test_an_approved_call_that_a_limit_holds_up_is_tried_again_when_that_may_help() -> None:
    gateway = Gateway(refused("LimitExceeded", 12), refused("StoreUnavailable", 0), DONE)
    assert await gateway.see_through(held(5)) == DONE
    assert gateway.pauses == [5, 12, 0.5]


async def test_what_stays_held_up_is_told_once_the_request_has_expired() -> None:
    gateway = Gateway(refused("LimitExceeded", 12))
    reply = await gateway.see_through(held(5, timedelta(minutes=1)))
    assert reply.reason == "LimitExceeded"
    assert gateway.time - NOW >= timedelta(minutes=1)


async def test_people_are_asked_anew_once_when_what_they_were_shown_has_changed() -> None:
    gateway = Gateway(refused("ApprovalStale"), held(3), DONE)
    assert await gateway.see_through(held()) == DONE
    again = Gateway(refused("ApprovalStale"), held(3), refused("ApprovalStale"), DONE)
    assert await again.see_through(held()) == refused("ApprovalStale")
