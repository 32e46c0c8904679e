"""Who writes which part of a status."""

from typing import Final

from aos.model.approval_request import WRITTEN_BY_GATEWAY, ApprovalRequestStatus, RequestState, decisions_kept
from aos.model.base import ApiModel
from aos.model.names import GROUP
from aos.model.task import TaskStatus
from aos.reconcile.admission.shape import Check, Policy, Rule, Who

STATUS_OWNERSHIP: Final = "aos-status-ownership"

_STATUSES: Final = (
    "agents/status",
    "tools/status",
    "models/status",
    "policies/status",
    "clusterpolicies/status",
    "workflows/status",
    "workflowruns/status",
    "tasks/status",
    "approvalrequests/status",
)
_HANDED_IN: Final = ("result", "usage")
"""What of a Task's status the gateway writes."""
_NEXT_STATES: Final = {
    RequestState.PENDING: (
        RequestState.APPROVED,
        RequestState.REJECTED,
        RequestState.EXPIRED,
        RequestState.STALE,
    ),
    RequestState.APPROVED: (RequestState.USED, RequestState.EXPIRED, RequestState.STALE),
}
"""What may follow a state of an ApprovalRequest; every other one is its last."""


def status_ownership(who: Who) -> Policy:
    """Operator and gateway each write their own part of a status, nobody else any, and what is final stays."""
    return Policy(
        name=STATUS_OWNERSHIP,
        rules=(Rule(GROUP, "*", ("UPDATE",), _STATUSES),),
        variables=(
            ("isOperator", who.operator.is_caller),
            ("isGateway", who.gateway.is_caller),
            ("resource", "request.resource.resource"),
            ("old", "dyn(oldObject).?status.orValue({})"),
            ("new", "dyn(object).?status.orValue({})"),
            ("oldConditions", "variables.old.?conditions.orValue([])"),
            ("newConditions", "variables.new.?conditions.orValue([])"),
            ("oldCounted", "variables.old.?counted.orValue([])"),
            ("newCounted", "variables.new.?counted.orValue([])"),
            ("oldState", f"variables.old.?state.orValue('{RequestState.PENDING}')"),
            ("newState", f"variables.new.?state.orValue('{RequestState.PENDING}')"),
        ),
        checks=(
            Check(
                "variables.isOperator"
                " || (variables.isGateway && variables.resource in"
                " ['tools', 'models', 'tasks', 'approvalrequests'])",
                "this status is written by AOS itself; change spec instead",
            ),
            *_parts_of_tasks(),
            *_parts_of_tools(),
            *_final_parts(),
            *_parts_of_requests(),
            *_final_parts_of_runs(),
        ),
    )


def _parts_of_tasks() -> tuple[Check, ...]:
    """Whose what of a Task's status is."""
    return (
        Check(
            "!variables.isOperator || variables.resource != 'tasks' || ("
            + _same("result")
            + " && "
            + _same("usage")
            + ")",
            "result and usage of a Task are the gateway's",
        ),
        Check(
            "!variables.isGateway || variables.resource != 'tasks' || ("
            + " && ".join(_same(name) for name in _fields(TaskStatus) if name not in _HANDED_IN)
            + ")",
            "of a Task's status the gateway writes result and usage alone",
        ),
    )


def _parts_of_tools() -> tuple[Check, ...]:
    """Whose what of a Tool's or Model's status is."""
    return (
        Check(
            "!variables.isOperator || !(variables.resource in ['tools', 'models'])"
            f" || ({_same('actions')} && {_same_conditions('Available', equal=True)})",
            "actions and the condition Available are the gateway's",
        ),
        Check(
            "!variables.isGateway || !(variables.resource in ['tools', 'models'])"
            f" || ({_same('observedGeneration')} && {_same_conditions('Available', equal=False)})",
            "of this status the gateway writes actions and the condition Available alone",
        ),
    )


def _final_parts() -> tuple[Check, ...]:
    """What of a Task's status never changes again, whoever writes."""
    return (
        Check(
            "variables.resource != 'tasks' || !variables.old.?result.hasValue() || " + _same("result"),
            "a Task's result is final",
        ),
        Check(
            "variables.resource != 'tasks' || !variables.old.?pod.hasValue() || " + _same("pod"),
            "a Task has one pod, and its record is final",
        ),
        Check(
            "variables.resource != 'tasks' || !variables.old.?imageID.hasValue() || " + _same("imageID"),
            "what a Task's pod ran is final",
        ),
        Check(
            "variables.resource != 'tasks' || variables.oldConditions.all(c, c.type != 'Succeeded'"
            " || c.status == 'Unknown' || variables.newConditions.exists(n, n.type == 'Succeeded'"
            " && n.status == c.status && n.reason == c.reason))",
            "a Task's end is final",
        ),
    )


def _final_parts_of_runs() -> tuple[Check, ...]:
    """What of a WorkflowRun's status never changes again."""
    return (
        Check(
            "variables.resource != 'workflowruns' || variables.oldConditions.all(c, c.type != 'Succeeded'"
            " || c.status == 'Unknown' || variables.newConditions.exists(n, n.type == 'Succeeded'"
            " && n.status == c.status && n.reason == c.reason))",
            "a run's end is final",
        ),
        *(
            Check(
                f"variables.resource != 'workflowruns' || !variables.old.?{name}.hasValue() || {_same(name)}",
                f"{name} of a run, what it has run since its start, is final",
            )
            for name in ("revision", "agents")
        ),
    )


def _parts_of_requests() -> tuple[Check, ...]:
    """Whose what of an ApprovalRequest's status is, and what of it never changes again."""
    others = " && ".join(
        _same(name) for name in _fields(ApprovalRequestStatus) if name not in WRITTEN_BY_GATEWAY
    )
    follows = " || ".join(
        f"(variables.oldState == '{state}' && variables.newState in {[str(item) for item in later]})"
        for state, later in _NEXT_STATES.items()
    )
    return (
        Check(
            "!variables.isOperator || variables.resource != 'approvalrequests' || ("
            + " && ".join(_same(name) for name in WRITTEN_BY_GATEWAY)
            + ")",
            "use, overtaken and outcome of an ApprovalRequest are the gateway's",
        ),
        Check(
            f"!variables.isGateway || variables.resource != 'approvalrequests' || ({others})",
            "of an ApprovalRequest's status the gateway writes use, overtaken and outcome alone",
        ),
        *(
            Check(
                f"variables.resource != 'approvalrequests' || !variables.old.?{name}.hasValue() || {_same(name)}",
                f"{name} of an ApprovalRequest is final",
            )
            for name in WRITTEN_BY_GATEWAY
        ),
        Check(
            f"variables.resource != 'approvalrequests' || ({decisions_kept('variables.newCounted', 'variables.oldCounted')})",
            "decisions that were counted stay as they are, with the time at which they were seen first",
        ),
        Check(
            "variables.resource != 'approvalrequests' || variables.oldState == variables.newState"
            f" || {follows}",
            "an ApprovalRequest goes from Pending to Approved, and from there to its end, which is final",
        ),
    )


def _fields(status: type[ApiModel]) -> list[str]:
    """Return the names of a status's fields as the API server has them."""
    return [field.alias or name for name, field in status.model_fields.items()]


def _same(field: str) -> str:
    """CEL: the field of the status is as it was, or was not and is not."""
    old, new = f"variables.old.?{field}", f"variables.new.?{field}"
    return f"({old}.hasValue() ? ({new}.hasValue() && {old}.value() == {new}.value()) : !{new}.hasValue())"


def _same_conditions(name: str, *, equal: bool) -> str:
    """CEL: the conditions of that type (or of every other) are as they were."""
    sign = "==" if equal else "!="
    chosen = f"filter(c, c.type {sign} '{name}')"
    return f"(variables.oldConditions.{chosen} == variables.newConditions.{chosen})"
