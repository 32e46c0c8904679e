"""Pods that are kept started: each is for one Task, another takes its place, and a namespace has no more than it may."""

import pytest

from tests.e2e.inside import post
from tests.e2e.installation import Installation, JsonObject, at, condition, wait_for
from tests.e2e.warming import SCOUT, kept, name_of, owner, ready, scout

OTHER = "scout-too"
MOST = 3
"""What the tests' installation lets a namespace have (``operator.maxWarmPods``)."""
DONE: JsonObject = {"output": {"done": True}}
LIST: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


def adopted(aos: Installation, pod: str) -> None:
    """Wait until a pod belongs to its Task, and goes with it."""
    wait_for(lambda: owner(aos.get("pod", pod)) == "Task" or None, "the pod to be the Task's")


@pytest.fixture(scope="module")
def warm(aos: Installation) -> Installation:
    aos.apply(scout(aos.namespace, 1))
    ready(aos)
    return aos


def test_a_warm_pod_is_nobody_until_it_is_claimed_does_that_task_alone_and_is_replaced(
    warm: Installation,
) -> None:
    first = ready(warm)
    assert at(post(warm, name_of(first), "/mcp", LIST), "error.code") == "PodNotRecorded"
    for number, work in enumerate(({"sleepSeconds": 500, **DONE}, DONE)):
        before = ready(warm)
        warm.start(f"warm-{number}", work, agent=SCOUT)
        pod = warm.get("pod", warm.running_pod(f"warm-{number}"))
        assert at(pod, "metadata.uid") == at(before, "metadata.uid")
        task = warm.get("task", f"warm-{number}")
        assert at(task, "status.pod.uid") == at(pod, "metadata.uid")
        adopted(warm, name_of(pod))
        if number == 0:
            assert at(post(warm, name_of(pod), "/mcp", LIST), "result.tools")
            assert post(warm, name_of(pod), "/v1/task/result", DONE) == {}
        assert warm.ended(f"warm-{number}")["reason"] == "Completed"
        assert at(pod, "metadata.uid") not in kept(warm)


def test_after_a_change_no_pod_waits_that_runs_the_old_revision(warm: Installation) -> None:
    old = ready(warm)
    warm.apply(scout(warm.namespace, 1, "Wait for better work."))
    wait_for(lambda: at(old, "metadata.uid") not in kept(warm) or None, "the old pod to go")
    new = ready(warm)
    revision = at(warm.get("agent", SCOUT), "status.revision")
    assert at(new, "metadata.annotations", "aos.dev/revision") == revision
    warm.start("changed", DONE, agent=SCOUT)
    assert warm.ended("changed")["reason"] == "Completed"
    task = warm.get("task", "changed")
    assert (at(task, "status.pod.uid"), at(task, "status.revision")) == (at(new, "metadata.uid"), revision)


def test_a_namespace_has_no_more_warm_pods_than_it_may_and_its_agents_share_them(warm: Installation) -> None:
    warm.apply(scout(warm.namespace, MOST, "Wait for better work."), scout(warm.namespace, MOST, name=OTHER))

    def shared() -> bool | None:
        return sorted((len(kept(warm)), len(kept(warm, OTHER)))) == [1, MOST - 1] or None

    wait_for(shared, "the agents to share the pool")

    def told() -> bool | None:
        said = [
            str((condition(warm.get("agent", agent), "Ready") or {}).get("message"))
            for agent in (SCOUT, OTHER)
        ]
        bound = f"of {MOST} warm pods are kept: the namespace may have no more"
        return all(bound in message for message in said) or None

    wait_for(told, "both agents to say that the pool is full")
    warm.apply(scout(warm.namespace, 0, "Wait for better work."), scout(warm.namespace, 0, name=OTHER))
    wait_for(lambda: (not kept(warm) and not kept(warm, OTHER)) or None, "the pool to be empty")
