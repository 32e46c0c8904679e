"""Agent pods and the nodes that they are on, and which Tasks a change of one of them concerns."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Touch
from aos.controllers.watched import Cache, Watched
from aos.kube.client import ApiClient, Selection
from aos.kube.resources import NODES, PODS
from aos.model.meta import ObjectKey
from aos.model.names import LABEL_AGENT, LABEL_MANAGED_BY, LABEL_TASK, MANAGED_BY
from aos.reconcile.observed_pod import ObservedNode, ObservedPod, observe_node, observe_pod
from aos.reconcile.users import handlers_with_own_users

K = TypeVar("K")
V = TypeVar("V")

_SELECTION: Final = Selection(label_selector=f"{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_AGENT},{LABEL_TASK}")


class Pods:
    """Caches of agent pods and of nodes."""

    def __init__(self, client: ApiClient, touch: Touch) -> None:
        """Make empty caches; ``touch`` hears of the Tasks whose pods or nodes changed."""
        self._touch = touch
        self._of_task: dict[tuple[str, str], set[str]] = {}
        self._on_node: dict[str, set[tuple[str, str]]] = {}
        self._pods = Watched(client, PODS, observe_pod, self._pod_changed, _SELECTION)
        self._nodes = Watched(client, NODES, observe_node, self._node_changed)
        self._own_users: frozenset[str] | None = None

    def caches(self) -> Iterable[Cache]:
        """Return what is to be run."""
        return (self._pods, self._nodes)

    def of_task(self, namespace: str, task: str) -> tuple[ObservedPod, ...]:
        """Return the pods whose label names the Task."""
        names = sorted(self._of_task.get((namespace, task), ()))
        found = (self._pods.get(namespace, name) for name in names)
        return tuple(pod for pod in found if pod is not None)

    def nodes_of(self, pods: Sequence[ObservedPod]) -> dict[str, ObservedNode]:
        """Return the nodes that the pods are on, as far as they are there."""
        found = {pod.node: self._nodes.get("", pod.node) for pod in pods if pod.node}
        return {name: node for name, node in found.items() if node is not None}

    def handlers_with_own_users(self) -> frozenset[str]:
        """Return the runtime handlers that can give a pod users of its own wherever it may land."""
        if self._own_users is None:
            self._own_users = handlers_with_own_users(self._nodes.values())
        return self._own_users

    def _pod_changed(self, key: ObjectKey, old: ObservedPod | None, new: ObservedPod | None) -> None:
        for pod in (old, new):
            if pod is None:
                continue
            task = (key.namespace, pod.task)
            _move(self._of_task, task, key.name, present=pod is new)
            if pod.node:
                _move(self._on_node, pod.node, task, present=pod is new)
            self._touch(Key(Subject.TASK, key.namespace, pod.task))

    def _node_changed(self, key: ObjectKey, old: ObservedNode | None, new: ObservedNode | None) -> None:
        self._own_users = None
        if old is not None and new is not None and old.is_ready == new.is_ready:
            return
        for namespace, task in self._on_node.get(key.name, ()):
            self._touch(Key(Subject.TASK, namespace, task))


def _move(index: dict[K, set[V]], key: K, value: V, *, present: bool) -> None:
    if present:
        index.setdefault(key, set()).add(value)
    elif key in index:
        index[key].discard(value)
        if not index[key]:
            del index[key]
