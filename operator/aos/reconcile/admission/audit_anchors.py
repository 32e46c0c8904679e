"""Who writes the anchors of the audit trail."""

from typing import Final

from aos.model.names import AUDIT_ANCHORS
from aos.reconcile.admission.shape import Check, Policy, Rule, Who

AUDIT_ANCHORS_GUARD: Final = "aos-audit-anchors"


def audit_anchors(who: Who) -> Policy:
    """The operator alone writes the anchors: not even an administrator changes them by the way, or unseen.

    A namespace that is being deleted takes its ConfigMaps with it, or it would never end.
    """
    # By the object: a request that deletes many names none, and neither does one that leaves the name to the API server.
    name = "(request.operation == 'DELETE' ? dyn(oldObject) : dyn(object)).metadata.?name.orValue('')"
    ends = "namespaceObject.?metadata.?deletionTimestamp.hasValue() && request.operation == 'DELETE'"
    return Policy(
        name=AUDIT_ANCHORS_GUARD,
        rules=(Rule("", "v1", ("CREATE", "UPDATE", "DELETE"), ("configmaps",)),),
        conditions=(
            (
                "isAnchors",
                f"request.namespace == '{who.operator.namespace}' && {name} == '{AUDIT_ANCHORS}'",
            ),
        ),
        checks=(
            Check(
                f"{who.operator.is_caller} || ({ends})",
                "the anchors of the audit trail are written by the operator alone; copy them to keep them",
            ),
        ),
    )
