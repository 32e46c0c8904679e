"""Short ways to write what commands read."""

from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from aos.model.approval_request import ApprovalRequest
from aos.model.task import Task

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Object = dict[str, JsonValue]


def condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": NOW.isoformat(),
    }


def task(*conditions: Object, name: str = "t1", agent: str = "enricher", **status: JsonValue) -> Task:
    return Task.parse(
        {
            "metadata": {"name": name, "namespace": "sales", "uid": f"uid-{name}"},
            "spec": {"agentRef": {"name": agent}},
            "status": {"conditions": list(conditions), **status},
        }
    )


def result(outcome: str = "Succeeded", output: Object | None = None) -> Object:
    return {"outcome": outcome, "output": output, "time": NOW.isoformat()}


DIGEST = "sha256:" + "0" * 64
LEADS: Object = {
    "rule": "Policy sales-baseline, approval outbound",
    "required": 1,
    "approvers": {"groups": ["sales-leads"]},
}
TWO_PEOPLE: Object = {"rule": "risk High", "required": 2}


def later(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


def decision(approver: str, verdict: str = "Approve", comment: str = "", *groups: str) -> Object:
    return {"approver": approver, "verdict": verdict, "comment": comment, "groups": list(groups)}


def counted(approver: str, *rules: str, verdict: str = "Approve", ago: float = 60) -> Object:
    return {"approver": approver, "verdict": verdict, "time": later(-ago), "rules": list(rules)}


def approval_request(
    *quorums: Object, name: str = "apr-0123456789abcdef", status: Object | None = None, **spec: JsonValue
) -> ApprovalRequest:
    metadata = {"name": name, "namespace": "sales", "uid": f"uid-{name}", "resourceVersion": "7"}
    return ApprovalRequest.parse(
        {
            "metadata": metadata,
            "spec": {
                "agent": {"name": "enricher", "revision": "enricher-1"},
                "task": {"name": "t1", "uid": "uid-t1"},
                "requestedBy": "ana",
                "tool": "crm",
                "action": "update_contact",
                "access": "Write",
                "risk": "Medium",
                "record": "contact/emea-1",
                "summary": "enricher would call crm.update_contact on contact/emea-1",
                "arguments": '{"id": "emea-1", "phone": "+49 1"}',
                "argumentsDigest": DIGEST,
                "definitionDigest": DIGEST,
                "policyDigest": DIGEST,
                "quorums": list(quorums or (LEADS,)),
                "expiresAt": later(3 * 3600),
                **spec,
            },
            "status": status or {},
        }
    )


def gate_request(name: str = "gate-0123456789abcdef", **spec: JsonValue) -> ApprovalRequest:
    """Return a request by which a run waits at a gate."""
    metadata = {"name": name, "namespace": "sales", "uid": f"uid-{name}", "resourceVersion": "7"}
    status = spec.pop("status", {})
    return ApprovalRequest.parse(
        {
            "metadata": metadata,
            "spec": {
                "type": "Gate",
                "run": {"name": "outreach-x7", "uid": "uid-r", "workflow": "outreach", "step": "review"},
                "requestedBy": "ana",
                "summary": "Workflow outreach, step review of run outreach-x7 asks to go on",
                "arguments": '{"subject": "Hello"}',
                "argumentsDigest": DIGEST,
                "quorums": [{**LEADS, "rule": "Workflow outreach, step review"}],
                "expiresAt": later(3 * 3600),
                **spec,
            },
            "status": status,
        }
    )
