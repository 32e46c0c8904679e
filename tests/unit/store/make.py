"""Makes what the tests of the store ask for."""

from dataclasses import replace
from itertools import count

from aos.audit.event import AuditEvent, Phase
from aos.store.interface import Admission, Charge, Completion, DuplicateCheck, LeaseRequest

_numbers = count(1)


def event(call: str = "call", phase: Phase = Phase.INTENT, **changes: object) -> AuditEvent:
    """Return an audit event of agent a of namespace sales."""
    made = AuditEvent(
        phase=phase,
        call=call,
        time="2026-03-01T10:00:00.000000Z",
        namespace="sales",
        tenant="sales",
        agent="a",
        pod="a-pod",
        pod_uid="pod-uid",
        revision="a-1",
        task="a-task",
        task_uid="task-uid",
        lineage=(),
        requested_by="kim@example.com",
        subject="tool",
        name="crm",
        action="update_contact",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def charge(counter: str = "budget", amount: int = 1, limit: int = 10, window_seconds: int = 60) -> Charge:
    """Return a charge."""
    return Charge(counter, amount, limit, window_seconds, "", f"Policy p, {counter}", "calls")


def owned(task_uid: str, counter: str = "loop", limit: int = 10) -> Charge:
    """Return a charge to a Task's own counter."""
    return Charge(counter, 1, limit, 0, task_uid, "Policy p, calls per task", "callsPerTask")


def lease(record: str = "contact/1", task: str = "a", seconds: int = 60) -> LeaseRequest:
    """Return a request for a record by a Task."""
    return LeaseRequest(record, f"{task}-uid", task, f"agent-{task}", "sales", seconds)


def check(key: str = "write", task: str = "a", seconds: int = 60, *, repeats: bool = False) -> DuplicateCheck:
    """Return the check for an identical write by a Task."""
    return DuplicateCheck(key, f"{task}-uid", seconds, repeats)


def admission(
    *charges: Charge,
    call: str = "",
    lease: LeaseRequest | None = None,
    duplicates: tuple[DuplicateCheck, ...] = (),
    expires_seconds: int = 600,
    task: str = "a",
) -> Admission:
    """Return an admission with an intent of its own."""
    call = call or f"call-{next(_numbers)}"
    intent = event(call, task=task, agent=f"agent-{task}")
    return Admission(call, charges, lease, duplicates, intent, expires_seconds)


def completion(call: str, result: bytes | None = None, **settled: int) -> Completion:
    """Return a completion with an outcome."""
    return Completion(call, settled, result, outcome=event(call, Phase.OUTCOME, outcome="Succeeded"))
