"""What a notice says: short text for people, fields for programs. Never arguments, never a link. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from pydantic import JsonValue

from aos.inspection.visible import visible
from aos.model.approval import Approvers
from aos.model.approval_request import (
    ApprovalRequest,
    AskedCall,
    Quorum,
    RequestRun,
    RequestState,
    RequestType,
    Verdict,
)
from aos.model.base import JsonObject
from aos.model.meta import ConditionStatus
from aos.policy.quorums import tally
from aos.reconcile.approval_subject import subject_fields
from aos.reconcile.notices import NoticeEvent

MAX_TEXT_LENGTH: Final = 2_900
"""Slack takes 3000 characters in a block."""
MAX_PART_LENGTH: Final = 300
_CARD: Final = "application/vnd.microsoft.card.adaptive"


class NoticeFormat(StrEnum):
    """Whom a body is made for."""

    SLACK = "Slack"
    TEAMS = "Teams"
    GENERIC = "Generic"


def body_of(
    request: ApprovalRequest, event: NoticeEvent, notice_id: str, style: NoticeFormat, now: datetime
) -> JsonObject:
    """Return a notice's body: ``text`` in each format, and what the format has besides."""
    text = text_of(request, event, now)
    match style:
        case NoticeFormat.SLACK:
            return _slack(text)
        case NoticeFormat.TEAMS:
            return _teams(text)
        case NoticeFormat.GENERIC:
            return {"text": text, "id": notice_id, "event": event.value, "request": _fields(request)}


def text_of(request: ApprovalRequest, event: NoticeEvent, now: datetime) -> str:
    """Return a notice for people, in a few lines."""
    spec = request.spec
    facts = [
        f"{_subject(spec.subject)} in {request.metadata.namespace}",
        *([f"for {plain(spec.requested_by)}"] if spec.requested_by else []),
        *([f"record {plain(spec.record)}"] if spec.record else []),
    ]
    lines = [
        f"{_headline(request, event)}: {plain(spec.summary)}",
        ", ".join(facts),
        *(_asking(request, now) if request.status.state is RequestState.PENDING else _ended(request)),
    ]
    return "\n".join(lines)[:MAX_TEXT_LENGTH]


def _subject(subject: AskedCall | RequestRun) -> str:
    if isinstance(subject, RequestRun):
        return f"step {subject.step} of run {subject.name}"
    return f"{subject.risk.value} risk, {subject.access.value} by agent {subject.agent.name}"


def plain(text: str) -> str:
    """Return text of others on one line, so that nobody is led anywhere: no address that a chat would make a link of."""
    line = visible(" ".join(text.split()))
    for link, defused in (("://", "[:]//"), ("www.", "www[.]"), ("](", "] (")):
        line = line.replace(link, defused)
    return line if len(line) <= MAX_PART_LENGTH else f"{line[: MAX_PART_LENGTH - 1]}…"


_HEADLINES: Final = {
    NoticeEvent.ASKED: "Approval needed",
    NoticeEvent.REMINDED: "Approval still needed",
    NoticeEvent.ESCALATED: "Approval still needed, others may decide now",
    NoticeEvent.EXPIRED: "Its time is over",
    NoticeEvent.WITHDRAWN: "Approval not needed any more",
}


def _headline(request: ApprovalRequest, event: NoticeEvent) -> str:
    if event is NoticeEvent.DECIDED:
        return "Rejected" if request.status.state is RequestState.REJECTED else "Approved"
    said = _HEADLINES[event]
    return said.replace("Approval", "Review") if request.spec.type is RequestType.REVIEW else said


def _asking(request: ApprovalRequest, now: datetime) -> list[str]:
    spec = request.spec
    missing = [
        f"{status.required - status.approved} of {_named(quorum, now)}"
        for quorum, status in zip(spec.quorums, tally(spec, request.status.counted).quorums, strict=True)
        if status.approved < status.required
    ]
    name = f"{request.metadata.name} -n {request.metadata.namespace}"
    return [
        f"Needs {', and '.join(missing)}, until {spec.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        f"Look at it: aos show {name}",
        f"Decide: aos approve {name}",
        f"    or: aos reject {name} -m WHY",
    ]


def _ended(request: ApprovalRequest) -> list[str]:
    said = [
        f"{'Approved' if item.verdict is Verdict.APPROVE else 'Rejected'} by {plain(item.approver)}"
        + (f": {plain(item.comment)}" if item.comment else "")
        for item in request.spec.decisions
    ]
    told = next(
        (
            item
            for item in request.status.conditions
            if item.type == request.status.state.value and item.status is ConditionStatus.TRUE
        ),
        None,
    )
    is_told = told is not None and request.status.state in {RequestState.EXPIRED, RequestState.STALE}
    return [*said, *([f"{told.reason}: {plain(told.message)}"] if told is not None and is_told else [])]


def _named(quorum: Quorum, now: datetime) -> str:
    escalation = quorum.escalation
    sides = [quorum.approvers, *([escalation.approvers] if escalation and escalation.at <= now else [])]
    return " or ".join(_people(side) for side in sides)


def _people(approvers: Approvers) -> str:
    parts: Sequence[tuple[str, Sequence[str]]] = (("group", approvers.groups), ("user", approvers.users))
    said = [f"{kind} {', '.join(plain(name) for name in names)}" for kind, names in parts if names]
    return " or ".join(said) or "anybody who may approve"


def _slack(text: str) -> JsonObject:
    # Slack reads markup in ``text``, which it shows where a block can't be shown, and none in plain_text.
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    block: JsonObject = {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}
    return {"text": escaped, "blocks": [block]}


def _teams(text: str) -> JsonObject:
    # A TextRun knows no markup, other than a TextBlock.
    lines: list[JsonValue] = [
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]} for line in text.split("\n")
    ]
    card: JsonObject = {"type": "AdaptiveCard", "version": "1.4", "body": lines}
    return {"type": "message", "text": text, "attachments": [{"contentType": _CARD, "content": card}]}


def _fields(request: ApprovalRequest) -> JsonObject:
    spec, progress = request.spec, tally(request.spec, request.status.counted)
    quorums: list[JsonValue] = [
        {
            "rule": quorum.rule,
            "required": status.required,
            "approved": status.approved,
            "groups": list(quorum.approvers.groups),
            "users": list(quorum.approvers.users),
        }
        for quorum, status in zip(spec.quorums, progress.quorums, strict=True)
    ]
    return {
        "namespace": request.metadata.namespace,
        "name": request.metadata.name,
        "uid": request.metadata.uid,
        "type": spec.type.value,
        "state": request.status.state.value,
        "requestedBy": spec.requested_by,
        **subject_fields(spec),
        "summary": spec.summary,
        "expiresAt": spec.expires_at.astimezone(UTC).isoformat(),
        "need": progress.need,
        "have": progress.have,
        "quorums": quorums,
        "decisions": [
            {"approver": item.approver, "verdict": item.verdict.value, "comment": item.comment}
            for item in spec.decisions
        ],
    }
