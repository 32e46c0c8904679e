"""Pods that were there before any Task: which are free, for whom, and who is told when one is."""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Objects, Touch
from aos.controllers.pods import Pods
from aos.controllers.store import Change, Entry
from aos.controllers.task_facts import TaskFacts
from aos.reconcile.claim import Hold, Spare
from aos.reconcile.observed_pod import ObservedPod, PodOwner
from aos.reconcile.warm import is_loose

MAX_REMEMBERED_TASKS: Final = 10_000
"""Tasks that handed in a result and are gone, which are remembered: the pod of another one would be deleted for nothing."""


class Pool:
    """What Tasks and Agents ask of such pods."""

    def __init__(self, objects: Objects, pods: Pods, touch: Touch) -> None:
        """Listen to what changes.

        Args:
            objects: the AOS objects.
            pods: agent pods.
            touch: hears of the Tasks that may get a pod, and of the Agents whose pods are nobody's.
        """
        self._objects = objects
        self._pods = pods
        self._touch = touch
        self._done: OrderedDict[str, None] = OrderedDict()
        self._claiming: dict[str, tuple[str, str]] = {}
        objects.on_task_change(self._task_changed)
        pods.on_change(self._pod_changed)

    def spares(self, namespace: str, agent: str) -> tuple[Spare, ...]:
        """Return the agent's pods that were made before they had a Task."""
        return tuple(Spare(pod, self._hold(namespace, pod)) for pod in self._pods.of_agent(namespace, agent))

    def unclaimed(self, namespace: str, agent: str) -> tuple[Spare, ...]:
        """Return the same without those that are being claimed just now."""
        return tuple(spare for spare in self.spares(namespace, agent) if spare.pod.uid not in self._claiming)

    def _hold(self, namespace: str, pod: ObservedPod) -> Hold:
        """Return how the Task stands that a pod is claimed for."""
        claim = pod.claim
        if claim is None:
            return Hold.FREE
        entry = self._objects.tasks.entry(namespace, claim.task)
        if entry is None or entry.uid != claim.uid:
            return Hold.FREE if pod.is_service and claim.uid in self._done else Hold.LOST
        if entry.facts is not None and entry.facts.has_result:
            return Hold.FREE
        return Hold.SPENT if entry.facts is not None and entry.facts.ended_at is not None else Hold.HELD

    def ahead(self, namespace: str, agent: str, task: str) -> int:
        """Return how many Tasks of the agent wait for a pod and come before this one."""
        found = self._line(namespace, agent)
        return next((place for place, name in enumerate(found) if name == task), len(found))

    @contextlib.contextmanager
    def claiming(self, namespace: str, pod: ObservedPod, task: str) -> Iterator[None]:
        """Keep a pod from other Tasks of this process while its claim is under way; the API server keeps it from all others."""
        self._claiming[pod.uid] = namespace, task
        try:
            yield
        finally:
            del self._claiming[pod.uid]

    def _line(self, namespace: str, agent: str) -> list[str]:
        """Return the names of the Tasks that wait for a pod of the agent, first to last."""
        under_way = set(self._claiming.values())
        entry = self._objects.agents.entry(namespace, agent)
        current = entry.facts.revision if entry is not None and entry.facts is not None else ""
        found = [
            (facts.order, name)
            for name, facts in self._objects.tasks_of(namespace, agent)
            # One that has to run another revision gets a pod of its own.
            if facts.is_waiting
            and facts.pinned in ("", current)
            and (namespace, name) not in under_way
            and not self._pods.of_task(namespace, name)
        ]
        return [name for _, name in sorted(found)]

    def _task_changed(self, change: Change[TaskFacts]) -> None:
        before, after = change.before, change.after
        if before is not None and (after is None or after.uid != before.uid):
            self._gone(change, before)
        seen = [
            (entry.facts.is_waiting, entry.facts.has_result) if entry and entry.facts else None
            for entry in (before, after)
        ]
        if seen[0] is not None and seen[0] != seen[1]:
            for agent in {facts.agent for facts in change.facts()}:
                self._touch_line(change.namespace, agent)

    def _gone(self, change: Change[TaskFacts], entry: Entry[TaskFacts]) -> None:
        if entry.facts is not None and entry.facts.has_result:
            self._done[entry.uid] = None
            if len(self._done) > MAX_REMEMBERED_TASKS:
                self._done.popitem(last=False)
        for pod in self._pods.of_task(change.namespace, change.name):
            self._touch_if_lost(change.namespace, pod)

    def _touch_if_lost(self, namespace: str, pod: ObservedPod) -> None:
        """Ask for a reconcile of the Agent of a pod whose Task is gone: it may still be at work for it."""
        if is_loose(pod) and self._hold(namespace, pod) is Hold.LOST:
            self._touch(Key(Subject.AGENT, namespace, pod.agent))

    def _pod_changed(self, namespace: str, old: ObservedPod | None, new: ObservedPod | None) -> None:
        pod = new or old
        if pod is not None and pod.agent_uid and pod.owner is not PodOwner.TASK:
            self._touch_line(namespace, pod.agent)
        if new is not None:
            self._touch_if_lost(namespace, new)

    def _touch_line(self, namespace: str, agent: str) -> None:
        """Ask for a reconcile of as many waiting Tasks as there may be pods for."""
        if not self._has_service(namespace, agent):
            return
        count = len(self._pods.of_agent(namespace, agent))
        for name in self._line(namespace, agent)[:count]:
            self._touch(Key(Subject.TASK, namespace, name))

    def _has_service(self, namespace: str, agent: str) -> bool:
        return any(pod.is_service for pod in self._pods.of_agent(namespace, agent))
