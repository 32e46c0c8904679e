"""Who says where a Task comes from."""

from typing import Final

from aos.model.names import GROUP
from aos.reconcile.admission.shape import Check, Policy, Rule, Who

TASK_LINEAGE: Final = "aos-task-lineage"


def task_lineage(who: Who) -> Policy:
    """Only the gateway and the operator say where a Task comes from, and the gateway touches no other Tasks."""
    # What went before the newest entry no admission policy can look up: the gateway copies it from the Task there.
    belongs = (
        "object.metadata.?ownerReferences.orValue([]).exists_one(o, o.kind == 'Task'"
        f" && o.apiVersion.startsWith('{GROUP}/') && o.?controller.orValue(false)"
        " && o.name == variables.newest.task && o.uid == variables.newest.taskUID)"
    )
    return Policy(
        name=TASK_LINEAGE,
        rules=(Rule(GROUP, "*", ("CREATE", "DELETE"), ("tasks",)),),
        variables=(
            ("isOperator", who.operator.is_caller),
            ("isGateway", who.gateway.is_caller),
            ("isCreated", "request.operation == 'CREATE'"),
            (
                "lineage",
                "(request.operation == 'CREATE' ? dyn(object) : dyn(oldObject)).?spec.?lineage.orValue([])",
            ),
            ("newest", "variables.lineage[size(variables.lineage) - 1]"),
        ),
        checks=(
            Check(
                "!variables.isCreated || variables.isOperator || variables.isGateway || size(variables.lineage) == 0",
                "spec.lineage is written by the AOS gateway when an agent hands work over; leave it out",
            ),
            Check(
                "!variables.isGateway || size(variables.lineage) > 0",
                "the gateway creates and deletes only Tasks that an agent hands over",
            ),
            Check(
                f"!variables.isCreated || size(variables.lineage) == 0 || {belongs}",
                "a Task that was handed over belongs to the Task that spec.lineage names last, as its controller",
            ),
        ),
    )
