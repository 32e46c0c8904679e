"""Nobody borrows an agent's identity: attacks on pods, on all that makes pods, and on tokens, on a real API server."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.errors import ApiError, Forbidden
from aos.kube.objects import child, children, text, uid_of
from aos.kube.resources import (
    DEPLOYMENTS,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.reconcile.pod import PodMaker
from aos.reconcile.settings import Platform
from tests.cluster.operator.conftest import account_kubeconfig
from tests.cluster.operator.rig import AGENT_SPEC, Rig

ACCOUNT = "aos-agent-enricher"
POD_SPEC: JsonObject = {"serviceAccountName": ACCOUNT, "containers": [{"name": "a", "image": "x"}]}
LABELS: JsonObject = {"app": "a"}
TEMPLATE: JsonObject = {"metadata": {"labels": LABELS}, "spec": POD_SPEC}
JOB_TEMPLATE: JsonObject = {"spec": {**POD_SPEC, "restartPolicy": "Never"}}
SELECTED: JsonObject = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}

REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
WORKLOADS: list[tuple[Resource, JsonObject]] = [
    (PODS, {"spec": POD_SPEC}),
    (PODS, {"spec": {"serviceAccount": ACCOUNT, "containers": POD_SPEC["containers"]}}),
    (DEPLOYMENTS, {"spec": SELECTED}),
    (REPLICA_SETS, {"spec": SELECTED}),
    (Resource("apps", "v1", "statefulsets", "StatefulSet"), {"spec": {**SELECTED, "serviceName": "a"}}),
    (Resource("apps", "v1", "daemonsets", "DaemonSet"), {"spec": SELECTED}),
    (
        Resource("", "v1", "replicationcontrollers", "ReplicationController"),
        {"spec": {"selector": LABELS, "template": TEMPLATE}},
    ),
    (Resource("batch", "v1", "jobs", "Job"), {"spec": {"template": JOB_TEMPLATE}}),
    (
        Resource("batch", "v1", "cronjobs", "CronJob"),
        {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": JOB_TEMPLATE}}}},
    ),
    (Resource("", "v1", "podtemplates", "PodTemplate"), {"template": TEMPLATE}),
]
IDS = [f"{resource.kind}-{number}" for number, (resource, _) in enumerate(WORKLOADS)]


def other_account(value: JsonValue) -> JsonValue:
    """Return the same with the default service account."""
    if isinstance(value, dict):
        return {
            name: "default" if name in ("serviceAccountName", "serviceAccount") else other_account(item)
            for name, item in value.items()
        }
    return [other_account(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("resource", "parts"), WORKLOADS, ids=IDS)
async def test_attack_30_nobody_borrows_an_agents_service_account(
    rig: Rig, resource: Resource, parts: JsonObject
) -> None:
    await rig.make(SERVICE_ACCOUNTS, ACCOUNT)
    manifest = rig.manifest(resource, "borrower") | parts
    with pytest.raises(ApiError, match="belong to agents"):
        await rig.admin.create(resource, manifest)
    harmless = other_account(manifest)
    assert isinstance(harmless, dict)
    await rig.admin.create(resource, harmless)


@pytest.mark.parametrize(("resource", "parts"), WORKLOADS[2:], ids=IDS[2:])
async def test_attack_30_no_workload_is_turned_to_an_agents_service_account(
    rig: Rig, resource: Resource, parts: JsonObject
) -> None:
    harmless = other_account(rig.manifest(resource, "turned") | parts)
    assert isinstance(harmless, dict)
    await rig.admin.create(resource, harmless)
    with pytest.raises(ApiError, match=r"belong to agents|field is immutable|spec.template: Invalid"):
        await rig.admin.merge_patch(resource, "turned", parts, namespace=rig.namespace)


def controller(name: str) -> str:
    return f"system:serviceaccount:kube-system:{name}"


CONTROLLERS = {
    "Deployment": ("deployment-controller", DEPLOYMENTS, {"spec": SELECTED}),
    "ReplicaSet": ("replicaset-controller", REPLICA_SETS, {"spec": SELECTED}),
    "a pod of a ReplicaSet that is not isolated": ("replicaset-controller", PODS, {"spec": POD_SPEC}),
    "a pod of a StatefulSet": ("statefulset-controller", PODS, {"spec": POD_SPEC}),
    "a pod of a DaemonSet": ("daemon-set-controller", PODS, {"spec": POD_SPEC}),
    "a pod of a ReplicationController": ("replication-controller", PODS, {"spec": POD_SPEC}),
    "a pod of a Job": ("job-controller", PODS, {"spec": POD_SPEC}),
    "a pod of a Deployment": ("deployment-controller", PODS, {"spec": POD_SPEC}),
    "a Job of a CronJob": (
        "cronjob-controller",
        Resource("batch", "v1", "jobs", "Job"),
        {"spec": {"template": JOB_TEMPLATE}},
    ),
}
"""What a controller could be led to make, of something that was there before the policy: it makes none of them."""


@asynccontextmanager
async def acting_as(rig: Rig, name: str) -> AsyncIterator[ApiClient]:
    """A client with the name of one of the cluster's controllers, and every right."""
    username = controller(name)
    binding: JsonObject = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{rig.namespace}-{name}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": username}],
    }
    bindings = Resource(
        "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
    )
    await rig.admin.create(bindings, binding)
    async with await ApiClient.connect(account_kubeconfig(rig.cluster, username)) as client:
        yield client
    await rig.admin.delete(bindings, f"{rig.namespace}-{name}")


@pytest.mark.parametrize(("name", "resource", "parts"), CONTROLLERS.values(), ids=CONTROLLERS)
async def test_attack_30_no_controller_is_led_to_borrow_an_agents_service_account(
    rig: Rig, name: str, resource: Resource, parts: JsonObject
) -> None:
    await rig.make(SERVICE_ACCOUNTS, ACCOUNT)
    async with acting_as(rig, name) as client:
        with pytest.raises(ApiError, match="belong to agents"):
            await client.create(resource, rig.manifest(resource, "led") | parts)


async def test_the_clusters_controllers_make_what_a_deployment_of_the_operator_asks_for(
    rig: Rig,
) -> None:
    await rig.make(SERVICE_ACCOUNTS, ACCOUNT)
    isolated = rig.manifest(PODS, "isolated", POD_SPEC, {"aos.dev/agent": "enricher"})
    async with acting_as(rig, "replicaset-controller") as client:
        await client.create(PODS, isolated)
        other = rig.manifest(PODS, "anothers", POD_SPEC, {"aos.dev/agent": "another"})
        with pytest.raises(ApiError, match="belong to agents"):
            await client.create(PODS, other)
    async with acting_as(rig, "deployment-controller") as client:
        await client.create(REPLICA_SETS, rig.manifest(REPLICA_SETS, "made") | {"spec": SELECTED})
        await client.merge_patch(REPLICA_SETS, "made", {"spec": {"replicas": 0}}, namespace=rig.namespace)


async def test_attack_30_nobody_changes_whose_an_agents_pod_is(rig: Rig) -> None:
    await agent_pod(rig)
    account = await rig.get(SERVICE_ACCOUNTS, ACCOUNT)
    owner: JsonObject = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "name": ACCOUNT,
        "uid": uid_of(account),
    }
    with pytest.raises(Forbidden, match="nobody changes those pods"):
        await rig.admin.merge_patch(
            PODS, "agent", {"metadata": {"ownerReferences": [owner]}}, namespace=rig.namespace
        )


async def test_attack_30_nobody_but_a_kubelet_gets_an_agents_token(rig: Rig) -> None:
    path = f"/api/v1/namespaces/{rig.namespace}/serviceaccounts/{{}}/token"
    await rig.make(SERVICE_ACCOUNTS, ACCOUNT)
    review: JsonObject = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["aos-gateway"]},
    }
    with pytest.raises(Forbidden, match="by the kubelet alone"):
        await rig.admin.request("POST", path.format(ACCOUNT), body=review)
    given = await rig.admin.request("POST", path.format("default"), body=review)
    assert text(child(given, "status"), "token")


async def test_attack_30_no_secret_holds_an_agents_lasting_token(rig: Rig) -> None:
    manifest = rig.manifest(SECRETS, "lasting", type="kubernetes.io/service-account-token")
    annotated = dict(child(manifest, "metadata"))
    annotated["annotations"] = {"kubernetes.io/service-account.name": ACCOUNT}
    with pytest.raises(Forbidden, match="no long-lived tokens"):
        await rig.admin.create(SECRETS, {**manifest, "metadata": annotated})
    plain = rig.manifest(SECRETS, "plain", data={"a": base64.b64encode(b"b").decode()})
    await rig.admin.create(SECRETS, plain)


async def agent_pod(rig: Rig) -> None:
    """Create a pod of an agent's account as the operator does."""
    await rig.make(SERVICE_ACCOUNTS, ACCOUNT)
    metadata: JsonObject = {"name": "enricher", "namespace": rig.namespace, "uid": "agent-uid"}
    amounts: JsonObject = {"requests": {"cpu": "20m"}, "limits": {"cpu": "1"}}
    agent = Agent.parse({"metadata": metadata, "spec": {**AGENT_SPEC, "runtime": {"resources": amounts}}})
    platform = Platform(gateway_address="10.96.0.7", authorities="certificate")
    maker = PodMaker(agent, "enricher-12345678", rig.settings.operator, platform)
    pod = maker.kept_warm("agent")
    # Garbage collection would take it, as there is no such Agent.
    loose = {name: value for name, value in child(pod, "metadata").items() if name != "ownerReferences"}
    await rig.operator.create(PODS, {**pod, "metadata": loose})


@pytest.mark.parametrize(
    "metadata",
    [{"labels": {"aos.dev/agent": None}}, {"annotations": {"aos.dev/gateway-ca": "mine"}}],
    ids=["labels", "annotations"],
)
async def test_attack_30_nobody_changes_what_binds_an_agents_pod(rig: Rig, metadata: JsonObject) -> None:
    await agent_pod(rig)
    with pytest.raises(Forbidden, match="nobody changes those pods"):
        await rig.admin.merge_patch(PODS, "agent", {"metadata": metadata}, namespace=rig.namespace)


@pytest.mark.parametrize(
    ("subresource", "change"),
    [
        ("", {"image": "evil"}),
        (
            "resize",
            {
                "resources": {
                    "requests": {"cpu": "20m", "memory": "96Mi"},
                    "limits": {"cpu": "2", "memory": "256Mi"},
                }
            },
        ),
    ],
    ids=["image", "resize"],
)
async def test_attack_30_nobody_changes_what_an_agents_pod_runs(
    rig: Rig, subresource: str, change: JsonObject
) -> None:
    await agent_pod(rig)
    container = children(child(await rig.get(PODS, "agent"), "spec"), "containers")[0]
    patch: JsonObject = {"spec": {"containers": [{**container, **change}]}}
    with pytest.raises(Forbidden, match="nobody changes those pods"):
        await rig.admin.merge_patch(PODS, "agent", patch, namespace=rig.namespace, subresource=subresource)


async def test_attack_30_nobody_adds_a_container_to_an_agents_pod(rig: Rig) -> None:
    await agent_pod(rig)
    patch: JsonObject = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "x"}]}}
    with pytest.raises(Forbidden, match="nobody changes those pods"):
        await rig.admin.merge_patch(
            PODS, "agent", patch, namespace=rig.namespace, subresource="ephemeralcontainers"
        )


async def test_garbage_collection_may_still_take_an_agents_pod(rig: Rig) -> None:
    await agent_pod(rig)
    finalizer: JsonObject = {"metadata": {"finalizers": ["example.com/wait"]}}
    await rig.admin.merge_patch(PODS, "agent", finalizer, namespace=rig.namespace)
    await rig.admin.merge_patch(PODS, "agent", {"metadata": {"finalizers": None}}, namespace=rig.namespace)
    await rig.admin.delete(PODS, "agent", namespace=rig.namespace, grace_period_seconds=0)
