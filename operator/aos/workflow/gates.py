"""Gates: steps at which people have to agree before a run goes on. What is not plainly approved does not go on."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from aos.model.approval_request import RequestState
from aos.model.canonical import json_digest
from aos.model.conditions import Reason
from aos.model.workflow_run import StepState, StepStatus
from aos.model.workflow_step import Gate, WorkflowStep
from aos.workflow.actions import CreateGate
from aos.workflow.carrying import REFUSED_AGAIN_SECONDS
from aos.workflow.expression import ExpressionError
from aos.workflow.look import Look
from aos.workflow.making import UnmakeableError, new_gate
from aos.workflow.observed import ObservedGate
from aos.workflow.pace import Pace
from aos.workflow.reasons import StepReason
from aos.workflow.tell import Told, changed, ended, held, left
from aos.workflow.template import Template
from aos.workflow.values import OutputLostError, Values, gate_output

_NO: Final[Mapping[RequestState, tuple[str, str]]] = {
    RequestState.REJECTED: (Reason.REJECTED, "somebody who may decide rejected it"),
    RequestState.EXPIRED: (Reason.EXPIRED, "nobody decided in time"),
    RequestState.STALE: (StepReason.STALE, "it can't be approved any more"),
    # A gate is not used up; whatever wrote this, it is no approval.
    RequestState.USED: (StepReason.STALE, "it can't be approved any more"),
}


def observe_gate(look: Look, step: WorkflowStep) -> None:
    """Note where a gate stands at which people were asked."""
    status, gate = look.statuses[step.name], look.gates.get(step.name)
    if gate is not None:
        look.statuses[step.name] = _seen(look, status, gate)
    elif look.observed.confirmed:
        told = "somebody deleted the ApprovalRequest, so that nobody can agree"
        look.statuses[step.name] = ended(
            status, Told(StepState.CANCELLED, StepReason.DELETED, told), look.now
        )
    else:
        look.confirm = True


def prepare_gate(look: Look, step: WorkflowStep, gate: Gate, values: Values) -> CreateGate | None:
    """Return what asks people at a gate that is reached; None where they can't be asked, which is noted."""
    try:
        template = Template.compile(gate.show)
        return new_gate(look.observed.run, step, gate, template.render(values.read(template.uses)))
    except OutputLostError as error:
        if not look.observed.confirmed:
            look.confirm = True
            return None
        told = Told(StepState.FAILED, StepReason.OUTPUT_LOST, str(error))
    except ExpressionError as error:
        told = Told(StepState.FAILED, Reason.EXPRESSION_FAILED, f"what people are shown: {error}")
    except UnmakeableError as error:
        told = Told(StepState.FAILED, error.reason, str(error))
    look.statuses[step.name] = ended(look.statuses[step.name], told, look.now)
    return None


def carry_gate_on(look: Look, step: WorkflowStep, create: CreateGate | None, pace: Pace) -> None:
    """Ask people if they are to be asked; where the run is going to end, nobody is asked any more."""
    status = look.statuses[step.name]
    if pace.ending:
        look.statuses[step.name] = left(status, pace, look.now)
    elif create is not None and pace.may_start:
        look.actions.append(create)
        look.statuses[step.name] = _asking(look, status, create, pace)
    elif create is not None:
        look.statuses[step.name] = changed(status, held(StepState.PENDING, pace, ""))


def _asking(look: Look, status: StepStatus, create: CreateGate, pace: Pace) -> StepStatus:
    refused = look.observed.refused.get(create.name)
    if refused is not None:
        look.wakes.append(look.observed.now + timedelta(seconds=REFUSED_AGAIN_SECONDS))
        return changed(status, held(StepState.PENDING, pace, refused))
    waiting = changed(status, Told(StepState.WAITING))
    named = {"attempt": 1, "object": create.name, "waiting_for": create.name, "start_time": look.now}
    return waiting.model_copy(update=named)


def _seen(look: Look, status: StepStatus, gate: ObservedGate) -> StepStatus:
    known = {"attempt": 1, "object": gate.name, "start_time": status.start_time or gate.created_at}
    seen = status.model_copy(update=known)
    settled_at = gate.settled_at or look.now
    if gate.state in _NO:
        reason, told = _NO[gate.state]
        return ended(seen, Told(StepState.FAILED, reason, gate.message or told), settled_at)
    if gate.state is RequestState.APPROVED and gate.is_enforced:
        given = {"output_digest": json_digest(gate_output(gate))}
        return ended(seen, Told(StepState.SUCCEEDED), settled_at).model_copy(update=given)
    reason, message = "", ""
    if gate.state is RequestState.APPROVED:
        reason = Reason.POLICY_MISSING
        message = (
            "approved, but admission policies are missing or altered, so that no approval counts for now"
        )
    return changed(seen, Told(StepState.WAITING, reason, message)).model_copy(
        update={"waiting_for": gate.name}
    )
