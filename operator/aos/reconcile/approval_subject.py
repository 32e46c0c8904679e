"""What an ApprovalRequest is about, in words and fields: a call of an agent, or a gate of a run. Pure."""

from typing import Final

from aos.model.approval_request import ApprovalRequestSpec, AskedCall, RequestRun

GATE: Final = "gate"
"""What stands in place of a risk, which a gate has none of."""


def risk_word(spec: ApprovalRequestSpec) -> str:
    """Return how much is at risk, for a column."""
    return spec.subject.risk.value if isinstance(spec.subject, AskedCall) else GATE


def who(spec: ApprovalRequestSpec) -> str:
    """Return who waits or was let through: the agent's name, or the Workflow as ``workflow/NAME``."""
    subject = spec.subject
    return subject.agent.name if isinstance(subject, AskedCall) else f"workflow/{subject.workflow}"


def work(spec: ApprovalRequestSpec) -> str:
    """Return what it belongs to: the Task's name, or the run as ``run/NAME``."""
    subject = spec.subject
    return subject.task.name if isinstance(subject, AskedCall) else f"run/{subject.name}"


def work_kind(spec: ApprovalRequestSpec) -> str:
    """Return the kind of what it belongs to, as a word: ``Task`` or ``run``."""
    return "Task" if isinstance(spec.subject, AskedCall) else "run"


def subject_fields(spec: ApprovalRequestSpec) -> dict[str, str]:
    """Return the same fields for every request, for programs; those that it does not have are empty."""
    found = dict.fromkeys(
        ("agent", "task", "tool", "action", "access", "risk", "record", "workflow", "run", "step"), ""
    )
    match spec.subject:
        case AskedCall() as call:
            return found | {
                "agent": call.agent.name,
                "task": call.task.name,
                "tool": call.tool,
                "action": call.action,
                "access": call.access.value,
                "risk": call.risk.value,
                "record": spec.record,
            }
        case RequestRun() as run:
            return found | {"workflow": run.workflow, "run": run.name, "step": run.step}
