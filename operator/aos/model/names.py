"""Names that objects, labels and identities share: the only place where they are spelled."""

import hashlib
from typing import Final

GROUP: Final = "aos.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

LABEL_AGENT: Final = f"{GROUP}/agent"
LABEL_TASK: Final = f"{GROUP}/task"
LABEL_RUN: Final = f"{GROUP}/run"
LABEL_STEP: Final = f"{GROUP}/step"
LABEL_WORKFLOW: Final = f"{GROUP}/workflow"
LABEL_TENANT: Final = f"{GROUP}/tenant"
LABEL_ENVIRONMENT: Final = f"{GROUP}/environment"
LABEL_INSTRUCTIONS: Final = f"{GROUP}/instructions"
LABEL_OPENAPI: Final = f"{GROUP}/openapi"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"
MANAGED_BY: Final = "aos"

ANNOTATION_CHILD_DIGEST: Final = f"{GROUP}/applied-digest"
ANNOTATION_GATEWAY_CA: Final = f"{GROUP}/gateway-ca"
ANNOTATION_TASK_UID: Final = f"{GROUP}/task-uid"
ANNOTATION_AGENT_UID: Final = f"{GROUP}/agent-uid"
ANNOTATION_CLAIM: Final = f"{GROUP}/claim"

FIELD_MANAGER_OPERATOR: Final = "aos-operator"
FIELD_MANAGER_GATEWAY: Final = "aos-gateway"

AUDIENCE_GATEWAY: Final = "aos-gateway"
AUDIENCE_AUDIT: Final = "aos-audit"
TASK_HEADER: Final = "AOS-Task"
"""Header by which a pod says which Task, by uid, a request is for; what is for another one than its own is refused."""
AUDIT_TOKEN_HEADER: Final = "X-AOS-Token"  # noqa: S105 - a header's name; the API server's proxies strip Authorization
AUDITOR_SERVICE_ACCOUNT: Final = "aos-auditor"
AUDIT_ANCHORS: Final = "aos-audit-anchors"
TOKEN_EXPIRATION_SECONDS: Final = 600

GATEWAY_SERVICE: Final = "aos-gateway"
GATEWAY_PORT: Final = 8443
GATEWAY_ADMIN_PORT: Final = 8444
HELPER_PORT: Final = 15001
"""On the loopback of a pod with an own image: its way to the gateway."""
GATEWAY_HOOK_PORT: Final = 8446
HOOK_SERVICE: Final = "aos-hooks"
GATEWAY_TLS_SECRET: Final = "aos-gateway-tls"  # noqa: S105 - the name of a Secret, not its content
CA_SECRET: Final = "aos-ca"  # noqa: S105 - the name of a Secret, not its content
SAMPLING_SECRET: Final = "aos-sampling"  # noqa: S105 - the name of a Secret, not its content
SAMPLING_KEY: Final = "key"
SAMPLING_KEY_BYTES: Final = 32
OPERATOR_LEASE: Final = "aos-operator"

MAX_NAME_LENGTH: Final = 52
"""Agents, Tools, Models and Tasks leave room for the prefixes and suffixes of their children (63 is the limit)."""

_HASH_LENGTH: Final = 8
_LONG_HASH_LENGTH: Final = 16


def agent_service_account(agent: str) -> str:
    """Name of the ServiceAccount that only pods of ``agent`` may use."""
    return f"aos-agent-{agent}"


def agent_network_policy(agent: str) -> str:
    """Name of the NetworkPolicy that leaves pods of ``agent`` one route."""
    return f"aos-agent-{agent}"


def agent_revision(agent: str, digest: str) -> str:
    """Name of the ControllerRevision whose content has ``digest`` (``sha256:`` and hex)."""
    return f"{agent}-{digest.removeprefix('sha256:')[:_HASH_LENGTH]}"


def task_pod(task: str, uid: str) -> str:
    """Name of the one pod that the Task with ``uid`` may have; another Task of the same name gets another."""
    return f"{task}-{hashlib.sha256(uid.encode()).hexdigest()[:_HASH_LENGTH]}"


def handoff_task(agent: str, parent_uid: str, message_id: str) -> str:
    """Name of the Task by which the Task with ``parent_uid`` hands ``message_id`` to ``agent``: sent again, it is the same."""
    digest = _short_digest(f"{parent_uid}/{message_id}")
    return f"{agent[: MAX_NAME_LENGTH - len(digest) - 1]}-{digest}"


def step_task(run: str, run_uid: str, step: str, item: int | None, attempt: int) -> str:
    """Name of the Task, or of the run, by which ``attempt`` (from 1) of a step of the run with ``run_uid`` is done: made again, it is the same."""
    digest = _short_digest(f"{run_uid}/{step}/{'' if item is None else item}/{attempt}")
    told = f"{run}-{step.replace('_', '-')}"[: MAX_NAME_LENGTH - len(digest) - 1].rstrip("-")
    return f"{told}-{digest}"


def triggered_run(workflow: str, workflow_uid: str, trigger: str, delivery: str) -> str:
    """Name of the run that ``trigger`` starts for ``delivery``, a time or an id: told again, it is the same."""
    digest = _short_digest(f"{workflow_uid}/{trigger}/{delivery}")
    return f"{workflow[: MAX_NAME_LENGTH - len(digest) - 1].rstrip('-')}-{digest}"


def gate_request(run_uid: str, step: str) -> str:
    """Name of the ApprovalRequest by which people are asked at a gate of the run with ``run_uid``."""
    return f"gate-{_short_digest(f'{run_uid}/{step}')}"


def workflow_revision(workflow: str, digest: str) -> str:
    """Name of the ControllerRevision whose content has ``digest`` (``sha256:`` and hex)."""
    return f"workflow-{workflow}-{digest.removeprefix('sha256:')[:_HASH_LENGTH]}"


def agent_deployment(agent: str) -> str:
    """Name of the Deployment whose pods do the Tasks of ``agent``, a Service."""
    return f"aos-agent-{agent}"


def warm_pod(agent: str, uid: str, revision: str, number: int) -> str:
    """Name of the pod that is kept started as the ``number``-th for the Agent with ``uid``; another revision has others."""
    return f"{agent}-warm-{_short_digest(f'{uid}/{revision}/{number}')[:_HASH_LENGTH]}"


def approval_request(identity: str) -> str:
    """Name of the ApprovalRequest for the call that has this ``identity`` (``sha256:`` and hex): made again, it is the same."""
    return f"apr-{identity.removeprefix('sha256:')[:_LONG_HASH_LENGTH]}"


def review_request(call: str) -> str:
    """Name of the ApprovalRequest by which the call that the audit trail knows as ``call`` (hex) is reviewed."""
    return f"rev-{call[:_LONG_HASH_LENGTH]}"


def credential_role(kind: str, name: str) -> str:
    """Name of the Role and RoleBinding that let the gateway read the one Secret that ``kind/name`` refers to."""
    return f"aos-{kind.lower()}-{name}"


def webhook_role(workflow: str, secret: str) -> str:
    """Name of the Role and RoleBinding that let the gateway read the ``secret`` of a webhook of ``workflow``."""
    return f"aos-workflow-{workflow}-{hashlib.sha256(secret.encode()).hexdigest()[:_HASH_LENGTH]}"


def gateway_host(namespace: str) -> str:
    """DNS name in the gateway's certificate, given to agent pods by ``hostAliases``."""
    return f"{GATEWAY_SERVICE}.{namespace}.svc"


def mcp_name(tool: str, action: str) -> str:
    """Name under which the aggregated MCP endpoint offers ``action`` of ``tool``."""
    return f"{tool}.{action}"


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_LONG_HASH_LENGTH]
