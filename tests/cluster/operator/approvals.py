"""What tests of approvals hold: requests as the gateway makes them, and people with real names, groups and rights."""

import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.objects import child, children, uid_of
from aos.kube.resources import APPROVAL_REQUESTS, ROLE_BINDINGS, ROLES, TASKS
from aos.kube.reviews import AccessRequest, UserInfo
from aos.model.base import JsonObject
from aos.model.names import GROUP
from hack.cluster.paths import Paths
from hack.cluster.programs import tool
from tests.cluster.operator.rig import Rig

ROOT: Final = Path(__file__).resolve().parents[3]
LEADS: Final = "sales-leads"
FINANCE: Final = "finance"
STAFF: Final = "staff"
"""Everybody who holds the verb ``approve`` in the test's namespace."""
RBAC: Final = "rbac.authorization.k8s.io"
DIGEST: Final = "sha256:" + "0" * 64
REQUEST: Final[JsonObject] = {
    "agent": {"name": "enricher", "revision": "enricher-00000000"},
    "tool": "crm",
    "action": "update_contact",
    "access": "Write",
    "risk": "Medium",
    "record": "contact/7",
    "summary": "update_contact of crm: contact/7",
    "arguments": "{}",
    "argumentsDigest": DIGEST,
    "definitionDigest": DIGEST,
    "policyDigest": DIGEST,
    "requestedBy": "ada",
    "quorums": [{"rule": "outbound", "required": 2, "approvers": {"groups": [LEADS]}}],
    "expiresAt": "2099-01-01T00:00:00Z",
}


def chart_roles() -> list[JsonObject]:
    """Return the roles for people, as the chart makes them."""
    done = subprocess.run(
        [
            str(tool(Paths.from_environment(), "helm")),
            *("template", "aos", str(ROOT / "charts/aos"), "--show-only", "templates/roles.yaml"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return [item for item in yaml.safe_load_all(done.stdout) if item]


@dataclass(frozen=True)
class Desk:
    """Where people decide.

    Attributes:
        rig: the cluster and AOS's own clients.
        folder: where kubeconfigs are put.
        stack: ends the people's clients.
    """

    rig: Rig
    folder: Path
    stack: contextlib.AsyncExitStack

    async def person(self, name: str, *groups: str) -> ApiClient:
        """Return a client of a user in these groups, by a certificate; its path has no colon."""
        issued = self.rig.cluster.user(name, *groups, "system:authenticated")
        target = self.folder / f"person-{len(list(self.folder.iterdir()))}"
        shutil.copyfile(issued, target)
        return await self.stack.enter_async_context(await ApiClient.connect(target))

    async def lead(self, name: str) -> ApiClient:
        """Return a client of somebody whom `REQUEST` asks, and who may approve."""
        return await self.person(name, LEADS, STAFF)

    async def bind(self, role: str, kind: str, name: str) -> None:
        """Give a user or group a ClusterRole in the test's namespace."""
        metadata: JsonObject = {
            "name": f"{role}-{secrets.token_hex(4)}",
            "namespace": self.rig.namespace,
        }
        await self.rig.admin.create(
            ROLE_BINDINGS,
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": RBAC, "kind": kind, "name": name}],
            },
        )

    async def grant(self, name: str, rules: list[JsonValue], group: str) -> None:
        """Give a group these rights in the test's namespace, and wait until the API server knows."""
        rig = self.rig
        await rig.admin.create(ROLES, rig.manifest(ROLES, name) | {"rules": rules})
        subject: JsonObject = {"apiGroup": RBAC, "kind": "Group", "name": group}
        binding: JsonObject = {
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [subject],
        }
        await rig.admin.create(ROLE_BINDINGS, rig.manifest(ROLE_BINDINGS, name) | binding)

        async def known() -> bool:
            return await self.may("patch", UserInfo("anyone", "", (group,)))

        await rig.eventually(known)

    async def may(self, verb: str, user: UserInfo) -> bool:
        """Whether RBAC lets a user do this with requests of the test's namespace."""
        return await self.rig.admin.may(
            user, AccessRequest(verb, GROUP, APPROVAL_REQUESTS.plural, self.rig.namespace)
        )

    async def manifest(self, name: str = "apr-1", spec: Mapping[str, JsonValue] | None = None) -> JsonObject:
        """Return a request as the gateway makes it, for a Task ``t1`` that is made here."""
        rig = self.rig
        uid = uid_of(await rig.get(TASKS, "t1") or await rig.task("t1"))
        full: JsonObject = {**REQUEST, "task": {"name": "t1", "uid": uid}, **(spec or {})}
        made = rig.manifest(APPROVAL_REQUESTS, name, full)
        owner: JsonObject = {"apiVersion": "aos.dev/v1alpha1", "kind": "Task", "name": "t1", "uid": uid}
        return {**made, "metadata": {**child(made, "metadata"), "ownerReferences": [owner]}}

    async def ask(self, name: str = "apr-1", **spec: JsonValue) -> JsonObject:
        """Make a request in the gateway's name."""
        return await self.rig.gateway.create(APPROVAL_REQUESTS, await self.manifest(name, spec))

    async def decisions(self, name: str = "apr-1") -> list[JsonObject]:
        """Return what was decided."""
        return list(children(child(await self.rig.get(APPROVAL_REQUESTS, name), "spec"), "decisions"))

    async def put(
        self, client: ApiClient, decisions: list[JsonObject], name: str = "apr-1", **query: str
    ) -> JsonObject:
        """Make these the request's decisions, by a PUT."""
        found = await self.rig.get(APPROVAL_REQUESTS, name)
        changed: JsonObject = {**found, "spec": {**child(found, "spec"), "decisions": [*decisions]}}
        path = APPROVAL_REQUESTS.object_path(self.rig.namespace, name)
        return await client.request("PUT", path, query=query, body=changed)

    async def decide(self, client: ApiClient, decision: JsonObject, name: str = "apr-1") -> JsonObject:
        """Add a decision, as `kubectl aos approve` does."""
        patch: JsonObject = {"spec": {"decisions": [*await self.decisions(name), decision]}}
        return await client.merge_patch(APPROVAL_REQUESTS, name, patch, namespace=self.rig.namespace)

    async def set_state(self, *states: str, name: str = "apr-1") -> None:
        """Let the operator say where a request stands."""
        for state in states:
            status: JsonObject = {"state": state, "need": 2, "have": 0}
            await self.rig.operator.apply_status(
                APPROVAL_REQUESTS,
                self.rig.manifest(APPROVAL_REQUESTS, name, status=status),
                field_manager="aos-operator",
            )

    async def has_right(self) -> bool:
        """Whether the API server knows that `STAFF` may approve."""
        return await self.may("approve", UserInfo("anyone", "", (STAFF,)))

    async def settle(self) -> None:
        """Give `STAFF` the chart's role, and wait until that is known."""
        await self.bind("aos-approver", "Group", STAFF)
        await self.rig.eventually(self.has_right)


def approve(who: str, *groups: str, verdict: str = "Approve") -> JsonObject:
    """Return a decision."""
    return {"approver": who, "verdict": verdict, **({"groups": [*groups]} if groups else {})}
