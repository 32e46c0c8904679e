"""ClusterPolicies on a real API server: a ceiling over namespaces that those who rule there can't lift."""

import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.errors import Forbidden
from aos.kube.objects import child, children, text
from aos.kube.resources import AGENTS, CLUSTER_POLICIES, NAMESPACES, POLICIES, TOOLS
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.decision import Call, Effect, decide
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from tests.cluster.operator.conftest import account_kubeconfig
from tests.cluster.operator.rig import AGENT_SPEC, GATEWAY, POLICY_SPEC, TOOL_SPEC, Rig

READ: JsonObject = {"name": "read", "effect": "Allow", "tools": [{"name": "*", "access": ["Read"]}]}
EVERYTHING: JsonObject = {"name": "everything", "effect": "Allow", "tools": [{"name": "*"}]}
ACTIONS: list[JsonValue] = [
    {"name": "get_contact", "access": "Read", "risk": "Low"},
    {"name": "update_contact", "access": "Write", "risk": "Low"},
]


def call(action: str) -> Call:
    return Call(
        tool="crm", action=action, arguments={}, task="t", requested_by="somebody", now=datetime.now(UTC)
    )


class Ceiling:
    """One ClusterPolicy, over namespaces with a label of its own."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.name = f"ceiling-{secrets.token_hex(4)}"

    async def label(self, value: str | None = "yes") -> None:
        """Label the test's namespace so that the ClusterPolicy selects it, or take the label away."""
        patch: JsonObject = {"metadata": {"labels": {self.name: value}}}
        await self.rig.admin.merge_patch(NAMESPACES, self.rig.namespace, patch)

    async def make(self, *rules: JsonValue) -> None:
        """Create the ClusterPolicy."""
        spec: JsonObject = {"namespaces": {"matchLabels": {self.name: "yes"}}, "rules": list(rules)}
        await self.rig.admin.create(CLUSTER_POLICIES, self.manifest(spec=spec))

    def manifest(self, **parts: JsonValue) -> JsonObject:
        return {
            "apiVersion": CLUSTER_POLICIES.api_version,
            "kind": CLUSTER_POLICIES.kind,
            "metadata": {"name": self.name},
            **parts,
        }

    async def until(self, type_: str, status: str, reason: str, selected: int) -> None:
        """Wait until the ClusterPolicy says so."""

        async def holds() -> bool:
            said = child(await self.rig.admin.get(CLUSTER_POLICIES, self.name), "status")
            found = {text(item, "type"): item for item in children(said, "conditions")}.get(type_, {})
            here = (text(found, "status"), text(found, "reason"), said.get("selectedAgents", 0))
            return here == (status, reason, selected)

        await self.rig.eventually(holds)

    async def sources(self, *expected: tuple[str, str]) -> None:
        """Wait until the agent's effective policy is made of these."""

        async def holds() -> bool:
            policy = child(child(await self.rig.get(AGENTS, "enricher"), "status"), "policy")
            found = {(text(item, "kind"), text(item, "name")) for item in children(policy, "sources")}
            return found == set(expected)

        await self.rig.eventually(holds)

    async def policy(self) -> EffectivePolicy:
        """Return the agent's effective policy, made from what the API server holds now."""
        rig = self.rig
        namespace = await rig.admin.get(NAMESPACES, rig.namespace)
        labels = child(child(namespace, "metadata"), "labels")
        return effective_policy(
            PolicyInputs(
                agent=Agent.parse(await rig.get(AGENTS, "enricher")),
                namespace_labels={name: str(value) for name, value in labels.items()},
                tools={"crm": Tool.parse(await rig.get(TOOLS, "crm"))},
                policies=[Policy.parse(item) for item in await rig.all(POLICIES)],
                cluster_policies=[
                    ClusterPolicy.parse(item) async for item in rig.admin.list(CLUSTER_POLICIES)
                ],
            )
        )

    async def effects(self) -> dict[str, Effect]:
        """Return what becomes of the agent's calls."""
        policy = await self.policy()
        return {action: decide(policy, call(action)).effect for action in ("get_contact", "update_contact")}


@pytest.fixture
async def ceiling(running: Rig) -> AsyncIterator[Ceiling]:
    """A ready agent that its namespace's own Policy allows everything."""
    one = Ceiling(running)
    await running.make(TOOLS, "crm", {**TOOL_SPEC, "auth": None, "actions": ACTIONS})
    await running.make(POLICIES, "own", {**POLICY_SPEC, "rules": [EVERYTHING]})
    asked: list[JsonValue] = [{"name": "crm", "actions": ["*"]}]
    spec = {name: value for name, value in AGENT_SPEC.items() if name != "model"} | {"tools": asked}
    await running.make(AGENTS, "enricher", spec, {"role": "research"})
    await running.ready_agent()
    yield one
    for item in [item async for item in running.admin.list(CLUSTER_POLICIES)]:
        await running.admin.delete(CLUSTER_POLICIES, text(child(item, "metadata"), "name"))


@pytest.fixture
async def team_admin(ceiling: Ceiling) -> AsyncIterator[ApiClient]:
    """Somebody who may do anything with objects of AOS within the test's namespace."""
    rig, user = ceiling.rig, f"{ceiling.name}-admin"
    group = "rbac.authorization.k8s.io"
    about: JsonObject = {"name": "team-admin", "namespace": rig.namespace}
    rules: JsonValue = [{"apiGroups": ["aos.dev"], "resources": ["*"], "verbs": ["*"]}]
    made: tuple[JsonObject, ...] = (
        {"kind": "Role", "metadata": about, "rules": rules},
        {
            "kind": "RoleBinding",
            "metadata": about,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "team-admin"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        },
    )
    for item in made:
        manifest = json.dumps({"apiVersion": f"{group}/v1", **item})
        done = rig.cluster.kubectl("apply", "-f", "-", stdin=manifest)
        assert done.ok, done.stderr
    async with await ApiClient.connect(account_kubeconfig(rig.cluster, user)) as client:
        yield client


async def test_a_cluster_policy_is_accepted_counts_its_agents_and_is_a_source_of_their_policy(
    ceiling: Ceiling,
) -> None:
    await ceiling.label()
    await ceiling.make(READ)
    await ceiling.until("Ready", "True", "Ready", selected=1)
    await ceiling.sources(("ClusterPolicy", ceiling.name), ("Policy", "own"))
    await ceiling.rig.ready_agent()
    assert await ceiling.effects() == {"get_contact": Effect.ALLOW, "update_contact": Effect.DENY}
    published = child(child(await ceiling.rig.get(AGENTS, "enricher"), "status"), "policy")
    assert text(published, "digest") == (await ceiling.policy()).digest


async def test_the_label_of_a_namespace_puts_it_under_a_cluster_policy_and_takes_it_out(
    ceiling: Ceiling,
) -> None:
    await ceiling.make(READ)
    await ceiling.until("Ready", "True", "Ready", selected=0)
    await ceiling.sources(("Policy", "own"))
    await ceiling.label()
    await ceiling.until("Ready", "True", "Ready", selected=1)
    await ceiling.sources(("ClusterPolicy", ceiling.name), ("Policy", "own"))
    await ceiling.label(None)
    await ceiling.until("Ready", "True", "Ready", selected=0)
    await ceiling.sources(("Policy", "own"))


async def test_a_cluster_policy_that_does_not_compile_names_the_place_and_denies_every_call(
    ceiling: Ceiling,
) -> None:
    await ceiling.label()
    await ceiling.make({**READ, "when": "args.x =="})
    await ceiling.until("Accepted", "False", "InvalidExpression", selected=1)
    said = child(await ceiling.rig.admin.get(CLUSTER_POLICIES, ceiling.name), "status")
    (message,) = [
        text(item, "message") for item in children(said, "conditions") if text(item, "type") == "Accepted"
    ]
    assert "spec.rules[read].when: line 1, column" in message
    await ceiling.rig.until(AGENTS, "enricher", "PolicyEnforced", "False", "PolicyNotAccepted")
    assert set((await ceiling.effects()).values()) == {Effect.DENY}


async def test_attack_31_a_namespace_admin_can_not_loosen_a_cluster_policy(
    ceiling: Ceiling, team_admin: ApiClient
) -> None:
    rig = ceiling.rig
    await ceiling.label()
    await ceiling.make(READ)
    await ceiling.sources(("ClusterPolicy", ceiling.name), ("Policy", "own"))
    # Whatever they write into their own Policies, the ceiling stays where it is.
    wide = rig.manifest(POLICIES, "wide", {"agents": {}, "rules": [EVERYTHING]})
    await team_admin.create(POLICIES, wide)
    await ceiling.sources(("ClusterPolicy", ceiling.name), ("Policy", "own"), ("Policy", "wide"))
    assert (await ceiling.effects())["update_contact"] is Effect.DENY
    # Nor can they touch it, put another beside it, or leave its reach.
    loosened: JsonObject = {"spec": {"rules": [EVERYTHING]}}
    with pytest.raises(Forbidden):
        await team_admin.merge_patch(CLUSTER_POLICIES, ceiling.name, loosened)
    with pytest.raises(Forbidden):
        await team_admin.delete(CLUSTER_POLICIES, ceiling.name)
    with pytest.raises(Forbidden):
        await team_admin.create(CLUSTER_POLICIES, ceiling.manifest(spec={**loosened, "namespaces": {}}))
    unlabelled: JsonObject = {"metadata": {"labels": {ceiling.name: None}}}
    with pytest.raises(Forbidden):
        await team_admin.merge_patch(NAMESPACES, rig.namespace, unlabelled)
    assert (await ceiling.effects())["update_contact"] is Effect.DENY


async def test_nobody_but_the_operator_writes_the_status_of_a_cluster_policy(ceiling: Ceiling) -> None:
    await ceiling.make(READ)
    await ceiling.until("Ready", "True", "Ready", selected=0)
    forged = ceiling.manifest(status={"selectedAgents": 99})
    with pytest.raises(Forbidden, match="written by AOS itself"):
        await ceiling.rig.admin.apply_status(CLUSTER_POLICIES, forged, field_manager="me")
    with pytest.raises(Forbidden, match=GATEWAY.rpartition(":")[2]):
        await ceiling.rig.gateway.apply_status(CLUSTER_POLICIES, forged, field_manager="aos-gateway")
