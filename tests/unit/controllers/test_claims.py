"""No two Tasks are ever given one pod, whatever operators do at the same time and however stale what they know.

The API server is a small one that keeps versions as the real one does. Two operators lead at once, which is worse than any
failover: their requests and answers are held up, lost and overtaken, and they hear of changes late or never.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import cast

import pytest

from aos.controllers import tasks
from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Objects
from aos.controllers.pods import Pods
from aos.controllers.pool import Pool
from aos.controllers.turns import Turns
from aos.controllers.world import World
from aos.kube.client import ApiClient
from aos.kube.errors import Conflict, NotFound, Target, Unavailable
from aos.kube.objects import child, text
from aos.model.base import JsonObject
from aos.model.task import Task
from aos.reconcile.guard import Guard
from aos.reconcile.observed_pod import ObservedPod, observe_pod
from aos.reconcile.plan import Deletion, PodChange
from aos.reconcile.revision import ObservedRevision
from tests.unit.reconcile.make import NOW, PLATFORM, SETTINGS, condition, ready_agent

TARGET = Target("do", "things")
NAMES = ("t1", "t2", "t3")
SEEDS = 60
STEPS = 80
SERVICE: JsonObject = {"runtime": {"mode": "Service", "replicas": 2}}
WARM: JsonObject = {"runtime": {"warm": 2}}


def merged(old: JsonObject, patch: JsonObject) -> JsonObject:
    found = dict(old)
    for name, value in patch.items():
        before = found.get(name)
        found[name] = (
            merged(before if isinstance(before, dict) else {}, value) if isinstance(value, dict) else value
        )
    return found


class Server:
    """Tasks and pods with versions; a write against another version is a conflict."""

    def __init__(self, spec: JsonObject) -> None:
        self.agent = ready_agent(spec)
        self.is_service = "mode" in cast("JsonObject", spec["runtime"])
        self._versions = count(100)
        self.tasks: dict[str, JsonObject] = {}
        self.pods: dict[str, JsonObject] = {}
        self.spoilt: dict[str, str] = {}
        for name in NAMES:
            self.make_task(name)
        for number in range(2):
            self.make_pod(f"p{number}")

    def version(self) -> str:
        return str(next(self._versions))

    def make_task(self, name: str) -> None:
        version = self.version()
        metadata: JsonObject = {
            "name": name,
            "namespace": "sales",
            "uid": f"{name}-{version}",
            "resourceVersion": version,
            "generation": 1,
            "creationTimestamp": "2026-01-02T03:03:55Z",
        }
        self.tasks[name] = {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": "Task",
            "metadata": metadata,
            "spec": {"agentRef": {"name": "enricher"}},
        }

    def make_pod(self, name: str) -> None:
        owner: JsonObject = {"apiVersion": "aos.dev/v1alpha1", "kind": "Agent", "name": "enricher"}
        if self.is_service:
            owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r"}
        version = self.version()
        self.pods[name] = {
            "metadata": {
                "name": name,
                "namespace": "sales",
                "uid": f"{name}-{version}",
                "resourceVersion": version,
                "labels": {"aos.dev/agent": "enricher"},
                "annotations": {
                    "aos.dev/agent-uid": "enricher-uid",
                    "aos.dev/revision": self.agent.status.revision,
                },
                "ownerReferences": [{**owner, "uid": "enricher-uid", "controller": True}],
            },
            "spec": {"serviceAccountName": "aos-agent-enricher"},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }

    def task(self, name: str) -> Task:
        return Task.parse(self.tasks[name])

    def change_task(self, name: str, status: JsonObject) -> JsonObject:
        old = self.tasks[name]
        metadata = {**child(old, "metadata"), "resourceVersion": self.version()}
        self.tasks[name] = {**old, "metadata": metadata, "status": {**child(old, "status"), **status}}
        return self.tasks[name]

    def delete_task(self, name: str) -> None:
        self.spoil(name)
        del self.tasks[name]

    def spoil(self, name: str) -> None:
        """Remember that the pod of a Task which ended without a result may still be at work for it."""
        task = self.task(name)
        if task.status.pod is not None and task.status.result is None:
            self.spoilt[task.status.pod.uid] = task.metadata.uid

    def check(self) -> None:
        """Check that no pod is given to two Tasks, nor one that may still be at work for another."""
        given_: dict[str, list[str]] = {}
        for task in map(Task.parse, self.tasks.values()):
            if task.status.pod is not None:
                uid = task.status.pod.uid
                assert not task.open or self.spoilt.get(uid, task.metadata.uid) == task.metadata.uid
                if task.open or not self.is_service:
                    given_.setdefault(uid, []).append(task.metadata.name)
        assert all(len(names) == 1 for names in given_.values()), given_


@dataclass
class Held:
    """A request or an answer on its way."""

    future: "asyncio.Future[None]"

    def release(self, error: Exception | None = None) -> None:
        if not self.future.done():
            if error is None:
                self.future.set_result(None)
            else:
                self.future.set_exception(error)


@dataclass
class Wire:
    """Does what an operator asks for on the server, each time when it is let through, and answers when that is let through."""

    server: Server
    objects: Objects
    held: list[Held] = field(default_factory=list)

    async def _ask(self, act: Callable[[], JsonObject]) -> JsonObject:
        await self._gate()
        answer = act()
        self.server.check()
        await self._gate()
        return answer

    async def _gate(self) -> None:
        one = Held(asyncio.get_running_loop().create_future())
        self.held.append(one)
        await one.future

    async def create_pod(self, manifest: JsonObject) -> ObservedPod:
        def act() -> JsonObject:
            name = text(child(manifest, "metadata"), "name")
            if name not in self.server.pods:
                version = self.server.version()
                identity: JsonObject = {"uid": f"{name}-{version}", "resourceVersion": version}
                self.server.pods[name] = merged(manifest, {"metadata": identity})
            return self.server.pods[name]

        return observe_pod(await self._ask(act))

    async def change_pod(self, _: str, change: PodChange) -> ObservedPod:
        def act() -> JsonObject:
            there = self.server.pods.get(change.pod.name)
            if there is None:
                raise NotFound(TARGET, 404, "NotFound", "no")
            if text(child(there, "metadata"), "resourceVersion") != change.pod.version:
                raise Conflict(TARGET, 409, "Conflict", "no")
            made = merged(there, change.patch)
            version: JsonObject = {"metadata": {"resourceVersion": self.server.version()}}
            self.server.pods[change.pod.name] = merged(made, version)
            return self.server.pods[change.pod.name]

        return observe_pod(await self._ask(act))

    async def read_pod(self, _: str, name: str) -> ObservedPod | None:
        found = await self._ask(lambda: self.server.pods.get(name, {}))
        return observe_pod(found) if found else None

    async def write_status(self, kind: str, raw: JsonObject, status: JsonObject) -> None:
        def act() -> JsonObject:
            name = text(child(raw, "metadata"), "name")
            there = self.server.tasks.get(name, {})
            if child(there, "metadata").get("resourceVersion") != child(raw, "metadata")["resourceVersion"]:
                raise Conflict(TARGET, 409, "Conflict", "no")
            written = self.server.change_task(name, status)
            if self.server.task(name).ended:
                self.server.spoil(name)
            return written

        self.objects.observe(kind, await self._ask(act), own=True)

    async def delete(self, _: str, deletions: tuple[Deletion, ...]) -> None:
        def act() -> JsonObject:
            for item in deletions:
                there = self.server.pods.get(item.name, {})
                if child(there, "metadata").get("uid") == item.uid:
                    del self.server.pods[item.name]
            return {}

        await self._ask(act)

    def tell(self, *_: object) -> None:
        """Nobody listens."""


class Operator:
    """One operator with caches of its own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.objects = Objects(lambda _: None)
        pods = Pods(cast("ApiClient", None), lambda _: None, lambda: 0.0)
        self.pods = pods
        self.wire = Wire(server, self.objects)
        revision = ObservedRevision(server.agent.status.revision, "r", 1)
        cluster = SimpleNamespace(
            pods=pods,
            children=SimpleNamespace(revisions_of=lambda *_: (revision,)),
            config_map=lambda *_: None,
            can_own_users=lambda _: False,
        )
        self.world = cast(
            "World",
            SimpleNamespace(
                settings=SETTINGS,
                objects=self.objects,
                cluster=cluster,
                state=SimpleNamespace(platform=PLATFORM, guard=Guard()),
                pool=Pool(self.objects, pods, lambda _: None),
                turns=Turns(0, dict, lambda: 0, lambda _: None, lambda: None),
                actor=self.wire,
                later=lambda *_: None,
                now=lambda: NOW,
            ),
        )
        agent = server.agent.model_dump(mode="json", by_alias=True, exclude_none=True)
        agent["metadata"] |= {"resourceVersion": "1", "uid": "enricher-uid"}
        self.objects.observe("Agent", agent)
        self.running: dict[str, asyncio.Task[None]] = {}
        for name in NAMES:
            self.hear_of_task(name)
        for name in server.pods:
            self.hear_of_pod(name)

    def hear_of_task(self, name: str) -> None:
        known = self.objects.tasks.identity("sales", name)
        there = self.server.tasks.get(name)
        uid = text(child(there, "metadata"), "uid") if there else ""
        if known is not None and known.uid != uid:
            self.objects.forget("Task", "sales", name, known.uid)
        if there:
            self.objects.observe("Task", there)

    def hear_of_pod(self, name: str) -> None:
        there = self.server.pods.get(name)
        if there is None:
            self.pods.gone("sales", name)
        else:
            self.pods.wrote("sales", observe_pod(there))

    def begin(self, name: str) -> None:
        """Reconcile a Task, unless that is under way."""
        if name not in self.running or self.running[name].done():
            self.running[name] = asyncio.create_task(self._reconcile(name))

    async def _reconcile(self, name: str) -> None:
        # What fails comes back to the queue.
        with contextlib.suppress(Conflict, NotFound, Unavailable):
            await tasks.reconcile(self.world, Key(Subject.TASK, "sales", name))

    def kill(self) -> None:
        for one in self.running.values():
            one.cancel()
        self.wire.held.clear()


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


class Chaos:
    """What happens, by chance and yet each time the same for a seed."""

    def __init__(self, spec: JsonObject, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.server = Server(spec)
        self.operators = [Operator(self.server), Operator(self.server)]
        self.given: set[str] = set()

    async def happen(self, steps: int) -> None:
        """Let so many things happen, and check after each."""
        weighted = (
            (self.run, 10),
            (self.begin, 8),
            (self.release, 24),
            (self.lose, 2),
            (self.hear, 16),
            (self.finish, 6),
            (self.overdue, 2),
            (self.delete, 2),
            (self.make, 6),
            (self.replace_pod, 1),
            (self.kill, 1),
        )
        acts, weights = zip(*weighted, strict=True)
        for act in self.random.choices(acts, weights, k=steps):
            await act(self.random.choice(self.operators), self.random.choice(NAMES))
            await settle()
            self.server.check()
            self.given |= {
                f"{task.metadata.uid} {task.status.pod.uid}"
                for task in map(Task.parse, self.server.tasks.values())
                if task.status.pod is not None
            }
        for one in self.operators:
            one.kill()
        await settle()

    async def run(self, one: Operator, name: str) -> None:
        """Reconcile one Task while nothing else happens."""
        one.begin(name)
        await settle()
        while one.wire.held:
            one.wire.held.pop(0).release()
            await settle()

    async def begin(self, one: Operator, name: str) -> None:
        one.begin(name)

    async def release(self, one: Operator, _: str) -> None:
        if one.wire.held:
            one.wire.held.pop(self.random.randrange(len(one.wire.held))).release()

    async def lose(self, one: Operator, _: str) -> None:
        if one.wire.held:
            one.wire.held.pop(0).release(Unavailable(TARGET, 503, "Unavailable", "no"))

    async def hear(self, one: Operator, name: str) -> None:
        one.hear_of_task(name)
        if self.server.pods:
            one.hear_of_pod(self.random.choice(sorted(self.server.pods)))

    async def finish(self, _: Operator, name: str) -> None:
        if self._works(name):
            result: JsonObject = {"outcome": "Succeeded", "time": "2026-01-02T03:04:05Z"}
            self.server.change_task(name, {"result": result})

    async def overdue(self, _: Operator, name: str) -> None:
        if self._works(name):
            self.server.change_task(
                name, {"conditions": [condition("Succeeded", "False", "DeadlineExceeded")]}
            )
            self.server.spoil(name)

    async def delete(self, _: Operator, name: str) -> None:
        if name in self.server.tasks:
            self.server.delete_task(name)

    async def make(self, _: Operator, name: str) -> None:
        if name not in self.server.tasks or self.server.task(name).ended:
            self.server.make_task(name)

    async def replace_pod(self, _one: Operator, _name: str) -> None:
        gone = self.random.choice(sorted(self.server.pods))
        del self.server.pods[gone]
        self.server.make_pod(gone)

    async def kill(self, one: Operator, _: str) -> None:
        one.kill()
        self.operators[self.operators.index(one)] = Operator(self.server)

    def _works(self, name: str) -> bool:
        task = self.server.task(name) if name in self.server.tasks else None
        return task is not None and task.open and task.status.pod is not None


@pytest.mark.parametrize("spec", [SERVICE, WARM], ids=["service", "warm"])
async def test_no_two_tasks_are_given_one_pod(spec: JsonObject) -> None:
    given = 0
    for seed in range(SEEDS):
        chaos = Chaos(spec, seed)
        await chaos.happen(STEPS)
        given += len(chaos.given)
    # Else nothing was tried.
    assert given > SEEDS


@pytest.mark.parametrize("spec", [SERVICE, WARM], ids=["service", "warm"])
async def test_every_task_gets_a_pod_once_requests_come_through(spec: JsonObject) -> None:
    server = Server(spec)
    one = Operator(server)
    for _ in range(12):
        for name in NAMES:
            one.hear_of_task(name)
            one.begin(name)
        await settle()
        while one.wire.held:
            one.wire.held.pop(0).release()
            await settle()
        for name in NAMES:
            if server.task(name).open and server.task(name).status.pod is not None:
                server.change_task(name, {"result": {"outcome": "Succeeded", "time": "2026-01-02T03:04:05Z"}})
        server.check()
    assert all(server.task(name).ended for name in NAMES)
    pods = [server.task(name).status.pod for name in NAMES]
    assert len({pod.uid for pod in pods if pod is not None}) == (2 if server.is_service else 3)
