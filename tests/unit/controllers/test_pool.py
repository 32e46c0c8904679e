"""Which pods are free, for whom, and who hears of it."""

from dataclasses import replace
from typing import cast

import pytest

from aos.controllers.keys import Key
from aos.controllers.objects import Objects
from aos.controllers.pods import Pods
from aos.controllers.pool import Pool
from aos.kube.client import ApiClient
from aos.model.base import JsonObject
from aos.reconcile.claim import Hold
from aos.reconcile.observed_pod import Claim, ObservedPod, PodOwner
from tests.unit.controllers.make import AGENT, TASK, raw

POD = ObservedPod(
    "p1", "u1", version="1", agent="enricher", agent_uid="enricher-uid", owner=PodOwner.SERVICE, is_ready=True
)
RECORDED: JsonObject = {"pod": {"name": "p1", "uid": "u1"}}
RESULT: JsonObject = {**RECORDED, "result": {"outcome": "Succeeded", "time": "2026-01-01T00:00:00Z"}}
OVERDUE: JsonObject = {
    **RECORDED,
    "conditions": [
        {
            "type": "Succeeded",
            "status": "False",
            "reason": "DeadlineExceeded",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
}
CLAIMED = replace(POD, version="2", claim=Claim("t1", "t1-uid"))


class Heard:
    """A pool, what it looks at, and the keys that were asked for."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self.objects = Objects(lambda _: None)
        self.pods = Pods(cast("ApiClient", None), lambda _: None, lambda: 0.0)
        self.pool = Pool(self.objects, self.pods, self._keys.append)
        self._version = 1
        self.objects.observe("Agent", raw("Agent", "enricher", AGENT, status={"revision": "enricher-1"}))

    def task(self, name: str, status: JsonObject | None = None, uid: str = "", **spec: object) -> None:
        self._version += 1
        self.objects.observe(
            "Task",
            raw("Task", name, {**TASK, **spec}, self._version, status=status, uid=uid),  # type: ignore[dict-item]
        )

    def take(self) -> set[str]:
        """Return what was asked for since the last call."""
        found = {f"{key.subject}/{key.name}" for key in self._keys}
        self._keys.clear()
        return found

    def hold(self) -> Hold:
        (spare,) = self.pool.spares("sales", "enricher")
        return spare.hold

    def ahead(self, name: str) -> int:
        return self.pool.ahead("sales", "enricher", name)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_how_a_pod_is_held_is_how_its_task_stands(heard: Heard) -> None:
    heard.pods.wrote("sales", POD)
    assert heard.hold() is Hold.FREE
    heard.pods.wrote("sales", CLAIMED)
    assert heard.hold() is Hold.LOST
    heard.task("t1")
    assert heard.hold() is Hold.HELD
    heard.task("t1", RECORDED)
    assert heard.hold() is Hold.HELD
    heard.task("t1", RESULT)
    assert heard.hold() is Hold.FREE
    heard.task("t1", OVERDUE)
    assert heard.hold() is Hold.SPENT
    heard.task("t1", uid="another")
    assert heard.hold() is Hold.LOST


def test_a_task_that_handed_in_its_result_and_is_gone_keeps_no_pod(heard: Heard) -> None:
    heard.pods.wrote("sales", CLAIMED)
    heard.task("t1", RESULT)
    heard.take()
    heard.objects.forget("Task", "sales", "t1", "t1-uid")
    assert heard.hold() is Hold.FREE
    assert "Agent/enricher" not in heard.take()
    # One that was kept warm is used once, and goes.
    heard.pods.wrote("sales", replace(CLAIMED, version="3", owner=PodOwner.AGENT))
    assert heard.hold() is Hold.LOST
    assert "Agent/enricher" in heard.take()


def test_the_agent_of_a_pod_hears_that_its_task_is_gone(heard: Heard) -> None:
    heard.pods.wrote("sales", CLAIMED)
    heard.task("t1", RECORDED)
    heard.take()
    heard.objects.forget("Task", "sales", "t1", "t1-uid")
    assert "Agent/enricher" in heard.take()


def test_it_hears_of_a_pod_that_is_claimed_for_a_task_that_is_gone_already(heard: Heard) -> None:
    heard.pods.wrote("sales", POD)
    heard.take()
    heard.pods.wrote("sales", CLAIMED)
    assert heard.take() == {"Agent/enricher"}


def test_priority_and_then_age_say_who_comes_first(heard: Heard) -> None:
    for name, priority in (("t1", 0), ("t2", 5), ("t3", 0)):
        heard.task(name, priority=priority)
    assert [heard.ahead(name) for name in ("t2", "t1", "t3", "unknown")] == [0, 1, 2, 3]


def test_those_that_need_no_pod_of_the_pool_are_in_nobodys_way(heard: Heard) -> None:
    heard.task("a-pinned", revision="enricher-0")
    heard.task("b-recorded", RECORDED)
    heard.task("c-claims")
    heard.task("t1")
    heard.task("t9", revision="enricher-1")
    heard.pods.wrote("sales", CLAIMED)
    with heard.pool.claiming("sales", POD, "c-claims"):
        assert heard.ahead("t9") == 0
        assert heard.pool.unclaimed("sales", "enricher") == ()
    assert heard.ahead("t9") == 1
    assert len(heard.pool.unclaimed("sales", "enricher")) == 1


def test_as_many_of_those_that_wait_are_woken_as_there_are_pods(heard: Heard) -> None:
    for name in ("t1", "t2", "t3", "t4"):
        heard.task(name)
    heard.take()
    heard.pods.wrote("sales", POD)
    assert heard.take() == {"Task/t1"}
    heard.pods.wrote("sales", CLAIMED)
    heard.task("t1", RECORDED)
    heard.take()
    heard.task("t1", RESULT)
    assert heard.take() == {"Task/t2"}


def test_nobody_waits_for_pods_that_are_kept_warm(heard: Heard) -> None:
    heard.task("t1")
    heard.pods.wrote("sales", replace(POD, owner=PodOwner.AGENT))
    assert heard.take() == set()
