"""What the operator's own account may not do, though its Roles would let it: whoever has its token gets its work, and no more."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.errors import ApiError, Forbidden
from aos.kube.objects import child, children, uid_of
from aos.kube.resources import (
    AGENTS,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    TOOLS,
    Resource,
)
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.meta import ObjectMeta
from aos.reconcile.children import (
    controller_revision,
    credential_access,
    network_policy,
    service_account,
)
from aos.reconcile.deployment import deployment
from aos.reconcile.pod import PodMaker
from aos.reconcile.revision import revision_of
from aos.reconcile.settings import HostUsers, OperatorSettings, Platform
from tests.cluster.operator.rig import AGENT_SPEC, HOME, TOOL_SPEC, Rig

MANAGER = "aos-operator"
SETTINGS = OperatorSettings(namespace=HOME, agent_image="registry.example/aos:1", host_users=HostUsers.SHARED)
PLATFORM = Platform(gateway_address="10.96.0.7", authorities="certificate")


@dataclass(frozen=True)
class Owners:
    """The uids of an Agent and a Tool: of some that are there, or garbage collection takes what they own."""

    agent: str = "agent-uid"
    tool: str = "tool-uid"


NOBODY = Owners()


async def owners(rig: Rig) -> Owners:
    """Make an Agent and a Tool; no operator is at work."""
    agent = await rig.make(AGENTS, "enricher", AGENT_SPEC)
    return Owners(uid_of(agent), uid_of(await rig.make(TOOLS, "crm", TOOL_SPEC)))


OWN_IMAGE: JsonObject = {"image": "team/agent:7", "imagePullSecrets": ["team-registry"]}


def agent(rig: Rig, owners: Owners, runtime: JsonObject | None = None) -> Agent:
    metadata: JsonObject = {"name": "enricher", "namespace": rig.namespace, "uid": owners.agent}
    return Agent.parse({"metadata": metadata, "spec": {**AGENT_SPEC, "runtime": runtime or {}}})


def maker(rig: Rig, owners: Owners, runtime: JsonObject | None = None) -> PodMaker:
    return PodMaker(agent(rig, owners, runtime), "enricher-12345678", SETTINGS, PLATFORM)


def made(rig: Rig, owners: Owners = NOBODY) -> dict[str, tuple[Resource, JsonObject]]:
    """Return one of everything that the operator writes into namespaces of teams, as it makes them."""
    about, service = (
        agent(rig, owners).metadata,
        maker(rig, owners, {"mode": "Service", "image": "team/agent:7"}),
    )
    revision = revision_of(agent(rig, owners), "Enrich the lead.", SETTINGS)
    tool = ObjectMeta(name="crm", namespace=rig.namespace, uid=owners.tool)
    role, binding = credential_access("Tool", tool, "crm-credentials", SETTINGS)
    return {
        "ServiceAccount": (SERVICE_ACCOUNTS, service_account(about)),
        "NetworkPolicy": (NETWORK_POLICIES, network_policy(about, SETTINGS)),
        "ControllerRevision": (CONTROLLER_REVISIONS, controller_revision(about, revision, 1)),
        "Role": (ROLES, role),
        "RoleBinding": (ROLE_BINDINGS, binding),
        "Deployment": (DEPLOYMENTS, deployment(service)),
        "Pod": (PODS, maker(rig, owners).kept_warm("enricher-warm-1")),
        "Pod of an own image": (
            PODS,
            maker(rig, owners, OWN_IMAGE).kept_warm("enricher-warm-2"),
        ),
    }


async def accounts(rig: Rig) -> None:
    for name in ("aos-agent-enricher", "aos-agent-other", "boss"):
        await rig.make(SERVICE_ACCOUNTS, name, automountServiceAccountToken=False)


async def write(client: ApiClient, resource: Resource, manifest: JsonObject) -> JsonObject:
    if resource is PODS:
        return await client.create(resource, manifest)
    return await client.apply(resource, manifest, field_manager=MANAGER)


async def test_the_operator_makes_changes_and_removes_what_is_its_own(rig: Rig) -> None:
    for resource, manifest in made(rig, await owners(rig)).values():
        await write(rig.operator, resource, manifest)
        name = str(child(manifest, "metadata")["name"])
        stays: JsonObject = {"metadata": {"annotations": {"aos.dev/claim": "t1/uid/0"}}}
        await rig.operator.merge_patch(resource, name, stays, namespace=rig.namespace)
        # Somebody takes the labels away, or an owner was deleted without what it owns: either is put right again.
        loose: JsonObject = {"metadata": {"ownerReferences": None}}
        if resource not in (PODS, DEPLOYMENTS):
            await rig.admin.merge_patch(resource, name, loose, namespace=rig.namespace)
            await rig.operator.apply(resource, manifest, field_manager=MANAGER)
            bare: JsonObject = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
            await rig.admin.merge_patch(resource, name, bare, namespace=rig.namespace)
            await rig.operator.apply(resource, manifest, field_manager=MANAGER)
        if resource not in (SERVICE_ACCOUNTS, NETWORK_POLICIES):
            await rig.operator.delete(resource, name, namespace=rig.namespace)


def put(*path: str | int, value: JsonValue) -> Callable[[JsonObject], None]:
    """Return what sets one value below a pod's spec or metadata."""

    def change(pod: JsonObject) -> None:
        node: JsonValue = pod
        for step in path[:-1]:
            if isinstance(node, list):
                assert isinstance(step, int)
                node = node[step]
            else:
                assert isinstance(node, dict)
                assert isinstance(step, str)
                node = node.setdefault(step, {})
        last = path[-1]
        assert isinstance(node, dict)
        assert isinstance(last, str)
        node[last] = value

    return change


def volume(**source: JsonValue) -> Callable[[JsonObject], None]:
    def change(pod: JsonObject) -> None:
        volumes = child(pod, "spec")["volumes"]
        assert isinstance(volumes, list)
        volumes.append({"name": "more", **source})

    return change


def first(*path: str, value: JsonValue) -> Callable[[JsonObject], None]:
    return put("spec", "containers", 0, *path, value=value)


SALARIES: JsonObject = {"name": "salaries", "key": "a"}
WIDER: dict[str, tuple[Callable[[JsonObject], None], str]] = {
    "a foreign service account": (put("spec", "serviceAccountName", value="boss"), "only pods of agents"),
    "another agent's service account": (
        put("spec", "serviceAccountName", value="aos-agent-other"),
        "only pods of agents",
    ),
    "a token of the API server": (
        put("spec", "automountServiceAccountToken", value=True),
        "only pods of agents",
    ),
    "hostNetwork": (put("spec", "hostNetwork", value=True), "nothing of their node"),
    "hostPID": (put("spec", "hostPID", value=True), "nothing of their node"),
    "hostIPC": (put("spec", "hostIPC", value=True), "nothing of their node"),
    "shared processes": (put("spec", "shareProcessNamespace", value=True), "nothing of their node"),
    "a node": (put("spec", "nodeName", value="control-plane"), "nothing of their node"),
    "a device": (
        put("spec", "resourceClaims", value=[{"name": "a", "resourceClaimName": "gpu"}]),
        "nothing of their node",
    ),
    "a priority of the system": (
        put("spec", "priorityClassName", value="system-node-critical"),
        "nothing of their node",
    ),
    "root": (put("spec", "securityContext", "runAsUser", value=0), "nothing of their node"),
    "root by the image": (put("spec", "securityContext", "runAsNonRoot", value=False), "nothing of their"),
    "no seccomp": (
        put("spec", "securityContext", "seccompProfile", value={"type": "Unconfined"}),
        "nothing of their node",
    ),
    "sysctls": (
        put("spec", "securityContext", "sysctls", value=[{"name": "kernel.shm_rmid_forced", "value": "1"}]),
        "nothing of their node",
    ),
    "privileged": (
        first("securityContext", value={"privileged": True}),
        "are unprivileged",
    ),
    "escalation": (first("securityContext", "allowPrivilegeEscalation", value=True), "are unprivileged"),
    "a capability": (
        first("securityContext", "capabilities", value={"drop": ["ALL"], "add": ["NET_ADMIN"]}),
        "are unprivileged",
    ),
    "all capabilities": (first("securityContext", "capabilities", value={}), "are unprivileged"),
    "a root that is written": (
        first("securityContext", "readOnlyRootFilesystem", value=False),
        "unprivileged",
    ),
    "root in one container": (first("securityContext", "runAsUser", value=0), "are unprivileged"),
    "no seccomp in one container": (
        first("securityContext", "seccompProfile", value={"type": "Unconfined"}),
        "are unprivileged",
    ),
    "a Secret as volume": (volume(secret={"secretName": "salaries"}), "mount no Secrets"),
    "a projected Secret": (
        volume(projected={"sources": [{"secret": {"name": "salaries"}}]}),
        "mount no Secrets",
    ),
    "a token for somebody else": (
        volume(projected={"sources": [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]}),
        "mount no Secrets",
    ),
    "a ConfigMap as volume": (volume(configMap={"name": "prompts"}), "mount no Secrets"),
    "a path of the node": (volume(hostPath={"path": "/"}), "mount no Secrets"),
    "a claim": (volume(persistentVolumeClaim={"claimName": "store"}), "mount no Secrets"),
    "a Secret as variable": (
        first("env", value=[{"name": "S", "valueFrom": {"secretKeyRef": SALARIES}}]),
        "as variables",
    ),
    "a ConfigMap as variable": (
        first("env", value=[{"name": "S", "valueFrom": {"configMapKeyRef": SALARIES}}]),
        "as variables",
    ),
    "all of a Secret": (first("envFrom", value=[{"secretRef": {"name": "salaries"}}]), "as variables"),
    "a port of the node": (first("ports", value=[{"containerPort": 80, "hostPort": 80}]), "nothing connects"),
    "a kubelet that calls": (
        first("livenessProbe", value={"httpGet": {"host": "169.254.169.254", "port": 80}}),
        "nothing connects",
    ),
    "a kubelet that calls at the end": (
        first("lifecycle", value={"preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}}),
        "nothing connects",
    ),
}


@pytest.mark.parametrize(("change", "said"), WIDER.values(), ids=WIDER)
async def test_the_operator_makes_no_pod_that_is_more_than_an_agents(
    rig: Rig, change: Callable[[JsonObject], None], said: str
) -> None:
    await accounts(rig)
    for kind in ("Pod", "Pod of an own image"):
        pod = copy.deepcopy(made(rig)[kind][1])
        change(pod)
        with pytest.raises(Forbidden, match=said):
            await rig.operator.create(PODS, pod)
    service = made(rig)["Deployment"][1]
    change(child(child(service, "spec"), "template"))
    with pytest.raises(Forbidden, match=said):
        await rig.operator.apply(DEPLOYMENTS, service, field_manager=MANAGER)


async def test_what_holds_for_containers_holds_for_those_that_start_first(rig: Rig) -> None:
    await accounts(rig)
    pod = made(rig)["Pod of an own image"][1]
    put("spec", "initContainers", 0, "env", value=[{"name": "S", "valueFrom": {"secretKeyRef": SALARIES}}])(
        pod
    )
    with pytest.raises(Forbidden, match="as variables"):
        await rig.operator.create(PODS, pod)


async def foreign(rig: Rig) -> dict[str, tuple[Resource, JsonObject]]:
    """Make what a team has of its own, under names and labels of which some look like AOS's; return it."""
    await accounts(rig)
    container: JsonObject = {"name": "a", "image": "x"}
    pod: JsonObject = {"serviceAccountName": "boss", "containers": [container]}
    labels: JsonObject = {"app": "a"}
    spec: JsonObject = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    rbac: JsonObject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "theirs"}
    lent: JsonObject = {
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": ["salaries"],
        "verbs": ["get", "list", "watch"],
    }
    found: dict[str, tuple[Resource, JsonObject]] = {
        "Pod": (PODS, rig.manifest(PODS, "theirs", pod, {"app.kubernetes.io/managed-by": "aos"})),
        "Deployment": (DEPLOYMENTS, rig.manifest(DEPLOYMENTS, "aos-agent-theirs", spec)),
        "ControllerRevision": (
            CONTROLLER_REVISIONS,
            rig.manifest(CONTROLLER_REVISIONS, "theirs", revision=1, data={"a": "b"}),
        ),
        "Role": (ROLES, rig.manifest(ROLES, "aos-tool-theirs", rules=[lent])),
        "a Role with the label": (
            ROLES,
            rig.manifest(ROLES, "theirs", labels={"app.kubernetes.io/managed-by": "aos"}, rules=[]),
        ),
        "RoleBinding": (
            ROLE_BINDINGS,
            rig.manifest(ROLE_BINDINGS, "theirs", roleRef=rbac, subjects=[]),
        ),
        "ServiceAccount": (SERVICE_ACCOUNTS, rig.manifest(SERVICE_ACCOUNTS, "aos-agent-enricher")),
        "NetworkPolicy": (
            NETWORK_POLICIES,
            rig.manifest(NETWORK_POLICIES, "aos-agent-theirs", {"podSelector": {}}),
        ),
    }
    for resource, manifest in found.values():
        if resource is not SERVICE_ACCOUNTS:
            await rig.admin.create(resource, manifest)
    return found


async def test_the_operator_changes_and_removes_nothing_of_anybody_elses(rig: Rig) -> None:
    labels: JsonObject = {"app.kubernetes.io/managed-by": "aos", "aos.dev/agent": "theirs"}
    for resource, manifest in (await foreign(rig)).values():
        name = str(child(manifest, "metadata")["name"])
        owner: JsonObject = {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": "Tool" if resource in (ROLES, ROLE_BINDINGS) else "Agent",
            "name": "theirs",
            "uid": "tool-uid",
            "controller": True,
        }
        mark: JsonObject = {"metadata": {"labels": labels, "ownerReferences": [owner]}}
        # Some of it another policy refuses as well, and either may be the one that answers.
        said = "only what it made" if name != "theirs" else r"only what it made|belong to a Tool"
        with pytest.raises(Forbidden, match=said):
            await rig.operator.merge_patch(resource, name, mark, namespace=rig.namespace)
        if resource not in (SERVICE_ACCOUNTS, NETWORK_POLICIES):
            with pytest.raises(Forbidden, match="only what it made"):
                await rig.operator.delete(resource, name, namespace=rig.namespace)


async def test_the_operator_changes_nothing_of_what_a_pod_runs(rig: Rig) -> None:
    await accounts(rig)
    pod = await rig.operator.create(PODS, made(rig, await owners(rig))["Pod of an own image"][1])
    for kind in ("containers", "initContainers"):
        evil: list[JsonValue] = [{**item, "image": "evil"} for item in children(child(pod, "spec"), kind)]
        with pytest.raises(Forbidden, match="nothing of what they run"):
            await rig.operator.merge_patch(
                PODS, "enricher-warm-2", {"spec": {kind: evil}}, namespace=rig.namespace
            )


GATEWAY_ONLY: JsonObject = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": HOME}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/component": "gateway"}},
}
PORTS: list[JsonValue] = [{"protocol": "TCP", "port": 8443}]
OPEN: dict[str, JsonObject] = {
    "other pods": {"podSelector": {}},
    "pods of another agent": {"podSelector": {"matchLabels": {"aos.dev/agent": "other"}}},
    "one direction": {"policyTypes": ["Egress"]},
    "ingress": {"ingress": [{}]},
    "egress to all": {"egress": [{}]},
    "egress to addresses": {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": PORTS}]},
    "egress to any port": {"egress": [{"to": [GATEWAY_ONLY]}]},
    "egress to other ports": {"egress": [{"to": [GATEWAY_ONLY], "ports": [{"port": 1, "endPort": 9000}]}]},
    "egress to the namespace": {
        "egress": [{"to": [{**GATEWAY_ONLY, "podSelector": {}}], "ports": PORTS}],
    },
}


@pytest.mark.parametrize("change", OPEN.values(), ids=OPEN)
async def test_the_operator_opens_no_other_way(rig: Rig, change: JsonObject) -> None:
    _, manifest = made(rig)["NetworkPolicy"]
    opened: JsonObject = {**manifest, "spec": child(manifest, "spec") | change}
    with pytest.raises(Forbidden, match="opens one way"):
        await rig.operator.apply(NETWORK_POLICIES, opened, field_manager=MANAGER)


@pytest.mark.parametrize("kind", ["ServiceAccount", "NetworkPolicy", "ControllerRevision", "Deployment"])
async def test_what_the_operator_writes_is_named_after_its_owner_and_labelled(rig: Rig, kind: str) -> None:
    resource, manifest = made(rig)[kind]
    metadata = child(manifest, "metadata")
    orphan = {name: value for name, value in metadata.items() if name != "ownerReferences"}
    for other in ({**metadata, "name": "aos-agent-other"}, orphan):
        with pytest.raises(Forbidden, match="named after"):
            await rig.operator.apply(resource, {**manifest, "metadata": other}, field_manager=MANAGER)
    with pytest.raises(Forbidden, match="has the label"):
        await rig.operator.apply(
            resource, {**manifest, "metadata": {**metadata, "labels": {}}}, field_manager=MANAGER
        )


async def test_a_deployment_of_the_operator_takes_no_pods_of_others(rig: Rig) -> None:
    _, manifest = made(rig)["Deployment"]
    wide: JsonObject = {"selector": {"matchLabels": {"app.kubernetes.io/managed-by": "aos"}}}
    with pytest.raises(Forbidden, match="counts only pods of its own agent"):
        await rig.operator.apply(
            DEPLOYMENTS, {**manifest, "spec": child(manifest, "spec") | wide}, field_manager=MANAGER
        )


@pytest.mark.parametrize(
    "more",
    [
        {"automountServiceAccountToken": True},
        {"imagePullSecrets": [{"name": "salaries"}]},
        {"secrets": [{"name": "salaries"}]},
    ],
    ids=["token", "imagePullSecrets", "secrets"],
)
async def test_the_operator_gives_an_identity_no_secrets(rig: Rig, more: JsonObject) -> None:
    _, manifest = made(rig, await owners(rig))["ServiceAccount"]
    with pytest.raises(Forbidden, match="gives service accounts no Secrets"):
        await rig.operator.apply(SERVICE_ACCOUNTS, {**manifest, **more}, field_manager=MANAGER)
    await rig.operator.apply(SERVICE_ACCOUNTS, manifest, field_manager=MANAGER)
    with pytest.raises(Forbidden, match="gives service accounts no Secrets"):
        await rig.operator.apply(SERVICE_ACCOUNTS, {**manifest, **more}, field_manager=MANAGER)
    # What others put there is theirs.
    theirs: JsonObject = {"imagePullSecrets": [{"name": "registry"}]}
    await rig.admin.merge_patch(SERVICE_ACCOUNTS, "aos-agent-enricher", theirs, namespace=rig.namespace)
    await rig.operator.apply(SERVICE_ACCOUNTS, manifest, field_manager=MANAGER)


async def test_at_home_the_operator_writes_what_it_keeps_there_and_nothing_else(rig: Rig) -> None:
    token: JsonObject = {"kubernetes.io/service-account.name": "aos-gateway"}
    secrets: list[JsonObject] = [
        {"metadata": {"name": "mine", "namespace": HOME}},
        {
            "metadata": {"name": "aos-sampling", "namespace": HOME, "annotations": token},
            "type": "kubernetes.io/service-account-token",
        },
    ]
    await rig.admin.apply(
        SERVICE_ACCOUNTS,
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "aos-gateway", "namespace": HOME},
        },
        field_manager="test",
    )
    for secret in secrets:
        with pytest.raises(ApiError, match="only its own Secrets"):
            await rig.operator.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", **secret})
    with pytest.raises(Forbidden, match="writes one ConfigMap"):
        await rig.operator.create(
            CONFIG_MAPS,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": HOME}},
        )
