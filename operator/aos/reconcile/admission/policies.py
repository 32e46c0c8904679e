"""All admission policies, each followed by its binding."""

from aos.model.base import JsonObject
from aos.reconcile.admission.agent_identity import agent_identity
from aos.reconcile.admission.approval_decisions import approval_decisions
from aos.reconcile.admission.approval_requests import approval_requests
from aos.reconcile.admission.audit_anchors import audit_anchors
from aos.reconcile.admission.credential_roles import credential_roles
from aos.reconcile.admission.input_size import input_size
from aos.reconcile.admission.operator_children import operator_children
from aos.reconcile.admission.shape import Who, service_account
from aos.reconcile.admission.status_ownership import status_ownership
from aos.reconcile.admission.task_lineage import task_lineage
from aos.reconcile.admission.task_requester import task_requester
from aos.reconcile.admission.task_run import task_run
from aos.reconcile.admission.tool_credentials import tool_credentials, webhook_credentials
from aos.reconcile.admission.workflow_runs import workflow_runs


def admission_policies(operator_username: str, gateway_username: str) -> list[JsonObject]:
    """Return each policy followed by its binding.

    Args:
        operator_username: ``system:serviceaccount:NAMESPACE:NAME`` of the operator.
        gateway_username: the same of the gateway.

    Raises:
        ValueError: a user name is not that of a service account.
    """
    who = Who(service_account(operator_username), service_account(gateway_username))
    made = (
        agent_identity(who),
        status_ownership(who),
        task_requester(who),
        task_lineage(who),
        task_run(who),
        workflow_runs(who),
        input_size(),
        operator_children(who),
        credential_roles(who),
        tool_credentials(),
        webhook_credentials(),
        audit_anchors(who),
        approval_requests(who),
        approval_decisions(who),
    )
    return [manifest for policy in made for manifest in (policy.manifest(), policy.binding())]
