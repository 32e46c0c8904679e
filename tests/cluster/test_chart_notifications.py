"""The chart's webhooks: what it renders is what the operator reads, and what can't work is refused."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import JsonValue

from aos.controllers.notifications_settings import load_webhooks
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.cluster.programs import tool
from tests.e2e.installation import JsonObject, at

CHART = Path(__file__).resolve().parents[2] / "charts/aos"
WEBHOOKS: list[JsonValue] = [
    {
        "name": "sales-slack",
        "format": "Slack",
        "urlSecretRef": {"name": "slack", "key": "url"},
        "namespaces": ["sales"],
    },
    {
        "name": "ticketing",
        "url": "https://ticketing.example.com/hooks/aos",
        "keySecretRef": {"name": "tickets", "key": "hmac"},
        "namespaceSelector": {"matchLabels": {"aos.dev/environment": "production"}},
        "events": ["Asked", "Decided"],
    },
]


def rendered(webhooks: list[JsonValue], *more: str) -> "subprocess.CompletedProcess[str]":
    helm = tool(Paths.from_environment(), "helm")
    values = json.dumps({"notifications": webhooks})
    return subprocess.run(
        [str(helm), "template", "aos", str(CHART), "--namespace=aos-system", "--values=-", *more],
        input=values,
        capture_output=True,
        text=True,
        check=False,
    )


def manifests(webhooks: list[JsonValue]) -> list[JsonObject]:
    done = rendered(webhooks)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def one(found: list[JsonObject], kind: str, name: str) -> JsonObject:
    return next(item for item in found if (item["kind"], at(item, "metadata.name")) == (kind, name))


def test_the_operator_reads_what_the_chart_writes(tmp_path: Path) -> None:
    found = manifests(WEBHOOKS)
    secret = one(found, "Secret", "aos-notifications")
    written = str(at(secret, "stringData")["notifications.json"])  # type: ignore[call-overload, index]
    for name, content in (("sales-slack/url", "https://hooks.example.com/x"), ("ticketing/key", "0" * 32)):
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(content)
    file = tmp_path / "notifications.json"
    file.write_text(written.replace("/etc/aos/webhooks", str(tmp_path)))
    slack, ticketing = load_webhooks(file)
    assert slack.address().host == "hooks.example.com"
    assert slack.audience.namespaces == {"sales"}
    assert ticketing.key() == b"0" * 32
    assert {event.value for event in ticketing.audience.events} == {"Asked", "Decided"}


def test_the_operators_pod_has_each_secret_where_the_file_says_and_may_reach_the_webhooks() -> None:
    found = manifests(WEBHOOKS)
    deployment = one(found, "Deployment", "aos-operator")
    volumes = at(deployment, "spec.template.spec.volumes")
    assert isinstance(volumes, list)
    projected = next(item for item in volumes if isinstance(item, dict) and item["name"] == "webhooks")
    assert isinstance(projected, dict)
    assert at(projected, "projected.sources") == [
        {"secret": {"name": "slack", "items": [{"key": "url", "path": "sales-slack/url"}]}},
        {"secret": {"name": "tickets", "items": [{"key": "hmac", "path": "ticketing/key"}]}},
    ]
    egress = at(one(found, "NetworkPolicy", "aos-operator"), "spec.egress")
    assert isinstance(egress, list)
    assert {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]} in egress


def test_a_change_of_webhooks_rolls_the_operator() -> None:
    name = "spec.template.metadata.annotations"
    before, after = (
        at(one(manifests(webhooks), "Deployment", "aos-operator"), name)
        for webhooks in (WEBHOOKS, WEBHOOKS[:1])
    )
    assert before != after


def test_without_webhooks_there_is_nothing_of_them() -> None:
    done = rendered([])
    assert done.returncode == 0, done.stderr
    assert "aos-notifications" not in done.stdout
    assert "AOS_NOTIFICATIONS_FILE" not in done.stdout


def test_what_it_renders_is_accepted_by_an_api_server(control_plane: Handle) -> None:
    control_plane.kubectl("create", "namespace", "aos-system")
    found = [
        item for item in manifests(WEBHOOKS) if item["kind"] in {"Secret", "Deployment", "NetworkPolicy"}
    ]
    done = control_plane.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(found)
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "webhook",
    [
        {"format": "Slack", "url": "https://x"},
        {"name": "chat", "format": "Slack"},
        {"name": "chat", "format": "Slack", "url": "ftp://x"},
        {"name": "chat", "format": "Slack", "url": "https://x", "urlSecretRef": {"name": "a", "key": "b"}},
        {"name": "chat", "url": "https://x"},
        {"name": "chat", "format": "Generic", "url": "https://x"},
        {"name": "chat", "format": "Slack", "url": "https://x", "events": ["Done"]},
        {"name": "chat", "format": "Slack", "url": "https://x", "link": "https://y"},
        {
            "name": "chat",
            "format": "Slack",
            "url": "https://x",
            "namespaces": ["a"],
            "namespaceSelector": {"matchLabels": {}},
        },
    ],
)
def test_a_webhook_that_can_not_work_is_refused(webhook: JsonObject) -> None:
    done = rendered([webhook])
    assert done.returncode != 0
    assert "notifications" in done.stderr
