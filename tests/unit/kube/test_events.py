"""The recorder with an API server that fails on command; events that people see are in tests/cluster."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from pydantic import JsonValue

from aos.kube.errors import Forbidden, NotFound, Target, Unavailable
from aos.kube.events import SERIES_SECONDS, WINDOW_SECONDS, EventRecorder, EventType, ObjectReference
from aos.kube.objects import child, number, text
from aos.kube.resources import Resource
from aos.model.base import JsonObject
from tests.unit.kube.fakes import FakeClock, settle

AGENT = ObjectReference("aos.dev/v1alpha1", "Agent", "one", "sales", "u1")
DOWN = Unavailable(Target("create", "events"), 503, "ServiceUnavailable", "down")
FORBIDDEN = Forbidden(Target("create", "events"), 403, "Forbidden", "no")
LOST = NotFound(Target("patch", "events"), 404, "NotFound", "expired")


class Server:
    """Keeps what is written, and raises the errors that a test lays out."""

    def __init__(self) -> None:
        self.created: list[Mapping[str, JsonValue]] = []
        self.patched: list[tuple[str, int]] = []
        self.errors: list[Exception] = []
        self.requests = 0

    def _fail(self) -> None:
        self.requests += 1
        if self.errors:
            raise self.errors.pop(0)

    async def create(self, resource: Resource, manifest: Mapping[str, JsonValue]) -> JsonObject:
        self._fail()
        self.created.append(manifest)
        return {}

    async def merge_patch(
        self, resource: Resource, name: str, patch: Mapping[str, JsonValue], *, namespace: str = ""
    ) -> JsonObject:
        self._fail()
        self.patched.append((name, number(child(patch, "series"), "count")))
        return {}


class Bench:
    def __init__(self, **bounds: int) -> None:
        self.clock = FakeClock()
        self.server = Server()
        self.recorder = EventRecorder(
            self.server, controller="aos.dev/operator", instance="pod-1", clock=self.clock, **bounds
        )
        self.running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.running = asyncio.create_task(self.recorder.run())

    def record(self, note: str = "hello") -> None:
        self.recorder.record(AGENT, reason="Created", action="Create", note=note)

    def notes(self) -> list[str]:
        return [text(manifest, "note") for manifest in self.server.created]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.start()
    yield bench
    if bench.running:
        bench.running.cancel()
        await asyncio.wait({bench.running})


async def test_an_event_says_who_did_what_to_which_object_and_why(bench: Bench) -> None:
    bench.recorder.record(
        AGENT, reason="QuotaExceeded", action="CreatePod", note="no room", type=EventType.WARNING
    )
    await settle()
    (event,) = bench.server.created
    assert text(child(event, "metadata"), "namespace") == "sales"
    assert text(child(event, "metadata"), "name").startswith("one.")
    assert event["regarding"] == {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Agent",
        "name": "one",
        "namespace": "sales",
        "uid": "u1",
    }
    assert {name: event[name] for name in ("type", "reason", "action", "note")} == {
        "type": "Warning",
        "reason": "QuotaExceeded",
        "action": "CreatePod",
        "note": "no room",
    }
    assert (event["reportingController"], event["reportingInstance"]) == ("aos.dev/operator", "pod-1")
    assert "series" not in event


async def test_an_event_about_a_cluster_wide_object_stands_in_the_default_namespace(bench: Bench) -> None:
    node = ObjectReference.of({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    bench.recorder.record(node, reason="Seen", action="Look", note="")
    await settle()
    (event,) = bench.server.created
    assert text(child(event, "metadata"), "namespace") == "default"
    assert event["regarding"] == {"apiVersion": "v1", "kind": "Node", "name": "n1"}


async def test_repeats_become_one_series_that_is_written_at_intervals(bench: Bench) -> None:
    for _ in range(5):
        bench.record()
        await bench.clock.advance(SERIES_SECONDS / 10)
    assert (len(bench.server.created), bench.server.patched) == (1, [])
    await bench.clock.advance(SERIES_SECONDS)
    name = text(child(bench.server.created[0], "metadata"), "name")
    assert bench.server.patched == [(name, 5)]
    await bench.clock.advance(SERIES_SECONDS * 3)
    assert len(bench.server.patched) == 1
    bench.record()
    await bench.clock.advance(SERIES_SECONDS)
    assert bench.server.patched[1:] == [(name, 6)]


async def test_repeats_before_the_first_writing_are_counted_in_it() -> None:
    bench = Bench()
    for _ in range(3):
        bench.record()
    await bench.recorder.flush()
    assert [number(child(event, "series"), "count") for event in bench.server.created] == [3]


async def test_another_note_is_another_event(bench: Bench) -> None:
    bench.record("a")
    bench.record("b")
    await settle()
    assert bench.notes() == ["a", "b"]


async def test_a_series_ends_with_the_window(bench: Bench) -> None:
    bench.record()
    await bench.clock.advance(WINDOW_SECONDS + 1)
    bench.record()
    await settle()
    assert (len(bench.server.created), bench.server.patched) == (2, [])


async def test_a_series_whose_event_expired_starts_a_new_event(bench: Bench) -> None:
    bench.record()
    await bench.clock.advance(SERIES_SECONDS)
    bench.server.errors.append(LOST)
    bench.record()
    await bench.clock.advance(0)
    assert [number(child(event, "series"), "count") for event in bench.server.created] == [0, 2]


async def test_a_note_is_cut_between_characters(bench: Bench) -> None:
    bench.record("é" * 1000)
    bench.record("\ud800 half a character")
    await settle()
    long, odd = bench.notes()
    assert (len(long.encode()), long[-2:]) == (1023, "é…")
    assert odd == "? half a character"


async def test_a_server_that_is_down_for_a_moment_loses_no_event(bench: Bench) -> None:
    bench.server.errors += [DOWN, DOWN]
    bench.record()
    await bench.clock.advance(10)
    assert (len(bench.server.created), bench.recorder.dropped) == (1, 0)


@pytest.mark.parametrize("errors", [[DOWN] * 3, [FORBIDDEN], [TypeError("not JSON")]])
async def test_an_event_that_is_not_taken_is_counted_and_the_next_goes_on(
    bench: Bench, errors: list[Exception]
) -> None:
    bench.server.errors += errors
    bench.record("a")
    bench.record("b")
    await bench.clock.advance(20)
    assert (bench.notes(), bench.recorder.dropped) == (["b"], 1)


async def test_repeats_of_a_refused_event_are_not_sent_without_pause(bench: Bench) -> None:
    bench.server.errors += [FORBIDDEN] * 100
    for _ in range(100):
        bench.record()
        await settle()
    assert bench.server.requests == 1
    await bench.clock.advance(SERIES_SECONDS)
    assert bench.server.requests == 2


async def test_a_flood_is_bounded_and_counted_and_never_waits() -> None:
    bench = Bench(buffer_events=10, window_events=20)
    for number_of in range(1000):
        bench.record(f"note {number_of}")
    assert bench.recorder.dropped == 990
    assert (len(bench.recorder._waiting), len(bench.recorder._window)) == (10, 20)
    await bench.recorder.flush()
    assert len(bench.server.created) == 10


async def test_an_event_that_found_no_room_is_tried_again_with_its_repeat() -> None:
    bench = Bench(buffer_events=1)
    bench.record("a")
    bench.record("b")
    await bench.recorder.flush()
    bench.record("b")
    await bench.recorder.flush()
    assert bench.notes() == ["a", "b"]
