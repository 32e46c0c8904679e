"""ApprovalRequest: one call that waits for people, or that people are to review."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from aos.model.approval import MAX_REQUIRED, Approvers, PrincipalName
from aos.model.base import LIST_AS_SET, ActionName, ApiModel, CelRule, Digest, ObjectName, ReferenceName
from aos.model.kind import AGE_COLUMN, ColumnType, Kind, PrinterColumn
from aos.model.meta import ApiObject, Condition
from aos.model.names import MAX_NAME_LENGTH
from aos.model.tool import Access, Risk

MAX_QUORUMS: Final = 16
MAX_DECISIONS: Final = 64
MAX_ARGUMENTS_LENGTH: Final = 16_384
MAX_PREVIEW_LENGTH: Final = 4_096
MAX_NOTICES: Final = 64
WRITTEN_BY_GATEWAY: Final = ("use", "overtaken", "outcome")
"""What of the status the gateway writes: which calls it made, and what came of them. The rest is the operator's."""

RuleName = Annotated[str, Field(min_length=1, max_length=253)]
"""What asks for a quorum: ``Policy sales-baseline, approval outbound``, ``risk Medium`` or ``autonomy Propose``."""


class RequestType(StrEnum):
    """What people are asked about."""

    CALL = "Call"
    """A call that waits."""
    REVIEW = "Review"
    """A call that was made."""


class RequestAgent(ApiModel):
    """The agent that calls, and the revision that it runs."""

    name: ObjectName
    revision: ReferenceName


class RequestTask(ApiModel):
    """The Task that the call belongs to."""

    name: ObjectName
    uid: str = Field(min_length=1, max_length=64)


class QuorumEscalation(ApiModel):
    """Who else counts, from a time on."""

    at: datetime
    approvers: Approvers


class Quorum(ApiModel):
    """How many different people must approve, and who counts.

    Attributes:
        rule: what asks for it.
        required: how many; one more than the rule says where nobody knows who asked for the Task.
        approvers: who counts; nobody named means everybody with the verb ``approve``.
        escalation: who else counts later.
        remind_at: when those who are asked are told again.
    """

    rule: RuleName
    required: int = Field(ge=1, le=MAX_REQUIRED + 1)
    approvers: Approvers = Approvers()
    escalation: QuorumEscalation | None = None
    remind_at: datetime | None = None


class Preview(ApiModel):
    """What a Write would change, as JSON: what the record holds now, and what it would hold."""

    before: str = Field(max_length=MAX_PREVIEW_LENGTH)
    after: str = Field(max_length=MAX_PREVIEW_LENGTH)


class Verdict(StrEnum):
    """What a person says."""

    APPROVE = "Approve"
    REJECT = "Reject"


class ApprovalDecision(ApiModel):
    """What one person said. The API server holds ``approver`` and ``groups`` against who really asked it.

    Attributes:
        approver: the user's name.
        groups: those groups that quorums name and that the user is in.
    """

    approver: PrincipalName
    verdict: Verdict
    comment: str = Field(default="", max_length=1024)
    groups: tuple[PrincipalName, ...] = Field(default=(), max_length=32, json_schema_extra=LIST_AS_SET)


class ApprovalRequestSpec(ApiModel):
    """One call, exactly; nothing changes but ``decisions``, and those only grow.

    Attributes:
        requested_by: who asked for the Task; empty where nobody said.
        record: what the call changes.
        summary: the call in one sentence.
        arguments: as JSON, without personal data and secrets.
        arguments_digest: of the exact arguments.
        definition_digest: of the action's definition, as the tool offers it.
        policy_digest: of the effective policy.
        call: the audit trail's identifier of the call that is to be reviewed; empty for one that waits.
        expires_at: when nobody may decide any more.
        decisions: one of each approver, in the order in which they came.
    """

    type: RequestType = RequestType.CALL
    agent: RequestAgent
    task: RequestTask
    requested_by: str = Field(default="", max_length=256)
    tool: ObjectName
    action: ActionName
    access: Access
    risk: Risk
    record: str = Field(default="", max_length=512)
    summary: str = Field(min_length=1, max_length=512)
    arguments: str = Field(max_length=MAX_ARGUMENTS_LENGTH)
    arguments_digest: Digest
    definition_digest: Digest
    policy_digest: Digest
    preview: Preview | None = None
    call: str = Field(default="", max_length=64)
    quorums: tuple[Quorum, ...] = Field(
        min_length=1,
        max_length=MAX_QUORUMS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["rule"]},
    )
    expires_at: datetime
    decisions: tuple[ApprovalDecision, ...] = Field(default=(), max_length=MAX_DECISIONS)


def same_call(new: str, old: str) -> str:
    """Return CEL that holds when two specs are alike but for their decisions.

    Args:
        new: CEL of the one spec.
        old: CEL of the other.
    """
    fields = {field.alias or name: field for name, field in ApprovalRequestSpec.model_fields.items()}
    del fields["decisions"]
    return " && ".join(
        f"{new}.{name} == {old}.{name}"
        if field.is_required()
        else f"has({new}.{name}) == has({old}.{name}) && (!has({new}.{name}) || {new}.{name} == {old}.{name})"
        for name, field in fields.items()
    )


def decisions_kept(new: str, old: str) -> str:
    """Return CEL that holds when a list, with an entry a decision, begins with all of another one, in their order.

    Args:
        new: CEL of the longer list.
        old: CEL of the list that it begins with.
    """
    # CEL of Kubernetes 1.30 has no slices; a list of positions costs no more than the decisions themselves.
    positions = list(range(MAX_DECISIONS))
    return f"size({new}) >= size({old}) && {positions}.all(i, i >= size({old}) || {new}[i] == {old}[i])"


# Made from the fields, so that none which is added later can be changed.
ApprovalRequestSpec.cel_rules = (
    CelRule(
        rule=same_call("self", "oldSelf"),
        message="nothing of an ApprovalRequest can be changed but its decisions: people decide on what they were shown",
    ),
    CelRule(
        rule=decisions_kept("self.?decisions.orValue([])", "oldSelf.?decisions.orValue([])"),
        message="decisions that stand are never changed, removed or moved; add yours as the last one",
        field_path=".decisions",
    ),
)


class RequestState(StrEnum):
    """Where a request stands. Only Pending can be decided; the gateway lets a call through on Approved alone."""

    PENDING = "Pending"
    APPROVED = "Approved"
    REJECTED = "Rejected"
    EXPIRED = "Expired"
    STALE = "Stale"
    USED = "Used"


class QuorumStatus(ApiModel):
    """How far a quorum is."""

    rule: RuleName
    required: int
    approved: int


class CountedDecision(ApiModel):
    """A decision that the operator counts, with the time at which it first saw it.

    Attributes:
        rules: the quorums that it counts for; a rejection counts for those whose approver it is.
    """

    approver: PrincipalName
    verdict: Verdict
    time: datetime
    rules: tuple[RuleName, ...] = Field(default=(), max_length=MAX_QUORUMS)


class RequestUse(ApiModel):
    """A call, by the audit trail's identifier."""

    call: str = Field(max_length=64)
    time: datetime


class Notice(ApiModel):
    """Something that was told by a webhook, and when it was taken."""

    webhook: str = Field(max_length=63)
    event: str = Field(max_length=63)
    time: datetime


class ApprovalRequestStatus(ApiModel):
    """What became of a request: ``use``, ``overtaken`` and ``outcome`` from the gateway, the rest from the operator.

    Attributes:
        need: how many approvals all quorums ask for.
        have: how many of those there are.
        counted: the decisions that count, in the order of spec.decisions.
        guard: which state of the admission policies those were made under; see docs/approvals.md.
        use: the one call that was let through.
        overtaken: a later call that changed the record, so that what people were shown does not hold any more.
        outcome: what came of a call that is reviewed; empty while it is under way.
        notices: what was told to whom outside.
        tallied: whether the Agent's status.reliability has what people said.
    """

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)
    state: RequestState = RequestState.PENDING
    need: int = Field(default=0, ge=0)
    have: int = Field(default=0, ge=0)
    quorums: tuple[QuorumStatus, ...] = Field(default=(), max_length=MAX_QUORUMS)
    counted: tuple[CountedDecision, ...] = Field(default=(), max_length=MAX_DECISIONS)
    guard: str = Field(default="", max_length=71)
    use: RequestUse | None = None
    overtaken: RequestUse | None = None
    outcome: str = Field(default="", max_length=64)
    notices: tuple[Notice, ...] = Field(default=(), max_length=MAX_NOTICES)
    tallied: bool = False


class ApprovalRequest(ApiObject):
    """A held or reviewed call."""

    kind: Literal["ApprovalRequest"] = "ApprovalRequest"
    spec: ApprovalRequestSpec
    status: ApprovalRequestStatus = ApprovalRequestStatus()


APPROVAL_REQUEST_KIND = Kind(
    kind="ApprovalRequest",
    plural="approvalrequests",
    short_names=("apr",),
    description="One call of an agent that waits for people to approve it, or that they are to review.",
    object_model=ApprovalRequest,
    spec_model=ApprovalRequestSpec,
    status_model=ApprovalRequestStatus,
    columns=(
        PrinterColumn("Agent", ".spec.agent.name"),
        PrinterColumn("Action", ".spec.action"),
        PrinterColumn("Record", ".spec.record"),
        PrinterColumn("Risk", ".spec.risk"),
        PrinterColumn("Need", ".status.need", ColumnType.INTEGER),
        PrinterColumn("Have", ".status.have", ColumnType.INTEGER),
        PrinterColumn("State", ".status.state"),
        AGE_COLUMN,
        PrinterColumn("Expires", ".spec.expiresAt"),
        PrinterColumn("Summary", ".spec.summary", priority=1),
    ),
    max_name_length=MAX_NAME_LENGTH,
)
