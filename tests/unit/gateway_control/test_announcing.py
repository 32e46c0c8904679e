from collections.abc import Mapping

import pytest
from pydantic import JsonValue

from aos.gateway.control.announcing import QUIET_SECONDS, Announcers, EventAnnouncer
from aos.gateway.control.persisting import PersistingBounds
from aos.gateway.refusal import RefusalCode, Refused
from aos.kube.events import EventRecorder
from aos.kube.resources import Resource
from aos.model.base import JsonObject
from aos.policy.decision import Effect
from tests.unit.gateway_control.make import caller, effective

LIMIT = Refused(Effect.DENY, RefusalCode.LIMIT_EXCEEDED, "contact/7 ...", note="calls of tool crm exceed it")
BUSY = Refused(Effect.DENY, RefusalCode.RECORD_BUSY, "", note="a record is held")


class KeptEvents:
    def __init__(self) -> None:
        self.created: list[JsonObject] = []

    async def create(self, resource: Resource, manifest: Mapping[str, JsonValue]) -> JsonObject:
        self.created.append(dict(manifest))
        return dict(manifest)

    async def merge_patch(
        self, resource: Resource, name: str, patch: Mapping[str, JsonValue], *, namespace: str = ""
    ) -> JsonObject:
        raise NotImplementedError


def told(kept: KeptEvents) -> list[JsonValue]:
    return [event["reason"] for event in kept.created]


async def test_a_refusal_is_an_event_on_the_agent() -> None:
    kept = KeptEvents()
    recorder = EventRecorder(kept, controller="aos.dev/gateway", instance="gateway-0")
    EventAnnouncer(recorder).announce(caller(effective()), LIMIT)
    await recorder.flush()
    (event,) = kept.created
    assert (event["reason"], event["type"], event["action"]) == ("LimitExceeded", "Warning", "RefuseCall")
    assert event["regarding"] == {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Agent",
        "name": "enricher",
        "namespace": "sales",
        "uid": "uid-enricher",
    }
    assert event["note"] == "Task t1: calls of tool crm exceed it"


async def test_a_write_that_was_not_made_again_is_an_event_that_warns_of_nothing() -> None:
    kept = KeptEvents()
    recorder = EventRecorder(kept, controller="aos.dev/gateway", instance="gateway-0")
    announcer = Announcers((EventAnnouncer(recorder), PersistingBounds()))
    for _ in range(3):
        announcer.repeated(caller(effective()), "crm.update was not made again")
    await recorder.flush()
    (event,) = kept.created
    assert (event["reason"], event["type"], event["action"]) == ("DuplicateAnswered", "Normal", "AnswerCall")
    assert event["note"] == "Task t1: crm.update was not made again"


async def test_the_same_is_said_of_an_agent_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.gateway.control.announcing.MAX_REMEMBERED", 2)
    kept, now = KeptEvents(), [100.0]
    recorder = EventRecorder(kept, controller="aos.dev/gateway", instance="gateway-0")
    announcer = EventAnnouncer(recorder, lambda: now[0])
    one, other = caller(effective()), caller(effective(agent="writer"))
    for _ in range(100):
        announcer.announce(one, LIMIT)
        announcer.announce(other, LIMIT)
    await recorder.flush()
    assert told(kept) == ["LimitExceeded", "LimitExceeded"]
    announcer.announce(one, BUSY)
    now[0] += QUIET_SECONDS
    announcer.announce(one, LIMIT)
    await recorder.flush()
    assert told(kept)[2:] == ["RecordBusy"]
    assert len(announcer._said) == 2
