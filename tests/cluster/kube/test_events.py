"""Events as people see them."""

import asyncio

from aos.kube.client import Selection
from aos.kube.events import EventRecorder, EventType, ObjectReference
from aos.kube.objects import child, number, text
from aos.kube.resources import EVENTS
from hack.cluster.handle import Handle
from tests.cluster.kube.conftest import Place
from tests.cluster.kube.waiting import eventually


async def test_an_event_is_seen_beside_its_object(control_plane: Handle, place: Place) -> None:
    about = ObjectReference.of(await place.config_map("one"))
    recorder = EventRecorder(place.client, controller="aos.dev/operator", instance="operator-0")
    running = asyncio.create_task(recorder.run())
    recorder.record(about, reason="PolicyDenied", action="Reconcile", note="é" * 2000, type=EventType.WARNING)

    async def is_seen() -> bool:
        return (
            "PolicyDenied" in control_plane.kubectl("describe", "configmap/one", "-n", place.namespace).stdout
        )

    await eventually(is_seen)
    running.cancel()
    await asyncio.wait({running})
    assert recorder.dropped == 0


async def test_repeats_are_one_event_with_a_count(place: Place) -> None:
    about = ObjectReference.of(await place.config_map("one"))
    recorder = EventRecorder(place.client, controller="aos.dev/operator", instance="operator-0")
    for _ in range(3):
        recorder.record(about, reason="Again", action="Reconcile", note="the same")
    await recorder.flush()
    (series,) = recorder._window.values()
    series.count += 4
    await recorder._write(*recorder._window.popitem())
    selection = Selection(place.namespace, field_selector="reason=Again")
    counts = [
        (number(child(event, "series"), "count"), text(event, "note"))
        async for event in place.client.list(EVENTS, selection)
    ]
    assert (counts, recorder.dropped) == ([(7, "the same")], 0)
