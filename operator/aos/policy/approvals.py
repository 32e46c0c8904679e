"""What an allowed call waits for: quorums of people, before it is made or after. Pure data."""

from dataclasses import dataclass
from typing import Final

from aos.model.approval import Approvers

ALWAYS: Final = 100
"""Percent of calls."""
ANYBODY: Final = Approvers()
"""Everybody who holds the verb ``approve`` on the request."""
DEFAULT_TIMEOUT_SECONDS: Final = 14_400
DEFAULT_REVIEW_PERCENT: Final = 10
"""Of Medium calls of an agent whose autonomy is Sampled."""


@dataclass(frozen=True, slots=True)
class BoundEscalation:
    """Who else counts, so long after the request was made."""

    after_seconds: int
    approvers: Approvers


@dataclass(frozen=True, slots=True)
class BoundQuorum:
    """One quorum that a call is held to.

    Attributes:
        rule: what asks for it, as people read it; no two quorums of one decision have the same.
        required: how many different people must approve; where nobody knows who asked for the Task, that one is counted
            in: somebody among them may be who asked.
        approvers: who counts.
        timeout_seconds: how long the call waits.
        sample_percent: of such calls, so many in a hundred; the gateway draws.
        remind_after_seconds: when people are told again; None for never.
        escalation: who else counts, later.
    """

    rule: str
    required: int
    approvers: Approvers = ANYBODY
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    sample_percent: int = ALWAYS
    remind_after_seconds: int | None = None
    escalation: BoundEscalation | None = None
