"""The rights that the operator and the gateway run with in these tests: exactly what they need, so that a missing one fails a test."""

from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from aos.model.base import JsonObject

KINDS: Final = (
    "agents",
    "tasks",
    "tools",
    "models",
    "policies",
    "clusterpolicies",
    "workflows",
    "workflowruns",
    "approvalrequests",
)


def _rule(
    group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()
) -> JsonObject:
    rule: JsonObject = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    if names:
        rule["resourceNames"] = list(names)
    return rule


OPERATOR_EVERYWHERE: Final[list[JsonValue]] = [
    _rule("aos.dev", KINDS, ("get", "list", "watch")),
    _rule("aos.dev", ("tasks", "workflowruns"), ("delete",)),
    _rule("aos.dev", ("tasks", "workflowruns", "approvalrequests"), ("create",)),
    _rule("aos.dev", ("workflowruns",), ("patch",)),
    _rule("aos.dev", [f"{kind}/status" for kind in KINDS], ("patch",)),
    _rule("", ("pods",), ("get", "list", "watch", "create", "patch", "delete")),
    _rule("apps", ("deployments",), ("list", "watch", "create", "patch", "delete")),
    _rule("", ("serviceaccounts",), ("list", "watch", "create", "patch")),
    _rule("", ("configmaps", "namespaces", "nodes"), ("list", "watch")),
    _rule("node.k8s.io", ("runtimeclasses",), ("list", "watch")),
    _rule("apps", ("controllerrevisions",), ("get", "list", "watch", "create", "patch", "delete")),
    _rule("networking.k8s.io", ("networkpolicies",), ("list", "watch", "create", "patch")),
    _rule(
        "rbac.authorization.k8s.io",
        ("roles", "rolebindings"),
        ("list", "watch", "create", "patch", "delete"),
    ),
    _rule("rbac.authorization.k8s.io", ("roles",), ("escalate", "bind")),
    _rule(
        "admissionregistration.k8s.io",
        ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
        ("list", "watch"),
    ),
    _rule("events.k8s.io", ("events",), ("create", "patch")),
]

OPERATOR_AT_HOME: Final[list[JsonValue]] = [
    _rule("coordination.k8s.io", ("leases",), ("create",)),
    _rule("coordination.k8s.io", ("leases",), ("get", "patch"), ("aos-operator",)),
    _rule("", ("secrets",), ("create",)),
    _rule("", ("secrets",), ("get", "patch"), ("aos-ca", "aos-gateway-tls", "aos-sampling")),
    _rule("", ("configmaps",), ("create",)),
    _rule("", ("configmaps",), ("get", "patch"), ("aos-audit-anchors",)),
    _rule("", ("services",), ("list", "watch")),
    _rule("discovery.k8s.io", ("endpointslices",), ("list", "watch")),
]

GATEWAY_EVERYWHERE: Final[list[JsonValue]] = [
    _rule("aos.dev", [kind for kind in KINDS if not kind.startswith("workflow")], ("get", "list", "watch")),
    _rule("aos.dev", ("tasks",), ("create", "delete")),
    _rule("aos.dev", ("approvalrequests",), ("create", "delete")),
    _rule(
        "aos.dev", ("tasks/status", "tools/status", "models/status", "approvalrequests/status"), ("patch",)
    ),
    _rule("events.k8s.io", ("events",), ("create", "patch")),
]


def manifests(
    username: str, namespace: str, name: str, everywhere: list[JsonValue], at_home: list[JsonValue]
) -> list[JsonObject]:
    """Return roles with these rules, bound to one user."""
    group = "rbac.authorization.k8s.io"
    subject: JsonObject = {"apiGroup": group, "kind": "User", "name": username}
    made: list[JsonObject] = [
        {"kind": "ClusterRole", "metadata": {"name": name}, "rules": everywhere},
        {
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    ]
    if at_home:
        about: JsonObject = {"name": name, "namespace": namespace}
        made += [
            {"kind": "Role", "metadata": about, "rules": at_home},
            {
                "kind": "RoleBinding",
                "metadata": about,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
                "subjects": [subject],
            },
        ]
    return [{"apiVersion": f"{group}/v1", **item} for item in made]
