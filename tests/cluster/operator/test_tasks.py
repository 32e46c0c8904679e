"""Tasks on a real API server. Pods are moved by patching their status: there is no kubelet in this layer."""

from collections.abc import AsyncIterator

import pytest
from pydantic import JsonValue

from aos.kube.objects import child, children, text, uid_of
from aos.kube.resources import (
    AGENTS,
    CONTROLLER_REVISIONS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    RUNTIME_CLASSES,
    TASKS,
    Resource,
)
from aos.model.base import JsonObject
from aos.model.names import task_pod
from tests.cluster.operator.conftest import operating
from tests.cluster.operator.fake_gateway import FakeGateway
from tests.cluster.operator.rig import AGENT_SPEC, Rig

NODE_INFO: JsonObject = {
    "architecture": "amd64",
    "bootID": "",
    "containerRuntimeVersion": "",
    "kernelVersion": "",
    "kubeProxyVersion": "",
    "kubeletVersion": "",
    "machineID": "",
    "operatingSystem": "linux",
    "osImage": "",
    "systemUUID": "",
}
RESOURCE_QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")


def container(state: JsonObject, phase: str = "Pending") -> JsonObject:
    return {
        "phase": phase,
        "containerStatuses": [
            {"name": "agent", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        ],
    }


RUNNING = container({"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "Running")


async def test_a_task_runs_once_and_completes(running: Rig) -> None:
    await running.sales()
    await running.task("t1")
    pod = await running.pod_of("t1")
    assert text(child(pod, "spec"), "serviceAccountName") == "aos-agent-enricher"
    await running.until(TASKS, "t1", "Started", "False", "Starting")
    await running.set_pod(pod, RUNNING)
    await running.until(TASKS, "t1", "Started", "True", "Running")
    await running.hand_in("t1")
    await running.until(TASKS, "t1", "Succeeded", "True", "Completed")
    status = child(await running.get(TASKS, "t1"), "status")
    assert status["completionTime"]
    assert child(status, "pod")["uid"] == uid_of(pod)
    assert child(status, "result")["outcome"] == "Succeeded"
    assert await running.get(CONTROLLER_REVISIONS, text(status, "revision"))


async def test_the_pod_that_the_operator_makes_passes_pod_security(running: Rig) -> None:
    label: JsonObject = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await running.admin.merge_patch(NAMESPACES, running.namespace, label)
    await running.sales()
    await running.task("t1")
    assert await running.pod_of("t1")


@pytest.fixture
async def able_node(rig: Rig) -> AsyncIterator[str]:
    """A node whose runtime for gVisor can give pods users of their own, and whose default one can't; a RuntimeClass."""
    name = f"node-{rig.namespace}"
    await rig.admin.create(NODES, {"metadata": {"name": name}})
    handlers: list[JsonValue] = [
        {"name": "", "features": {"userNamespaces": False}},
        {"name": "runsc", "features": {"userNamespaces": True}},
    ]
    status: JsonObject = {"nodeInfo": NODE_INFO, "runtimeHandlers": handlers}
    await rig.admin.merge_patch(NODES, name, {"status": status}, subresource="status")
    await rig.admin.create(RUNTIME_CLASSES, {"metadata": {"name": name}, "handler": "runsc"})
    yield name
    await rig.admin.delete(RUNTIME_CLASSES, name)
    await rig.admin.delete(NODES, name)


async def test_a_pod_has_users_of_its_own_where_the_nodes_runtime_can(able_node: str, running: Rig) -> None:
    await running.sales({"runtime": {"runtimeClassName": able_node}})
    await running.task("t1")
    assert child(await running.pod_of("t1"), "spec")["hostUsers"] is False
    await running.make(AGENTS, "plain", AGENT_SPEC, {"role": "research"})
    await running.until(AGENTS, "plain", "Ready", "True", "Ready")
    spec: JsonObject = {"agentRef": {"name": "plain"}, "input": {"lead": "Ada"}, "deadline": "5m"}
    await running.make(TASKS, "t2", spec)
    assert "hostUsers" not in child(await running.pod_of("t2"), "spec")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"phase": "Succeeded"}, "NoResult"),
        (container({"terminated": {"exitCode": 3, "reason": "Error"}}, "Failed"), "PodFailed"),
        (container({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "Failed"), "OutOfMemory"),
        ({"phase": "Failed", "reason": "NodeLost", "message": "gone"}, "NodeLost"),
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, "DeadlineExceeded"),
    ],
)
async def test_a_pod_that_ends_badly_ends_the_task(running: Rig, status: JsonObject, reason: str) -> None:
    await running.sales()
    await running.task("t1")
    await running.set_pod(await running.pod_of("t1"), status)
    await running.until(TASKS, "t1", "Succeeded", "False", reason)


async def test_what_keeps_a_pod_from_running_is_told(running: Rig) -> None:
    await running.sales()
    await running.task("t1")
    pod = await running.pod_of("t1")
    await running.set_pod(pod, container({"waiting": {"reason": "ErrImagePull", "message": "denied"}}))
    await running.until(TASKS, "t1", "Started", "False", "ImagePullFailed")
    unscheduled: JsonObject = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes",
    }
    await running.set_pod(pod, {"conditions": [unscheduled], "containerStatuses": []})
    await running.until(TASKS, "t1", "Started", "False", "Unschedulable")

    async def told() -> bool:
        return {"PodCreated", "Waiting"} <= {text(event, "reason") for event in await running.all(EVENTS)}

    await running.eventually(told)


async def test_an_agent_that_fails_says_why(running: Rig) -> None:
    await running.sales()
    await running.task("t1")
    await running.pod_of("t1")
    await running.hand_in("t1", "Failed")
    await running.until(TASKS, "t1", "Succeeded", "False", "AgentFailed")
    conditions = children(child(await running.get(TASKS, "t1"), "status"), "conditions")
    assert [text(item, "message") for item in conditions if item["type"] == "Succeeded"] == [
        "ModelRefused: I won't"
    ]


async def test_a_pod_that_somebody_removes_is_not_made_again(running: Rig) -> None:
    await running.sales()
    await running.task("t1")
    pod = await running.pod_of("t1")
    name = text(child(pod, "metadata"), "name")
    await running.admin.delete(PODS, name, namespace=running.namespace, grace_period_seconds=0)
    await running.until(TASKS, "t1", "Succeeded", "False", "PodLost")
    assert await running.all(PODS) == []


async def test_a_deadline_ends_the_task_and_removes_the_pod(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    await running.task("t1", deadline="2s")
    await running.set_pod(await running.pod_of("t1"), RUNNING)
    await running.until(TASKS, "t1", "Succeeded", "False", "DeadlineExceeded")

    async def going() -> bool:
        return all(child(pod, "metadata").get("deletionTimestamp") for pod in await running.all(PODS))

    await running.eventually(going)


async def test_deleting_a_task_cancels_it(running: Rig) -> None:
    await running.sales()
    await running.task("t1")
    await running.pod_of("t1")
    await running.admin.delete(TASKS, "t1", namespace=running.namespace)

    async def going() -> bool:
        return all(child(pod, "metadata").get("deletionTimestamp") for pod in await running.all(PODS))

    await running.eventually(going)
    assert await running.get(TASKS, "t1") == {}


async def test_a_full_quota_is_told_and_waited_for(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    await running.make(RESOURCE_QUOTAS, "none", {"hard": {"pods": "0"}})

    async def counted() -> bool:
        quota = await running.get(RESOURCE_QUOTAS, "none")
        return bool(child(quota, "status").get("hard"))

    await running.eventually(counted)
    await running.task("t1")
    await running.until(TASKS, "t1", "Started", "False", "QuotaExceeded")
    await running.admin.delete(RESOURCE_QUOTAS, "none", namespace=running.namespace)
    assert await running.pod_of("t1")


async def test_a_pod_in_the_way_is_told_and_waited_for(running: Rig) -> None:
    await running.sales({"suspend": True})
    task = await running.task("t1")
    await running.until(TASKS, "t1", "Started", "False", "AgentSuspended")
    name = task_pod("t1", uid_of(task))
    spec: JsonObject = {"containers": [{"name": "agent", "image": "x"}]}
    await running.make(PODS, name, spec)
    await running.admin.merge_patch(
        AGENTS, "enricher", {"spec": {"suspend": False}}, namespace=running.namespace
    )
    await running.until(TASKS, "t1", "Started", "False", "PodRejected")
    await running.admin.delete(PODS, name, namespace=running.namespace, grace_period_seconds=0)
    pod = await running.pod_of("t1")
    assert text(child(pod, "spec"), "serviceAccountName") == "aos-agent-enricher"


async def test_a_task_waits_for_its_agent_and_its_policy(running: Rig, gateway: FakeGateway) -> None:
    await running.task("t1")
    await running.until(TASKS, "t1", "Started", "False", "AgentNotFound")
    gateway.paused = True
    await running.sales()
    await running.until(TASKS, "t1", "Started", "False", "AgentNotReady")
    assert await running.all(PODS) == []
    gateway.paused = False
    assert await running.pod_of("t1")


async def test_an_input_that_does_not_fit_never_becomes_a_pod(running: Rig) -> None:
    await running.sales()
    spec: JsonObject = {"agentRef": {"name": "enricher"}, "input": {"other": 1}}
    await running.make(TASKS, "t1", spec)
    await running.until(TASKS, "t1", "Succeeded", "False", "InputInvalid")
    assert await running.all(PODS) == []


async def test_a_running_task_whose_agent_is_deleted_ends(running: Rig) -> None:
    await running.sales()
    await running.task("t1")
    await running.pod_of("t1")
    await running.admin.delete(AGENTS, "enricher", namespace=running.namespace)
    await running.until(TASKS, "t1", "Succeeded", "False", "RevisionLost")


async def test_a_task_runs_the_revision_of_its_start(running: Rig) -> None:
    await running.sales()
    await running.task("t1")
    await running.pod_of("t1")
    first = text(child(await running.get(TASKS, "t1"), "status"), "revision")
    await running.admin.merge_patch(
        AGENTS, "enricher", {"spec": {"instructions": "Other."}}, namespace=running.namespace
    )
    await running.task("t2")
    await running.pod_of("t2")
    assert text(child(await running.get(TASKS, "t2"), "status"), "revision") != first
    assert text(child(await running.get(TASKS, "t1"), "status"), "revision") == first
    assert await running.condition(TASKS, "t1", "Succeeded") == ("Unknown", "Pending")


async def test_only_the_newest_ended_tasks_are_kept(rig: Rig, gateway: FakeGateway) -> None:
    assert not gateway.paused
    async with operating(rig.settings.model_copy(update={"task_history_limit": 2})):
        await rig.eventually(rig.is_leading)
        await rig.sales()
        for name in ("t1", "t2", "t3", "t4"):
            await rig.task(name)
            await rig.pod_of(name)
            await rig.hand_in(name)

        async def trimmed() -> bool:
            return len(await rig.all(TASKS)) == 2

        await rig.eventually(trimmed)
        await rig.task("open")
        await rig.pod_of("open")
        await rig.settled()
        assert len(await rig.all(TASKS)) == 3


async def test_a_task_that_was_handed_over_ends_with_the_one_that_it_came_from(running: Rig) -> None:
    await running.sales()
    parent = await running.task("t1")
    await running.pod_of("t1")
    entry: JsonObject = {"agent": "enricher", "task": "t1", "taskUID": uid_of(parent)}
    owner = {**owner_of(parent), "controller": True}
    spec: JsonObject = {"agentRef": {"name": "enricher"}, "input": {"lead": "Ada"}, "lineage": [entry]}
    manifest = running.manifest(TASKS, "t2", spec)
    metadata: JsonObject = {**child(manifest, "metadata"), "ownerReferences": [owner]}
    await running.gateway.create(TASKS, {**manifest, "metadata": metadata})
    pod = await running.pod_of("t2")
    await running.hand_in("t1")
    await running.until(TASKS, "t1", "Succeeded", "True", "Completed")
    await running.until(TASKS, "t2", "Succeeded", "False", "ParentEnded")

    async def is_removed() -> bool:
        there = await running.get(PODS, text(child(pod, "metadata"), "name"))
        return not there or "deletionTimestamp" in child(there, "metadata")

    await running.eventually(is_removed)


def owner_of(task: JsonObject) -> JsonObject:
    metadata = child(task, "metadata")
    return {
        "apiVersion": TASKS.api_version,
        "kind": TASKS.kind,
        "name": text(metadata, "name"),
        "uid": text(metadata, "uid"),
    }
