"""The audit trail as people read it: the real command, through the real API server's proxy, by the chart's own roles."""

import asyncio
import contextlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pydantic import JsonValue
from typer.testing import CliRunner

from aos.audit.anchors import Anchors
from aos.audit.event import Phase
from aos.audit.signing import SignedHead
from aos.cli.main import app
from aos.controllers.anchors import manifest
from aos.gateway.audit.heads import HeadReporter
from aos.kube.client import ApiClient
from aos.kube.resources import (
    AGENTS,
    CONFIG_MAPS,
    PODS,
    POLICIES,
    ROLE_BINDINGS,
    SERVICE_ACCOUNTS,
    SERVICES,
    TOOLS,
    Resource,
)
from aos.kube.timestamps import micro_time
from aos.model.base import JsonObject
from aos.model.names import AUDIT_ANCHORS
from aos.store.interface import Admission, LeaseRequest
from hack.cluster.handle import Handle
from tests.cluster.gateway.world import AGENT_SPEC, World, running_world
from tests.cluster.operator.fake_gateway import own_address
from tests.unit.audit.make import event

ROOT = Path(__file__).resolve().parents[3]
RBAC = "rbac.authorization.k8s.io"
CLUSTER_KINDS = {
    "ClusterRole": Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False),
    "ClusterRoleBinding": Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    "Role": Resource(RBAC, "v1", "roles", "Role"),
    "ServiceAccount": SERVICE_ACCOUNTS,
}


class Report:
    def state(self, subject: str, statement: JsonObject) -> None:
        pass


class Audit:
    """A gateway with rows of two namespaces, and the command line before it."""

    def __init__(self, world: World, kubeconfig: Path) -> None:
        self.world = world
        self.kubeconfig = kubeconfig
        self.store = world.gateway._store

    async def aos(self, *arguments: str, code: int = 0) -> str:
        """Run the command as an administrator; return what it printed."""
        world = self.world
        command = [f"--kubeconfig={self.kubeconfig}", "-n", world.namespace, *arguments]
        environment = {"AOS_NAMESPACE": world.system}
        done = await asyncio.to_thread(CliRunner().invoke, app, command, env=environment)
        assert done.exit_code == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    async def data(self, *arguments: str) -> dict[str, JsonValue]:
        value = json.loads(await self.aos(*arguments, "-o", "json"))
        assert isinstance(value, dict)
        return value

    async def calls(self, *arguments: str) -> list[JsonValue]:
        rows = (await self.data("audit", *arguments))["rows"]
        assert isinstance(rows, list)
        return [row["event"]["call"] for row in rows if isinstance(row, dict)]  # type: ignore[index, call-overload]

    async def anchor(self) -> SignedHead:
        """Anchor the chain's head as the operator does."""
        world = self.world
        signed = await HeadReporter(self.store, Report()).tell()
        assert signed is not None
        anchors = Anchors().with_heads([signed])
        await world.client.apply(CONFIG_MAPS, manifest(world.system, anchors, ""), field_manager="test")
        return signed

    async def reader(self, name: str, *roles: str) -> None:
        """Make a service account in the tenant's namespace, with these roles there alone."""
        await self.world.create(SERVICE_ACCOUNTS, name)
        for role in roles:
            await self.world.create(
                ROLE_BINDINGS,
                f"{name}-{role}",
                roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                subjects=[{"kind": "ServiceAccount", "name": name, "namespace": self.world.namespace}],
            )


async def install(client: ApiClient, system: str) -> None:
    """Apply the chart's own roles, as Helm would."""
    chart = (ROOT / "charts/aos/templates/auditor.yaml").read_text(encoding="utf-8")
    chart = chart.replace('{{ include "aos.labels" . | nindent 4 }}', "{}")
    for document in yaml.safe_load_all(re.sub(r"{{ \.Release\.Namespace( \| quote)? }}", system, chart)):
        await client.apply(CLUSTER_KINDS[document["kind"]], document, field_manager="helm")


async def expose(client: ApiClient, system: str, address: str, port: int) -> None:
    """Put the gateway behind the Service that the chart makes."""
    service: JsonObject = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "aos-gateway", "namespace": system},
        "spec": {"ports": [{"name": "admin", "port": 8444, "targetPort": port}]},
    }
    # The API server's proxy goes by Endpoints, and only to addresses of pods that are there.
    pod = {"name": "aos-gateway-0", "namespace": system}
    spec: JsonObject = {"serviceAccountName": "aos-auditor", "containers": [{"name": "a", "image": "x"}]}
    await client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {**pod}, "spec": spec})
    status: JsonObject = {"podIP": address, "podIPs": [{"ip": address}]}
    await client.merge_patch(PODS, pod["name"], {"status": status}, namespace=system, subresource="status")
    target: JsonObject = {"kind": "Pod", **pod}
    endpoints: JsonObject = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "aos-gateway", "namespace": system},
        "subsets": [
            {
                "addresses": [{"ip": address, "targetRef": target}],
                "ports": [{"name": "admin", "port": port}],
            }
        ],
    }
    await client.apply(SERVICES, service, field_manager="test")
    await client.apply(Resource("", "v1", "endpoints", "Endpoints"), endpoints, field_manager="test")


@pytest.fixture
async def audit(kinds: Handle, client: ApiClient) -> AsyncIterator[Audit]:
    address = own_address()
    # The API server comes from that address; probes and agents still come from loopback.
    async with running_world(client, listen_address="0.0.0.0") as world:  # noqa: S104
        await install(client, world.system)
        await expose(client, world.system, address, world.ports.admin.port)
        made = Audit(world, kinds.kubeconfig)
        ours = [event(number, namespace=world.namespace) for number in (1, 2)]
        refused = replace(event(3, namespace=world.namespace), effect="Deny", agent="copywriter")
        await made.store.append([*ours, refused, event(4, namespace="finance", agent="auditor")])
        yield made


async def test_rows_are_shown_filtered_and_exported(audit: Audit) -> None:
    assert await audit.calls() == ["c1", "c2", "c3"]
    assert await audit.calls("--effect", "deny") == ["c3"]
    assert await audit.calls("--agent", "copywriter") == ["c3"]
    assert await audit.calls(
        "--person", "jane@example.com", "--tool", "crm.update_contact", "--until", event(2).time
    ) == ["c1"]
    assert "c4" in await audit.calls("-A")
    assert "crm.update_contact" in await audit.aos("audit")
    exported = (await audit.aos("audit", "export", "--format", "ocsf")).splitlines()
    assert [json.loads(line)["class_uid"] for line in exported] == [6003] * 3


async def test_a_trail_is_verified_and_a_changed_row_is_named(audit: Audit, tmp_path: Path) -> None:
    copy = tmp_path / "anchors.jsonl"
    copy.write_bytes((await audit.anchor()).encode())
    assert "the trail holds: 5 rows in 1 chains checked" in await audit.aos("audit", "verify")
    url = audit.world.settings.store_url.removeprefix("sqlite://")
    with contextlib.closing(sqlite3.connect(url)) as other, other:
        other.execute(
            "UPDATE audit SET event = CAST(replace(CAST(event AS TEXT), 'Deny', 'Allow') AS BLOB)"
            " WHERE CAST(event AS TEXT) LIKE '%Deny%'"
        )
    said = await audit.aos("audit", "verify", code=1)
    assert "Changed: row 4 of chain" in said
    assert "call c3" in said
    with contextlib.closing(sqlite3.connect(url)) as other, other:
        other.execute("DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)")
    assert "Truncated" in await audit.aos("audit", "verify", code=1)
    await audit.world.client.delete(CONFIG_MAPS, AUDIT_ANCHORS, namespace=audit.world.system)
    assert "since there are no anchors" in await audit.aos("audit", "verify", code=1)
    assert "the anchors name its row 5" in await audit.aos("audit", "verify", "--anchors", str(copy), code=1)


async def test_a_story_is_drawn_even_when_its_task_is_gone(audit: Audit) -> None:
    said = await audit.aos("audit", "trace", "t-1")
    assert "Task t-1: agent lead-enricher, asked for by jane@example.com; 2 calls, 1 denied" in said
    assert "Policy sales-baseline, rule write-crm" in said
    assert "neither a Task nor an audit row of t-9" in await audit.aos("audit", "trace", "t-9", code=1)


async def test_a_row_is_shown_with_its_policy_and_what_became_of_its_revision(audit: Audit) -> None:
    await audit.store.put_document(event().policy_digest, b'{"layers":[]}')
    chain = (await audit.store.heads())[0].chain
    shown = await audit.data("audit", "show", f"{chain}/2")
    assert shown["policy"] == {"digest": event().policy_digest, "content": {"layers": []}}
    assert "its ControllerRevision is gone" in str(shown["revision"])


async def test_attack_32_a_tenants_account_reads_its_own_namespace_alone(audit: Audit) -> None:
    await audit.reader("team", "aos-auditor")
    own = ("--service-account", "team")
    assert await audit.calls(*own) == ["c1", "c2", "c3"]
    team = f"{audit.world.namespace}/team"
    refused = await audit.aos("audit", "-n", "finance", "--service-account", team, code=3)
    assert "may not get audit.aos.dev in namespace finance" in refused
    assert "in all namespaces" in await audit.aos("audit", "-A", "--service-account", team, code=3)
    assert "in all namespaces" in await audit.aos("audit", "verify", "--service-account", team, code=3)


async def test_attack_32_an_account_without_rights_reads_nothing(audit: Audit) -> None:
    await audit.reader("nobody")
    assert "may not get audit.aos.dev" in await audit.aos("audit", "--service-account", "nobody", code=3)
    assert "no token of the service account" in await audit.aos("audit", "--service-account", "none", code=3)


async def test_holds_and_records_need_the_rights_to_change_them(audit: Audit) -> None:
    await audit.reader("team", "aos-auditor")
    await audit.reader("lead", "aos-records-manager")
    lead = ("--service-account", "lead")
    refused = await audit.aos(
        "audit", "hold", "add", "suit", "--reason", "x", "--service-account", "team", code=3
    )
    assert "may not hold audit.aos.dev" in refused
    await audit.aos("audit", "hold", "add", "suit", "--reason", "case 7", *lead)
    assert "case 7" in await audit.aos("audit", "hold", "list", *lead)
    await audit.aos("audit", "hold", "release", "suit", *lead)
    assert "there is no legal hold" in await audit.aos("audit", "hold", "list", *lead)
    lease = LeaseRequest("acme/crm/contact/1", "uid", "t-1", "lead-enricher", audit.world.namespace, 600)
    await audit.store.admit(Admission("c9", (), lease, (), event(9, namespace=audit.world.namespace), 600))
    assert "acme/crm/contact/1" in await audit.aos("records", *lead)
    refused = await audit.aos("records", "free", "acme/crm/contact/1", "--service-account", "team", code=3)
    assert "may not delete records.aos.dev" in refused
    assert "Task t-1 of agent lead-enricher held it" in await audit.aos(
        "records", "free", "acme/crm/contact/1", *lead
    )
    assert "no record is held" in await audit.aos("records", *lead)


async def test_a_wrong_namespace_of_aos_is_told_with_the_way_out(audit: Audit) -> None:
    said = await audit.aos(
        "audit", "--aos-namespace", audit.world.namespace, "--service-account", "default", code=4
    )
    assert "no AOS gateway is ready in namespace" in said
    assert "--aos-namespace" in said


async def test_a_policy_is_judged_by_the_calls_on_record_before_it_is_applied(
    audit: Audit, tmp_path: Path
) -> None:
    world = audit.world
    await world.create(
        TOOLS,
        "crm",
        spec={
            "type": "MCP",
            "url": "http://crm.sales-tools.svc/mcp",
            "actions": [{"name": "update_contact", "access": "Write", "risk": "Low"}],
        },
    )
    await world.create(AGENTS, "lead-enricher", spec={**AGENT_SPEC})
    allow: JsonObject = {"name": "write", "effect": "Allow", "tools": [{"name": "crm"}]}
    deny: JsonObject = {"name": "freeze", "effect": "Deny", "tools": [{"name": "crm"}]}
    await world.create(POLICIES, "baseline", spec={"agents": {}, "rules": [allow]})
    now = micro_time()
    for number in (5, 6):
        row = event(number, namespace=world.namespace, lineage=(), phase=Phase.INTENT, outcome="")
        await audit.store.append([replace(row, time=now)])
    file = tmp_path / "policy.yaml"
    candidate = {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Policy",
        "metadata": {"name": "freeze"},
        "spec": {"agents": {}, "rules": [deny]},
    }
    file.write_text(json.dumps(candidate), encoding="utf-8")
    said = await audit.aos("diff-policy", str(file), code=1)
    assert "2 recorded calls: 2 would be denied" in said
    candidate["spec"] = {"agents": {}, "rules": [allow]}
    file.write_text(json.dumps(candidate), encoding="utf-8")
    assert "2 stay as they are" in await audit.aos("diff-policy", str(file))


async def test_the_end_of_a_chain_is_told_before_the_gateway_ends(client: ApiClient, kinds: Handle) -> None:
    async with running_world(client) as world:
        told = world.gateway._report._statements
        await world.gateway._store.append([event(1, namespace=world.namespace)])
        before = told.get("auditHead", b"")
    assert told["auditHead"] != before
    assert b'"sequence":2' in told["auditHead"]
