"""Short ways to write ApprovalRequests and what surrounds them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import JsonValue

from aos.model.approval_request import WRITTEN_BY_GATEWAY, ApprovalRequest, RequestState
from aos.model.base import JsonObject
from aos.reconcile.approval import reconcile_request
from aos.reconcile.approval_step import (
    CalledAction,
    CallingAgent,
    CallingTask,
    ObservedRequest,
    RequestPlan,
    WaitingRun,
)
from aos.reconcile.guard import Guard
from tests.unit.reconcile.make import NOW, metadata

DIGEST = f"sha256:{'0' * 64}"
OTHER_DIGEST = f"sha256:{'1' * 64}"
EXPIRES = NOW + timedelta(hours=4)
GUARD = Guard(fingerprint="g1", changed_at=NOW - timedelta(days=1), seen_at=NOW - timedelta(days=1))
AGENT = CallingAgent(revision="enricher-1", policy_digest=DIGEST)
LEADS: JsonObject = {"rule": "Policy p, approval outbound", "required": 1, "approvers": {"groups": ["leads"]}}
GATE_LEADS: JsonObject = {**LEADS, "rule": "Workflow outreach, step review"}
TWO: JsonObject = {"rule": "risk High", "required": 2}


def moment(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def said(approver: str, verdict: str = "Approve", groups: Sequence[str] = ("leads",)) -> JsonObject:
    return {"approver": approver, "verdict": verdict, "groups": list(groups)}


def request(
    *decisions: JsonObject,
    status: Mapping[str, JsonValue] | None = None,
    quorums: Sequence[JsonObject] = (LEADS,),
    created: datetime = NOW,
    **spec: JsonValue,
) -> ApprovalRequest:
    """Return a request that was made at ``created``, with as many generations as decisions."""
    meta: JsonObject = {"creationTimestamp": moment(created), "generation": 1 + len(decisions)}
    made: JsonObject = {
        "metadata": metadata("apr-1", meta),
        "spec": {
            "agent": {"name": "enricher", "revision": "enricher-1"},
            "task": {"name": "t1", "uid": "t1-uid"},
            "requestedBy": "rita",
            "tool": "crm",
            "action": "update_contact",
            "access": "Write",
            "risk": "Medium",
            "summary": "Update contact 7.",
            "arguments": '{"id":"7"}',
            "argumentsDigest": DIGEST,
            "definitionDigest": DIGEST,
            "policyDigest": DIGEST,
            "quorums": list(quorums),
            "expiresAt": moment(EXPIRES),
            "decisions": list(decisions),
            **spec,
        },
    }
    return ApprovalRequest.parse(made | {"status": dict(status)} if status else made)


def gate(
    *decisions: JsonObject,
    quorums: Sequence[JsonObject] = (GATE_LEADS,),
    created: datetime = NOW,
    **spec: JsonValue,
) -> ApprovalRequest:
    """Return a request by which a run waits at a gate, made at ``created``."""
    meta: JsonObject = {"creationTimestamp": moment(created), "generation": 1 + len(decisions)}
    return ApprovalRequest.parse(
        {
            "metadata": metadata("gate-1", meta),
            "spec": {
                "type": "Gate",
                "run": {"name": "r1", "uid": "r1-uid", "workflow": "outreach", "step": "review"},
                "requestedBy": "rita",
                "summary": "Workflow outreach, step review of run r1 asks to go on",
                "arguments": '{"subject":"Hello"}',
                "argumentsDigest": DIGEST,
                "quorums": list(quorums),
                "expiresAt": moment(EXPIRES),
                "decisions": list(decisions),
                **spec,
            },
        }
    )


def observed(item: ApprovalRequest, **changes: object) -> ObservedRequest:
    if item.spec.run is not None:
        base = ObservedRequest(item, agent=None, action=None, task=None, run=WaitingRun(), guard=GUARD)
    else:
        base = ObservedRequest(
            request=item, agent=AGENT, action=CalledAction(DIGEST), task=CallingTask(), guard=GUARD
        )
    return replace(base, **changes)  # type: ignore[arg-type]


def decided(item: ApprovalRequest, *decisions: JsonObject) -> ApprovalRequest:
    """Return the request after people added decisions."""
    raw = item.model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["spec"]["decisions"] += decisions
    raw["metadata"]["generation"] += len(decisions)
    return ApprovalRequest.parse(raw)


def written(item: ApprovalRequest, found: RequestPlan, **gateways: JsonValue) -> ApprovalRequest:
    """Return the request with the status that a plan writes, and what the gateway writes."""
    raw = item.model_dump(mode="json", by_alias=True, exclude_none=True)
    before = raw["status"]
    kept = {name: before[name] for name in WRITTEN_BY_GATEWAY if name in before}
    status = before if found.plan.status is None else found.plan.status
    return ApprovalRequest.parse(raw | {"status": {**status, **kept, **gateways}})


def looked_at(item: ApprovalRequest, now: datetime = NOW, **changes: object) -> ApprovalRequest:
    """Return the request after one look of the operator."""
    return written(item, reconcile_request(observed(item, **changes), now))


def at_rest(item: ApprovalRequest, now: datetime, **changes: object) -> bool:
    """Whether another look would write nothing and tell nothing."""
    found = reconcile_request(observed(item, **changes), now)
    return found.plan.status is None and not found.plan.events and not found.told


def state(item: ApprovalRequest) -> RequestState:
    return item.status.state


def condition(item: ApprovalRequest, type_: str) -> tuple[str, str]:
    """Return status and reason of a condition."""
    return next((one.status.value, one.reason) for one in item.status.conditions if one.type == type_)
