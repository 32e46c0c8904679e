"""What comes of a decision on an ApprovalRequest, in the words of whoever is about to make it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from aos.cli.approvals import Caller, clock, open_rules, progress_of
from aos.model.approval_request import ApprovalRequest, RequestType

_REJECTED: Final[Mapping[RequestType, str]] = {
    RequestType.CALL: "the call is refused for good, whatever others say, and the agent is told why",
    RequestType.REVIEW: "nothing is taken back; it counts against how far the agent is trusted",
    RequestType.GATE: "the step fails, whatever others say, and the run is told why",
}


def of_approval(request: ApprovalRequest, caller: Caller, now: datetime) -> str:
    """Return what comes of the caller's approval, as a sentence."""
    progress = progress_of(request)
    others = progress.need - progress.have - len(open_rules(request, caller, now))
    effect = _approved(request, now)
    if others <= 0:
        return f"if you approve: {effect}"
    more = "1 more approval is" if others == 1 else f"{others} more approvals are"
    return f"if you approve: {more} needed; then {effect}"


def of_rejection(request: ApprovalRequest) -> str:
    """Return what comes of a rejection, as a sentence; one is enough."""
    return f"if you reject: {_REJECTED[request.spec.type]}"


def _approved(request: ApprovalRequest, now: datetime) -> str:
    match request.spec.type:
        case RequestType.CALL:
            return f"this call is let through once, exactly as shown, until {clock(request.spec.expires_at, now)}"
        case RequestType.REVIEW:
            return "the review is done; it counts for how far the agent is trusted"
        case RequestType.GATE:
            return "the run goes on from here"
