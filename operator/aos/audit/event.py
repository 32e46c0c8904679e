"""One audit row: who did what, with what, decided by what. Never arguments or results, unless redacted and asked for."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where in a call's life a row stands."""

    INTENT = "Intent"
    """Written, durably, before the call is forwarded."""
    OUTCOME = "Outcome"
    """Written when it is known what became of the call."""
    REFUSAL = "Refusal"
    """The only row of a call that was not forwarded."""
    CHANGE = "Change"
    """A person freed a record, or set or released a legal hold."""
    START = "Start"
    """The first row of a chain: what the other chains' newest rows were (`aos.audit.marks`)."""
    GAP = "Gap"
    """Retention deleted rows: which, and their hashes (`aos.audit.marks`). Never deleted itself."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What one row says. Empty strings, tuples and zeros stand for what does not apply.

    Attributes:
        phase: where in the call's life it was written.
        call: unique identifier of the call; intent and outcome share it.
        time: when, RFC 3339 in UTC with microseconds.
        namespace: of the agent; empty on rows about the trail itself, that only readers of all namespaces see.
        tenant: of the namespace.
        agent: name of the Agent.
        pod: name of the pod that called.
        pod_uid: its uid.
        revision: the ControllerRevision that it ran.
        revision_digest: over its prompt, its spec and its image; empty where the gateway had not seen it.
        task: name of the Task.
        task_uid: its uid.
        lineage: the agents that led to this Task, first one first, without the caller.
        requested_by: who asked for the Task.
        subject: ``tool``, ``model`` or ``agent`` (a handoff).
        name: the Tool, Model or Agent that was called.
        action: the Tool's action; the endpoint of a Model or Agent.
        access: the action's declared access.
        risk: the action's declared risk.
        arguments_digest: ``sha256:`` over the canonical arguments as sent by the agent.
        identity: what people approve when they approve the call; empty where no policy may have them asked.
        record: the record that the call writes.
        data_classes: classes of data that were found.
        policy_digest: of the effective policy.
        effect: ``Allow``, ``Deny``, or ``Hold`` where people are asked.
        reason: stable code.
        rules: the rules that decided, as text.
        approvals: names of the ApprovalRequests that released the call, that it waits for, or by which it is reviewed.
        approvers: who released the call, or refused to: ``USER Approve`` or ``USER Reject`` (`decided`), in order; at most as
            many as may decide on a request.
        outcome: what became of it; empty on an intent.
        prompt_tokens: counted by the model.
        completion_tokens: counted by the model.
        cost_micro_usd: what the call cost; on an intent, what was reserved.
        duration_ms: from the request to the end of the answer.
        trace: identifier of the trace, 32 hexadecimal digits.
    """

    phase: Phase
    call: str
    time: str
    namespace: str
    tenant: str
    agent: str
    pod: str
    pod_uid: str
    revision: str
    task: str
    task_uid: str
    lineage: tuple[str, ...]
    requested_by: str
    subject: str
    name: str
    action: str
    access: str = ""
    risk: str = ""
    arguments_digest: str = ""
    identity: str = ""
    record: str = ""
    data_classes: tuple[str, ...] = ()
    policy_digest: str = ""
    effect: str = ""
    reason: str = ""
    rules: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    outcome: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0
    duration_ms: int = 0
    trace: str = ""
    revision_digest: str = ""


def decided(approver: str, verdict: str) -> str:
    """Return an entry of `AuditEvent.approvers`."""
    return f"{approver} {verdict}"


def decider(entry: str) -> str:
    """Return the user of an entry of `AuditEvent.approvers`; users' names may hold spaces, verdicts do not."""
    return entry.rpartition(" ")[0]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An event in its place of a chain.

    Attributes:
        chain: the chain's name: one for each gateway replica's life.
        sequence: 1 for the first row.
        previous: hash of the row before, in hex; of the first row, the chain's own origin.
        hash: of this row, in hex.
        event: what happened.
    """

    chain: str
    sequence: int
    previous: str
    hash: str
    event: AuditEvent
