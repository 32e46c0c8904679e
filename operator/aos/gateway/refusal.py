"""Refusals: every answer of the gateway that is not what was asked for, with a code that does not change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from math import ceil
from typing import Final

import orjson
from pydantic import JsonValue

from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import RuleReference

MAX_MESSAGE_LENGTH: Final = 2048
MAX_DETAILS: Final = 20


class RefusalCode(StrEnum):
    """Why a request was refused; each is documented in ``docs/gateway.md``."""

    BAD_REQUEST = "BadRequest"
    DUPLICATE_HEADER = "DuplicateHeader"
    HOST_NOT_ALLOWED = "HostNotAllowed"
    ORIGIN_NOT_ALLOWED = "OriginNotAllowed"
    NOT_FOUND = "NotFound"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType"
    NOT_ACCEPTABLE = "NotAcceptable"
    INVALID_JSON = "InvalidJson"
    REQUEST_TOO_LARGE = "RequestTooLarge"
    HEADERS_TOO_LARGE = "HeadersTooLarge"
    REQUEST_TIMEOUT = "RequestTimeout"
    TOO_MANY_CALLS = "TooManyCalls"
    SIGNATURE_INVALID = "SignatureInvalid"
    WORKFLOW_NOT_READY = "WorkflowNotReady"
    INPUT_INVALID = "InputInvalid"

    NO_TOKEN = "NoToken"  # noqa: S105 - a code
    TOKEN_INVALID = "TokenInvalid"  # noqa: S105 - a code
    TOKEN_NOT_ACCEPTED = "TokenNotAccepted"  # noqa: S105 - a code
    IDENTITY_UNAVAILABLE = "IdentityUnavailable"
    STALE = "Stale"
    NOT_AN_AGENT = "NotAnAgent"
    SERVICE_ACCOUNT_UNKNOWN = "ServiceAccountUnknown"
    AGENT_UNKNOWN = "AgentUnknown"
    POD_UNKNOWN = "PodUnknown"
    POD_ENDED = "PodEnded"
    POD_NOT_RECORDED = "PodNotRecorded"
    ADDRESS_MISMATCH = "AddressMismatch"
    TASK_UNKNOWN = "TaskUnknown"
    TASK_ENDED = "TaskEnded"
    FORBIDDEN = "Forbidden"

    TOOL_UNKNOWN = "ToolUnknown"
    ACTION_QUARANTINED = "ActionQuarantined"
    ARGUMENTS_INVALID = "ArgumentsInvalid"
    MODEL_UNKNOWN = "ModelUnknown"
    MODEL_NOT_ALLOWED = "ModelNotAllowed"
    CREDENTIALS_MISSING = "CredentialsMissing"
    UPSTREAM_UNREACHABLE = "UpstreamUnreachable"
    UPSTREAM_TIMEOUT = "UpstreamTimeout"
    UPSTREAM_INVALID = "UpstreamInvalid"
    RESPONSE_TOO_LARGE = "ResponseTooLarge"

    LIMIT_EXCEEDED = "LimitExceeded"
    BUDGET_EXCEEDED = "BudgetExceeded"
    PRICE_UNKNOWN = "PriceUnknown"
    RECORD_BUSY = "RecordBusy"
    RECORD_UNKNOWN = "RecordUnknown"
    DUPLICATE_IN_FLIGHT = "DuplicateInFlight"
    LOOP_DETECTED = "LoopDetected"
    TOO_MANY_TASK_CALLS = "TooManyTaskCalls"
    DATA_BLOCKED = "DataBlocked"
    DATA_TOO_LARGE = "DataTooLarge"
    URL_NOT_ALLOWED = "UrlNotAllowed"
    PROJECTION_FAILED = "ProjectionFailed"
    CIRCUIT_OPEN = "CircuitOpen"
    STORE_UNAVAILABLE = "StoreUnavailable"
    DELEGATE_NOT_ALLOWED = "DelegateNotAllowed"
    DELEGATE_NOT_READY = "DelegateNotReady"
    TOO_DEEP = "TooDeep"
    TOO_MANY_VISITS = "TooManyVisits"
    TOO_MANY_TASKS = "TooManyTasks"

    APPROVAL_PENDING = "ApprovalPending"
    APPROVAL_REJECTED = "ApprovalRejected"
    APPROVAL_EXPIRED = "ApprovalExpired"
    APPROVAL_STALE = "ApprovalStale"
    APPROVAL_USED = "ApprovalUsed"
    TOO_MANY_APPROVALS = "TooManyApprovals"
    REVIEW_BACKLOG = "ReviewBacklog"

    OUTPUT_INVALID = "OutputInvalid"
    RESULT_EXISTS = "ResultExists"
    REVISION_UNKNOWN = "RevisionUnknown"
    INTERNAL = "Internal"


@dataclass(frozen=True, slots=True)
class Detail:
    """One place in a message that is wrong, as a JSON pointer, and what is wrong there."""

    path: str
    message: str


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the program
    """An answer that refuses; raised anywhere below the app, sent by it.

    Attributes:
        status: of HTTP.
        code: stable, for programs.
        message: for people, with the way out; it may quote the caller's own data, so it is never logged.
        retry_after_seconds: when to try again; 0 where that would not help.
        details: what is wrong where, for messages that do not fit a schema.
    """

    def __init__(
        self,
        status: int,
        code: RefusalCode | DecisionReason,
        message: str,
        *,
        retry_after_seconds: int = 0,
        details: tuple[Detail, ...] = (),
    ) -> None:
        super().__init__(code.value, message)
        self.status = status
        self.code = code
        self.message = message[:MAX_MESSAGE_LENGTH]
        self.retry_after_seconds = retry_after_seconds
        self.details = details[:MAX_DETAILS]

    def body(self) -> bytes:
        """Return the answer's JSON: ``{"error": {"code", "message"}}``, with ``details`` where there are any."""
        error: dict[str, str | list[dict[str, str]]] = {"code": self.code.value, "message": self.message}
        if self.details:
            error["details"] = [{"path": item.path, "message": item.message} for item in self.details]
        return orjson.dumps({"error": error})

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the answer's own headers."""
        headers: list[tuple[bytes, bytes]] = []
        if self.retry_after_seconds:
            headers.append((b"retry-after", b"%d" % self.retry_after_seconds))
        if self.status == _UNAUTHORIZED:
            headers.append((b"www-authenticate", b'Bearer realm="aos-gateway"'))
        return headers


_UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that got no answer of what it called, before each protocol says so in its own way.

    Attributes:
        effect: Deny if nothing was sent on purpose, Hold if it waits for people, Allow if policy allowed the call and
            it failed.
        reason: why, as a code.
        message: why, for the model and for people; it may quote the caller's own data.
        rules: rules that decided.
        outcome_unknown: whether a Write may have been carried out all the same.
        retry_after_seconds: when trying again may help; None where time alone does not.
        facts: what programs need to know besides: the limit, the holder of a record. Never anybody else's data.
        note: what is said of it on the Agent to people, without anything that the caller wrote; empty for nothing.
        approvers: who decided, where people refused it, as `aos.audit.event.AuditEvent` has them.
    """

    effect: Effect
    reason: DecisionReason | RefusalCode
    message: str
    rules: tuple[RuleReference, ...] = ()
    outcome_unknown: bool = False
    retry_after_seconds: float | None = None
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    note: str = ""
    approvers: tuple[str, ...] = ()


_STATUSES: Final[Mapping[DecisionReason | RefusalCode, HTTPStatus]] = {
    RefusalCode.LIMIT_EXCEEDED: HTTPStatus.TOO_MANY_REQUESTS,
    RefusalCode.BUDGET_EXCEEDED: HTTPStatus.TOO_MANY_REQUESTS,
    RefusalCode.LOOP_DETECTED: HTTPStatus.TOO_MANY_REQUESTS,
    RefusalCode.TOO_MANY_TASK_CALLS: HTTPStatus.TOO_MANY_REQUESTS,
    RefusalCode.RECORD_BUSY: HTTPStatus.CONFLICT,
    RefusalCode.DUPLICATE_IN_FLIGHT: HTTPStatus.CONFLICT,
    RefusalCode.DATA_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RefusalCode.CIRCUIT_OPEN: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalCode.STORE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


def refusal_of(refused: Refused) -> Refusal:
    """Return how a protocol that is plain HTTP says it; 403 for whatever policy forbids."""
    return Refusal(
        _STATUSES.get(refused.reason, HTTPStatus.FORBIDDEN),
        refused.reason,
        refused.message,
        retry_after_seconds=ceil(refused.retry_after_seconds or 0),
    )
