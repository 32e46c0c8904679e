"""What a replica states of itself beside digests: newest word of each subject, to old readers and to new ones."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime

import orjson
import pytest

from aos.gateway.control.persisting import Exceeded
from aos.gateway.enforcement import EnforcementReport
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.policy.effective import EffectivePolicy
from tests.unit.gateway.test_admin import FakePolicies
from tests.unit.gateway_control.make import effective

OK: JsonObject = {"store": "ok"}


@pytest.fixture
async def report() -> AsyncIterator[EnforcementReport]:
    made = EnforcementReport(FakePolicies(), 60)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.wait((running,))


async def lines(report: EnforcementReport) -> AsyncGenerator[JsonObject, None]:
    async with contextlib.aclosing(report.stream()) as chunks:
        async for chunk in chunks:
            for line in chunk.splitlines():
                yield orjson.loads(line)


async def test_a_reader_hears_how_the_store_is_before_it_counts_as_synced(report: EnforcementReport) -> None:
    report.store_is("")
    async with contextlib.aclosing(lines(report)) as said:
        assert [await anext(said), await anext(said)] == [OK, {"synced": True}]


async def test_readers_hear_of_a_change_and_of_nothing_that_they_know(report: EnforcementReport) -> None:
    report.store_is("")
    async with contextlib.aclosing(lines(report)) as said:
        assert [await anext(said), await anext(said)] == [OK, {"synced": True}]
        report.store_is("")
        report.store_is("the disk is full")
        assert await anext(said) == {"store": "unavailable", "problem": "the disk is full"}
        report.store_is("")
        assert await anext(said) == OK


class Broken(FakePolicies):
    """One agent's policy can't be made."""

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        if agent == "broken":
            raise ValueError("a number that nobody can write")
        return super().policy(namespace, agent)


async def test_an_agent_whose_policy_can_not_be_made_ends_neither_the_report_nor_the_other_agents(
    caplog: pytest.LogCaptureFixture,
) -> None:
    policies = Broken()
    report = EnforcementReport(policies, 60)
    running = asyncio.create_task(report.run())
    for agent in ("broken", "enricher"):
        policies.change(agent, effective())
    async with contextlib.aclosing(lines(report)) as said, asyncio.timeout(10):
        assert (await anext(said))["agent"] == "enricher"
    assert report.digest("sales", "broken") == ""
    assert "agent sales/broken can't be enforced" in caplog.text
    running.cancel()
    await asyncio.wait((running,))


async def test_only_the_newest_word_on_a_subject_is_told(report: EnforcementReport) -> None:
    async with contextlib.aclosing(lines(report)) as said:
        assert await anext(said) == {"synced": True}
        report.store_is("down")
        report.state("other", {"other": 1})
        report.store_is("")
        assert [await anext(said), await anext(said)] == [OK, {"other": 1}]


async def test_readers_hear_for_which_bound_an_agent_stays_refused_until_it_is_over(
    report: EnforcementReport,
) -> None:
    exceeded = Exceeded(Reason.LIMIT_EXCEEDED, "Policy p, limit calls", datetime(2026, 1, 2, tzinfo=UTC))
    said_of: JsonObject = {"namespace": "sales", "agent": "enricher"}
    report.exceeds("sales", "enricher", exceeded)
    async with contextlib.aclosing(lines(report)) as said:
        bound = {
            "reason": "LimitExceeded",
            "bound": "Policy p, limit calls",
            "freesAt": "2026-01-02T00:00:00Z",
        }
        assert [await anext(said), await anext(said)] == [{**said_of, "exceeded": bound}, {"synced": True}]
        report.exceeds("sales", "enricher", None)
        assert await anext(said) == {**said_of, "exceeded": None}
    async with contextlib.aclosing(lines(report)) as said:
        assert await anext(said) == {"synced": True}


async def test_readers_hear_of_a_workflows_webhooks_until_it_has_none(report: EnforcementReport) -> None:
    of: JsonObject = {"namespace": "sales", "workflow": "outreach"}
    report.webhooks("sales", "outreach", 3, "trigger new-lead: Secret hooks is not there")
    async with contextlib.aclosing(lines(report)) as said:
        problem: JsonObject = {"generation": 3, "problem": "trigger new-lead: Secret hooks is not there"}
        assert [await anext(said), await anext(said)] == [{**of, "webhooks": problem}, {"synced": True}]
        report.webhooks("sales", "outreach", 3, "")
        fine: JsonObject = {"generation": 3, "problem": ""}
        assert await anext(said) == {**of, "webhooks": fine}
        report.webhooks("sales", "outreach", 0, None)
        assert await anext(said) == {**of, "webhooks": None}
        report.webhooks("sales", "outreach", 0, None)
        report.store_is("")
        assert await anext(said) == OK
    async with contextlib.aclosing(lines(report)) as said:
        assert [await anext(said), await anext(said)] == [OK, {"synced": True}]
