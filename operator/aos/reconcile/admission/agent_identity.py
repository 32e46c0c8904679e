"""Who may make pods of agents: the operator alone, and for its Deployments the cluster's own controllers."""

from typing import Final

from aos.model.names import LABEL_AGENT
from aos.reconcile.admission.shape import AGENT_ACCOUNT, Check, Policy, Rule, Who

AGENT_IDENTITY: Final = "aos-agent-identity"
_CONTROLLERS: Final = "system:serviceaccount:kube-system:"
_CONTROLLER_MANAGER: Final = "system:kube-controller-manager"
"""Whom the API server takes every controller for, where the controller manager gives them no accounts of their own."""


def agent_identity(who: Who) -> Policy:
    """Only the operator makes pods of an agent's account, and Deployments of such pods; nobody changes them or gets its tokens.

    Of a Deployment the deployment controller makes ReplicaSets, and of these the replicaset controller pods, isolated as the
    agent's. Nobody but the operator can make what they begin with; one that was there before the policy gets pods that no Task names.
    """
    # Deployments and their like are refused as well, so that their author hears of it and not only a controller.
    borrows = " || ".join(
        f"variables.podSpec.?{field}.orValue('').startsWith('{AGENT_ACCOUNT}')"
        for field in ("serviceAccountName", "serviceAccount")
    )
    paths = {
        "Pod": "?spec",
        "CronJob": "?spec.?jobTemplate.?spec.?template.?spec",
        "PodTemplate": "?template.?spec",
    }
    # An optional that is kept in a variable reads as empty further on: each variable holds the value itself.
    pod_spec = (
        "".join(
            f"request.kind.kind == '{kind}' ? dyn(object).{path}.orValue({{}}) : "
            for kind, path in paths.items()
        )
        + "dyn(object).?spec.?template.?spec.orValue({})"
    )
    return Policy(
        name=AGENT_IDENTITY,
        rules=(
            Rule("", "v1", ("CREATE", "UPDATE"), ("pods", "replicationcontrollers", "podtemplates")),
            Rule("", "v1", ("UPDATE",), ("pods/ephemeralcontainers", "pods/resize")),
            Rule("", "v1", ("CREATE",), ("serviceaccounts/token",)),
            Rule("", "v1", ("CREATE", "UPDATE"), ("secrets",)),
            Rule(
                "apps",
                "v1",
                ("CREATE", "UPDATE"),
                ("deployments", "statefulsets", "daemonsets", "replicasets"),
            ),
            Rule("batch", "v1", ("CREATE", "UPDATE"), ("jobs", "cronjobs")),
        ),
        variables=(
            ("podSpec", pod_spec),
            ("borrows", borrows),
            ("isToken", "request.?subResource.orValue('') == 'token'"),
            ("isSecret", "request.kind.kind == 'Secret'"),
            ("isOperator", who.operator.is_caller),
            ("isKubelet", "request.userInfo.username.startsWith('system:node:')"),
            ("isController", _is_controller()),
            ("isUnchanged", _is_unchanged()),
        ),
        checks=(
            Check(
                "variables.isToken || variables.isSecret || variables.isOperator || variables.isController"
                " || variables.isUnchanged || !variables.borrows",
                f"service accounts named {AGENT_ACCOUNT}* belong to agents: only the AOS operator makes pods with them, and"
                " nobody changes those pods. Create a Task for the agent, or use another service account",
            ),
            Check(
                f"!variables.isToken || !request.name.startsWith('{AGENT_ACCOUNT}') || variables.isKubelet",
                f"tokens of service accounts named {AGENT_ACCOUNT}* are made for agent pods by the kubelet alone. Create a"
                " Task for the agent",
            ),
            Check(
                "!variables.isSecret || dyn(object).?type.orValue('') != 'kubernetes.io/service-account-token'"
                " || !object.metadata.?annotations[?'kubernetes.io/service-account.name'].orValue('')"
                f".startsWith('{AGENT_ACCOUNT}')",
                f"service accounts named {AGENT_ACCOUNT}* belong to agents and get no long-lived tokens. Create a Task for the"
                " agent",
            ),
        ),
    )


def _is_controller() -> str:
    """CEL: whether the deployment controller writes a ReplicaSet, or the replicaset controller makes a pod that is isolated."""
    account = "variables.podSpec.?serviceAccountName.orValue('')"
    label = f"object.metadata.?labels[?'{LABEL_AGENT}'].orValue('')"
    return (
        f"(request.kind.kind == 'ReplicaSet' && {_is_one_of('deployment-controller')}) ||"
        f" (request.kind.kind == 'Pod' && request.operation == 'CREATE' && {_is_one_of('replicaset-controller')}"
        f" && {account} == '{AGENT_ACCOUNT}' + {label})"
    )


def _is_unchanged() -> str:
    """CEL: whether nothing changes of what something is, or of whose it is but by the controllers that see to that."""
    parts = (
        ("object.metadata", "labels"),
        ("object.metadata", "annotations"),
        ("dyn(object)", "spec"),
        ("dyn(object)", "template"),
    )
    same = " && ".join(_is_same(parent, name) for parent, name in parts)
    keepers = _is_one_of("generic-garbage-collector", "deployment-controller", "replicaset-controller")
    owners = _is_same("dyn(object).metadata", "ownerReferences", empty="[]")
    return f"request.operation == 'UPDATE' && {same} && ({owners} || {keepers})"


def _is_same(parent: str, name: str, empty: str = "{}") -> str:
    before = parent.replace("object", "oldObject")
    return f"{parent}.?{name}.orValue({empty}) == {before}.?{name}.orValue({empty})"


def _is_one_of(*controllers: str) -> str:
    names = (*(f"{_CONTROLLERS}{name}" for name in controllers), _CONTROLLER_MANAGER)
    return f"request.userInfo.username in [{', '.join(repr(name) for name in names)}]"
