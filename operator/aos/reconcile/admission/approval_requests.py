"""Who asks people, and that what they are asked stays as it was."""

from typing import Final

from aos.model.approval_request import RequestType, same_call
from aos.model.names import GROUP
from aos.reconcile.admission.shape import Check, Policy, Rule, Who

APPROVAL_REQUESTS_GUARD: Final = "aos-approval-requests"


def approval_requests(who: Who) -> Policy:
    """AOS alone asks, for a Task or run that is there and without answers; nobody changes a question or makes one vanish.

    At a gate the operator asks, which runs Workflows, and about a call the gateway, which every call passes.

    A request goes with its owners and stays for its finalizers: to change those takes what it takes to delete it, which
    Kubernetes' own controllers may, and who only decides may not.

    The kind's schema refuses changes too; the operator, which compares these policies and no schema, knows of this one.
    """
    stays = " && ".join(
        f"object.metadata.?{field}.orValue({empty}) == oldObject.metadata.?{field}.orValue({empty})"
        for field, empty in (("ownerReferences", "[]"), ("finalizers", "[]"), ("labels", "{}"))
    )
    may_delete = (
        f"authorizer.group('{GROUP}').resource('approvalrequests').namespace(request.namespace)"
        ".name(request.name).check('delete').allowed()"
    )
    return Policy(
        name=APPROVAL_REQUESTS_GUARD,
        rules=(Rule(GROUP, "*", ("CREATE", "UPDATE", "DELETE"), ("approvalrequests",)),),
        variables=(
            ("isCreated", "request.operation == 'CREATE'"),
            ("isGate", f"variables.isCreated && object.spec.?type.orValue('') == '{RequestType.GATE}'"),
        ),
        checks=(
            Check(
                f"!variables.isCreated || variables.isGate || {who.gateway.is_caller}",
                "ApprovalRequests of calls are made by the AOS gateway when one has to wait for people; create a Task, and its"
                " agent will ask",
            ),
            Check(
                f"!variables.isGate || {who.operator.is_caller}",
                "ApprovalRequests of gates are made by the AOS operator when a run comes to one; create a WorkflowRun",
            ),
            Check(
                "!variables.isCreated || size(object.spec.?decisions.orValue([])) == 0",
                "a new ApprovalRequest has no decisions; people add theirs to spec.decisions once it stands",
            ),
            Check(
                f"!variables.isCreated || variables.isGate || {_belongs('Task', 'task')}",
                "an ApprovalRequest belongs to the Task that spec.task names: give it as an owner, with its uid",
            ),
            Check(
                f"!variables.isGate || {_belongs('WorkflowRun', 'run')}",
                "a gate's ApprovalRequest belongs to the WorkflowRun that spec.run names: give it as an owner, with its uid",
            ),
            Check(
                f"request.operation != 'UPDATE' || ({same_call('object.spec', 'oldObject.spec')})",
                "nothing of an ApprovalRequest can be changed but its decisions: people decide on what they were shown",
            ),
            Check(
                f"request.operation != 'UPDATE' || ({stays}) || {may_delete}",
                "labels, ownerReferences and finalizers of an ApprovalRequest decide how long it stands: only who may delete"
                " it may change them; leave them as they are",
            ),
            Check(
                f"request.operation != 'DELETE' || !({who.gateway.is_caller})"
                f" || (oldObject.spec.?type.orValue('') == '{RequestType.REVIEW}'"
                " && oldObject.?status.?outcome.orValue('') == '')",
                "of ApprovalRequests the gateway deletes only the review of a call that was not made",
            ),
        ),
    )


def _belongs(kind: str, field: str) -> str:
    """Return CEL for: the object that the spec names in ``field`` is one of its owners, and no other of that kind."""
    return (
        f"object.metadata.?ownerReferences.orValue([]).exists_one(o, o.kind == '{kind}'"
        f" && o.apiVersion.startsWith('{GROUP}/')"
        f" && o.name == object.spec.{field}.name && o.uid == object.spec.{field}.uid)"
    )
