"""The children of an Agent, and of a Tool or Model with a credential, as whole manifests."""

from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.meta import ObjectMeta
from aos.model.names import (
    API_VERSION,
    GATEWAY_PORT,
    LABEL_AGENT,
    LABEL_COMPONENT,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    LABEL_PART_OF,
    LABEL_WORKFLOW,
    MANAGED_BY,
    agent_network_policy,
    agent_service_account,
    credential_role,
    webhook_role,
)
from aos.reconcile.revision import Revision
from aos.reconcile.settings import OperatorSettings

COMPONENT_AGENT: Final = "agent"
COMPONENT_GATEWAY: Final = "gateway"
COMPONENT_CREDENTIAL: Final = "credential"
COMPONENT_WORKFLOW: Final = "workflow"
NAMESPACE_NAME_LABEL: Final = "kubernetes.io/metadata.name"
RBAC_GROUP: Final = "rbac.authorization.k8s.io"
CREDENTIAL_VERBS: Final = ("get", "list", "watch")


def labels(component: str) -> dict[str, JsonValue]:
    """Return the labels that every child carries."""
    return {
        LABEL_NAME: MANAGED_BY,
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_PART_OF: MANAGED_BY,
        LABEL_COMPONENT: component,
    }


def owner_reference(kind: str, metadata: ObjectMeta) -> JsonObject:
    """Return the reference by which a child goes when its owner does."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": metadata.name,
        "uid": metadata.uid,
        "controller": True,
    }


def service_account(agent: ObjectMeta) -> JsonObject:
    """Return the identity that only pods of ``agent`` may use; no token of it is mounted by itself."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": agent_metadata(agent, agent_service_account(agent.name)),
        "automountServiceAccountToken": False,
    }


def network_policy(agent: ObjectMeta, settings: OperatorSettings) -> JsonObject:
    """Return the isolation of the pods of ``agent``: nothing in, and out only to the gateway's pods. No DNS either."""
    gateway: JsonObject = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME_LABEL: settings.namespace}},
        "podSelector": {"matchLabels": {LABEL_COMPONENT: COMPONENT_GATEWAY}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": agent_metadata(agent, agent_network_policy(agent.name)),
        "spec": {
            "podSelector": {"matchLabels": {LABEL_AGENT: agent.name}},
            "policyTypes": ["Ingress", "Egress"],
            # Said though it is the default: otherwise a rule that somebody adds would be theirs and stay.
            "ingress": [],
            "egress": [{"to": [gateway], "ports": [{"protocol": "TCP", "port": GATEWAY_PORT}]}],
        },
    }


def controller_revision(agent: ObjectMeta, revision: Revision, number: int) -> JsonObject:
    """Return the record of what the agent is told and runs; its content never changes, its number may grow."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": agent_metadata(agent, revision.name),
        "revision": number,
        "data": revision.data,
    }


def workflow_revision_record(workflow: ObjectMeta, name: str, data: JsonObject, number: int) -> JsonObject:
    """Return the record of what a Workflow does; its content never changes, its number may grow."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": workflow.namespace,
            "labels": {**labels(COMPONENT_WORKFLOW), LABEL_WORKFLOW: workflow.name},
            "ownerReferences": [owner_reference("Workflow", workflow)],
        },
        "revision": number,
        "data": data,
    }


def credential_access(
    kind: str, metadata: ObjectMeta, secret: str, settings: OperatorSettings
) -> Sequence[JsonObject]:
    """Return the Role and RoleBinding by which the gateway may read the one Secret that ``kind/name`` names."""
    return _access(credential_role(kind, metadata.name), kind, metadata, secret, settings)


def webhook_access(metadata: ObjectMeta, secret: str, settings: OperatorSettings) -> Sequence[JsonObject]:
    """Return the Role and RoleBinding by which the gateway may read one Secret of a Workflow's webhooks."""
    return _access(webhook_role(metadata.name, secret), "Workflow", metadata, secret, settings)


def _access(
    name: str, kind: str, metadata: ObjectMeta, secret: str, settings: OperatorSettings
) -> Sequence[JsonObject]:
    about: JsonObject = {
        "name": name,
        "namespace": metadata.namespace,
        "labels": labels(COMPONENT_CREDENTIAL),
        "ownerReferences": [owner_reference(kind, metadata)],
    }
    role: JsonObject = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "Role",
        "metadata": about,
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["secrets"],
                "resourceNames": [secret],
                "verbs": list(CREDENTIAL_VERBS),
            }
        ],
    }
    binding: JsonObject = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": about,
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": name},
        "subjects": [
            {
                "kind": "ServiceAccount",
                "name": settings.gateway_service_account,
                "namespace": settings.namespace,
            }
        ],
    }
    return role, binding


def agent_metadata(agent: ObjectMeta, name: str) -> JsonObject:
    """Return the metadata of a child of ``agent``."""
    return {
        "name": name,
        "namespace": agent.namespace,
        "labels": {**labels(COMPONENT_AGENT), LABEL_AGENT: agent.name},
        "ownerReferences": [owner_reference("Agent", agent)],
    }
