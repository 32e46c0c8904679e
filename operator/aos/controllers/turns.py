"""Whose turn it is to get a pod: who waits for room in the cluster or in a namespace's quota, and who is woken when there is some."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Touch
from aos.controllers.store import Change
from aos.controllers.task_facts import TaskFacts
from aos.reconcile.observed_pod import ObservedPod
from aos.reconcile.turns import Shortage, Turn, Waiter, in_turn


class Turns:
    """Tasks that only wait for room. It is kept in memory: a new leader hears of all of them, as each asks again.

    Where a namespace's quota is full its Tasks are tried one after the other, first to last, and again when a pod of it ends
    or after a while; nobody is skipped for good, since a smaller pod may fit where a larger one does not.
    """

    def __init__(
        self,
        bound: int,
        running: Callable[[], Mapping[str, int]],
        idle: Callable[[], int],
        touch: Touch,
        make_way: Callable[[], None],
    ) -> None:
        """Begin with nobody waiting.

        Args:
            bound: pods that may run at once; 0 for any number.
            running: tells the pods of Tasks that run, by namespace.
            idle: tells how many pods are kept warm.
            touch: hears of the work that room makes.
            make_way: called when a Task waits for room that warm pods take.
        """
        self._bound = bound
        self._counted = running
        self._idle = idle
        self._touch = touch
        self._make_way = make_way
        self._waiting: dict[str, dict[str, Waiter]] = {}
        self._for_room: set[tuple[str, str]] = set()
        self._under_way: set[tuple[str, str]] = set()
        self._warming: Counter[str] = Counter()
        self._tried: dict[str, set[str]] = {}
        self._unfilled: set[tuple[str, str]] = set()

    def ask(self, waiter: Waiter) -> Turn | None:
        """Return why a Task may not have its pod yet; None if it may, and room is kept for it until `got`, `refused` or `leave`."""
        key = waiter.namespace, waiter.name
        self._waiting.setdefault(waiter.namespace, {})[waiter.name] = waiter
        turn = self._turn_in_quota(waiter) or self._turn_in_cluster(waiter)
        if turn is None:
            self._drop(key)
            self._under_way.add(key)
        elif turn.shortage is Shortage.ROOM and key not in self._for_room:
            self._for_room.add(key)
            if self._idle():
                self._make_way()
        return turn

    def got(self, namespace: str, name: str) -> None:
        """Take note that a Task's pod is there."""
        self._under_way.discard((namespace, name))
        if namespace in self._tried:
            self._tried[namespace].clear()
            self._touch_next(namespace)

    def refused(self, waiter: Waiter) -> None:
        """Take note that the namespace's quota is full."""
        self._under_way.discard((waiter.namespace, waiter.name))
        self._waiting.setdefault(waiter.namespace, {})[waiter.name] = waiter
        self._tried.setdefault(waiter.namespace, set()).add(waiter.name)
        self._touch_next(waiter.namespace)
        self._wake()

    def leave(self, namespace: str, name: str) -> None:
        """Take note that a Task does not wait for room, whatever becomes of it."""
        key = namespace, name
        if name not in self._waiting.get(namespace, ()) and key not in self._under_way:
            return
        self._drop(key)
        self._under_way.discard(key)
        self._touch_next(namespace)
        self._wake()

    def freed(self, namespace: str) -> None:
        """Take note that a pod ended or is gone."""
        if namespace in self._tried:
            self._tried[namespace].clear()
            self._touch_next(namespace)
        self._wake()

    def pod_changed(self, namespace: str, old: ObservedPod | None, new: ObservedPod | None) -> None:
        """Take note of a change of a pod; one that ends or goes makes room."""
        if old is not None and not old.has_ended and (new is None or new.has_ended or new.uid != old.uid):
            self.freed(namespace)

    def task_changed(self, change: Change[TaskFacts]) -> None:
        """Take note of a change of a Task; one that is gone waits for nothing."""
        if change.after is None:
            self.leave(change.namespace, change.name)

    def warm_room(self, namespace: str, agent: str, asked: int) -> int | None:
        """Return how many more pods an agent that asks for them may have kept warm; negative where they are in the way of Tasks."""
        room = self._room()
        if room is None:
            return None
        if self._for_room:
            room = -self._idle()
        if room < asked:
            self._unfilled.add((namespace, agent))
        return room if self._for_room else max(room, 0)

    def take_warm(self, namespace: str) -> bool:
        """Return whether there is room for one more warm pod, and keep it until `warmed`."""
        room = self._room()
        if room is not None and (room <= 0 or self._for_room):
            return False
        self._warming[namespace] += 1
        return True

    def warmed(self, namespace: str) -> None:
        """Take note that a warm pod was created or refused."""
        self._warming[namespace] -= 1

    def _room(self) -> int | None:
        if not self._bound:
            return None
        taken = sum(self._counted().values()) + self._idle() + len(self._under_way) + self._warming.total()
        return self._bound - taken

    def _turn_in_quota(self, waiter: Waiter) -> Turn | None:
        tried = self._tried.get(waiter.namespace)
        if tried is None:
            return None
        tried.discard(waiter.name)
        line = self._waiting[waiter.namespace].values()
        ahead = sum(one.order < waiter.order and one.name not in tried for one in line)
        is_another_tried = any(namespace == waiter.namespace for namespace, _ in self._under_way)
        return Turn(Shortage.QUOTA, ahead) if ahead or is_another_tried else None

    def _turn_in_cluster(self, waiter: Waiter) -> Turn | None:
        room = self._room()
        if room is None:
            return None
        ahead = 0
        for one in self._in_turn():
            if one == waiter:
                break
            ahead += 1
        return None if ahead < room else Turn(Shortage.ROOM, ahead)

    def _in_turn(self) -> Iterable[Waiter]:
        running = Counter(self._counted())
        running.update(namespace for namespace, _ in self._under_way)
        return in_turn({namespace: self._line(namespace) for namespace in self._waiting}, running)

    def _line(self, namespace: str) -> Iterable[Waiter]:
        """Return who of a namespace could be helped by room: where the quota is full, one at a time."""
        if namespace not in self._tried:
            return self._waiting[namespace].values()
        found = self._next(namespace)
        return (found,) if found is not None else ()

    def _next(self, namespace: str) -> Waiter | None:
        """Return who of a namespace is to be tried next, where the quota is full."""
        tried = self._tried[namespace]
        line = (one for one in self._waiting.get(namespace, {}).values() if one.name not in tried)
        return min(line, key=lambda one: one.order, default=None)

    def _touch_next(self, namespace: str) -> None:
        if namespace not in self._tried:
            return
        found = self._next(namespace)
        if found is not None:
            self._touch(Key(Subject.TASK, namespace, found.name))
        elif namespace not in self._waiting:
            del self._tried[namespace]

    def _wake(self) -> None:
        room = self._room()
        if room is None:
            return
        for one in islice(self._in_turn(), max(room, 0)):
            self._touch(Key(Subject.TASK, one.namespace, one.name))
        if not self._for_room and room > 0:
            for namespace, agent in self._unfilled:
                self._touch(Key(Subject.AGENT, namespace, agent))
            self._unfilled.clear()

    def _drop(self, key: tuple[str, str]) -> None:
        namespace, name = key
        self._for_room.discard(key)
        line = self._waiting.get(namespace, {})
        line.pop(name, None)
        if not line:
            self._waiting.pop(namespace, None)
