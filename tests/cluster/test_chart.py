"""The chart renders what an API server takes, and refuses settings that can't work with words that help."""

import json
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from pydantic import JsonValue

from aos.kube.objects import texts
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.cluster.programs import tool
from tests.cluster.api import RefusedError, api
from tests.cluster.operator.access import OPERATOR_AT_HOME, OPERATOR_EVERYWHERE
from tests.e2e.installation import JsonObject, at

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/aos"
PRODUCTION = f"--values={CHART / 'values-production.yaml'}"
BINDINGS = "--set-json=roleBindings=" + json.dumps(
    [
        {"role": "aos-approver", "groups": ["sales-leads", "on"], "namespaces": ["sales", "support"]},
        {"role": "aos-viewer", "users": ["ada@example.com"], "groups": ["staff"]},
        {"role": "aos-auditor", "users": ["jane@example.com"]},
    ]
)
OTLP = "--set-json=operator.auditAnchors.otlp=" + json.dumps(
    {
        "url": "https://collector.example:4318/v1/logs",
        "headersSecretRef": {"name": "collector", "key": "key"},
    }
)
Render = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def render() -> Render:
    helm = tool(Paths.from_environment(), "helm")

    def rendered(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(helm), "template", "aos", str(CHART), "--namespace=aos-system", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    return rendered


@pytest.fixture(scope="module")
def its_namespaces(control_plane: Handle) -> Handle:
    """The API server with the namespaces that objects of the chart stand in."""
    for name in ("aos-system", "sales", "support"):
        with suppress(RefusedError):  # another test made it
            api(control_plane.kubeconfig).request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return control_plane


def manifests(done: "subprocess.CompletedProcess[str]") -> list[JsonObject]:
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def objects_in(value: JsonValue) -> list[JsonObject]:
    assert isinstance(value, list)
    return [item for item in value if isinstance(item, dict)]


def gateway(found: list[JsonObject]) -> JsonObject:
    return next(
        item for item in found if (item["kind"], at(item, "metadata.name")) == ("Deployment", "aos-gateway")
    )


def pod(found: list[JsonObject]) -> JsonObject:
    spec = at(gateway(found), "spec.template.spec")
    assert isinstance(spec, dict)
    return spec


def volume(found: list[JsonObject]) -> JsonObject | None:
    volumes = pod(found)["volumes"]
    assert isinstance(volumes, list)
    return next((item for item in volumes if isinstance(item, dict) and item["name"] == "store"), None)


def store_url(found: list[JsonObject]) -> JsonObject:
    containers = pod(found)["containers"]
    assert isinstance(containers, list)
    assert isinstance(containers[0], dict)
    variables = containers[0]["env"]
    assert isinstance(variables, list)
    return next(item for item in variables if isinstance(item, dict) and item["name"] == "AOS_STORE_URL")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [PRODUCTION],
        ["--set=gateway.store.emptyDir=true"],
        ["--set=operator.auditAnchors.existingClaim=a"],
        [OTLP],
        [BINDINGS],
    ],
)
def test_what_it_renders_is_accepted_by_an_api_server(
    its_namespaces: Handle, render: Render, arguments: list[str]
) -> None:
    for item in manifests(render(*arguments)):
        if item["kind"] != "CustomResourceDefinition":
            api(its_namespaces.kubeconfig).try_apply(item)


def test_by_default_one_gateway_has_a_file_on_a_volume_that_outlives_it(render: Render) -> None:
    found = manifests(render())
    assert store_url(found)["value"] == "sqlite:////var/lib/aos/store.db"
    assert at(gateway(found), "spec.strategy.type") == "Recreate"
    assert volume(found) == {"name": "store", "persistentVolumeClaim": {"claimName": "aos-gateway-store"}}
    assert at(pod(found), "securityContext.fsGroup") == 65532
    claim = next(item for item in found if item["kind"] == "PersistentVolumeClaim")
    kept = at(claim, "metadata.annotations")
    assert isinstance(kept, dict)
    assert kept["helm.sh/resource-policy"] == "keep"


def test_a_trial_keeps_the_file_in_the_pod_and_asks_for_no_volume(render: Render) -> None:
    found = manifests(render("--set=gateway.store.emptyDir=true"))
    assert volume(found) == {"name": "store", "emptyDir": {"sizeLimit": "8Gi"}}
    assert not [item for item in found if item["kind"] == "PersistentVolumeClaim"]


def test_several_gateways_share_the_server_that_a_secret_names(render: Render) -> None:
    found = manifests(render(PRODUCTION, "--set=networkPolicy.storeCIDRs={10.1.0.0/16}"))
    assert at(gateway(found), "spec.replicas") == 2
    assert at(gateway(found), "spec.strategy.type") == "RollingUpdate"
    assert volume(found) is None
    assert at(store_url(found), "valueFrom.secretKeyRef") == {"name": "aos-store", "key": "url"}
    isolation = next(
        item
        for item in found
        if (item["kind"], at(item, "metadata.name")) == ("NetworkPolicy", "aos-gateway")
    )
    egress = at(isolation, "spec.egress")
    assert isinstance(egress, list)
    assert egress[-1] == {
        "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
        "ports": [{"port": 5432, "protocol": "TCP"}],
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set=gateway.replicas=2"], "a file that one replica alone can use"),
        (
            ["--set=gateway.store.emptyDir=true", "--set=gateway.store.existingSecret=a"],
            "can't both be given",
        ),
        (["--set=gateway.store.size=big"], "/gateway/store/size"),
        (["--set=gateway.store.backend=x"], "backend"),
        (["--set=gateway.auditRetentionHours=0"], "/gateway/auditRetentionHours"),
        (["--set=operator.auditAnchors.otlp.url=collector:4318"], "/operator/auditAnchors/otlp/url"),
        (
            ['--set-json=operator.auditAnchors.otlp={"headersSecretRef":{"name":"a","key":"b"}}'],
            "/operator/auditAnchors/otlp",
        ),
        (["--set=networkPolicy.storeCIDRs={here}"], "/networkPolicy/storeCIDRs"),
        (['--set-json=roleBindings=[{"role":"cluster-admin","groups":["a"]}]'], "/roleBindings/0/role"),
        (['--set-json=roleBindings=[{"role":"aos-approver"}]'], "/roleBindings/0"),
        (['--set-json=roleBindings=[{"role":"aos-approver","groups":[]}]'], "/roleBindings/0"),
        (
            ['--set-json=roleBindings=[{"role":"aos-auditor","groups":["a"],"namespaces":["sales"]}]'],
            "reads the audit trail of all namespaces",
        ),
    ],
)
def test_what_can_not_work_is_refused_with_the_way_out(
    render: Render, arguments: list[str], says: str
) -> None:
    done = render(*arguments)
    assert done.returncode != 0
    assert says in done.stderr


def test_agents_get_their_image_with_the_secrets_that_are_named(render: Render) -> None:
    def said(*arguments: str) -> list[JsonValue]:
        found = manifests(render(*arguments))
        operator = next(
            item
            for item in found
            if (item["kind"], at(item, "metadata.name")) == ("Deployment", "aos-operator")
        )
        containers = objects_in(at(operator, "spec.template.spec.containers"))
        return [
            item["value"]
            for item in objects_in(containers[0]["env"])
            if item["name"] == "AOS_AGENT_IMAGE_PULL_SECRETS"
        ]

    assert said() == []
    assert said('--set-json=agentImagePullSecrets=[{"name":"a"},{"name":"on"}]') == ["a,on"]


def test_anchors_are_copied_to_the_volume_that_is_named(render: Render) -> None:
    found = manifests(render("--set=operator.auditAnchors.existingClaim=anchors"))
    operator = next(
        item for item in found if (item["kind"], at(item, "metadata.name")) == ("Deployment", "aos-operator")
    )
    spec = at(operator, "spec.template.spec")
    assert isinstance(spec, dict)
    assert {"name": "anchors", "persistentVolumeClaim": {"claimName": "anchors"}} in objects_in(
        spec["volumes"]
    )
    container = objects_in(spec["containers"])[0]
    assert {"name": "anchors", "mountPath": "/var/lib/aos-anchors"} in objects_in(container["volumeMounts"])
    variable = {"name": "AOS_AUDIT_ANCHOR_FILE", "value": "/var/lib/aos-anchors/anchors.jsonl"}
    assert variable in objects_in(container["env"])


def test_anchors_are_posted_to_the_collector_that_is_named_and_nowhere_else(render: Render) -> None:
    found = manifests(render(OTLP, "--set=networkPolicy.anchorCIDRs={203.0.113.0/24}"))
    spec = at(named(found, "Deployment", "aos-operator"), "spec.template.spec")
    assert isinstance(spec, dict)
    container = objects_in(spec["containers"])[0]
    variables = {item["name"]: item.get("value") for item in objects_in(container["env"])}
    assert variables["AOS_AUDIT_ANCHOR_OTLP_URL"] == "https://collector.example:4318/v1/logs"
    assert variables["AOS_AUDIT_ANCHOR_OTLP_HEADERS_FILE"] == "/etc/aos/anchors/headers"
    mount = {"name": "anchor-headers", "mountPath": "/etc/aos/anchors", "readOnly": True}
    assert mount in objects_in(container["volumeMounts"])
    secret = {"secretName": "collector", "items": [{"key": "key", "path": "headers"}]}
    assert {"name": "anchor-headers", "secret": secret} in objects_in(spec["volumes"])
    egress = at(named(found, "NetworkPolicy", "aos-operator"), "spec.egress")
    assert isinstance(egress, list)
    assert egress[2:] == [
        {
            "to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}],
            "ports": [{"port": port, "protocol": "TCP"} for port in (443, 4318)],
        },
        {"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]},
    ]
    without = at(named(manifests(render()), "NetworkPolicy", "aos-operator"), "spec.egress")
    assert without == egress[:2]


def named(found: list[JsonObject], kind: str, name: str) -> JsonObject:
    return next(item for item in found if (item["kind"], at(item, "metadata.name")) == (kind, name))


def bindings(found: list[JsonObject]) -> set[tuple[str, str, str, str]]:
    """Return namespace, role, kind and name of each person or group that is given a role."""
    return {
        (
            str(at(item, "metadata.namespace") or ""),
            str(at(item, "roleRef.name")),
            str(one["kind"]),
            str(one["name"]),
        )
        for item in found
        if str(item["kind"]).endswith("RoleBinding")
        for one in objects_in(item["subjects"])
        if one["kind"] != "ServiceAccount"
    }


def test_people_have_the_roles_that_the_values_give_them(render: Render) -> None:
    assert bindings(manifests(render())) == set()
    found = manifests(render(BINDINGS))
    assert bindings(found) == {
        *(("sales", "aos-approver", "Group", name) for name in ("sales-leads", "on")),
        *(("support", "aos-approver", "Group", name) for name in ("sales-leads", "on")),
        ("", "aos-viewer", "User", "ada@example.com"),
        ("", "aos-viewer", "Group", "staff"),
        ("aos-system", "aos-auditor", "User", "jane@example.com"),
        ("aos-system", "aos-audit-proxy", "User", "jane@example.com"),
    }
    names = [(at(item, "metadata.namespace"), at(item, "metadata.name")) for item in found]
    assert len({name for name in names if "-people-" in str(name)}) == 5


def rights(rules: JsonValue) -> set[tuple[str, str, str, str]]:
    """Return group, resource, verb and name of all that the rules allow."""
    assert isinstance(rules, list)
    return {
        (group, resource, verb, name)
        for rule in rules
        if isinstance(rule, dict)
        for group in texts(rule, "apiGroups")
        for resource in texts(rule, "resources")
        for verb in texts(rule, "verbs")
        for name in texts(rule, "resourceNames") or ("*",)
    }


@pytest.mark.parametrize(
    ("kind", "tested"), [("ClusterRole", OPERATOR_EVERYWHERE), ("Role", OPERATOR_AT_HOME)]
)
def test_the_operator_has_the_rights_that_its_tests_run_with_and_no_others(
    render: Render, kind: str, tested: list[JsonValue]
) -> None:
    role = next(
        item
        for item in manifests(render())
        if (item["kind"], at(item, "metadata.name")) == (kind, "aos-operator")
    )
    assert rights(role["rules"]) == rights(tested)
