"""Every condition type and reason that AOS sets; `aos.model.condition_docs` tells what they mean."""

from enum import StrEnum
from typing import Final


class ConditionType(StrEnum):
    """Types of conditions. True is good, but for Suspended and how an ApprovalRequest ended, which are neutral."""

    ACCEPTED = "Accepted"
    POLICY_ENFORCED = "PolicyEnforced"
    READY = "Ready"
    SUSPENDED = "Suspended"
    AVAILABLE = "Available"
    ADMISSION_GUARDED = "AdmissionGuarded"
    STARTED = "Started"
    SUCCEEDED = "Succeeded"
    WITHIN_BOUNDS = "WithinBounds"
    APPROVED = "Approved"
    REJECTED = "Rejected"
    EXPIRED = "Expired"
    STALE = "Stale"
    USED = "Used"
    ENFORCEMENT_ACTIVE = "EnforcementActive"


class Reason(StrEnum):
    """Reasons of conditions."""

    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    INVALID_SCHEMA = "InvalidSchema"
    INVALID_EXPRESSION = "InvalidExpression"
    INSTRUCTIONS_NOT_FOUND = "InstructionsNotFound"
    MODEL_NOT_FOUND = "ModelNotFound"
    TOOL_NOT_FOUND = "ToolNotFound"
    ACTION_NOT_FOUND = "ActionNotFound"
    DELEGATE_NOT_FOUND = "DelegateNotFound"
    ENFORCED = "Enforced"
    NO_POLICY = "NoPolicy"
    POLICY_NOT_ACCEPTED = "PolicyNotAccepted"
    NO_GATEWAY = "NoGateway"
    GATEWAY_BEHIND = "GatewayBehind"
    PRICE_UNKNOWN = "PriceUnknown"
    STORE_UNAVAILABLE = "StoreUnavailable"
    READY = "Ready"
    NOT_ACCEPTED = "NotAccepted"
    NOT_ENFORCED = "NotEnforced"
    SUSPENDED = "Suspended"
    NOT_SUSPENDED = "NotSuspended"
    PROVISIONING = "Provisioning"
    AVAILABLE = "Available"
    UNREACHABLE = "Unreachable"
    CREDENTIALS_MISSING = "CredentialsMissing"
    DEFINITION_CHANGED = "DefinitionChanged"
    DEFINITION_INVALID = "DefinitionInvalid"
    NOT_OBSERVED = "NotObserved"
    UNAVAILABLE = "Unavailable"
    GUARDED = "Guarded"
    POLICY_MISSING = "PolicyMissing"
    PENDING = "Pending"
    AGENT_NOT_FOUND = "AgentNotFound"
    AGENT_NOT_READY = "AgentNotReady"
    AGENT_SUSPENDED = "AgentSuspended"
    INPUT_INVALID = "InputInvalid"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_REJECTED = "PodRejected"
    WAITING_FOR_CAPACITY = "WaitingForCapacity"
    STARTING = "Starting"
    RUNNING = "Running"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    COMPLETED = "Completed"
    AGENT_FAILED = "AgentFailed"
    POD_FAILED = "PodFailed"
    POD_LOST = "PodLost"
    NODE_LOST = "NodeLost"
    OUT_OF_MEMORY = "OutOfMemory"
    NO_RESULT = "NoResult"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    REVISION_LOST = "RevisionLost"
    PARENT_ENDED = "ParentEnded"
    WITHIN_BOUNDS = "WithinBounds"
    BUDGET_EXCEEDED = "BudgetExceeded"
    LIMIT_EXCEEDED = "LimitExceeded"
    CIRCUIT_OPEN = "CircuitOpen"
    LOOP_DETECTED = "LoopDetected"
    TOO_MANY_TASK_CALLS = "TooManyTaskCalls"
    DATA_BLOCKED = "DataBlocked"
    DATA_TOO_LARGE = "DataTooLarge"
    URL_NOT_ALLOWED = "UrlNotAllowed"
    PROJECTION_FAILED = "ProjectionFailed"
    RECORD_BUSY = "RecordBusy"
    RECORD_UNKNOWN = "RecordUnknown"
    DUPLICATE_IN_FLIGHT = "DuplicateInFlight"
    TOO_MANY_VISITS = "TooManyVisits"
    DELEGATE_NOT_ALLOWED = "DelegateNotAllowed"
    DELEGATE_NOT_READY = "DelegateNotReady"
    TOO_MANY_APPROVALS = "TooManyApprovals"
    REVIEW_BACKLOG = "ReviewBacklog"
    WAITING = "Waiting"
    QUORUM_REACHED = "QuorumReached"
    REJECTED = "Rejected"
    NOT_REJECTED = "NotRejected"
    EXPIRED = "Expired"
    NOT_EXPIRED = "NotExpired"
    CURRENT = "Current"
    POLICY_CHANGED = "PolicyChanged"
    AGENT_CHANGED = "AgentChanged"
    TOOL_CHANGED = "ToolChanged"
    RECORD_CHANGED = "RecordChanged"
    TASK_ENDED = "TaskEnded"
    RUN_ENDED = "RunEnded"
    ENFORCEMENT_LAPSED = "EnforcementLapsed"
    USED = "Used"
    NOT_USED = "NotUsed"
    STEP_INVALID = "StepInvalid"
    CYCLE = "Cycle"
    TYPE_MISMATCH = "TypeMismatch"
    WORKFLOW_NOT_FOUND = "WorkflowNotFound"
    CAPABILITY_NOT_FOUND = "CapabilityNotFound"
    TRIGGER_INVALID = "TriggerInvalid"
    WORKFLOW_NOT_READY = "WorkflowNotReady"
    CAPABILITY_AMBIGUOUS = "CapabilityAmbiguous"
    QUEUED = "Queued"
    WAITING_FOR_PEOPLE = "WaitingForPeople"
    COMPENSATING = "Compensating"
    STEP_FAILED = "StepFailed"
    CANCELLED = "Cancelled"
    TIMED_OUT = "TimedOut"
    TOO_MANY_RUNS = "TooManyRuns"
    REPLACED = "Replaced"
    TOO_DEEP = "TooDeep"
    TOO_MANY_TASKS = "TooManyTasks"
    EXPRESSION_FAILED = "ExpressionFailed"


COUNTED_REASONS: Final = (
    Reason.BUDGET_EXCEEDED,
    Reason.LIMIT_EXCEEDED,
    Reason.CIRCUIT_OPEN,
    Reason.LOOP_DETECTED,
    Reason.TOO_MANY_TASK_CALLS,
)
"""Reasons of WithinBounds that something is counted for, which most often time frees."""

BOUND_REASONS: Final = (
    *COUNTED_REASONS,
    Reason.DATA_BLOCKED,
    Reason.DATA_TOO_LARGE,
    Reason.URL_NOT_ALLOWED,
    Reason.PROJECTION_FAILED,
    Reason.DELEGATE_NOT_ALLOWED,
    Reason.DELEGATE_NOT_READY,
    Reason.TOO_MANY_TASKS,
    Reason.TOO_MANY_VISITS,
    Reason.TOO_DEEP,
    Reason.TOO_MANY_APPROVALS,
    Reason.REVIEW_BACKLOG,
    Reason.RECORD_UNKNOWN,
    Reason.RECORD_BUSY,
    Reason.DUPLICATE_IN_FLIGHT,
)
"""Reasons of WithinBounds that the gateway refuses calls for, under the same names; of several the first is told.

None of them are those that other conditions tell, that end by themselves, or that concern one call alone.
"""

WEBHOOK_REASONS: Final = frozenset({Reason.CREDENTIALS_MISSING, Reason.NOT_OBSERVED})
"""Reasons for which a Workflow is not Ready by its webhooks alone: what else starts runs of it does so."""
