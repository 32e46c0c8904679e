"""What a replica states of itself beside digests: newest word of each subject, to old readers and to new ones."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import orjson
import pytest

from aos.gateway.enforcement import EnforcementReport
from aos.model.base import JsonObject
from tests.unit.gateway.test_admin import FakePolicies

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


async def test_only_the_newest_word_on_a_subject_is_told(report: EnforcementReport) -> None:
    async with contextlib.aclosing(lines(report)) as said:
        assert await anext(said) == {"synced": True}
        report.store_is("down")
        report.state("other", {"other": 1})
        report.store_is("")
        assert [await anext(said), await anext(said)] == [OK, {"other": 1}]
