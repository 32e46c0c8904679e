"""ApprovalRequests as text: a list of what waits, and all that a person needs to decide one. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from aos.cli.approvals import (
    PAST,
    Caller,
    Pending,
    approvers_text,
    can_reject,
    clock,
    ended,
    is_open,
    needs,
    open_rules,
    progress_of,
)
from aos.cli.consequences import of_approval, of_rejection
from aos.cli.fields import changes, document, field_lines, folded
from aos.cli.output import Table, age, joined, one_line
from aos.model.approval_request import ApprovalRequest, CountedDecision, RequestRun, RequestState, RequestType
from aos.model.base import JsonObject
from aos.model.conditions import ConditionType
from aos.model.meta import ConditionStatus
from aos.model.names import GROUP
from aos.reconcile.approval_subject import risk_word, subject_fields, work_kind

WIDE_COLUMNS: Final = 100
"""On a terminal narrower than this each request of a list takes a few lines of its own."""
_LABEL_WIDTH: Final = 11
_INDENT: Final = "  "


@dataclass(frozen=True, slots=True)
class Shown:
    """All that `aos show` tells of.

    Attributes:
        team: the agent's; empty where the caller may not read the Agent.
    """

    pending: Pending
    caller: Caller
    team: str


def reference(request: ApprovalRequest) -> str:
    """Return the request as kubectl names objects with ``-o name``."""
    return f"approvalrequest.{GROUP}/{request.metadata.name}"


def title(request: ApprovalRequest, *, everywhere: bool) -> str:
    """Return the request's name, as `aos approve` takes it."""
    return str(request.key) if everywhere else request.metadata.name


def left(request: ApprovalRequest, now: datetime) -> str:
    """Return how long it can still be decided."""
    return age(now, request.spec.expires_at)


def pending_lines(
    found: tuple[Pending, ...], caller: Caller, now: datetime, width: int | None, *, everywhere: bool
) -> list[str]:
    """Return the list for people, the most urgent first.

    Args:
        found: what waits.
        caller: whose list it is.
        now: the time.
        width: of the terminal; None for as wide as it gets.
        everywhere: whether names carry their namespace.
    """
    if width is not None and width < WIDE_COLUMNS:
        return [line for item in found for line in _block(item, caller, now, width, everywhere=everywhere)]
    rows = tuple(
        (
            title(item.request, everywhere=everywhere),
            left(item.request, now),
            risk_word(item.request.spec),
            needs(item, caller, now),
            _you(item),
            one_line(item.request.spec.summary),
        )
        for item in found
    )
    return Table(("REQUEST", "LEFT", "RISK", "NEEDS", "YOU", "WHAT"), rows).render(width)


def _you(item: Pending) -> str:
    return item.hindrance.word if item.hindrance else "may decide"


def _block(item: Pending, caller: Caller, now: datetime, width: int, *, everywhere: bool) -> list[str]:
    request = item.request
    facts = [
        title(request, everywhere=everywhere),
        risk_word(request.spec),
        f"{left(request, now)} left",
        f"needs {needs(item, caller, now)}",
        *([item.hindrance.word] if item.hindrance else []),
    ]
    return [*folded(_INDENT.join(facts), width), *folded(one_line(request.spec.summary), width, _INDENT)]


def pending_data(found: tuple[Pending, ...]) -> list[JsonValue]:
    """Return the list for programs."""
    return [_pending_data(item) for item in found]


def _pending_data(item: Pending) -> JsonObject:
    request, spec = item.request, item.request.spec
    progress = progress_of(request)
    return {
        "namespace": request.metadata.namespace,
        "name": request.metadata.name,
        "type": spec.type.value,
        "requestedBy": spec.requested_by,
        **subject_fields(spec),
        "summary": spec.summary,
        "expiresAt": spec.expires_at.isoformat(),
        "need": progress.need,
        "have": progress.have,
        "mayDecide": item.hindrance is None,
        "hindrance": item.hindrance.word if item.hindrance else "",
        "quorums": [
            {"rule": quorum.rule, "required": quorum.required, "approved": quorum.approved}
            for quorum in progress.quorums
        ],
    }


def show_lines(shown: Shown, now: datetime, width: int | None) -> list[str]:
    """Return all that a person needs to decide, with what speaks most first."""
    request = shown.pending.request
    blocks = [
        _heading(request, now, width),
        _facts(shown, width),
        _arguments(request, width),
        _preview(request, now, width),
        _quorums(request, now, width),
        _decisions(request, now, width),
        _advice(shown, now, width),
    ]
    lines = [line for block in blocks if block for line in ("", *block)]
    return lines[1:]


def _heading(request: ApprovalRequest, now: datetime, width: int | None) -> list[str]:
    spec = request.spec
    state = (
        f"{left(request, now)} left, until {clock(spec.expires_at, now)}"
        if is_open(request, now)
        else ended(request, now)
    )
    return [
        *folded(f"{request.key}: {_kind(request, now)}; {state}", width),
        "",
        *folded(one_line(spec.summary), width),
    ]


_KINDS: Final = {
    RequestType.CALL: ("a call that waits", "a call that waited"),
    RequestType.REVIEW: ("a call that was made, to review", "a call that was made, for review"),
    RequestType.GATE: ("a gate at which a run waits", "a gate at which a run waited"),
}
"""What it is while it can be decided, and after that."""


def _kind(request: ApprovalRequest, now: datetime) -> str:
    present, past = _KINDS[request.spec.type]
    return present if is_open(request, now) else past


def _facts(shown: Shown, width: int | None) -> list[str]:
    spec = shown.pending.request.spec
    subject, kind = spec.subject, work_kind(spec)
    asked = f"{one_line(spec.requested_by)}, by" if spec.requested_by else "nobody said who asked;"
    if isinstance(subject, RequestRun):
        found = {
            "workflow": subject.workflow,
            "step": subject.step,
            "for": f"{asked} {kind} {subject.name}",
        }
    else:
        found = {
            "risk": f"{subject.risk.value} ({subject.access.value})",
            "agent": subject.agent.name + (f", team {one_line(shown.team)}" if shown.team else ""),
            "for": f"{asked} {kind} {subject.task.name}",
            "call": subject.title,
            "record": one_line(spec.record),
            "outcome": _outcome(shown.pending.request),
        }
    return [line for name, said in found.items() if said for line in labelled(name, said, width)]


def _arguments(request: ApprovalRequest, width: int | None) -> list[str]:
    """Return the call's arguments, or what is shown at a gate; nothing where a gate shows nothing."""
    value = document(request.spec.arguments)
    if request.spec.type is not RequestType.GATE:
        return ["arguments", *field_lines(value, width)]
    return ["to look at", *field_lines(value, width)] if value else []


def _outcome(request: ApprovalRequest) -> str:
    """Return what came of a call that is reviewed; nothing of one that waits."""
    if request.spec.type is not RequestType.REVIEW:
        return ""
    return one_line(request.status.outcome) or "not known yet"


def labelled(name: str, said: str, width: int | None) -> list[str]:
    """Return a fact behind its name, in lines that stand below each other."""
    return folded(said, width, name.ljust(_LABEL_WIDTH), " " * _LABEL_WIDTH)


def _preview(request: ApprovalRequest, now: datetime, width: int | None) -> list[str]:
    preview = request.spec.preview
    if preview is None:
        return []
    before, after = (document(side) for side in (preview.before, preview.after))
    return [f"{_would_change(request, now)} (- before, + after)", *changes(before, after, width)]


def _would_change(request: ApprovalRequest, now: datetime) -> str:
    state = request.status.state
    if request.spec.type is not RequestType.CALL or state is RequestState.USED:
        return "changed"
    return "would change" if is_open(request, now) or state is RequestState.APPROVED else "would have changed"


def _quorums(request: ApprovalRequest, now: datetime, width: int | None) -> list[str]:
    held = "held by" if is_open(request, now) else "was held by"
    lines = ["asked for by" if request.spec.type is RequestType.REVIEW else held]
    for quorum, status in zip(request.spec.quorums, progress_of(request).quorums, strict=True):
        by = [
            one_line(item.approver)
            for item in request.status.counted
            if quorum.rule in item.rules and item.verdict.value == "Approve"
        ]
        has = f"{status.approved} of {quorum.required}" + (f" ({', '.join(by)})" if by else "")
        lines += folded(
            f"{one_line(quorum.rule)}: {one_line(approvers_text(quorum, now))}: {has}", width, _INDENT
        )
    lapsed = next(
        (
            item
            for item in request.status.conditions
            if item.type == ConditionType.ENFORCEMENT_ACTIVE and item.status is ConditionStatus.FALSE
        ),
        None,
    )
    if lapsed is not None:
        lines += folded(f"no approval counts now: {joined((lapsed.reason, lapsed.message))}", width, _INDENT)
    return lines


def _decisions(request: ApprovalRequest, now: datetime, width: int | None) -> list[str]:
    counted = {item.approver: item for item in request.status.counted}
    lines = []
    for decision in request.spec.decisions:
        verb = PAST[decision.verdict]
        when = _when(counted.get(decision.approver), now)
        comment = f": {one_line(decision.comment)}" if decision.comment else ""
        lines += folded(f"{one_line(decision.approver)} {verb}, {when}{comment}", width, _INDENT)
    return ["said so far", *lines] if lines else []


def _when(counted: CountedDecision | None, now: datetime) -> str:
    if counted is None:
        return "not counted yet"
    return f"{age(counted.time, now)} ago" + ("" if counted.rules else ", which counts for nothing")


def _advice(shown: Shown, now: datetime, width: int | None) -> list[str]:
    request, hindrance = shown.pending.request, shown.pending.hindrance
    if not is_open(request, now):
        return []
    lines = folded(standing(shown, now), width)
    if hindrance is None:
        lines += folded(of_approval(request, shown.caller, now), width, _INDENT)
        lines.append(f"{_INDENT * 2}{command('approve', request)}")
    if can_reject(hindrance):
        lines += folded(of_rejection(request), width, _INDENT)
        lines.append(f'{_INDENT * 2}{command("reject", request)} -m "WHY"')
    return lines


def standing(shown: Shown, now: datetime) -> str:
    """Return what the caller may do about the request, as a sentence."""
    hindrance = shown.pending.hindrance
    if hindrance is not None:
        return one_line(hindrance.sentence)
    rules = ", ".join(one_line(rule) for rule in open_rules(shown.pending.request, shown.caller, now))
    return f"you may decide it; your approval counts for: {rules}"


def command(verb: str, request: ApprovalRequest) -> str:
    """Return the command by which a person goes on with the request."""
    return f"aos {verb} {request.metadata.name} -n {request.metadata.namespace}"
