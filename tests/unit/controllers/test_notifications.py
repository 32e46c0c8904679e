import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import pytest
from pydantic import JsonValue

from aos.controllers.keys import Key, Subject
from aos.controllers.notifications import Notifier, Surroundings
from aos.controllers.notifications_post import Postman
from aos.controllers.notifications_settings import Webhook, WebhookSettings
from aos.kube.backoff import Backoff
from aos.kube.errors import Conflict, Target
from aos.model.approval_request import ApprovalRequest
from aos.model.base import JsonObject
from tests.unit.controllers.hooks import Hooks, serving
from tests.unit.reconcile.asked import LEADS, looked_at, moment, request
from tests.unit.reconcile.make import NOW

KEY = Key(Subject.APPROVAL_REQUEST, "sales", "apr-1")
FAST = Backoff(initial_seconds=0.01, cap_seconds=0.02, jitter=0)


class Place:
    """The API server as far as a notifier knows it: one request, and writes that may come too late."""

    def __init__(self, item: ApprovalRequest) -> None:
        self.item: ApprovalRequest | None = item
        self.now = NOW
        self.version = 1
        self.conflicts = 0
        self.counts: list[tuple[str, bool]] = []

    def get(self, namespace: str, name: str) -> ApprovalRequest | None:
        return self.item

    def raw(self, namespace: str, name: str) -> JsonObject:
        return self.item.model_dump(mode="json", by_alias=True, exclude_none=True) if self.item else {}

    async def write_status(self, kind: str, raw: JsonObject, status: JsonObject) -> None:
        await asyncio.sleep(0)
        if self.conflicts or raw["metadata"] != self.raw("", "")["metadata"]:
            self.conflicts = max(0, self.conflicts - 1)
            raise Conflict(Target("apply", "approvalrequests", "sales/apr-1"), 409, "Conflict", "it changed")
        assert self.item is not None
        self.version += 1
        found = ApprovalRequest.parse({**raw, "status": status})
        metadata = found.metadata.model_copy(update={"resource_version": str(self.version)})
        self.item = found.model_copy(update={"metadata": metadata})

    def labels(self, namespace: str) -> Mapping[str, str]:
        return {"env": "prod"}

    def notified(self, webhook: str, *, failed: bool) -> None:
        self.counts.append((webhook, failed))

    def notices(self) -> list[str]:
        return [item.event for item in self.item.status.notices] if self.item else []

    def surroundings(self) -> Surroundings:
        return Surroundings(
            requests=self,
            namespace_labels=self.labels,
            write_status=self.write_status,
            now=lambda: self.now,
            metrics=self,
        )


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    async with serving() as found:
        yield found


@pytest.fixture
def place() -> Place:
    return Place(looked_at(request()))


def webhook(url: str, name: str = "chat", **parts: JsonValue) -> Webhook:
    return Webhook(WebhookSettings.model_validate({"name": name, "format": "Slack", "url": url, **parts}))


@asynccontextmanager
async def notifying(place: Place, *webhooks: Webhook, timeout_seconds: float = 5) -> AsyncIterator[Notifier]:
    notifier = Notifier(
        webhooks,
        place.surroundings(),
        backoff=FAST,
        postman=lambda: Postman(timeout_seconds=timeout_seconds),
    )
    running = asyncio.create_task(notifier.run())
    notifier.look(KEY)
    try:
        yield notifier
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def test_people_are_asked_once_however_often_it_is_looked_at(place: Place, hooks: Hooks) -> None:
    async with notifying(place, webhook(hooks.url)) as notifier:
        await until(lambda: place.notices() == ["Asked"])
        for _ in range(3):
            notifier.look(KEY)
            await asyncio.sleep(0.01)
    assert hooks.marks() == ["chat.Asked"]
    assert place.counts == [("chat", False)]


async def test_what_was_not_taken_is_sent_again_with_the_same_id(place: Place, hooks: Hooks) -> None:
    hooks.answers = [503, 500, 302]
    async with notifying(place, webhook(hooks.url)):
        await until(lambda: place.notices() == ["Asked"])
    assert hooks.marks() == ["chat.Asked"] * 4
    assert place.counts == [("chat", True)] * 3 + [("chat", False)]


async def test_what_was_due_while_nobody_ran_is_sent_by_the_next(place: Place, hooks: Hooks) -> None:
    hooks.answers = [503] * 1000
    async with notifying(place, webhook(hooks.url)):
        await until(lambda: len(hooks.received) > 2)
    assert place.notices() == []
    hooks.answers.clear()
    async with notifying(place, webhook(hooks.url)):
        await until(lambda: place.notices() == ["Asked"])


async def test_what_was_taken_and_is_not_kept_yet_is_not_sent_again(place: Place, hooks: Hooks) -> None:
    place.conflicts = 20
    async with notifying(place, webhook(hooks.url)):
        await until(lambda: place.notices() == ["Asked"])
    assert hooks.marks() == ["chat.Asked"]


async def test_a_crash_between_both_sends_it_twice_with_the_same_id(place: Place, hooks: Hooks) -> None:
    place.conflicts = 1_000_000
    async with notifying(place, webhook(hooks.url)):
        await until(lambda: len(hooks.received) == 1)
    place.conflicts = 0
    async with notifying(place, webhook(hooks.url)):
        await until(lambda: place.notices() == ["Asked"])
    assert len({item.headers["AOS-Webhook-Id"] for item in hooks.received}) == 1
    assert len(hooks.received) == 2


async def test_a_webhook_that_hangs_keeps_no_other_from_being_told(place: Place, hooks: Hooks) -> None:
    async with serving() as stuck:
        stuck.hangs = True
        async with notifying(place, webhook(stuck.url, "stuck"), webhook(hooks.url)) as notifier:
            await until(lambda: place.notices() == ["Asked"] and len(stuck.received) == 1)
            notifier.look(KEY)
    assert hooks.marks() == ["chat.Asked"]


async def test_two_webhooks_keep_what_each_was_told(place: Place, hooks: Hooks) -> None:
    async with notifying(place, webhook(hooks.url), webhook(hooks.url, "other")):
        await until(lambda: place.notices() == ["Asked", "Asked"])
    assert place.item is not None
    assert {item.webhook for item in place.item.status.notices} == {"chat", "other"}


async def test_a_reminder_comes_when_its_time_has_come(hooks: Hooks) -> None:
    def now() -> datetime:
        return NOW + timedelta(seconds=asyncio.get_running_loop().time() - started)

    started = asyncio.get_running_loop().time()
    quorum: JsonObject = {**LEADS, "remindAt": moment(NOW + timedelta(seconds=0.2))}
    place = Place(looked_at(request(quorums=(quorum,))))
    notifier = Notifier(
        [webhook(hooks.url)],
        Surroundings(place, place.labels, place.write_status, now, place),
        backoff=FAST,
    )
    running = asyncio.create_task(notifier.run())
    notifier.look(KEY)
    await until(lambda: len(hooks.received) == 2)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert hooks.marks()[1].startswith("chat.Reminded ")


async def test_other_namespaces_are_not_told(place: Place, hooks: Hooks) -> None:
    silent = webhook(hooks.url, "silent", namespaces=["support"])
    async with notifying(
        place, silent, webhook(hooks.url, "loud", namespaceSelector={"matchLabels": {"env": "prod"}})
    ):
        await until(lambda: place.notices() == ["Asked"])
    assert hooks.marks() == ["loud.Asked"]


async def test_a_request_that_is_gone_is_not_written(place: Place, hooks: Hooks) -> None:
    hooks.hangs = True
    async with notifying(place, webhook(hooks.url)) as notifier:
        await until(lambda: len(hooks.received) == 1)
        place.item = None
        hooks.hangs = False
        hooks.hanging.set()
        await until(lambda: place.counts == [("chat", False)])
        notifier.look(KEY)
        await asyncio.sleep(0.02)
    assert len(hooks.received) == 1


async def test_another_request_of_the_same_name_is_told_for_itself(place: Place, hooks: Hooks) -> None:
    hooks.hangs = True
    async with notifying(place, webhook(hooks.url)) as notifier:
        await until(lambda: len(hooks.received) == 1)
        assert place.item is not None
        metadata = place.item.metadata.model_copy(update={"uid": "another"})
        place.item = place.item.model_copy(update={"metadata": metadata})
        hooks.hangs = False
        hooks.hanging.set()
        await until(lambda: place.counts == [("chat", False)])
        assert place.notices() == []
        notifier.look(KEY)
        await until(lambda: place.notices() == ["Asked"])
    assert len({item.headers["AOS-Webhook-Id"] for item in hooks.received}) == 2


async def test_without_webhooks_it_runs_and_does_nothing(place: Place) -> None:
    async with notifying(place) as notifier:
        notifier.look(KEY)
        await asyncio.sleep(0.01)
    assert place.notices() == []
