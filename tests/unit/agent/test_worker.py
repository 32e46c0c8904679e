from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from aos.agent.assignment import Assignment
from aos.agent.inbox import Inbox
from aos.agent.journal import Journal
from aos.agent.worker import Worker
from tests.unit.agent.conftest import task
from tests.unit.agent.test_inbox import SETTINGS


@pytest.mark.parametrize(
    ("seconds_left", "seconds_to_work"), [(600, 595), (25, 20), (10, 8), (1, 0.8), (0, 0), (-60, 0)]
)
async def test_time_is_kept_for_saying_that_the_deadline_was_missed(
    seconds_left: float, seconds_to_work: float
) -> None:
    began = datetime.now(UTC)
    deadline = began + timedelta(seconds=seconds_left)
    found = worker(deadline=deadline.isoformat())._seconds_to_work()
    assert found is not None
    passed_seconds = (datetime.now(UTC) - began).total_seconds()
    assert seconds_to_work - passed_seconds <= found <= seconds_to_work


async def test_without_a_deadline_there_is_no_hurry() -> None:
    assert worker(deadline=None)._seconds_to_work() is None


def worker(**changes: object) -> Worker:
    http = httpx2.AsyncClient()
    settings = replace(SETTINGS, bounds=replace(SETTINGS.bounds, report_margin_seconds=5))
    return Worker(
        http, settings, Inbox(http, settings), Assignment.model_validate(task(**changes)), Journal()
    )
