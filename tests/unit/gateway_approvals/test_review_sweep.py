import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aos.gateway.approvals.review_sweep import ReviewSweeper
from aos.gateway.approvals.reviews import Review
from aos.gateway.control.asked import Finished, Ticket
from aos.gateway.journal import CallOutcome
from aos.gateway.refusal import RefusalCode
from aos.kube.objects import child
from aos.policy.decision import DecisionReason
from tests.unit.gateway_approvals.world import call
from tests.unit.gateway_control.make import FAST
from tests.unit.gateway_control.world import Held, controlled, opened

AFTER_ALL_CALLS = timedelta(seconds=FAST.reservation_seconds + 1)


@asynccontextmanager
async def gateway() -> AsyncGenerator[tuple[Held, ReviewSweeper]]:
    async with opened() as store, controlled(store, FAST) as held:
        yield held, ReviewSweeper(held.people, store, held.control.reviews, FAST)


async def reviewed(held: Held, number: int) -> tuple[Review, Ticket]:
    """Admit a call that people are to review, and write that down."""
    made = call({"id": str(number)})
    identifier = f"{number:032x}"[::-1]
    ticket = await held.calls.admit_tool(replace(made.asked, call=identifier))
    assert isinstance(ticket, Ticket)
    review = Review(made, identifier)
    assert await held.control.reviews.ask(review) is None
    return review, ticket


def outcome(held: Held, review: Review) -> str:
    return str(child(held.people.objects[review.key], "status").get("outcome", ""))


async def told(held: Held) -> None:
    async with asyncio.timeout(20):
        while held.control.reviews:  # noqa: ASYNC110 - it ends within a few turns of the event loop
            await asyncio.sleep(0.001)


async def test_what_a_gateway_did_not_live_to_say_is_told_from_the_trail() -> None:
    async with gateway() as (held, sweeper):
        answered, first = await reviewed(held, 1)
        failed, second = await reviewed(held, 2)
        lost, _ = await reviewed(held, 3)
        held.calls.finish(first, Finished(CallOutcome.ANSWERED, DecisionReason.ALLOWED, 0.1))
        held.calls.finish(second, Finished(CallOutcome.FAILED, RefusalCode.UPSTREAM_TIMEOUT, 0.1))
        await held.settled()
        assert await sweeper.sweep(datetime.now(UTC)) == 0
        assert await sweeper.sweep(datetime.now(UTC) + AFTER_ALL_CALLS) == 3
        await told(held)
        assert outcome(held, answered) == "Answered"
        assert outcome(held, failed) == "Failed: UpstreamTimeout"
        assert outcome(held, lost) == "Unknown"
        assert await sweeper.sweep(datetime.now(UTC) + AFTER_ALL_CALLS) == 0
