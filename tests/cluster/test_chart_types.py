"""Whatever valid value the chart is given comes out as what Kubernetes takes it for: no name becomes a number, no address ends the YAML."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from pydantic import JsonValue

from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.cluster.programs import tool
from tests.e2e.installation import JsonObject, at

CHART: Final = Path(__file__).resolve().parents[2] / "charts/aos"
# Each is a valid name, and something else to YAML where it stands without quotes.
NUMBER, EXPONENT, HEX, NOTHING, YES, DATE = "123", "1e3", "0x1f", "null", "on", "2026-01-01"
NAMES: Final = (NUMBER, EXPONENT, HEX, NOTHING, YES, DATE)
EVERYWHERE: Final = ("::/0", "0:0::0/0")
METADATA: Final = ["fe80::/10", "fd00:ec2::/32"]
ODD: Final[JsonObject] = {
    "image": {"repository": "localhost:5000/aos", "tag": NUMBER},
    "imagePullSecrets": [{"name": NUMBER}],
    "agentImage": NUMBER,
    "operator": {
        "auditAnchors": {
            "existingClaim": NUMBER,
            "otlp": {
                "url": "https://[2001:db8::1]:4318/v1/logs",
                "headersSecretRef": {"name": NUMBER, "key": NOTHING},
            },
        },
        "resources": {"limits": {"cpu": 2, "memory": 1073741824}},
    },
    "networkPolicy": {
        "apiServerCIDRs": ["::/0", "2001:db8::/32"],
        "upstreamCIDRs": [*EVERYWHERE, "::1/128"],
        "storeCIDRs": ["fd00::/8"],
        "notificationCIDRs": ["::/0"],
        "anchorCIDRs": ["::/0"],
        "metricsNamespaces": list(NAMES),
        "hookNamespaces": list(NAMES),
    },
    "roleBindings": [
        {"role": "aos-viewer", "users": [*NAMES, 'a"b: {c}', "#d"], "namespaces": [NUMBER, EXPONENT]},
        {"role": "aos-auditor", "groups": list(NAMES)},
    ],
    "notifications": [
        {
            "name": NUMBER,
            "format": "Generic",
            "urlSecretRef": {"name": NUMBER, "key": EXPONENT},
            "keySecretRef": {"name": NUMBER, "key": NOTHING},
            "namespaces": [NUMBER],
        },
        {"name": NOTHING, "format": "Slack", "url": "https://[2001:db8::1]/x?a={b}: #c\u0085"},
    ],
    "nodeSelector": {"zone": NUMBER, "spot": "true"},
}
POSTGRES: Final[JsonObject] = {
    "gateway": {"replicas": 2, "store": {"existingSecret": NUMBER, "existingSecretKey": HEX}}
}
VOLUME: Final[JsonObject] = {"gateway": {"store": {"storageClass": EXPONENT}}}
LONG: Final = ("CustomResourceDefinition", "ValidatingAdmissionPolicy")
KIND: Final = re.compile(r'^kind: "?(\w+)"?$', re.MULTILINE)
CONTROL: Final = re.compile(r"(if|else|end|range|with|define|fail)\b|\$\w+ :?=")
SAFE: Final = re.compile(r"\| (quote|int|nindent \d+)$")
TEXTS: Final = frozenset({"namespace", "name", "key", "secretName", "claimName", "cidr", "storageClassName"})
MAPS: Final = frozenset({"labels", "annotations", "matchLabels", "stringData", "nodeSelector"})


def documents(more: JsonObject) -> list[str]:
    """Render, as text: Kubernetes reads some plain words as numbers that Python's YAML does not.

    Without what is long and takes no value but within texts: the kinds, and what admission policies say.
    """
    helm = str(tool(Paths.from_environment(), "helm"))
    done = subprocess.run(
        [helm, "template", "aos", str(CHART), f"--namespace={NUMBER}", "--values=-"],
        input=json.dumps(ODD | more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.split(r"^---$", done.stdout, flags=re.MULTILINE)
    return [item for item in found if (kind := KIND.search(item)) and kind[1] not in LONG]


def rendered(more: JsonObject) -> list[JsonObject]:
    return [yaml.safe_load(item) for item in documents(more)]


def fields(value: JsonValue, path: str = "") -> Iterator[tuple[str, str, JsonValue]]:
    """Give each field below with its path and name."""
    if isinstance(value, dict):
        for name, content in value.items():
            yield path, name, content
            yield from fields(content, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from fields(item, path)


def one(found: list[JsonObject], kind: str, name: str) -> JsonObject:
    return next(item for item in found if (item["kind"], at(item, "metadata.name")) == (kind, name))


def values_of(item: JsonValue, wanted: str) -> list[JsonValue]:
    return [content for _, name, content in fields(item) if name == wanted]


def test_no_template_writes_a_value_as_it_is() -> None:
    bare = [
        f"{path.name}: {action}"
        for path in sorted((CHART / "templates").rglob("*.yaml"))
        # The kinds are whole files; admission policies have values within the texts of expressions alone.
        if path.name not in {"crds.yaml", "admission.yaml"}
        for action in re.findall(r"{{-? *(.*?) *-?}}", path.read_text(encoding="utf-8"))
        if not CONTROL.match(action) and not SAFE.search(action)
    ]
    assert bare == []


@pytest.mark.parametrize("more", [POSTGRES, VOLUME], ids=["postgres", "volume"])
def test_names_and_texts_stay_texts(more: JsonObject) -> None:
    for item in rendered(more):
        for path, name, content in fields(item):
            where = f"{item['kind']} {at(item, 'metadata.name')}{path}.{name}"
            if name in TEXTS:
                assert isinstance(content, str), where
            if name in MAPS and isinstance(content, dict):
                assert all(isinstance(text, str) for text in content.values()), where


def test_what_was_given_is_what_is_rendered() -> None:
    found = rendered(POSTGRES)
    gateway = one(found, "Deployment", "aos-gateway")
    assert {"name": NUMBER, "key": HEX} in values_of(gateway, "secretKeyRef")
    isolation = one(found, "NetworkPolicy", "aos-gateway")
    assert values_of(isolation, "kubernetes.io/metadata.name") == [*NAMES, *NAMES]
    people = [
        item
        for item in found
        if item["kind"] == "RoleBinding" and "-people-" in str(at(item, "metadata.name"))
    ]
    assert [at(item, "metadata.namespace") for item in people] == [NUMBER, EXPONENT, NUMBER, NUMBER]
    assert values_of(people[0]["subjects"], "name") == [*NAMES, 'a"b: {c}', "#d"]
    claim = one(rendered(VOLUME), "PersistentVolumeClaim", "aos-gateway-store")
    assert at(claim, "spec.storageClassName") == EXPONENT
    (written,) = values_of(one(found, "Secret", "aos-notifications"), "notifications.json")
    webhooks = json.loads(str(written))
    assert [webhook["name"] for webhook in webhooks] == [NUMBER, NOTHING]
    assert webhooks[1]["url"].endswith("?a={b}: #c\u0085")


def test_every_address_of_ipv6_in_whatever_spelling_leaves_metadata_services_out() -> None:
    egress = at(one(rendered(POSTGRES), "NetworkPolicy", "aos-gateway"), "spec.egress")
    assert isinstance(egress, list)
    assert values_of(egress[0], "ipBlock") == [
        *({"cidr": cidr, "except": METADATA} for cidr in EVERYWHERE),
        {"cidr": "::1/128"},
    ]


@pytest.mark.parametrize("more", [POSTGRES, VOLUME], ids=["postgres", "volume"])
def test_it_is_accepted_by_an_api_server(control_plane: Handle, more: JsonObject) -> None:
    for namespace in (NUMBER, EXPONENT):
        control_plane.kubectl("create", "namespace", namespace)
    text = "---\n".join(documents(more))
    done = control_plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr
