"""Which Roles the operator may write."""

from typing import Final

from aos.model.names import GROUP
from aos.reconcile.admission.shape import Check, Policy, Rule, Who
from aos.reconcile.children import CREDENTIAL_VERBS, RBAC_GROUP

CREDENTIAL_ROLES: Final = "aos-credential-roles"


def credential_roles(who: Who) -> Policy:
    """The operator may write Roles, or it could not lend a Secret to the gateway; this leaves it that one shape."""
    owner = (
        f"object.metadata.?ownerReferences.orValue([]).exists_one(o, o.apiVersion.startsWith('{GROUP}/')"
        " && (o.kind in ['Tool', 'Model'] ? object.metadata.name == 'aos-' + o.kind.lowerAscii() + '-' + o.name"
        # A Workflow may have several webhooks, each with a Secret of its own.
        " : o.kind == 'Workflow' && object.metadata.name.matches('^aos-workflow-' + o.name + '-[0-9a-f]{8}$')))"
    )
    verbs = ", ".join(f"'{verb}'" for verb in CREDENTIAL_VERBS)
    gateway = who.gateway
    return Policy(
        name=CREDENTIAL_ROLES,
        rules=(Rule(RBAC_GROUP, "*", ("CREATE", "UPDATE"), ("roles", "rolebindings")),),
        conditions=(("is-operator", who.operator.is_caller),),
        checks=(
            Check(
                owner,
                "the operator writes only Roles and RoleBindings that belong to a Tool, a Model or a Workflow",
            ),
            Check(
                f"request.namespace != '{who.operator.namespace}'",
                "the operator lends out no Secrets of its own namespace",
            ),
            Check(
                "request.kind.kind != 'Role' || (size(object.rules) == 1"
                " && object.rules[0].?apiGroups.orValue([]) == ['']"
                " && object.rules[0].?resources.orValue([]) == ['secrets']"
                " && size(object.rules[0].?resourceNames.orValue([])) == 1"
                " && object.rules[0].resourceNames[0] != ''"
                f" && object.rules[0].verbs == [{verbs}]"
                " && size(object.rules[0].?nonResourceURLs.orValue([])) == 0)",
                "the operator writes only Roles that allow reading one named Secret",
            ),
            Check(
                "request.kind.kind != 'RoleBinding' || (object.roleRef.kind == 'Role'"
                " && object.roleRef.name == object.metadata.name && size(object.?subjects.orValue([])) == 1"
                " && object.subjects[0].kind == 'ServiceAccount'"
                f" && object.subjects[0].name == '{gateway.name}'"
                f" && object.subjects[0].namespace == '{gateway.namespace}')",
                "the operator binds its Roles to the gateway alone",
            ),
        ),
    )
