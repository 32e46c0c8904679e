"""ApprovalRequest: one call that waits for people, or that people are to review, or a gate at which a run waits for them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from aos.model.approval import MAX_REQUIRED, Approvers, PrincipalName
from aos.model.base import LIST_AS_SET, ActionName, ApiModel, CelRule, Digest, ObjectName, ReferenceName
from aos.model.kind import AGE_COLUMN, ColumnType, Kind, PrinterColumn
from aos.model.meta import ApiObject, Condition
from aos.model.names import MAX_NAME_LENGTH
from aos.model.tool import Access, Risk
from aos.model.workflow_step import StepName

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
    GATE = "Gate"
    """A step of a run that goes on only once people agree."""


class RequestAgent(ApiModel):
    """The agent that calls, and the revision that it runs."""

    name: ObjectName
    revision: ReferenceName


class RequestTask(ApiModel):
    """The Task that the call belongs to."""

    name: ObjectName
    uid: str = Field(min_length=1, max_length=64)


class RequestRun(ApiModel):
    """The run that waits at a gate.

    Attributes:
        name: of the WorkflowRun.
        uid: of the WorkflowRun.
        workflow: the Workflow that is run.
        step: the step that is the gate.
    """

    name: ObjectName
    uid: str = Field(min_length=1, max_length=64)
    workflow: ObjectName
    step: StepName


@dataclass(frozen=True, slots=True)
class AskedCall:
    """The call that a request is about, as people are asked about it.

    Attributes:
        definition_digest: of the action's definition, as the tool offers it.
        policy_digest: of the effective policy.
    """

    agent: RequestAgent
    task: RequestTask
    tool: str
    action: str
    access: Access
    risk: Risk
    definition_digest: str
    policy_digest: str

    @property
    def title(self) -> str:
        """What is called, as ``TOOL.ACTION``."""
        return f"{self.tool}.{self.action}"


class NoCallError(ValueError):
    """What is asked of a request makes sense for calls alone, and it is a gate."""


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
    """One call or gate, exactly; nothing changes but ``decisions``, and those only grow.

    Attributes:
        agent: who calls; this and what else a call has is left out at a gate, which has ``run`` instead.
        task: what the call belongs to.
        run: the run that waits at a gate.
        requested_by: who asked for the Task or the run; empty where nobody said.
        record: what the call changes.
        summary: the call, or the gate, in one sentence.
        arguments: of the call; at a gate what people are shown. As JSON, without personal data and secrets.
        arguments_digest: of the exact arguments, or of exactly what was to be shown.
        definition_digest: of the action's definition, as the tool offers it.
        policy_digest: of the effective policy.
        call: the audit trail's identifier of the call that is to be reviewed; empty for one that waits.
        expires_at: when nobody may decide any more.
        decisions: one of each approver, in the order in which they came.
    """

    type: RequestType = RequestType.CALL
    agent: RequestAgent | None = None
    task: RequestTask | None = None
    run: RequestRun | None = None
    requested_by: str = Field(default="", max_length=256)
    tool: ObjectName | None = None
    action: ActionName | None = None
    access: Access | None = None
    risk: Risk | None = None
    record: str = Field(default="", max_length=512)
    summary: str = Field(min_length=1, max_length=512)
    arguments: str = Field(max_length=MAX_ARGUMENTS_LENGTH)
    arguments_digest: Digest
    definition_digest: Digest | None = None
    policy_digest: Digest | None = None
    preview: Preview | None = None
    call: str = Field(default="", max_length=64)
    quorums: tuple[Quorum, ...] = Field(
        min_length=1,
        max_length=MAX_QUORUMS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["rule"]},
    )
    expires_at: datetime
    decisions: tuple[ApprovalDecision, ...] = Field(default=(), max_length=MAX_DECISIONS)

    @model_validator(mode="after")
    def _has_its_subject(self) -> Self:
        """Refuse a gate with anything of a call, and a call that lacks something, as the API server does."""
        is_whole = self._call() is not None
        is_gate = self.type is RequestType.GATE
        strays = [name for name in (*_OF_A_CALL, *_OF_SOME_CALLS) if getattr(self, name)]
        if is_gate and (self.run is None or strays):
            raise ValueError(_GATE_HAS)
        if not is_gate and (self.run is not None or not is_whole):
            raise ValueError(_CALL_HAS)
        return self

    @property
    def subject(self) -> AskedCall | RequestRun:
        """What people are asked about: a call, or at a gate a run."""
        return self.run if self.run is not None else self.asked_call

    @property
    def asked_call(self) -> AskedCall:
        """The call that people are asked about.

        Raises:
            NoCallError: it is a gate.
        """
        call = self._call()
        if call is None:
            raise NoCallError("the request is a gate of a run and is about no call; look at its run instead")
        return call

    def _call(self) -> AskedCall | None:
        if self.agent is None or self.task is None or self.access is None or self.risk is None:
            return None
        if not (self.tool and self.action and self.definition_digest and self.policy_digest):
            return None
        return AskedCall(
            agent=self.agent,
            task=self.task,
            tool=self.tool,
            action=self.action,
            access=self.access,
            risk=self.risk,
            definition_digest=self.definition_digest,
            policy_digest=self.policy_digest,
        )


_OF_A_CALL: Final = (
    "agent",
    "task",
    "tool",
    "action",
    "access",
    "risk",
    "definition_digest",
    "policy_digest",
)
_OF_SOME_CALLS: Final = ("record", "preview", "call")
_GATE_HAS: Final = (
    "a Gate asks about a run: it has run, and none of agent, task, tool, action, access, risk, record, definitionDigest,"
    " policyDigest, preview and call"
)
_CALL_HAS: Final = (
    "a Call and a Review ask about a call: they have agent, task, tool, action, access, risk, definitionDigest and"
    " policyDigest, and no run"
)


def _names(fields: tuple[str, ...]) -> list[str]:
    return [ApprovalRequestSpec.model_fields[name].alias or name for name in fields]


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
_IS_GATE: Final = f"(has(self.type) && self.type == '{RequestType.GATE}')"
ApprovalRequestSpec.cel_rules = (
    CelRule(
        rule=f"!{_IS_GATE} || (has(self.run)"
        + "".join(f" && !has(self.{name})" for name in _names((*_OF_A_CALL, *_OF_SOME_CALLS)))
        + ")",
        message=_GATE_HAS,
    ),
    CelRule(
        rule=f"{_IS_GATE} || (!has(self.run)"
        + "".join(f" && has(self.{name})" for name in _names(_OF_A_CALL))
        + ")",
        message=_CALL_HAS,
    ),
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
    """A held or reviewed call, or a gate."""

    kind: Literal["ApprovalRequest"] = "ApprovalRequest"
    spec: ApprovalRequestSpec
    status: ApprovalRequestStatus = ApprovalRequestStatus()


APPROVAL_REQUEST_KIND = Kind(
    kind="ApprovalRequest",
    plural="approvalrequests",
    short_names=("apr",),
    description="One call of an agent, or gate of a run, that waits for people to approve it; or a call that they are to review.",
    object_model=ApprovalRequest,
    spec_model=ApprovalRequestSpec,
    status_model=ApprovalRequestStatus,
    columns=(
        PrinterColumn("Type", ".spec.type"),
        PrinterColumn("Agent", ".spec.agent.name"),
        PrinterColumn("Action", ".spec.action"),
        PrinterColumn("Run", ".spec.run.name"),
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
