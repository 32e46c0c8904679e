"""Who says that a Task is done for a step of a run, and which revision of its agent it runs."""

from typing import Final

from aos.model.names import GROUP, LABEL_RUN, LABEL_STEP, LABEL_WORKFLOW
from aos.reconcile.admission.shape import Check, Policy, Rule, Who

TASK_RUN: Final = "aos-task-run"
_LABELS: Final = (LABEL_RUN, LABEL_STEP, LABEL_WORKFLOW)


def task_run(who: Who) -> Policy:
    """The operator alone makes Tasks of runs, and nobody takes one from its run, or gives a run one that is not its own."""
    belongs = (
        "object.metadata.?ownerReferences.orValue([]).exists_one(o, o.kind == 'WorkflowRun'"
        f" && o.apiVersion.startsWith('{GROUP}/') && o.?controller.orValue(false)"
        " && o.name == variables.run.name && o.uid == variables.run.uid)"
    )
    labelled = " || ".join(f"'{label}' in variables.labels" for label in _LABELS)
    stays = " && ".join(
        f"variables.labels[?'{label}'].orValue('') == variables.oldLabels[?'{label}'].orValue('')"
        for label in _LABELS
    )
    return Policy(
        name=TASK_RUN,
        rules=(Rule(GROUP, "*", ("CREATE", "UPDATE"), ("tasks",)),),
        variables=(
            ("isOperator", who.operator.is_caller),
            ("isGateway", who.gateway.is_caller),
            # Kubernetes' own controllers let children go that shall outlive their owner.
            ("isCluster", "request.userInfo.username.startsWith('system:serviceaccount:kube-system:')"),
            ("isCreated", "request.operation == 'CREATE'"),
            ("isHandedOver", "size(dyn(object).spec.?lineage.orValue([])) > 0"),
            ("hasRun", "dyn(object).spec.?run.hasValue()"),
            ("run", "dyn(object).spec.?run.orValue({})"),
            ("labels", "object.metadata.?labels.orValue({})"),
            ("oldLabels", "request.operation == 'CREATE' ? {} : oldObject.metadata.?labels.orValue({})"),
        ),
        checks=(
            Check(
                "!variables.isCreated || !variables.hasRun || variables.isOperator"
                " || (variables.isGateway && variables.isHandedOver)",
                "spec.run is written by AOS for the steps of a WorkflowRun; leave it out, or create a WorkflowRun",
            ),
            Check(
                "!variables.isCreated || !dyn(object).spec.?revision.hasValue() || variables.isOperator",
                "spec.revision is written by the AOS operator for the steps of a WorkflowRun; leave it out",
            ),
            Check(
                f"!variables.isCreated || !variables.hasRun || variables.isHandedOver || {belongs}",
                "a Task of a step belongs to the WorkflowRun that spec.run names, as its controller",
            ),
            Check(
                f"!variables.isCreated || variables.isOperator || !({labelled})",
                f"the labels {', '.join(_LABELS)} say to which run a Task belongs: leave them out",
            ),
            Check(
                f"variables.isCreated || variables.isOperator || variables.isCluster || !variables.hasRun || (({stays})"
                " && object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([]))",
                "a Task of a step stays with its run: leave its ownerReferences and its labels of the run as they are",
            ),
            Check(
                f"variables.isCreated || variables.isOperator || variables.isCluster || variables.hasRun || ({stays})",
                f"the labels {', '.join(_LABELS)} say to which run a Task belongs: leave them out",
            ),
        ),
    )
