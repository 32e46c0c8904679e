"""Audit events and chains for tests."""

from collections.abc import Sequence
from dataclasses import replace

from aos.audit.chain import link, origin
from aos.audit.event import AuditEvent, AuditRow, Phase

EVENT = AuditEvent(
    phase=Phase.OUTCOME,
    call="c1",
    time="2026-01-02T03:04:05.000001Z",
    namespace="sales",
    tenant="acme",
    agent="lead-enricher",
    pod="lead-enricher-x1",
    pod_uid="pod-uid",
    revision="lead-enricher-5d4c",
    task="t-1",
    task_uid="task-uid",
    lineage=("planner",),
    requested_by="jane@example.com",
    subject="tool",
    name="crm",
    action="update_contact",
    access="Write",
    risk="Medium",
    arguments_digest="sha256:" + "a" * 64,
    record="contact/1",
    data_classes=("pii",),
    policy_digest="sha256:" + "b" * 64,
    revision_digest="sha256:" + "c" * 64,
    effect="Allow",
    reason="Allowed",
    rules=("Policy sales-baseline, rule write-crm",),
    outcome="OK",
    cost_micro_usd=200,
    duration_ms=31,
    trace="f" * 32,
)


def event(number: int = 1, **changes: object) -> AuditEvent:
    """Return an event whose call and time follow its number (below 60)."""
    return replace(EVENT, call=f"c{number}", time=f"2026-01-02T03:04:{number:02}.000001Z", **changes)  # type: ignore[arg-type]


def chain_of(events: Sequence[AuditEvent], chain: str = "gateway-1") -> list[AuditRow]:
    """Return the events as the rows of one chain."""
    rows: list[AuditRow] = []
    for sequence, item in enumerate(events, 1):
        previous = rows[-1].hash if rows else origin(chain)
        rows.append(link(chain, sequence, previous, item))
    return rows
