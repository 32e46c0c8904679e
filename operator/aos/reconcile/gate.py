"""The ApprovalRequest of a gate, as it is made, and whether its run still waits there. Pure."""

import json
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import JsonValue

from aos.inspection.showing import redacted_text, redacted_value, shown
from aos.model.approval_request import Quorum, QuorumEscalation, RequestRun, RequestType
from aos.model.base import JsonObject
from aos.model.conditions import ConditionType
from aos.model.duration import duration_seconds
from aos.model.meta import ConditionStatus
from aos.model.names import API_VERSION, LABEL_MANAGED_BY, LABEL_RUN, LABEL_STEP, LABEL_WORKFLOW, MANAGED_BY
from aos.model.workflow_run import WorkflowRun
from aos.model.workflow_step import Gate
from aos.policy.quorums import is_known
from aos.reconcile.approval_step import WaitingRun
from aos.reconcile.children import owner_reference
from aos.reconcile.conditions import find
from aos.workflow.actions import CreateGate

MAX_SUMMARY_LENGTH: Final = 512


def gate_manifest(run: WorkflowRun, asked: CreateGate, now: datetime) -> JsonObject:
    """Return the request to make: everything that people decide on, frozen, without personal data and secrets.

    Args:
        run: the run that waits, as the API server has it.
        asked: what the engine asks for.
        now: from when its time counts.
    """
    moment = now.astimezone(UTC).replace(microsecond=0)
    waiting = RequestRun(
        name=run.metadata.name, uid=run.metadata.uid, workflow=run.spec.workflow_ref.name, step=asked.step
    )
    expires_at = moment + timedelta(seconds=duration_seconds(asked.gate.timeout))
    return {
        "apiVersion": API_VERSION,
        "kind": "ApprovalRequest",
        "metadata": {
            "name": asked.name,
            "namespace": run.metadata.namespace,
            "labels": {
                LABEL_RUN: waiting.name,
                LABEL_STEP: waiting.step,
                LABEL_WORKFLOW: waiting.workflow,
                LABEL_MANAGED_BY: MANAGED_BY,
            },
            "ownerReferences": [owner_reference("WorkflowRun", run.metadata)],
        },
        "spec": {
            "type": RequestType.GATE.value,
            "run": waiting.model_dump(mode="json", by_alias=True),
            "requestedBy": asked.requested_by,
            "summary": redacted_text(asked.summary)[:MAX_SUMMARY_LENGTH],
            "arguments": shown(redacted_value(_read(asked.arguments))),
            "argumentsDigest": asked.arguments_digest,
            "quorums": [_quorum(asked, moment).model_dump(mode="json", by_alias=True, exclude_defaults=True)],
            "expiresAt": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }


def required(gate: Gate, requested_by: str) -> int:
    """Return how many must approve: one more where nobody knows who asked, for whoever did may be among them."""
    return gate.required + (0 if is_known(requested_by) else 1)


def waiting_run(run: WorkflowRun, step: str) -> WaitingRun:
    """Return whether ``run`` still waits at its gate ``step``."""
    if run.metadata.deletion_timestamp is not None:
        return WaitingRun("is being deleted")
    if run.ended:
        found = find(run.status.conditions, ConditionType.SUCCEEDED)
        well = found is not None and found.status is ConditionStatus.TRUE
        return WaitingRun("has ended" if well or found is None else f"has ended: {found.reason}")
    if run.spec.cancel:
        return WaitingRun("was cancelled")
    at_gate = next((item for item in run.status.steps if item.name == step), None)
    if at_gate is not None and at_gate.state.is_final:
        return WaitingRun(f"is done with its step {step}: {at_gate.reason or at_gate.state.value}")
    return WaitingRun()


def _quorum(asked: CreateGate, now: datetime) -> Quorum:
    gate, escalate = asked.gate, asked.gate.escalate
    return Quorum(
        rule=asked.rule,
        required=required(gate, asked.requested_by),
        approvers=gate.approvers,
        escalation=QuorumEscalation(at=_after(now, escalate.after), approvers=escalate.approvers)
        if escalate
        else None,
        remind_at=_after(now, gate.remind_after) if gate.remind_after else None,
    )


def _after(now: datetime, duration: str) -> datetime:
    return now + timedelta(seconds=duration_seconds(duration))


def _read(text: str) -> JsonValue:
    """Return the JSON in ``text``; what is none is text itself."""
    try:
        value: JsonValue = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text
    return value
