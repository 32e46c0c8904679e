"""In whose name a Task is asked for."""

from typing import Final

from aos.model.names import GROUP
from aos.reconcile.admission.shape import Check, Policy, Rule, Who

TASK_REQUESTER: Final = "aos-task-requester"


def task_requester(who: Who) -> Policy:
    """Whoever creates a Task asks for it under their own name; what is handed over is asked for by who asked first."""
    return Policy(
        name=TASK_REQUESTER,
        rules=(Rule(GROUP, "*", ("CREATE",), ("tasks",)),),
        checks=(
            Check(
                "object.spec.?requestedBy.orValue('') in ['', request.userInfo.username]"
                f" || {who.operator.is_caller} || {who.gateway.is_caller}",
                "spec.requestedBy must be your own user name, or left out; `kubectl auth whoami` tells it",
            ),
        ),
    )
