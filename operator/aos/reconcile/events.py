"""Every event that the operator records: its reason, and when. Code refers to events only by these names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class EventType(StrEnum):
    """Whether somebody should look."""

    NORMAL = "Normal"
    WARNING = "Warning"


class EventReason(StrEnum):
    """Reasons of events."""

    ACCEPTED = "Accepted"
    NOT_ACCEPTED = "NotAccepted"
    READY = "Ready"
    NOT_READY = "NotReady"
    POLICY_ENFORCED = "PolicyEnforced"
    POLICY_NOT_ENFORCED = "PolicyNotEnforced"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    UNGUARDED = "Unguarded"
    REVISION_CREATED = "RevisionCreated"
    CHILD_RESTORED = "ChildRestored"
    CHILD_REFUSED = "ChildRefused"
    CREDENTIAL_GRANTED = "CredentialGranted"
    CREDENTIAL_REVOKED = "CredentialRevoked"
    POD_CREATED = "PodCreated"
    POD_REMOVED = "PodRemoved"
    WAITING = "Waiting"
    STARTED = "Started"
    COMPLETED = "Completed"
    FAILED = "Failed"
    RUN_STARTED = "RunStarted"
    RUN_COMPLETED = "RunCompleted"
    RUN_FAILED = "RunFailed"
    STEP_FAILED = "StepFailed"
    WAITING_FOR_PEOPLE = "WaitingForPeople"
    COMPENSATING = "Compensating"
    TRIGGERED = "Triggered"
    TRIGGER_FAILED = "TriggerFailed"
    RUNS_MISSED = "RunsMissed"
    CERTIFICATE_ISSUED = "CertificateIssued"
    AUTHORITY_CREATED = "AuthorityCreated"
    AUTHORITY_PREPARED = "AuthorityPrepared"
    AUTHORITY_REPLACED = "AuthorityReplaced"
    SAMPLING_KEY_CREATED = "SamplingKeyCreated"
    ANCHORS_COPIED = "AnchorsCopied"
    ANCHORS_NOT_COPIED = "AnchorsNotCopied"
    APPROVAL_ASKED = "ApprovalAsked"
    APPROVAL_DECIDED = "ApprovalDecided"
    APPROVAL_REFUSED = "ApprovalRefused"
    APPROVAL_EXPIRED = "ApprovalExpired"
    APPROVAL_STALE = "ApprovalStale"
    APPROVAL_USED = "ApprovalUsed"


@dataclass(frozen=True, slots=True)
class EventDoc:
    """When an event is recorded, and about which kinds of objects."""

    type: EventType
    kinds: tuple[str, ...]
    action: str
    when: str


_ACCEPTING: Final = ("Agent", "Tool", "Model", "Policy", "ClusterPolicy", "Workflow")
_WITH_CHILDREN: Final = ("Agent", "Tool", "Model", "Workflow")
_ASKING: Final = ("ApprovalRequest", "Agent", "Task", "WorkflowRun")
_N, _W = EventType.NORMAL, EventType.WARNING

EVENTS: Final[Mapping[EventReason, EventDoc]] = {
    EventReason.ACCEPTED: EventDoc(_N, _ACCEPTING, "Check", "The spec is sound; before, it was not."),
    EventReason.NOT_ACCEPTED: EventDoc(_W, _ACCEPTING, "Check", "The spec can't be used; the note says why."),
    EventReason.READY: EventDoc(_N, ("Agent",), "Check", "The agent can take Tasks."),
    EventReason.NOT_READY: EventDoc(_W, ("Agent",), "Check", "The agent was ready and no longer is."),
    EventReason.POLICY_ENFORCED: EventDoc(
        _N, ("Agent",), "Compare", "Every ready gateway replica enforces the agent's effective policy."
    ),
    EventReason.POLICY_NOT_ENFORCED: EventDoc(
        _W, ("Agent",), "Compare", "No Policy selects the agent, one is broken, or no gateway is ready."
    ),
    EventReason.SUSPENDED: EventDoc(
        _N,
        ("Agent", "WorkflowRun"),
        "Suspend",
        "spec.suspend became true; of a run, its own or its Workflow's.",
    ),
    EventReason.RESUMED: EventDoc(
        _N,
        ("Agent", "WorkflowRun"),
        "Resume",
        "spec.suspend became false; of a run, its own and its Workflow's.",
    ),
    EventReason.UNGUARDED: EventDoc(
        _W,
        ("Agent", "ApprovalRequest"),
        "Guard",
        "An admission policy that guards agent identities and approvals is missing or altered.",
    ),
    EventReason.REVISION_CREATED: EventDoc(
        _N,
        ("Agent", "Workflow"),
        "Revise",
        "Instructions, spec or image changed; new Tasks, or new runs, go by the new revision.",
    ),
    EventReason.CHILD_RESTORED: EventDoc(
        _W, _WITH_CHILDREN, "Restore", "Somebody changed or removed a child; it was put right."
    ),
    EventReason.CHILD_REFUSED: EventDoc(
        _W, _WITH_CHILDREN, "Apply", "The API server refused a child; the note says why."
    ),
    EventReason.CREDENTIAL_GRANTED: EventDoc(
        _N,
        ("Tool", "Model", "Workflow"),
        "Grant",
        "The gateway may read the one Secret that spec.auth, or a webhook, names.",
    ),
    EventReason.CREDENTIAL_REVOKED: EventDoc(
        _N,
        ("Tool", "Model", "Workflow"),
        "Revoke",
        "spec.auth, or the webhook, is gone; the gateway may no longer read the Secret.",
    ),
    EventReason.POD_CREATED: EventDoc(
        _N, ("Task",), "Create", "The Task's one pod was created. Not told of a run's Tasks."
    ),
    EventReason.POD_REMOVED: EventDoc(
        _N, ("Task",), "Delete", "A pod of the Task is being removed. Not told of a run's Tasks."
    ),
    EventReason.WAITING: EventDoc(
        _W, ("Task", "WorkflowRun"), "Wait", "Something keeps it from starting; the note says what."
    ),
    EventReason.STARTED: EventDoc(_N, ("Task",), "Start", "The agent runs. Not told of a run's Tasks."),
    EventReason.COMPLETED: EventDoc(
        _N,
        ("Task",),
        "Finish",
        "The agent handed in its output. Not told of a run's Tasks: their run tells it.",
    ),
    EventReason.FAILED: EventDoc(_W, ("Task",), "Finish", "The Task failed; the note says why."),
    EventReason.RUN_STARTED: EventDoc(
        _N, ("WorkflowRun",), "Start", "The run began; the note says which revision of its Workflow it runs."
    ),
    EventReason.RUN_COMPLETED: EventDoc(_N, ("WorkflowRun",), "Finish", "Every step is done."),
    EventReason.RUN_FAILED: EventDoc(
        _W, ("WorkflowRun",), "Finish", "The run ended without success; the note says why."
    ),
    EventReason.STEP_FAILED: EventDoc(
        _W, ("WorkflowRun",), "Advance", "A step failed for good; status.steps tells more than the note."
    ),
    EventReason.WAITING_FOR_PEOPLE: EventDoc(
        _N, ("WorkflowRun",), "Wait", "The run waits for people; the note names the ApprovalRequest."
    ),
    EventReason.COMPENSATING: EventDoc(
        _W, ("WorkflowRun",), "Compensate", "The run is going to end, and what was done is being undone."
    ),
    EventReason.TRIGGERED: EventDoc(
        _N, ("Workflow",), "Start", "A schedule started a run; the note names it."
    ),
    EventReason.TRIGGER_FAILED: EventDoc(
        _W, ("Workflow",), "Start", "A schedule was due and could not start a run; the note says why."
    ),
    EventReason.RUNS_MISSED: EventDoc(
        _W, ("Workflow",), "Skip", "Times of a schedule passed without a run of their own."
    ),
    EventReason.CERTIFICATE_ISSUED: EventDoc(
        _N, ("Secret",), "Issue", "The gateway got a new serving certificate."
    ),
    EventReason.AUTHORITY_CREATED: EventDoc(
        _N, ("Secret",), "Issue", "The certificate authority was made; there was none that could be used."
    ),
    EventReason.AUTHORITY_PREPARED: EventDoc(
        _N,
        ("Secret",),
        "Issue",
        "The next certificate authority was made; it is trusted and does not sign yet.",
    ),
    EventReason.AUTHORITY_REPLACED: EventDoc(
        _N,
        ("Secret",),
        "Issue",
        "The next certificate authority signs from now on; the last is still trusted.",
    ),
    EventReason.SAMPLING_KEY_CREATED: EventDoc(
        _N, ("Secret",), "Issue", "The gateways' sampling key was made; there was none that could be used."
    ),
    EventReason.ANCHORS_COPIED: EventDoc(
        _N, ("ConfigMap",), "Copy", "Anchors of the audit trail are copied again, after they were not."
    ),
    EventReason.ANCHORS_NOT_COPIED: EventDoc(
        _W,
        ("ConfigMap",),
        "Copy",
        "Anchors of the audit trail could not be copied to the file or the collector; the note says why. The ConfigMap has them.",
    ),
    EventReason.APPROVAL_ASKED: EventDoc(
        _N,
        _ASKING,
        "Ask",
        "People are asked about a call, which waits for them or was made and is to be reviewed, or about a gate of a run.",
    ),
    EventReason.APPROVAL_DECIDED: EventDoc(
        _N,
        _ASKING,
        "Decide",
        "Somebody decided; who it was stands on the ApprovalRequest alone. On Agent, Task and WorkflowRun once it is final.",
    ),
    EventReason.APPROVAL_REFUSED: EventDoc(
        _W, ("ApprovalRequest",), "Decide", "Somebody decided who counts for no quorum; the note says why."
    ),
    EventReason.APPROVAL_EXPIRED: EventDoc(
        _W, _ASKING, "Expire", "Nobody decided in time, or what was approved was not used in time."
    ),
    EventReason.APPROVAL_STALE: EventDoc(
        _W, _ASKING, "Withdraw", "What people were asked about does not hold any more; the note says why."
    ),
    EventReason.APPROVAL_USED: EventDoc(
        _N, ("ApprovalRequest", "Agent", "Task"), "Use", "The call was let through, once."
    ),
}


@dataclass(frozen=True, slots=True)
class Happening:
    """Something to tell people about the object that is reconciled."""

    reason: EventReason
    note: str

    @property
    def doc(self) -> EventDoc:
        """What the table says of it."""
        return EVENTS[self.reason]


def happenings(*candidates: Happening | None) -> tuple[Happening, ...]:
    """Return the candidates that are there."""
    return tuple(item for item in candidates if item is not None)


def restored(children: Iterable[object]) -> tuple[Happening, ...]:
    """Return one event for each child that had to be put right."""
    return tuple(
        Happening(EventReason.CHILD_RESTORED, f"{child} was not as the operator makes it and was put right")
        for child in children
    )
