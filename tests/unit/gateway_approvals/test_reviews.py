import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aos.gateway.approvals import reviews as module
from aos.gateway.approvals.reviews import Review, ReviewDesk, outcome_text
from aos.gateway.approvals.sampling import KeyedSampler
from aos.gateway.journal import CallOutcome
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.off_loop import OffLoop
from aos.gateway.refusal import RefusalCode
from aos.gateway.settings import GatewaySettings
from aos.kube.errors import Forbidden, Target, Unavailable
from aos.kube.objects import child
from aos.kube.resources import Resource
from aos.model.base import JsonObject
from aos.policy.approvals import BoundQuorum
from tests.unit.gateway_approvals.held_calls import held_call
from tests.unit.gateway_approvals.people import People

SETTINGS = GatewaySettings(namespace="aos-system", max_review_backlog=2)
OFTEN = BoundQuorum("Policy baseline, approval often", 1)
SELDOM = BoundQuorum("Policy baseline, approval seldom", 1, sample_percent=1)
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def desk(people: People, clock: Clock | None = None) -> AsyncGenerator[ReviewDesk]:
    metrics, sampler = GatewayMetrics(), KeyedSampler()
    sampler.use(bytes(32))
    made = ReviewDesk(people, people, metrics, SETTINGS, sampler, clock or Clock())
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait((running,))
        metrics.close()


def review(number: int = 1, *quorums: BoundQuorum) -> Review:
    held = replace(held_call({"id": "emea-0001"}), quorums=quorums or (OFTEN,))
    return Review(held, f"{number:032x}")


async def settled(at: ReviewDesk) -> None:
    async with asyncio.timeout(20):
        while at:  # noqa: ASYNC110 - it ends within a few turns of the event loop
            await asyncio.sleep(0.001)


def outcomes(people: People) -> list[str]:
    return [str(child(raw, "status").get("outcome", "")) for raw in people.objects.values()]


async def test_a_review_is_written_down_and_told_what_came_of_its_call() -> None:
    people = People()
    async with desk(people) as at:
        assert await at.ask(review()) is None
        assert outcomes(people) == [""]
        at.ended(review(), "Answered", made=True)
        await settled(at)
    assert outcomes(people) == ["Answered"]
    (made,) = people.objects.values()
    assert child(made, "metadata")["name"] == "rev-0000000000000000"
    assert child(made, "spec")["expiresAt"] == "2026-11-23T12:00:00Z"


async def test_a_review_that_is_there_already_is_as_good_as_made() -> None:
    people = People()
    async with desk(people) as at:
        await at.ask(review())
        assert await at.ask(review()) is None
    assert len(people.objects) == 1


async def test_a_call_that_was_not_made_leaves_no_review() -> None:
    people = People()
    async with desk(people) as at:
        await at.ask(review())
        at.ended(review(), "Refused: Stale", made=False)
        await settled(at)
    assert people.objects == {}


async def test_of_a_call_that_nobody_was_asked_about_nothing_is_said() -> None:
    people = People()
    async with desk(people) as at:
        at.ended(review(), "Answered", made=True)
        assert len(at) == 0
    assert people.applied == []


async def test_an_api_server_that_gives_no_answer_in_time_stops_the_call_and_is_cleaned_up_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(People):
        async def create(self, resource: Resource, manifest: JsonObject) -> JsonObject:
            await super().create(resource, manifest)
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(module, "ASK_SECONDS", 0.01)
    people = Slow()
    async with desk(people) as at:
        refused = await at.ask(review())
        assert refused is not None
        assert refused.reason is RefusalCode.STALE
        assert refused.retry_after_seconds == 5
        at.ended(review(), "Refused: Stale", made=False)
        await settled(at)
    assert people.objects == {}


async def test_long_arguments_are_looked_through_beside_the_calls_of_others_or_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = People()
    held = replace(held_call({"id": "emea-0001", "note": "x" * 40_000}), quorums=(OFTEN,))
    async with desk(people) as at:
        assert await at.ask(Review(held, "1" * 32)) is None
        monkeypatch.setattr(module, "OFF_LOOP", OffLoop(max_waiting=0))
        refused = await at.ask(Review(held, "2" * 32))
    assert refused is not None
    assert refused.reason is RefusalCode.STALE
    assert [key.name for key in people.objects] == [f"rev-{'1' * 16}"]


async def test_what_can_not_be_said_now_is_said_later(monkeypatch: pytest.MonkeyPatch) -> None:
    people = People()
    async with desk(people) as at:
        await at.ask(review())
        people.failure = Unavailable(Target("patch", "approvalrequests"), 0, "Timeout", "no answer")
        at.ended(review(), "Answered", made=True)
        await asyncio.sleep(0.05)
        assert len(at) == 1
        people.failure = None
        await settled(at)
    assert outcomes(people) == ["Answered"]


async def test_what_was_said_already_is_not_tried_for_ever() -> None:
    people = People()
    async with desk(people) as at:
        await at.ask(review())
        people.failure = Forbidden(Target("patch", "approvalrequests"), 403, "Forbidden", "final")
        at.ended(review(), "Answered", made=True)
        await settled(at)
        people.failure = None
        people.objects.clear()
        at.tell(review().key, "Answered")
        await settled(at)


async def test_reviews_that_are_open_count_before_and_after_the_watch_tells_of_them() -> None:
    people, clock = People(lags=True), Clock()
    async with desk(people, clock) as at:
        for number in (1, 2):
            assert at.barred(review(number << 64)) is None
            await at.ask(review(number << 64))
        refused = at.barred(review(3 << 64))
        assert refused is not None
        assert (refused.reason, refused.retry_after_seconds) == (RefusalCode.REVIEW_BACKLOG, 60)
        for key in people.objects:
            people.tell(key)
        assert at.barred(review(3 << 64)) is not None
        people.remove(review(1 << 64).key)
        assert at.barred(review(3 << 64)) is None


async def test_a_review_that_the_watch_never_tells_of_is_not_counted_for_ever() -> None:
    people, clock = People(lags=True), Clock()
    async with desk(people, clock) as at:
        for number in (1, 2):
            await at.ask(review(number << 64))
        clock.now += timedelta(seconds=61)
        assert at.barred(review(3 << 64)) is None


async def test_a_refused_draw_is_owed_until_a_call_is_reviewed_and_by_no_other_agent_or_rule() -> None:
    people = People()
    async with desk(people) as at:
        assert not at.drawn("sales", "enricher", (SELDOM,), "a call")
        for number in (1, 2):
            await at.ask(review(number << 64))
        assert at.barred(review(3 << 64, SELDOM)) is not None
        (owed,) = at.drawn("sales", "enricher", (SELDOM,), "a call")
        assert (owed.is_owed, str(owed)) == (True, f"{SELDOM.rule} (owed)")
        assert not at.drawn("sales", "writer", (SELDOM,), "a call")
        assert not at.drawn("sales", "enricher", (replace(SELDOM, rule="another"),), "a call")
        people.remove(review(1 << 64).key)
        await at.ask(review(4 << 64, SELDOM))
        assert not at.drawn("sales", "enricher", (SELDOM,), "a call")


async def test_a_rule_without_a_share_draws_every_call() -> None:
    async with desk(People()) as at:
        (drawn,) = at.drawn("sales", "enricher", (OFTEN, SELDOM), "a call")
    assert (str(drawn), drawn.is_owed) == (OFTEN.rule, False)


def test_an_outcome_says_why_there_was_no_answer() -> None:
    assert outcome_text(CallOutcome.ANSWERED, "Allowed") == "Answered"
    assert outcome_text(CallOutcome.ERROR_ANSWERED, "Allowed") == "ErrorAnswered"
    assert outcome_text(CallOutcome.FAILED, "UpstreamTimeout") == "Failed: UpstreamTimeout"
    assert len(outcome_text(CallOutcome.ABORTED, "x" * 100)) == 64
