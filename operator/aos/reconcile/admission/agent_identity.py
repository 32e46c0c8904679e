"""Who may make pods of agents: the operator alone."""

from typing import Final

from aos.reconcile.admission.shape import AGENT_ACCOUNT, Check, Policy, Rule, Who

AGENT_IDENTITY: Final = "aos-agent-identity"


def agent_identity(who: Who) -> Policy:
    """Only the operator makes pods of an agent's account; nobody changes them; nobody else gets its tokens."""
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
    unchanged = (
        "request.operation == 'UPDATE' && request.kind.kind == 'Pod' && object.spec == oldObject.spec"
        " && object.metadata.?labels.orValue({}) == oldObject.metadata.?labels.orValue({})"
        " && object.metadata.?annotations.orValue({}) == oldObject.metadata.?annotations.orValue({})"
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
            ("isUnchanged", unchanged),
        ),
        checks=(
            Check(
                "variables.isToken || variables.isSecret || variables.isOperator || variables.isUnchanged"
                " || !variables.borrows",
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
