"""What the operator may write and remove: its own children, as it makes them, and nothing of anybody else's."""

from typing import Final

from aos.model.names import (
    AUDIT_ANCHORS,
    CA_SECRET,
    GATEWAY_PORT,
    GATEWAY_TLS_SECRET,
    GROUP,
    LABEL_AGENT,
    LABEL_COMPONENT,
    LABEL_MANAGED_BY,
    MANAGED_BY,
    SAMPLING_SECRET,
)
from aos.reconcile.admission.agent_pods import pod_checks, pod_variables
from aos.reconcile.admission.shape import AGENT_ACCOUNT, Check, Policy, Rule, Who
from aos.reconcile.children import COMPONENT_AGENT, COMPONENT_GATEWAY, NAMESPACE_NAME_LABEL, RBAC_GROUP

OPERATOR_CHILDREN: Final = "aos-operator-children"
_SECRETS: Final = (CA_SECRET, GATEWAY_TLS_SECRET, SAMPLING_SECRET)
_ALL: Final = ("CREATE", "UPDATE", "DELETE")


def operator_children(who: Who) -> Policy:
    """Roles of Kubernetes know no labels: the operator may write such kinds anywhere; this leaves it what it makes itself.

    What was there before is its own by its name and by its labels or owner, whichever of both somebody took away. What the Roles say that it
    writes is held by `aos-credential-roles`.
    """
    return Policy(
        name=OPERATOR_CHILDREN,
        rules=(
            Rule("", "v1", _ALL, ("pods", "serviceaccounts", "secrets", "configmaps")),
            Rule("apps", "v1", _ALL, ("deployments", "controllerrevisions")),
            Rule("networking.k8s.io", "v1", _ALL, ("networkpolicies",)),
            Rule(RBAC_GROUP, "*", _ALL, ("roles", "rolebindings")),
        ),
        conditions=(("is-operator", who.operator.is_caller),),
        variables=(*_variables(), *pod_variables()),
        checks=(*_whose(), *pod_checks(), *_about_pods(), *_about_others(who)),
    )


def _variables() -> tuple[tuple[str, str], ...]:
    named = f"variables.name.startsWith('{AGENT_ACCOUNT}')"
    return (
        ("kind", "request.kind.kind"),
        ("isWritten", "request.operation != 'DELETE'"),
        ("wasThere", "request.operation != 'CREATE'"),
        ("isAtHome", "variables.kind in ['Secret', 'ConfigMap']"),
        # A request that deletes many names none.
        ("name", "(variables.isWritten ? dyn(object) : dyn(oldObject)).metadata.?name.orValue('')"),
        ("old", "variables.wasThere ? dyn(oldObject) : dyn(object)"),
        ("new", "variables.isWritten ? dyn(object) : dyn(oldObject)"),
        (
            "isNamed",
            (
                f"variables.kind in ['ServiceAccount', 'NetworkPolicy', 'Deployment'] ? {named}"
                " : (variables.kind in ['Role', 'RoleBinding'] ? variables.name.matches('^aos-(tool|model|workflow)-')"
                " : true)"
            ),
        ),
        ("oldOwners", "variables.old.metadata.?ownerReferences.orValue([])"),
        ("owners", "variables.new.metadata.?ownerReferences.orValue([])"),
        ("labels", "variables.new.metadata.?labels.orValue({})"),
    )


def _whose() -> tuple[Check, ...]:
    """Return what says that a child is the operator's own, before and after."""
    owned = f"exists(o, o.apiVersion.startsWith('{GROUP}/') && o.?controller.orValue(false))"
    label = f"variables.old.metadata.?labels[?'{LABEL_MANAGED_BY}'].orValue('') == '{MANAGED_BY}'"
    account = f"variables.old.?spec.?serviceAccountName.orValue('').startsWith('{AGENT_ACCOUNT}')"
    belongs = (
        f"variables.owners.exists(o, o.apiVersion.startsWith('{GROUP}/') && o.?controller.orValue(false)"
        " && (variables.kind == 'ControllerRevision'"
        " ? (o.kind == 'Agent' && variables.name.startsWith(o.name + '-'))"
        " || (o.kind == 'Workflow' && variables.name.startsWith('workflow-' + o.name + '-'))"
        f" : o.kind == 'Agent' && variables.name == '{AGENT_ACCOUNT}' + o.name"
        f" && variables.labels[?'{LABEL_AGENT}'].orValue('') == o.name))"
    )
    return (
        Check(
            "!variables.wasThere || variables.isAtHome || (variables.isPod ? "
            f"{account} : variables.isNamed && ({label} || variables.oldOwners.{owned}))",
            "the operator changes and removes only what it made: this was made by somebody else, or has neither the label"
            f" {LABEL_MANAGED_BY}: {MANAGED_BY} nor an owner of {GROUP} any more; remove it yourself",
        ),
        Check(
            "!variables.isWritten || variables.isAtHome"
            f" || variables.labels[?'{LABEL_MANAGED_BY}'].orValue('') == '{MANAGED_BY}'",
            f"what the operator writes has the label {LABEL_MANAGED_BY}: {MANAGED_BY}",
        ),
        Check(
            "!variables.isWritten || variables.isAtHome || variables.isPod"
            f" || variables.kind in ['Role', 'RoleBinding'] || ({belongs})",
            "what the operator writes is named after the Agent or Workflow that owns it",
        ),
    )


def _about_pods() -> tuple[Check, ...]:
    """Return what holds for pods that are there, and for which pods a Deployment counts as its own."""
    same = " && ".join(
        f"dyn(object).spec.?{field}.orValue([]) == dyn(oldObject).spec.?{field}.orValue([])"
        for field in ("containers", "initContainers")
    )
    return (
        Check(
            f"!variables.isPod || request.operation != 'UPDATE' || ({same})",
            "the operator gives pods Tasks, and changes nothing of what they run",
        ),
        Check(
            "variables.kind != 'Deployment' || !variables.isWritten"
            " || (size(dyn(object).spec.selector.?matchExpressions.orValue([])) == 0"
            " && dyn(object).spec.selector.?matchLabels.orValue({})"
            f" == {{'{LABEL_AGENT}': variables.labels[?'{LABEL_AGENT}'].orValue(''),"
            f" '{LABEL_COMPONENT}': '{COMPONENT_AGENT}'}})",
            "a Deployment of the operator counts only pods of its own agent",
        ),
    )


def _about_others(who: Who) -> tuple[Check, ...]:
    """Return what holds for isolation, identities, and what stands in the operator's own namespace."""
    to_gateway = (
        "!p.?ipBlock.hasValue() && size(p.?namespaceSelector.?matchExpressions.orValue([])) == 0"
        " && size(p.?podSelector.?matchExpressions.orValue([])) == 0"
        f" && p.?namespaceSelector.?matchLabels.orValue({{}}) == {{'{NAMESPACE_NAME_LABEL}': '{who.operator.namespace}'}}"
        f" && p.?podSelector.?matchLabels.orValue({{}}) == {{'{LABEL_COMPONENT}': '{COMPONENT_GATEWAY}'}}"
    )
    spec = "dyn(object).spec"
    secrets = ", ".join(f"'{name}'" for name in _SECRETS)
    return (
        Check(
            "variables.kind != 'NetworkPolicy' || !variables.isWritten"
            f" || (size({spec}.podSelector.?matchExpressions.orValue([])) == 0"
            f" && {spec}.podSelector.?matchLabels.orValue({{}})"
            f" == {{'{LABEL_AGENT}': variables.labels[?'{LABEL_AGENT}'].orValue('')}}"
            f" && ['Ingress', 'Egress'].all(t, t in {spec}.?policyTypes.orValue([]))"
            f" && size({spec}.?ingress.orValue([])) == 0"
            f" && {spec}.?egress.orValue([]).all(e, size(e.?to.orValue([])) > 0 && e.to.all(p, {to_gateway})"
            f" && size(e.?ports.orValue([])) > 0 && e.ports.all(p, p.?port.orValue(0) == {GATEWAY_PORT}"
            " && !p.?endPort.hasValue())))",
            "a NetworkPolicy of the operator is about the pods of its own agent, and opens one way: to the gateway",
        ),
        Check(
            "variables.kind != 'ServiceAccount' || !variables.isWritten"
            " || (dyn(object).?automountServiceAccountToken.orValue(true) == false"
            " && (variables.wasThere"
            " ? dyn(object).?imagePullSecrets.orValue([]) == dyn(oldObject).?imagePullSecrets.orValue([])"
            " && dyn(object).?secrets.orValue([]) == dyn(oldObject).?secrets.orValue([])"
            " : size(dyn(object).?imagePullSecrets.orValue([])) + size(dyn(object).?secrets.orValue([])) == 0))",
            "the operator gives service accounts no Secrets, and no token by itself",
        ),
        Check(
            "variables.kind != 'Secret' || (variables.isWritten"
            f" && variables.name in [{secrets}]"
            f" && request.namespace == '{who.operator.namespace}'"
            " && dyn(object).?type.orValue('Opaque') in ['Opaque', 'kubernetes.io/tls'])",
            f"the operator writes only its own Secrets: {', '.join(_SECRETS)}",
        ),
        Check(
            f"variables.kind != 'ConfigMap' || (variables.isWritten && variables.name == '{AUDIT_ANCHORS}'"
            f" && request.namespace == '{who.operator.namespace}')",
            f"the operator writes one ConfigMap: {AUDIT_ANCHORS}",
        ),
    )
