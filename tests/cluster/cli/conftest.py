"""A namespace of its own for each test, with an agent and what it needs; statuses are written by the tests."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import JsonValue
from typer.testing import CliRunner

from aos.cli.main import app
from aos.kube.resources import TASKS
from hack.cluster.handle import Handle
from tests.cluster.api import KINDS, api

ROOT = Path(__file__).resolve().parents[3]
AOS = Path(sys.executable).parent / "aos"
NOW = "2026-01-02T03:04:05Z"
WAIT_SECONDS = 30.0
Object = dict[str, JsonValue]

AGENT: Object = {
    "owner": {"team": "revops"},
    "instructions": "Enrich the lead.",
    "tools": [{"name": "crm", "actions": ["get_*", "export_*"]}],
}
TOOL: Object = {
    "type": "MCP",
    "url": "http://crm.sales-tools.svc:8080/mcp",
    "actions": [
        {"name": "get_contact", "access": "Read", "risk": "Low"},
        {"name": "export_contacts", "access": "Read", "risk": "High"},
    ],
}
MODEL: Object = {"url": "https://models.example.com/v1", "model": "small-1"}
POLICY: Object = {
    "agents": {},
    "rules": [
        {
            "name": "read",
            "effect": "Allow",
            "tools": [{"name": "crm", "access": ["Read"]}],
            "when": "args.id.startsWith('emea-')",
        },
        {"name": "no-export", "effect": "Deny", "tools": [{"name": "*", "actions": ["export_*"]}]},
    ],
}


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Object:
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


class Namespace:
    """One namespace, by kubectl and by aos."""

    def __init__(self, cluster: Handle, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._api = api(cluster.kubeconfig)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        answer = self.cluster.kubectl("-n", self.name, *arguments, stdin=stdin)
        assert answer.ok, answer.stderr
        return answer.stdout

    def aos(self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None) -> Finished:
        common = ["--kubeconfig", str(kubeconfig or self.cluster.kubeconfig), "-n", self.name]
        done = CliRunner().invoke(app, [*common, *arguments], input=stdin, prog_name="aos")
        return Finished(done.exit_code, done.stdout, done.stderr)

    def start_aos(self, *arguments: str) -> "subprocess.Popen[str]":
        common = [str(AOS), f"--kubeconfig={self.cluster.kubeconfig}", "-n", self.name]
        return subprocess.Popen(
            [*common, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def create(self, kind: str, name: str, spec: Mapping[str, JsonValue]) -> None:
        manifest: Object = {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": dict(spec),
        }
        self._api.create(manifest, self.name)

    def patch_status(self, kind: str, name: str, status: Mapping[str, JsonValue]) -> None:
        self._api.patch_status(KINDS[kind.lower()], self.name, name, dict(status))

    def tasks(self) -> list[str]:
        return self._api.names(TASKS, self.name)

    def only_task(self) -> str:
        """Wait for the namespace's one Task and return its name."""
        until(lambda: bool(self.tasks()))
        return self.tasks()[0]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": NOW,
    }


def new_namespace(cluster: Handle, labels: Mapping[str, str] | None = None) -> Namespace:
    name = f"cli-{secrets.token_hex(4)}"
    metadata: Object = {"name": name, "labels": dict(labels or {})}
    api(cluster.kubeconfig).create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return Namespace(cluster, name)


@pytest.fixture
def namespace(cluster: Handle) -> Namespace:
    return new_namespace(cluster)


@pytest.fixture
def sales(namespace: Namespace) -> Namespace:
    namespace.create("Tool", "crm", TOOL)
    namespace.create("Model", "default", MODEL)
    namespace.create("Policy", "baseline", POLICY)
    namespace.create("Agent", "enricher", AGENT)
    return namespace
