import asyncio
from datetime import UTC, datetime

import pytest

from aos.cli import watch
from aos.cli.exits import CommandError, ExitCode
from aos.cli.watch import moved_seconds
from tests.unit.reconcile.make import task


@pytest.mark.parametrize(
    ("deadline", "expected"),
    [(None, 0), (datetime(2026, 1, 2, 3, 16, 55, tzinfo=UTC), 180), (datetime(2026, 1, 1, tzinfo=UTC), 0)],
    ids=["it never waited", "it waited for three minutes", "another clock"],
)
def test_a_task_is_followed_for_as_much_longer_as_it_waits_for_people(
    deadline: datetime | None, expected: float
) -> None:
    found = task()
    status = found.status.model_copy(update={"deadline": deadline})
    assert moved_seconds(found.model_copy(update={"status": status})) == expected


def test_a_task_that_was_not_created_yet_waited_for_nobody() -> None:
    assert moved_seconds(task(meta={"creationTimestamp": None})) == 0


async def test_what_is_waited_for_is_said_again_while_nothing_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "REMIND_SECONDS", 0.01)
    notices: asyncio.Queue[watch.Notice] = asyncio.Queue()
    reminded = 0
    deleted = CommandError(ExitCode.FAILURE, "deleted")

    def remind() -> None:
        nonlocal reminded
        reminded += 1
        if reminded == 3:
            notices.put_nowait(deleted)

    async with asyncio.timeout(10):
        assert await watch._next(notices, remind) is deleted
    assert reminded == 3
