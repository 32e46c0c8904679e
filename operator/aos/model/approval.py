"""Approvals: which calls wait for people, for how many and for whom; and how much an agent may do unasked."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from aos.model.base import LIST_AS_SET, ApiModel, CelRule, DurationString
from aos.model.rule import MAX_EXPRESSION_LENGTH, PartName, ToolMatch
from aos.model.tool import Access, DataClass, Risk

MAX_REQUIRED: Final = 10
MAX_APPROVAL_RULES: Final = 32
DEFAULT_APPROVAL_TIMEOUT: Final = "4h"

PrincipalName = Annotated[str, Field(min_length=1, max_length=253)]
"""A user's or group's name, as the API server knows it."""
ServiceAccountName = Annotated[str, Field(min_length=3, max_length=253, pattern=r"^[a-z0-9.-]+:[a-z0-9.-]+$")]
"""A service account as ``NAMESPACE:NAME``."""


class Approvers(ApiModel):
    """Who may decide. Where neither groups nor users are named, everybody with the verb ``approve`` on the request may.

    Attributes:
        groups: as the API server knows them; one in common is enough.
        users: by name.
        service_accounts: as ``NAMESPACE:NAME``; none but these may ever decide.
    """

    groups: tuple[PrincipalName, ...] = Field(default=(), max_length=16, json_schema_extra=LIST_AS_SET)
    users: tuple[PrincipalName, ...] = Field(default=(), max_length=16, json_schema_extra=LIST_AS_SET)
    service_accounts: tuple[ServiceAccountName, ...] = Field(
        default=(), max_length=16, json_schema_extra=LIST_AS_SET
    )


class CallMatch(ApiModel):
    """Calls that are meant: all that is given must hold; what is left out matches every one.

    Attributes:
        tools: Tools and actions; any of them.
        access: as the Tool declares it.
        risk: as the Tool declares it.
        data_classes: any of these, as the Tool declares them.
    """

    tools: tuple[ToolMatch, ...] = Field(default=(), max_length=32)
    access: tuple[Access, ...] = Field(default=(), max_length=2, json_schema_extra=LIST_AS_SET)
    risk: tuple[Risk, ...] = Field(default=(), max_length=3, json_schema_extra=LIST_AS_SET)
    data_classes: tuple[DataClass, ...] = Field(default=(), max_length=16, json_schema_extra=LIST_AS_SET)


class Escalation(ApiModel):
    """Who else may decide when nobody has for so long."""

    after: DurationString
    approvers: Approvers


def _names(approvers: str) -> str:
    """CEL: whether anybody is named there."""
    return f"has({approvers}.groups) || has({approvers}.users) || has({approvers}.serviceAccounts)"


class ReviewTime(StrEnum):
    """When people look at a call."""

    BEFORE = "Before"
    """The call waits for them."""
    AFTER = "After"
    """The call is made; what they say of it counts for how far the agent is trusted."""


class TimeoutAction(StrEnum):
    """What becomes of a call that nobody decided in time; no way lets it through."""

    REJECT = "Reject"


ASKING_RULES: Final = (
    CelRule(
        rule="!has(self.timeout) || (duration(self.timeout) >= duration('1m')"
        " && duration(self.timeout) <= duration('168h'))",
        message="timeout must be between 1m and 168h",
        field_path=".timeout",
    ),
    CelRule(
        rule="!has(self.remindAfter) || (duration(self.remindAfter) >= duration('1m')"
        " && duration(self.remindAfter) < duration(has(self.timeout) ? self.timeout : '4h'))",
        message="remindAfter must be at least 1m and less than timeout",
        field_path=".remindAfter",
    ),
    CelRule(
        rule="!has(self.escalate) || (duration(self.escalate.after) >= duration('1m')"
        " && duration(self.escalate.after) < duration(has(self.timeout) ? self.timeout : '4h'))",
        message="escalate.after must be at least 1m and less than timeout",
        field_path=".escalate",
    ),
    CelRule(
        rule=f"!has(self.escalate) || {_names('self.escalate.approvers')}",
        message="name whom to ask in escalate.approvers: groups, users or serviceAccounts",
        field_path=".escalate",
    ),
    CelRule(
        rule=f"!has(self.escalate) || (has(self.approvers) && ({_names('self.approvers')}))",
        message="name approvers too: without any, everybody who may approve is asked from the start",
        field_path=".escalate",
    ),
)
"""How long people are asked, and who else is asked in time."""


class ApprovalRule(ApiModel):
    """Calls that people look at. Every rule that matches is a quorum of its own.

    Attributes:
        name: shown to whoever is asked.
        match: the calls that are meant.
        when: a condition in CEL; where it fails, the rule matches.
        required: how many different people must approve; one that rejects ends it.
        approvers: who counts.
        timeout: how long the call waits; from 1m to 168h.
        sample_percent: of the calls that match, so many in a hundred; every one where it is left out.
        review: before the call is made, or after.
        remind_after: when those who are asked are told again.
        escalate: who else is asked when nobody has decided.
        on_timeout: a call that nobody decided is refused.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = ASKING_RULES

    name: PartName
    match: CallMatch = CallMatch()
    when: str = Field(default="", max_length=MAX_EXPRESSION_LENGTH)
    required: int = Field(default=1, ge=1, le=MAX_REQUIRED)
    approvers: Approvers = Approvers()
    timeout: DurationString = DEFAULT_APPROVAL_TIMEOUT
    sample_percent: int | None = Field(default=None, ge=1, le=100)
    review: ReviewTime = ReviewTime.BEFORE
    remind_after: DurationString | None = None
    escalate: Escalation | None = None
    on_timeout: TimeoutAction = TimeoutAction.REJECT


class AutonomyLevel(StrEnum):
    """How much an agent may do without being asked, least first."""

    PROPOSE = "Propose"
    """Every Write waits for a person."""
    SUPERVISED = "Supervised"
    """Low risk runs, medium risk waits for one person, high risk for two."""
    SAMPLED = "Sampled"
    """Medium risk runs, and people review a sample of it."""
    AUTONOMOUS = "Autonomous"
    """Medium risk runs. High risk still waits for two people."""


class AutonomyBounds(ApiModel):
    """The most autonomy that a policy leaves its agents."""

    ceiling: AutonomyLevel
