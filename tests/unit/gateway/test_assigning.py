import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from aos.gateway.assigning import TaskWaiting
from aos.gateway.caller import Caller
from aos.gateway.http import ClientDisconnected, HttpRequest, Message
from aos.gateway.identity import Unassigned
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.registry import Listener
from aos.model.meta import ObjectKey
from aos.model.task import Task
from tests.unit.gateway.make import POD, POD_UID, caller, task, with_settings

KEY = ObjectKey(namespace="sales", name="t1")


@dataclass
class Feed:
    """The registry, and who calls as far as it is known."""

    there: Task | None = None
    known: Caller | Refusal | None = None
    asked: int = 0
    listeners: list[Listener] = field(default_factory=list)

    def task(self, namespace: str, name: str) -> Task | None:
        return self.there

    def on_task_change(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def change(self, known: Caller | Refusal | None) -> None:
        self.there, self.known = task(), known
        for listener in self.listeners:
            listener(KEY)

    async def authenticate(self) -> Caller:
        self.asked += 1
        if self.known is None:
            raise unassigned()
        if isinstance(self.known, Refusal):
            raise self.known
        return self.known


def unassigned(pod: str = POD_UID, agent: str = "enricher") -> Unassigned:
    refusal = Refusal(503, RefusalCode.POD_NOT_RECORDED, "not yet")
    return Unassigned(refusal, "sales", agent, replace(POD, uid=pod))


class Client:
    """A request that waits, and the client that may go away."""

    def __init__(self) -> None:
        self._gone = asyncio.Event()
        self._sent = False

    def leave(self) -> None:
        self._gone.set()

    def request(self) -> HttpRequest:
        scope = {"method": "GET", "path": "/v1/task", "headers": []}
        return HttpRequest(scope, self._receive, max_body_bytes=0, timeout_seconds=1)

    async def _receive(self) -> Message:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}


class Rig:
    def __init__(self, **settings: float) -> None:
        self.feed = Feed()
        said = {"task_wait_seconds": 60.0, **settings}
        self.waiting = TaskWaiting(self.feed, with_settings(**said))

    def begin(self, pod: str = POD_UID, agent: str = "enricher", client: Client | None = None) -> "Waits":
        request = (client or Client()).request()
        return asyncio.ensure_future(
            self.waiting.until_assigned(request, unassigned(pod, agent), self.feed.authenticate)
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)


Waits = asyncio.Future[Caller | None]


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_pod_is_told_of_its_task_as_soon_as_the_task_names_it(rig: Rig) -> None:
    waits = rig.begin()
    await rig.until(lambda: rig.feed.asked == 1)
    rig.feed.change(None)
    await rig.until(lambda: rig.feed.asked == 2)
    found = caller()
    rig.feed.change(found)
    assert await waits is found
    assert len(rig.waiting) == 0


async def test_what_happened_before_it_waited_is_seen_at_once(rig: Rig) -> None:
    rig.feed.known = found = caller()
    assert await rig.begin() is found


async def test_tasks_of_other_pods_wake_nobody(rig: Rig) -> None:
    waits = rig.begin("another-pod")
    await rig.until(lambda: rig.feed.asked == 1)
    rig.feed.change(None)
    await asyncio.sleep(0)
    assert rig.feed.asked == 1
    waits.cancel()


async def test_a_pod_that_no_task_names_in_time_is_told_to_ask_again() -> None:
    rig = Rig(task_wait_seconds=0.01)
    assert await rig.begin() is None
    assert len(rig.waiting) == 0


async def test_a_pod_that_may_not_call_any_more_is_told_so_while_it_waits(rig: Rig) -> None:
    waits = rig.begin()
    await rig.until(lambda: rig.feed.asked == 1)
    rig.feed.change(Refusal(403, RefusalCode.POD_ENDED, "gone"))
    with pytest.raises(Refusal, match="PodEnded"):
        await waits


async def test_nobody_waits_for_a_client_that_went_away(rig: Rig) -> None:
    client = Client()
    waits = rig.begin(client=client)
    await rig.until(lambda: len(rig.waiting) == 1)
    client.leave()
    with pytest.raises(ClientDisconnected):
        await waits
    assert len(rig.waiting) == 0


async def test_a_pod_waits_with_one_request_and_the_newest_is_it(rig: Rig) -> None:
    first = rig.begin()
    await rig.until(lambda: rig.feed.asked == 1)
    second = rig.begin()
    assert await first is None
    assert len(rig.waiting) == 1
    rig.feed.change(found := caller())
    assert await second is found


async def test_pods_that_wait_are_bounded_for_each_agent_and_in_all() -> None:
    rig = Rig(max_waiting_pods_per_agent=1, max_waiting_pods=2)
    first = rig.begin("a1", "a")
    await rig.until(lambda: rig.feed.asked == 1)
    with pytest.raises(Refusal, match="TooManyCalls"):
        await rig.begin("a2", "a")
    second = rig.begin("b1", "b")
    await rig.until(lambda: rig.feed.asked == 2)
    with pytest.raises(Refusal, match="TooManyCalls"):
        await rig.begin("c1", "c")
    rig.waiting.end()
    assert [await first, await second] == [None, None]


async def test_a_gateway_that_stops_keeps_nobody_waiting(rig: Rig) -> None:
    waits = rig.begin()
    await rig.until(lambda: rig.feed.asked == 1)
    rig.waiting.end()
    assert await waits is None
    assert await rig.begin() is None
    assert len(rig.waiting) == 0
