"""Who gets a pod when there is not room for all, and who is woken when there is."""

from collections import Counter
from datetime import timedelta

import pytest

from aos.controllers.keys import Key
from aos.controllers.turns import Turns
from aos.reconcile.observed_pod import ObservedPod, PodPhase
from aos.reconcile.turns import Shortage, Turn, Waiter
from tests.unit.reconcile.make import NOW


class Room:
    """Turns with counted pods, and the keys that they asked for."""

    def __init__(self, bound: int) -> None:
        self.running: Counter[str] = Counter()
        self.idle = 0
        self.made_way = 0
        self._keys: list[Key] = []
        self.turns = Turns(bound, lambda: self.running, lambda: self.idle, self._keys.append, self._make_way)

    def _make_way(self) -> None:
        self.made_way += 1

    def take(self) -> list[str]:
        """Return what was asked for since the last call."""
        found = [f"{key.namespace}/{key.name}" for key in self._keys]
        self._keys.clear()
        return found

    def started(self, waiter: Waiter) -> None:
        """Do as a Task does whose pod is there."""
        self.running[waiter.namespace] += 1
        self.turns.got(waiter.namespace, waiter.name)

    def ended(self, namespace: str) -> None:
        """Do as the cache of pods does when one ends."""
        self.running[namespace] -= 1
        pod = ObservedPod("p", "u", phase=PodPhase.RUNNING)
        self.turns.pod_changed(namespace, pod, None)


def waiter(namespace: str, name: str, age_seconds: int = 0, priority: int = 0) -> Waiter:
    return Waiter(namespace, name, priority, NOW - timedelta(seconds=age_seconds))


def test_without_a_bound_everybody_goes_at_once() -> None:
    room = Room(0)
    assert [room.turns.ask(waiter("a", f"t{number}")) for number in range(3)] == [None] * 3
    assert room.take() == []


def test_room_that_is_kept_for_one_is_nobody_elses() -> None:
    room = Room(1)
    first, second = waiter("a", "t1"), waiter("a", "t2")
    assert room.turns.ask(first) is None
    assert room.turns.ask(second) == Turn(Shortage.ROOM, 0)
    room.started(first)
    assert room.turns.ask(second) == Turn(Shortage.ROOM, 0)
    assert room.take() == []
    room.ended("a")
    assert room.take() == ["a/t2"]
    assert room.turns.ask(second) is None


def test_room_that_was_not_used_is_given_on() -> None:
    room = Room(1)
    assert room.turns.ask(waiter("a", "t1")) is None
    assert room.turns.ask(waiter("a", "t2")) is not None
    room.turns.leave("a", "t1")
    assert room.take() == ["a/t2"]


def test_the_namespace_in_which_the_fewest_run_comes_first() -> None:
    room = Room(2)
    for name in ("t1", "t2"):
        assert room.turns.ask(waiter("a", name, 100)) is None
        room.started(waiter("a", name))
    assert room.turns.ask(waiter("a", "t3", 50)) == Turn(Shortage.ROOM, 0)
    assert room.turns.ask(waiter("b", "late")) == Turn(Shortage.ROOM, 0)
    assert room.turns.ask(waiter("a", "t3", 50)) == Turn(Shortage.ROOM, 1)
    room.ended("a")
    assert room.take() == ["b/late"]
    # It asks, and is not served, before the other one has.
    assert room.turns.ask(waiter("a", "t3", 50)) == Turn(Shortage.ROOM, 1)
    assert room.turns.ask(waiter("b", "late")) is None


def test_who_waits_no_more_is_in_nobodys_way() -> None:
    room = Room(1)
    assert room.turns.ask(waiter("a", "t1")) is None
    room.started(waiter("a", "t1"))
    for name in ("t2", "t3"):
        assert room.turns.ask(waiter("a", name, int(name[1:]) * -1)) is not None
    room.turns.leave("a", "t2")
    room.ended("a")
    assert room.take()[-1] == "a/t3"
    assert room.turns.ask(waiter("a", "t3", -3)) is None


def test_where_a_quota_is_full_tasks_are_tried_one_after_the_other_first_to_last() -> None:
    room = Room(0)
    line = [waiter("a", f"t{number}", 10 - number) for number in range(3)]
    assert room.turns.ask(line[0]) is None
    room.turns.refused(line[0])
    # The others are not tried before those that come before them were.
    assert room.turns.ask(line[2]) is None
    assert room.turns.ask(line[1]) == Turn(Shortage.QUOTA, 0)
    room.turns.refused(line[2])
    assert room.take() == ["a/t1"]
    assert room.turns.ask(line[1]) is None
    room.turns.refused(line[1])
    assert room.take() == []
    # A new round: the first again.
    room.ended("a")
    assert room.take() == ["a/t0"]
    assert room.turns.ask(line[1]) == Turn(Shortage.QUOTA, 1)
    assert room.turns.ask(line[0]) is None
    room.started(line[0])
    assert room.take() == ["a/t1"]
    assert room.turns.ask(waiter("b", "free")) is None


def test_a_namespace_whose_quota_is_full_keeps_no_room_from_others() -> None:
    room = Room(2)
    blocked = [waiter("a", f"t{number}", 100) for number in range(5)]
    assert room.turns.ask(blocked[0]) is None
    room.turns.refused(blocked[0])
    for one in blocked[1:]:
        while room.turns.ask(one) is None:
            room.turns.refused(one)
            break
    assert room.turns.ask(waiter("b", "free")) is None


def test_a_quota_that_nobody_waits_for_is_forgotten() -> None:
    room = Room(0)
    assert room.turns.ask(waiter("a", "t1")) is None
    room.turns.refused(waiter("a", "t1"))
    room.turns.leave("a", "t1")
    assert room.turns.ask(waiter("a", "t2")) is None
    assert room.turns.ask(waiter("a", "t3")) is None


def test_warm_pods_take_what_room_is_left_and_make_way_for_tasks() -> None:
    room = Room(2)
    assert room.turns.warm_room("a", "enricher", 3) == 2
    for _ in range(2):
        assert room.turns.take_warm("a")
    assert not room.turns.take_warm("a")
    for _ in range(2):
        room.turns.warmed("a")
        room.idle += 1
    assert room.turns.ask(waiter("b", "t1")) == Turn(Shortage.ROOM, 0)
    assert room.made_way == 1
    assert room.turns.warm_room("a", "enricher", 3) == -2
    room.idle = 0
    room.turns.pod_changed("a", ObservedPod("p", "u"), None)
    assert room.take() == ["b/t1"]
    assert not room.turns.take_warm("a")
    assert room.turns.ask(waiter("b", "t1")) is None
    room.started(waiter("b", "t1"))
    room.ended("b")
    assert room.take() == ["a/enricher"]
    assert room.turns.warm_room("a", "enricher", 2) == 2
    assert Room(0).turns.warm_room("a", "enricher", 2) is None


@pytest.mark.parametrize(
    ("old", "new", "is_freed"),
    [
        (ObservedPod("p", "u"), None, True),
        (ObservedPod("p", "u"), ObservedPod("p", "v"), True),
        (ObservedPod("p", "u"), ObservedPod("p", "u", phase=PodPhase.SUCCEEDED), True),
        (ObservedPod("p", "u"), ObservedPod("p", "u", is_ready=True), False),
        (ObservedPod("p", "u", phase=PodPhase.FAILED), None, False),
        (None, ObservedPod("p", "u"), False),
    ],
)
def test_room_comes_when_a_pod_ends_or_goes(
    old: ObservedPod | None, new: ObservedPod | None, *, is_freed: bool
) -> None:
    room = Room(1)
    room.running["a"] = 1
    assert room.turns.ask(waiter("a", "t1")) is not None
    room.running.clear()
    room.turns.pod_changed("a", old, new)
    assert room.take() == (["a/t1"] if is_freed else [])
