"""What is known of pods, from the watch and from the operator's own writes, and which work it makes."""

from dataclasses import replace
from typing import cast

from aos.controllers.keys import Key
from aos.controllers.pods import OWN_WRITE_SECONDS, Pods
from aos.kube.client import ApiClient
from aos.model.meta import ObjectKey
from aos.reconcile.observed_pod import Claim, ObservedPod, PodOwner, PodPhase

TASK_POD = ObservedPod("t1-1", "u1", version="5", agent="a", task="t1", owner=PodOwner.TASK, node="n")
WARM = ObservedPod("w", "u2", version="5", agent="a", agent_uid="a-uid", owner=PodOwner.AGENT)
SERVICE = replace(WARM, name="s", uid="u3", owner=PodOwner.SERVICE)
CLAIM = Claim("t2", "t2-uid")


class Known:
    """Pods, a clock, and the keys that were asked for."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self.now = 0.0
        self.pods = Pods(cast("ApiClient", None), self._keys.append, lambda: self.now)
        self.heard: list[tuple[ObservedPod | None, ObservedPod | None]] = []
        self.pods.on_change(lambda _, old, new: self.heard.append((old, new)))
        self._watched: dict[str, ObservedPod] = {}

    def watch(self, pod: ObservedPod) -> None:
        """Do as the informer does when the API server tells of a pod."""
        watched, key = self.pods._pods, ObjectKey(namespace="sales", name=pod.name)
        watched._informer._versions[key] = pod.version
        watched._informer._accept(key, pod)

    def unwatch(self, pod: ObservedPod) -> None:
        self.pods._pods._informer._remove(ObjectKey(namespace="sales", name=pod.name))

    def take(self) -> set[str]:
        """Return what was asked for since the last call."""
        found = {f"{key.subject}/{key.name}" for key in self._keys}
        self._keys.clear()
        return found


def test_an_own_write_is_seen_at_once_and_never_undone_by_an_older_word_of_the_watch() -> None:
    known = Known()
    known.watch(WARM)
    claimed = replace(WARM, version="7", claim=CLAIM)
    known.pods.wrote("sales", claimed)
    assert known.pods.of_task("sales", "t2") == (claimed,)
    known.watch(replace(WARM, version="6", is_ready=True))
    assert known.pods.of_agent("sales", "a") == (claimed,)
    newer = replace(claimed, version="8", is_ready=True)
    known.watch(newer)
    assert known.pods.of_agent("sales", "a") == (newer,)


def test_what_the_watch_never_tells_of_is_not_believed_for_long() -> None:
    known = Known()
    known.pods.wrote("sales", WARM)
    assert known.pods.idle == 1
    known.now = OWN_WRITE_SECONDS + 1
    assert known.pods.of_agent("sales", "a") == ()
    known.pods.wrote("sales", TASK_POD)
    assert known.pods.idle == 0


def test_a_pod_that_the_api_server_does_not_have_is_forgotten() -> None:
    known = Known()
    known.pods.wrote("sales", WARM)
    known.pods.gone("sales", WARM.name)
    assert known.pods.of_agent("sales", "a") == ()
    assert known.heard[-1] == (WARM, None)


def test_the_version_that_is_known_is_the_newest_though_nothing_else_changed() -> None:
    known = Known()
    known.watch(WARM)
    known.watch(replace(WARM, version="9"))
    assert len(known.heard) == 1
    assert known.pods.of_agent("sales", "a")[0].version == "9"


def test_pods_of_tasks_are_counted_until_they_end_and_those_of_services_never() -> None:
    known = Known()
    for pod in (TASK_POD, WARM, SERVICE):
        known.watch(pod)
    assert (dict(known.pods.running), known.pods.idle) == ({"sales": 1}, 1)
    assert known.pods.agents_with_idle_pods() == (("sales", "a"),)
    known.watch(replace(WARM, version="6", claim=CLAIM))
    assert (dict(known.pods.running), known.pods.idle) == ({"sales": 2}, 0)
    known.watch(replace(TASK_POD, version="6", phase=PodPhase.SUCCEEDED))
    known.unwatch(WARM)
    assert (dict(known.pods.running), known.pods.idle) == ({}, 0)


def test_an_agent_hears_of_what_it_looks_at_and_a_task_of_its_pod() -> None:
    known = Known()
    known.watch(TASK_POD)
    assert known.take() == {"Task/t1"}
    known.watch(SERVICE)
    known.watch(WARM)
    assert known.take() == {"Agent/a"}
    known.watch(replace(SERVICE, version="6", claim=CLAIM))
    # How many work is nothing that a Service's Agent says; how many warm ones are left is what its Agent sees to.
    assert known.take() == {"Task/t2"}
    known.watch(replace(WARM, version="6", claim=CLAIM))
    assert known.take() == {"Task/t2", "Agent/a"}
    known.watch(replace(SERVICE, version="7", claim=Claim("t3", "u")))
    assert known.take() == {"Task/t2", "Task/t3"}
    known.unwatch(SERVICE)
    assert known.take() == {"Task/t3", "Agent/a"}
