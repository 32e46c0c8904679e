"""Who starts runs, in whose name, and who says where they come from."""

from typing import Final

from aos.model.names import GROUP, LABEL_RUN, LABEL_STEP
from aos.model.workflow_run import OWN_REQUESTERS, trigger_requester
from aos.reconcile.admission.shape import Check, Policy, Rule, Who

WORKFLOW_RUNS_GUARD: Final = "aos-workflow-runs"


def workflow_runs(who: Who) -> Policy:
    """Whoever starts a run asks for it under their own name; steps and triggers start runs by AOS alone."""
    return Policy(
        name=WORKFLOW_RUNS_GUARD,
        rules=(Rule(GROUP, "*", ("CREATE", "UPDATE"), ("workflowruns",)),),
        variables=(
            ("isOperator", who.operator.is_caller),
            ("isGateway", who.gateway.is_caller),
            ("isCluster", "request.userInfo.username.startsWith('system:serviceaccount:kube-system:')"),
            ("isCreated", "request.operation == 'CREATE'"),
            ("hasParent", "dyn(object).spec.?parent.hasValue()"),
            ("hasTrigger", "dyn(object).spec.?trigger.hasValue()"),
            ("labels", "object.metadata.?labels.orValue({})"),
            ("oldLabels", "request.operation == 'CREATE' ? {} : oldObject.metadata.?labels.orValue({})"),
            ("requestedBy", "dyn(object).spec.?requestedBy.orValue('')"),
        ),
        checks=(*_made(), *_changed()),
    )


def _made() -> tuple[Check, ...]:
    """Return what holds for a run that is made."""
    belongs = (
        "object.metadata.?ownerReferences.orValue([]).exists_one(o, o.kind == 'WorkflowRun'"
        f" && o.apiVersion.startsWith('{GROUP}/') && o.?controller.orValue(false)"
        " && o.name == dyn(object).spec.parent.run && o.uid == dyn(object).spec.parent.runUID)"
    )
    labels = " || ".join(f"'{label}' in variables.labels" for label in (LABEL_RUN, LABEL_STEP))
    return (
        Check(
            "!variables.isCreated || !variables.hasParent || variables.isOperator",
            "spec.parent is written by the AOS operator for runs that a step starts; leave it out",
        ),
        Check(
            "!variables.isCreated || !variables.hasTrigger || variables.isOperator || variables.isGateway",
            "spec.trigger is written by AOS for runs that a trigger starts; leave it out",
        ),
        Check(
            "!variables.isCreated || !variables.isGateway || (variables.hasTrigger && !variables.hasParent)",
            "the gateway starts only runs of triggers",
        ),
        Check(
            "!variables.isCreated || variables.isOperator || variables.isGateway"
            " || variables.requestedBy == ''"
            " || (variables.requestedBy == request.userInfo.username"
            f" && !variables.requestedBy.startsWith('{OWN_REQUESTERS}'))",
            "spec.requestedBy must be your own user name, or left out; `kubectl auth whoami` tells it",
        ),
        Check(
            "!variables.isCreated || !variables.hasTrigger"
            f" || variables.requestedBy == '{trigger_requester('')}' + dyn(object).spec.trigger.name",
            "a run of a trigger is asked for by the trigger",
        ),
        Check(
            f"!variables.isCreated || !variables.hasParent || {belongs}",
            "a run that a step starts belongs to the run that spec.parent names, as its controller",
        ),
        Check(
            f"!variables.isCreated || variables.isOperator || !({labels})",
            f"the labels {LABEL_RUN} and {LABEL_STEP} say which step started a run: leave them out",
        ),
    )


def _changed() -> tuple[Check, ...]:
    """Return what holds for a run that is there."""
    stays = " && ".join(
        f"variables.labels[?'{label}'].orValue('') == variables.oldLabels[?'{label}'].orValue('')"
        for label in (LABEL_RUN, LABEL_STEP)
    )
    return (
        Check(
            f"variables.isCreated || variables.isOperator || variables.isCluster || ({stays})",
            f"the labels {LABEL_RUN} and {LABEL_STEP} say which step started a run: leave them as they are",
        ),
        Check(
            "variables.isCreated || variables.isOperator || variables.isCluster || !variables.hasParent"
            " || object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])",
            "a run that a step started stays with the run above it: leave its ownerReferences as they are",
        ),
        Check(
            "variables.isCreated || !variables.isGateway",
            "the gateway changes no runs",
        ),
    )
