"""What happened to an ApprovalRequest between two looks at it. Pure."""

from dataclasses import dataclass
from datetime import datetime

from aos.cli.approvals import PAST, ended, progress_of
from aos.cli.output import one_line
from aos.model.approval_request import ApprovalRequest, RequestState


@dataclass(frozen=True, slots=True)
class Happening:
    """Something to tell of.

    Attributes:
        event: ``Waiting``, ``Decided``, ``Gone``, or the state that a request has now.
        said: as a phrase.
    """

    event: str
    request: ApprovalRequest
    said: str


def changes_of(old: ApprovalRequest, new: ApprovalRequest, now: datetime) -> list[Happening]:
    """Return what happened to a request: decisions that were counted, and the state that it came to."""
    known = {item.approver for item in old.status.counted}
    progress = progress_of(new)
    comments = {item.approver: item.comment for item in new.spec.decisions}
    found = []
    for item in new.status.counted:
        if item.approver not in known:
            comment = comments.get(item.approver, "")
            said = f"{item.approver} {PAST[item.verdict]} it, {progress.have} of {progress.need}"
            found.append(Happening("Decided", new, one_line(said + (f": {comment}" if comment else ""))))
    if new.status.state is not old.status.state and new.status.state is not RequestState.PENDING:
        found.append(Happening(new.status.state.value, new, ended(new, now)))
    return found
