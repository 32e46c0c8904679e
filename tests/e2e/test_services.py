"""Agents whose pods stay: their Tasks come one at a time, a change waits for what is under way, and nobody gets in or borrows them."""

import json
from datetime import datetime
from itertools import pairwise

import pytest
from pydantic import JsonValue

from tests.e2e.inside import post
from tests.e2e.installation import SYSTEM, Installation, JsonObject, at, condition, wait_for
from tests.e2e.reach import targets, tried

CLERK = "clerk"
ASSISTANT = "assistant"
"""An agent that the Service hands work to: a test says when that is done."""
ACCOUNT = "aos-agent-clerk"
REPLICAS = 2
TASKS = tuple(f"share-{number}" for number in range(5))
WORK: JsonObject = {"sleepSeconds": 2, "output": {"done": True}}
LONG: JsonObject = {"sleepSeconds": 500, "output": {"done": True}}


def agent(namespace: str, name: str, instructions: str, **more: JsonValue) -> JsonObject:
    labels: JsonObject = {"role": "research", "territory": "emea"}
    model: JsonObject = {"name": "default"}
    return {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"owner": {"team": "tests"}, "instructions": instructions, "model": model, **more},
    }


def clerk(namespace: str, instructions: str) -> JsonObject:
    runtime: JsonObject = {"mode": "Service", "replicas": REPLICAS, "drain": "4m"}
    return agent(namespace, CLERK, instructions, runtime=runtime, delegates=[ASSISTANT])


@pytest.fixture(scope="module")
def service(aos: Installation) -> Installation:
    """AOS with a Service, all of whose pods are ready."""
    aos.apply(
        clerk(aos.namespace, "Do what you are told."),
        agent(aos.namespace, ASSISTANT, "Do what you are told."),
    )
    wait_for(lambda: len(ready(aos)) == REPLICAS or None, "the Service's pods")
    aos.becomes("agent", CLERK)
    return aos


def ready(aos: Installation) -> dict[str, JsonObject]:
    """Return the Service's pods that take Tasks, by uid."""
    pods = aos.items("pods", f"aos.dev/agent={CLERK}")
    return {
        str(at(pod, "metadata.uid")): pod
        for pod in pods
        if at(pod, "metadata.deletionTimestamp") is None and is_ready(pod)
    }


def is_ready(pod: JsonObject) -> bool:
    return (condition(pod, "Ready") or {}).get("status") == "True"


def test_tasks_go_to_the_pods_that_are_there_and_each_does_one_at_a_time(service: Installation) -> None:
    pods = ready(service)
    for task in TASKS:
        service.start(task, WORK, agent=CLERK)
    for task in TASKS:
        assert service.ended(task)["reason"] == "Completed"
    done = [service.get("task", task) for task in TASKS]
    by_pod = {uid: [task for task in done if at(task, "status.pod.uid") == uid] for uid in pods}
    assert sum(map(len, by_pod.values())) == len(TASKS)
    assert all(by_pod.values()), "both pods take part"
    for tasks in by_pod.values():
        times = sorted((time_of(task, "startTime"), time_of(task, "completionTime")) for task in tasks)
        assert all(ended <= begun for (_, ended), (begun, _) in pairwise(times)), times
    assert set(ready(service)) == set(pods), "no pod was made for a Task"


def time_of(task: JsonObject, name: str) -> datetime:
    return datetime.fromisoformat(str(at(task, f"status.{name}")))


def test_attack_15_a_services_pod_reaches_nothing_but_the_gateway(
    service: Installation, listener: tuple[str, str] | None
) -> None:
    pod, other = ready(service).values()
    wanted = targets(service, listener) | {
        "another pod of the Service": ("tcp", str(at(other, "status.podIP")), "15001")
    }
    name = str(at(pod, "metadata.name"))
    assert tried(service, name, wanted) == dict.fromkeys(wanted, "not reached")
    gateway = str(at(service.get("service", "aos-gateway", SYSTEM), "spec.clusterIP"))
    assert tried(service, name, {"the gateway": ("tcp", gateway, "8443")}) == {"the gateway": "reached"}


def borrower(kind: str, namespace: str) -> JsonObject:
    """Return a workload of somebody else's that wants to be the agent."""
    labels: JsonObject = {"app": "borrower", "aos.dev/agent": CLERK}
    closed: JsonObject = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container: JsonObject = {
        "name": "a",
        "image": "aos.local/probe:1",
        "args": ["sleep"],
        "securityContext": closed,
    }
    user: JsonObject = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod: JsonObject = {
        "serviceAccountName": ACCOUNT,
        "restartPolicy": "Never",
        "containers": [container],
        "securityContext": user,
    }
    template: JsonObject = {"metadata": {"labels": labels}, "spec": pod}
    selected: JsonObject = {
        "selector": {"matchLabels": labels},
        "template": {**template, "spec": {**pod, "restartPolicy": "Always"}},
    }
    kinds: dict[str, tuple[str, JsonObject]] = {
        "Pod": ("v1", pod),
        "Deployment": ("apps/v1", selected),
        "Job": ("batch/v1", {"template": template}),
    }
    version, spec = kinds[kind]
    metadata: JsonObject = {"name": "borrower", "namespace": namespace, "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "Job"])
def test_attack_30_nobody_borrows_the_services_account(service: Installation, kind: str) -> None:
    manifest = borrower(kind, service.namespace)
    answer = service.node.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    assert not answer.ok
    assert "belong to agents" in answer.stderr
    assert service.find(kind, "borrower") is None


def test_a_change_waits_for_the_task_under_way_which_ends_on_its_old_pod(service: Installation) -> None:
    before = ready(service)
    work: JsonObject = {"tool": f"delegate_to_{ASSISTANT}", "args": {"script": [LONG]}}
    service.start("under-way", {"calls": [work]}, {"output": {"done": True}}, agent=CLERK, deadline="10m")
    helping = wait_for(lambda: handed_over(service), "the work to be handed over")
    old = service.get("task", "under-way")
    pod, revision = str(at(old, "status.pod.name")), at(old, "status.revision")
    service.apply(clerk(service.namespace, "Do it better."))
    wait_for(
        lambda: at(service.get("pod", pod), "metadata.deletionTimestamp"), "the old pod to be told to go"
    )
    after = wait_for(lambda: renewed(service, set(before)), "the pods of the new revision")
    service.start("anew", {"output": {"done": True}}, agent=CLERK)
    assert service.ended("anew")["reason"] == "Completed"
    anew = service.get("task", "anew")
    assert at(anew, "status.pod.uid") in after
    assert at(anew, "status.revision") != revision
    result: JsonObject = {"output": {"done": True}}
    assert post(service, service.running_pod(helping), "/v1/task/result", result) == {}
    assert service.ended("under-way")["reason"] == "Completed"
    ended = service.get("task", "under-way")
    assert (at(ended, "status.pod.name"), at(ended, "status.revision")) == (pod, revision)
    # It does not stay for the whole time that it might have needed.
    wait_for(lambda: service.find("pod", pod) is None or None, "the old pod to go")


def handed_over(aos: Installation) -> str | None:
    """Return the Task that the Service's pod has handed to its assistant."""
    tasks = [task for task in aos.items("tasks") if at(task, "spec.agentRef.name") == ASSISTANT]
    return str(at(tasks[0], "metadata.name")) if tasks else None


def renewed(aos: Installation, before: set[str]) -> set[str] | None:
    found = set(ready(aos))
    return found if len(found) == REPLICAS and not found & before else None
