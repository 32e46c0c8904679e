"""The informer against a scripted API server: what a real one can't be made to do on command."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, MutableMapping
from dataclasses import dataclass, field

import pytest

from aos.kube.backoff import Backoff
from aos.kube.client import EVERYTHING, PAGE_SIZE, Page, Selection
from aos.kube.errors import Forbidden, Gone, IdleWatch, Target, Unavailable
from aos.kube.informer import SHORTEST_WATCH_SECONDS, Informer, InvalidObject
from aos.kube.objects import child, text
from aos.kube.resources import CONFIG_MAPS, Resource
from aos.kube.watching import WatchEvent, WatchType
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from tests.unit.kube.fakes import FakeClock, settle

TARGET = Target("watch", "configmaps")
GONE = Gone(TARGET, 410, "Expired", "too old")
DOWN = Unavailable(TARGET, 0, "ClientConnectorError", "refused")
IDLE = IdleWatch(TARGET, 0, "IdleWatch", "silent")


def one(name: str, version: int, value: str = "v") -> JsonObject:
    return {
        "metadata": {"name": name, "namespace": "sales", "resourceVersion": str(version)},
        "data": {"value": value},
    }


def key(name: str) -> ObjectKey:
    return ObjectKey(namespace="sales", name=name)


def parse(raw: JsonObject) -> str:
    value = text(child(raw, "data"), "value")
    if value == "bad":
        raise ValueError("a bad value")
    return value


@dataclass
class Script:
    """An API server whose answers are laid out beforehand, or fed while it runs."""

    lists: list[list[Page] | Exception] = field(default_factory=list)
    stream: asyncio.Queue[WatchEvent | Exception | None] = field(default_factory=asyncio.Queue)
    asked: list[str] = field(default_factory=list)

    async def list_pages(
        self, resource: Resource, selection: Selection = EVERYTHING, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[Page, None]:
        self.asked.append(f"list {page_size}")
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for page in answer:
            if not page.items and not page.resource_version:
                raise GONE
            yield page

    async def watch(
        self, resource: Resource, selection: Selection = EVERYTHING, *, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        self.asked.append(f"watch {resource_version}")
        while (said := await self.stream.get()) is not None:
            if isinstance(said, Exception):
                raise said
            yield said

    async def say(self, *said: WatchEvent | Exception | None) -> None:
        for one_of_them in said:
            self.stream.put_nowait(one_of_them)
        await settle()


class Index:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.fail_on = ""

    def added(self, key: ObjectKey, new: str) -> None:
        if new == self.fail_on:
            raise RuntimeError("no room")
        self.heard.append(f"+{key.name}={new}")

    def updated(self, key: ObjectKey, old: str, new: str) -> None:
        if new == self.fail_on:
            raise RuntimeError("no room")
        self.heard.append(f"{key.name}:{old}>{new}")

    def deleted(self, key: ObjectKey, old: str) -> None:
        if self.fail_on == "deleted":
            raise RuntimeError("no room")
        self.heard.append(f"-{key.name}={old}")


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.server = Script()
        self.index = Index()
        self.invalid: list[InvalidObject] = []
        self.informer = Informer(
            self.server,
            CONFIG_MAPS,
            parse,
            on_invalid=self.invalid.append,
            clock=self.clock,
            backoff=Backoff(1, 8, jitter=0),
        )
        self.informer.add_handler(self.index)
        self.running: asyncio.Task[None] | None = None

    async def start(self, *items: JsonObject, version: str = "10") -> None:
        self.server.lists.append([Page(items, version)])
        self.running = asyncio.create_task(self.informer.run())
        await settle()

    def relist(self, *items: JsonObject, version: str) -> None:
        self.server.lists.append([Page(items, version)])


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    if bench.running:
        bench.running.cancel()
        await asyncio.wait({bench.running})


def added(item: JsonObject) -> WatchEvent:
    return WatchEvent(WatchType.ADDED, item)


def modified(item: JsonObject) -> WatchEvent:
    return WatchEvent(WatchType.MODIFIED, item)


def deleted(item: JsonObject) -> WatchEvent:
    return WatchEvent(WatchType.DELETED, item)


def bookmark(version: int) -> WatchEvent:
    return WatchEvent(WatchType.BOOKMARK, {"metadata": {"resourceVersion": str(version)}})


async def test_nothing_is_synced_before_the_first_list_is_complete() -> None:
    informer = Bench().informer
    assert not informer.synced.is_set()
    assert informer.last_contact is None
    assert informer.staleness_seconds() == math.inf


async def test_a_list_fills_the_items_and_the_watch_goes_on_from_its_version(bench: Bench) -> None:
    bench.server.lists.append([Page((one("a", 1, "A"),), "10"), Page((one("b", 2, "B"),), "10")])
    bench.running = asyncio.create_task(bench.informer.run())
    await settle()
    assert bench.informer.synced.is_set()
    assert dict(bench.informer.items) == {key("a"): "A", key("b"): "B"}
    assert bench.index.heard == ["+a=A", "+b=B"]
    assert bench.server.asked == [f"list {PAGE_SIZE}", "watch 10"]


async def test_events_change_the_items_and_tell_the_handlers(bench: Bench) -> None:
    await bench.start(one("a", 1, "A"))
    await bench.server.say(added(one("b", 11, "B")), modified(one("a", 12, "A2")), deleted(one("b", 13, "B")))
    assert dict(bench.informer.items) == {key("a"): "A2"}
    assert bench.index.heard == ["+a=A", "+b=B", "a:A>A2", "-b=B"]


async def test_a_late_handler_is_told_of_what_is_there(bench: Bench) -> None:
    await bench.start(one("a", 1, "A"))
    late = Index()
    bench.informer.add_handler(late)
    assert late.heard == ["+a=A"]


async def test_a_watch_that_ended_in_order_is_resumed_where_the_last_bookmark_was(bench: Bench) -> None:
    await bench.start()
    await bench.server.say(added(one("a", 11)), bookmark(20))
    await bench.clock.advance(SHORTEST_WATCH_SECONDS)
    await bench.server.say(None)
    assert bench.server.asked[1:] == ["watch 10", "watch 20"]


async def test_a_watch_that_breaks_is_resumed_after_a_delay_and_nothing_is_forgotten(bench: Bench) -> None:
    await bench.start(one("a", 1, "A"))
    await bench.server.say(modified(one("a", 11, "A2")), DOWN)
    assert bench.server.asked[1:] == ["watch 10"]
    await bench.clock.advance(1)
    assert bench.server.asked[1:] == ["watch 10", "watch 11"]
    assert dict(bench.informer.items) == {key("a"): "A2"}


async def test_delays_grow_to_the_cap_while_the_server_is_away_and_start_small_after_contact(
    bench: Bench,
) -> None:
    await bench.start()
    bench.server.lists += [DOWN] * 4
    await bench.server.say(DOWN, DOWN, DOWN)
    for failures, delay in enumerate((1, 2, 4, 8, 8, 8), start=1):
        asked = len(bench.server.asked)
        await bench.clock.advance(delay - 0.01)
        assert len(bench.server.asked) == asked, failures
        await bench.clock.advance(0.01)
        assert len(bench.server.asked) == asked + 1, failures
    bench.relist(version="50")
    await bench.clock.advance(8)
    assert bench.server.asked[-1] == "watch 50"
    await bench.server.say(DOWN)
    asked = len(bench.server.asked)
    await bench.clock.advance(1)
    assert bench.server.asked[asked:] == ["watch 50"]


async def test_a_position_that_fails_again_and_again_is_given_up_for_a_list(bench: Bench) -> None:
    await bench.start(one("a", 1, "A"))
    bench.relist(one("a", 1, "A"), version="5")
    await bench.server.say(DOWN, DOWN, DOWN)
    await bench.clock.advance(1 + 2 + 4)
    assert bench.server.asked == [
        f"list {PAGE_SIZE}", "watch 10", "watch 10", "watch 10", f"list {PAGE_SIZE}", "watch 5",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [GONE, IDLE])
async def test_a_position_that_is_lost_means_a_new_list(bench: Bench, error: Exception) -> None:
    await bench.start(one("a", 1, "A"), one("b", 2, "B"), one("c", 3, "C"))
    bench.relist(one("a", 1, "A"), one("b", 30, "B2"), one("d", 31, "D"), version="40")
    await bench.server.say(error)
    await bench.clock.advance(1)
    assert bench.server.asked == [f"list {PAGE_SIZE}", "watch 10", f"list {PAGE_SIZE}", "watch 40"]
    assert dict(bench.informer.items) == {key("a"): "A", key("b"): "B2", key("d"): "D"}
    assert bench.index.heard[3:] == ["b:B>B2", "+d=D", "-c=C"]


async def test_items_stay_while_a_new_list_does_not_come(bench: Bench) -> None:
    await bench.start(one("a", 1, "A"))
    bench.server.lists += [Forbidden(TARGET, 403, "Forbidden", "no")] * 3
    await bench.server.say(GONE)
    await bench.clock.advance(7)
    assert dict(bench.informer.items) == {key("a"): "A"}
    assert bench.informer.staleness_seconds() == 7


async def test_a_list_that_expires_between_its_pages_is_asked_for_as_one(bench: Bench) -> None:
    bench.server.lists += [[Page((one("a", 1, "A"),), "10"), Page((), "")], [Page((one("b", 2, "B"),), "12")]]
    bench.running = asyncio.create_task(bench.informer.run())
    await settle()
    assert not bench.informer.synced.is_set()
    await bench.clock.advance(1)
    assert bench.server.asked == [f"list {PAGE_SIZE}", "list 0", "watch 12"]
    assert dict(bench.informer.items) == {key("b"): "B"}


async def test_the_wait_that_the_server_asks_for_is_kept(bench: Bench) -> None:
    await bench.start()
    await bench.server.say(Unavailable(TARGET, 429, "TooManyRequests", "slow down", 6))
    await bench.clock.advance(5.9)
    assert len(bench.server.asked) == 2
    await bench.clock.advance(0.1)
    assert len(bench.server.asked) == 3


async def test_a_server_that_ends_watches_at_once_is_not_asked_without_pause(bench: Bench) -> None:
    await bench.start()
    contact = bench.informer.last_contact
    await bench.server.say(None)
    assert bench.server.asked[1:] == ["watch 10"]
    await bench.clock.advance(1)
    assert bench.server.asked[1:] == ["watch 10", "watch 10"]
    assert bench.informer.last_contact == contact


@pytest.mark.parametrize("said", [added(one("a", 11)), bookmark(11), deleted(one("z", 11))])
async def test_each_word_of_the_server_is_a_contact(bench: Bench, said: WatchEvent) -> None:
    await bench.start()
    await bench.clock.advance(60)
    assert bench.informer.staleness_seconds() == 60
    await bench.server.say(said)
    assert bench.informer.staleness_seconds() == 0


async def test_an_orderly_end_of_a_watch_is_a_contact_and_an_error_is_none(bench: Bench) -> None:
    await bench.start()
    await bench.clock.advance(60)
    await bench.server.say(None)
    assert bench.informer.staleness_seconds() == 0
    await bench.clock.advance(60)
    await bench.server.say(DOWN)
    await bench.clock.advance(1)
    assert bench.informer.staleness_seconds() == 61


async def test_an_object_that_can_not_be_parsed_is_absent_and_reported_and_the_others_go_on(
    bench: Bench,
) -> None:
    await bench.start(one("a", 1, "bad"), one("b", 2, "B"))
    await bench.server.say(added(one("c", 11, "bad")), added(one("d", 12, "D")))
    assert dict(bench.informer.items) == {key("b"): "B", key("d"): "D"}
    assert [invalid.key.name for invalid in bench.invalid] == ["a", "c"]
    assert bench.informer.invalid[key("a")] == InvalidObject(key("a"), "1", "ValueError: a bad value")


async def test_an_object_that_turns_invalid_is_withdrawn_and_never_neither_valid_nor_invalid(
    bench: Bench,
) -> None:
    class Witness(Index):
        def deleted(self, key: ObjectKey, old: str) -> None:
            super().deleted(key, f"{old}, invalid: {key in bench.informer.invalid}")

    witness = Witness()
    bench.informer.add_handler(witness)
    await bench.start(one("a", 1, "A"))
    await bench.server.say(modified(one("a", 11, "bad")))
    assert key("a") not in bench.informer.items
    assert witness.heard == ["+a=A", "-a=A, invalid: True"]


async def test_an_invalid_object_that_is_mended_comes_back(bench: Bench) -> None:
    await bench.start(one("a", 1, "bad"))
    await bench.server.say(modified(one("a", 11, "A")))
    assert dict(bench.informer.items) == {key("a"): "A"}
    assert not bench.informer.invalid
    assert bench.index.heard == ["+a=A"]


async def test_an_invalid_object_that_is_deleted_is_forgotten(bench: Bench) -> None:
    await bench.start(one("a", 1, "bad"), one("b", 1, "bad"))
    await bench.server.say(deleted(one("a", 11, "bad")))
    assert list(bench.informer.invalid) == [key("b")]
    bench.relist(version="40")
    await bench.server.say(GONE)
    await bench.clock.advance(1)
    assert not bench.informer.invalid
    assert bench.index.heard == []


@pytest.mark.parametrize(
    ("event", "first", "failing", "last"),
    [
        (added(one("b", 11, "B")), ["+b=B", "-b=B"], ["-b=B"], ["-b=B"]),
        (modified(one("a", 11, "B")), ["a:A>B", "-a=B"], ["-a=A"], ["-a=A"]),
    ],
)
async def test_an_object_that_a_handler_can_not_take_is_withdrawn_from_all(
    bench: Bench, event: WatchEvent, first: list[str], failing: list[str], last: list[str]
) -> None:
    others = Index(), Index()
    bench.informer.add_handler(others[0])
    bench.informer.add_handler(others[1])
    await bench.start(one("a", 1, "A"))
    others[0].fail_on = "B"
    await bench.server.say(event, added(one("c", 12, "C")))
    name = text(child(event.object, "metadata"), "name")
    assert key(name) not in bench.informer.items
    assert bench.informer.invalid[key(name)].error == "RuntimeError: no room"
    assert bench.index.heard == ["+a=A", *first, "+c=C"]
    assert others[0].heard == ["+a=A", *failing, "+c=C"]
    assert others[1].heard == ["+a=A", *last, "+c=C"]


async def test_a_handler_that_fails_on_an_end_does_not_stop_the_informer(bench: Bench) -> None:
    await bench.start(one("a", 1, "A"))
    bench.index.fail_on = "deleted"
    await bench.server.say(deleted(one("a", 11)), added(one("b", 12, "B")))
    assert dict(bench.informer.items) == {key("b"): "B"}


async def test_a_report_that_fails_does_not_stop_the_informer(bench: Bench) -> None:
    def fail(invalid: InvalidObject) -> None:
        raise RuntimeError("no room")

    bench.informer._on_invalid = fail
    await bench.start(one("a", 1, "bad"), one("b", 2, "B"))
    assert dict(bench.informer.items) == {key("b"): "B"}
    assert bench.informer.synced.is_set()


async def test_the_views_can_not_be_written_to(bench: Bench) -> None:
    for view in (bench.informer.items, bench.informer.invalid):
        assert not isinstance(view, MutableMapping)
