"""Agent pods and the nodes that they are on, and which work a change of one of them makes."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Touch
from aos.controllers.watched import Cache, Watched
from aos.kube.client import ApiClient, Selection
from aos.kube.resources import NODES, PODS
from aos.model.meta import ObjectKey
from aos.model.names import LABEL_AGENT, LABEL_MANAGED_BY, MANAGED_BY
from aos.reconcile.observed_pod import ObservedNode, ObservedPod, PodOwner, observe_node, observe_pod
from aos.reconcile.users import handlers_with_own_users

K = TypeVar("K")
V = TypeVar("V")
PodListener = Callable[[str, ObservedPod | None, ObservedPod | None], None]
"""Told the namespace of a pod that changed, and what it was and is."""

OWN_WRITE_SECONDS: Final = 30.0
"""For so long what a write came back with is believed before the watch has told of it."""
_SELECTION: Final = Selection(label_selector=f"{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_AGENT}")


class Pods:
    """Caches of agent pods and of nodes; what the operator wrote itself is seen at once."""

    def __init__(
        self, client: ApiClient, touch: Touch, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Make empty caches.

        Args:
            client: where from.
            touch: hears of the Tasks and Agents whose pods or nodes changed.
            monotonic: a clock.
        """
        self._touch = touch
        self._monotonic = monotonic
        self._listeners: list[PodListener] = []
        self._written: dict[tuple[str, str], tuple[ObservedPod, float]] = {}
        self._known: dict[tuple[str, str], ObservedPod] = {}
        self._of_task: dict[tuple[str, str], set[str]] = {}
        self._of_agent: dict[tuple[str, str], set[str]] = {}
        self._on_node: dict[str, set[tuple[str, str]]] = {}
        self._running: Counter[str] = Counter()
        self._idle: Counter[tuple[str, str]] = Counter()
        self._pods = Watched(client, PODS, observe_pod, self._pod_changed, _SELECTION)
        self._nodes = Watched(client, NODES, observe_node, self._node_changed)
        self._own_users: frozenset[str] | None = None

    def caches(self) -> Iterable[Cache]:
        """Return what is to be run."""
        return (self._pods, self._nodes)

    def on_change(self, listener: PodListener) -> None:
        """Call ``listener`` when anything of a pod changes that reconciles ask for."""
        self._listeners.append(listener)

    def of_task(self, namespace: str, task: str) -> tuple[ObservedPod, ...]:
        """Return the pods whose label or claim names the Task."""
        return self._named(namespace, self._of_task.get((namespace, task), ()))

    def of_agent(self, namespace: str, agent: str) -> tuple[ObservedPod, ...]:
        """Return the pods of the agent that were made before they had a Task."""
        return self._named(namespace, self._of_agent.get((namespace, agent), ()))

    @property
    def running(self) -> Mapping[str, int]:
        """How many pods of Tasks run, by namespace; those of Services are not counted."""
        return self._running

    @property
    def idle(self) -> int:
        """How many pods are kept warm."""
        return self._idle.total()

    def agents_with_idle_pods(self) -> tuple[tuple[str, str], ...]:
        """Return namespace and name of the agents for which pods are kept warm."""
        return tuple(self._idle)

    def wrote(self, namespace: str, pod: ObservedPod) -> None:
        """Take what a write or a read of the API server came back with, until the watch tells of it."""
        now = self._monotonic()
        for key, (_, until) in tuple(self._written.items()):
            if until >= now:
                break
            # The watch never told of it: it may have come and gone in a gap.
            self._look(*key)
        self._written.pop((namespace, pod.name), None)
        self._written[namespace, pod.name] = pod, now + OWN_WRITE_SECONDS
        self._look(namespace, pod.name)

    def gone(self, namespace: str, name: str) -> None:
        """Take note that the API server has no such pod; the watch will tell."""
        self._written.pop((namespace, name), None)
        self._look(namespace, name)

    def nodes_of(self, pods: Sequence[ObservedPod]) -> dict[str, ObservedNode]:
        """Return the nodes that the pods are on, as far as they are there."""
        found = {pod.node: self._nodes.get("", pod.node) for pod in pods if pod.node}
        return {name: node for name, node in found.items() if node is not None}

    def handlers_with_own_users(self) -> frozenset[str]:
        """Return the runtime handlers that can give a pod users of its own wherever it may land."""
        if self._own_users is None:
            self._own_users = handlers_with_own_users(self._nodes.values())
        return self._own_users

    def _named(self, namespace: str, names: Iterable[str]) -> tuple[ObservedPod, ...]:
        found = (self._get(namespace, name) for name in sorted(names))
        return tuple(pod for pod in found if pod is not None)

    def _get(self, namespace: str, name: str) -> ObservedPod | None:
        watched = self._pods.get(namespace, name)
        own = self._written.get((namespace, name))
        if own is None:
            return watched
        pod, until = own
        is_old = until < self._monotonic() or (watched is not None and _version(watched) >= _version(pod))
        return watched if is_old else pod

    def _pod_changed(self, key: ObjectKey, _old: ObservedPod | None, new: ObservedPod | None) -> None:
        if new is None:
            self._written.pop((key.namespace, key.name), None)
        self._look(key.namespace, key.name)

    def _look(self, namespace: str, name: str) -> None:
        """Keep the look-ups in step with a pod, and tell of its change."""
        key = namespace, name
        old, new = self._known.pop(key, None), self._get(namespace, name)
        if key in self._written and self._written[key][0] is not new:
            del self._written[key]
        if new is not None:
            self._known[key] = new
        if old == new:
            return
        for pod in (old, new):
            if pod is not None:
                self._index(namespace, pod, present=pod is new)
        for subject in {*_concerned(namespace, old, new), *_concerned(namespace, new, old)}:
            self._touch(subject)
        for listener in self._listeners:
            listener(namespace, old, new)

    def _index(self, namespace: str, pod: ObservedPod, *, present: bool) -> None:
        task, agent = (namespace, pod.done_by), (namespace, pod.agent)
        if pod.done_by:
            _move(self._of_task, task, pod.name, present=present)
        if pod.agent_uid:
            _move(self._of_agent, agent, pod.name, present=present)
        if pod.node and pod.done_by:
            _move(self._on_node, pod.node, task, present=present)
        if pod.is_service or pod.has_ended:
            return
        if is_idle(pod):
            _count(self._idle, agent, present=present)
        else:
            _count(self._running, namespace, present=present)

    def _node_changed(self, key: ObjectKey, old: ObservedNode | None, new: ObservedNode | None) -> None:
        self._own_users = None
        if old is not None and new is not None and old.is_ready == new.is_ready:
            return
        for namespace, task in self._on_node.get(key.name, ()):
            self._touch(Key(Subject.TASK, namespace, task))


def is_idle(pod: ObservedPod) -> bool:
    """Whether the pod is kept warm and claimed for no Task."""
    return pod.owner is PodOwner.AGENT and pod.claim is None


def _concerned(namespace: str, pod: ObservedPod | None, other: ObservedPod | None) -> Iterable[Key]:
    if pod is None:
        return
    if pod.done_by:
        yield Key(Subject.TASK, namespace, pod.done_by)
    if pod.agent_uid and _of_pool(pod) != _of_pool(other):
        yield Key(Subject.AGENT, namespace, pod.agent)


def _of_pool(pod: ObservedPod | None) -> tuple[object, ...]:
    """Return what an Agent looks at of a pod that was made before it had a Task."""
    if pod is None:
        return ()
    problem = pod.unschedulable or pod.image_problem or pod.waiting
    claim = None if pod.is_service else pod.claim
    return pod.uid, pod.revision, pod.owner, claim, pod.is_ready, pod.is_deleting, pod.has_ended, problem


def _version(pod: ObservedPod) -> int:
    return int(pod.version) if pod.version.isdecimal() else 0


def _count(counter: Counter[K], key: K, *, present: bool) -> None:
    counter[key] += 1 if present else -1
    if not counter[key]:
        del counter[key]


def _move(index: dict[K, set[V]], key: K, value: V, *, present: bool) -> None:
    if present:
        index.setdefault(key, set()).add(value)
    elif key in index:
        index[key].discard(value)
        if not index[key]:
            del index[key]
