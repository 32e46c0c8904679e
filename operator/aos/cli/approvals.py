"""Who decides an ApprovalRequest, seen from one person: what is asked of the API server, and what follows from it."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from pydantic import ValidationError

from aos.cli.output import age, joined
from aos.kube.client import ApiClient, Selection
from aos.kube.objects import key_of
from aos.kube.resources import APPROVAL_REQUESTS
from aos.kube.reviews import AccessRequest
from aos.model.approval import Approvers
from aos.model.approval_request import (
    ApprovalDecision,
    ApprovalRequest,
    ApprovalRequestSpec,
    Quorum,
    QuorumStatus,
    RequestState,
    Verdict,
)
from aos.model.meta import ConditionStatus, ObjectKey
from aos.policy.quorums import Tally, counts_for, tally
from aos.reconcile.approval_subject import work_kind

APPROVE: Final = "approve"
"""The verb that RBAC grants to those who may decide."""
MAX_REVIEWS_BY_NAME: Final = 200
"""Requests of which the API server is asked one by one, where nobody granted a whole namespace."""
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom the API server takes the caller for."""

    name: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why a person can't decide a request.

    Attributes:
        word: for a column.
        sentence: for a person; says the way out where there is one.
    """

    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Pending:
    """A request, and why the caller can't decide it; None where the caller can."""

    request: ApprovalRequest
    hindrance: Hindrance | None


NO_RIGHT: Final = Hindrance(
    "no right",
    "you lack the right to approve it: ask an administrator for the verb `approve` on approvalrequests"
    " (the chart's ClusterRole aos-approver has it)",
)


async def whoami(client: ApiClient) -> Caller:
    """Ask the API server whom it takes the caller for.

    Raises:
        ApiError: it does not say.
    """
    user = await client.self_subject_review()
    return Caller(user.username, frozenset(user.groups))


class Reviewer(Protocol):
    """What is asked; `aos.kube.client.ApiClient` answers."""

    async def may_i(self, access: AccessRequest) -> bool:
        """Return whether the caller may do this."""


class Rights:
    """What RBAC lets the caller approve: asked for a namespace first, then for one request; each once."""

    def __init__(self, reviewer: Reviewer) -> None:
        self._reviewer = reviewer
        self._namespaces: dict[str, asyncio.Task[bool]] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._by_name_left = MAX_REVIEWS_BY_NAME
        self.unasked = 0
        """Requests that were not asked about, for there are too many; they count as not allowed."""

    async def may_approve(self, key: ObjectKey) -> bool:
        """Return whether the caller holds the verb ``approve`` on the request.

        Raises:
            ApiError: the API server does not say.
        """
        asked = self._namespaces.get(key.namespace)
        if asked is None:
            asked = self._namespaces[key.namespace] = asyncio.create_task(self._ask(key.namespace))
        if await asked:
            return True
        if not self._by_name_left:
            self.unasked += 1
            return False
        self._by_name_left -= 1
        return await self._ask(key.namespace, key.name)

    async def _ask(self, namespace: str, name: str = "") -> bool:
        resource = APPROVAL_REQUESTS
        async with self._gate:
            return await self._reviewer.may_i(
                AccessRequest(APPROVE, resource.group, resource.plural, namespace, name)
            )


async def read_requests(
    client: ApiClient, selection: Selection, unreadable: list[str]
) -> tuple[ApprovalRequest, ...]:
    """Return the requests selected; kind and key of each that can't be parsed go to ``unreadable``.

    Raises:
        ApiError: they may not be read.
    """
    found = []
    async for raw in client.list(APPROVAL_REQUESTS, selection):
        try:
            found.append(ApprovalRequest.parse(raw))
        except ValidationError:
            unreadable.append(f"{APPROVAL_REQUESTS.kind} {key_of(raw)}")
    return tuple(found)


async def judged(
    requests: Iterable[ApprovalRequest], caller: Caller, rights: Rights, now: datetime
) -> tuple[Pending, ...]:
    """Return what waits, the most urgent first, each with why the caller can't decide it.

    Raises:
        ApiError: the API server does not say what the caller may do.
    """
    waiting = sorted((item for item in requests if is_open(item, now)), key=urgency)
    return tuple(await asyncio.gather(*(_judged(item, caller, rights, now) for item in waiting)))


async def _judged(request: ApprovalRequest, caller: Caller, rights: Rights, now: datetime) -> Pending:
    found = hindrance(request, caller, now)
    if found is None and not await rights.may_approve(request.key):
        found = NO_RIGHT
    return Pending(request, found)


def urgency(request: ApprovalRequest) -> tuple[datetime, str, str]:
    """Return what orders requests: what ends first, then by name."""
    return request.spec.expires_at, request.metadata.namespace, request.metadata.name


def is_open(request: ApprovalRequest, now: datetime) -> bool:
    """Whether it can still be decided."""
    return request.status.state is RequestState.PENDING and now <= request.spec.expires_at


def clock(moment: datetime, now: datetime) -> str:
    """Return a time of the day, with the date where that is another one."""
    there = moment.astimezone(UTC)
    day = "" if there.date() == now.astimezone(UTC).date() else f"{there:%Y-%m-%d} "
    return f"{day}{there:%H:%M} UTC"


def hindrance(request: ApprovalRequest, caller: Caller, now: datetime) -> Hindrance | None:
    """Return why the caller can't decide the request, whatever RBAC says; None if nothing speaks against it."""
    spec = request.spec
    # Some sources of identities tell no cases apart, and the API server compares as this does.
    name = caller.name.lower()
    said = next((item for item in spec.decisions if item.approver.lower() == name), None)
    if not is_open(request, now):
        return Hindrance("ended", f"it can't be decided any more: {ended(request, now)}")
    if said is not None:
        return Hindrance("decided", f"you {PAST[said.verdict]} it already; nobody decides twice")
    if name == spec.requested_by.lower():
        return Hindrance("your own", f"you asked for its {work_kind(spec)}, so that others must decide")
    if not rules_of(spec, caller, now):
        asked = "; ".join(approvers_text(quorum, now) for quorum in spec.quorums)
        return Hindrance("not asked", f"it is for others to decide: {asked}; you are {caller.name}")
    if not open_rules(request, caller, now):
        return Hindrance("enough", "whom you could speak for has approved already; it waits for others")
    return None


def can_reject(found: Hindrance | None) -> bool:
    """Whether a person who is hindered so may reject all the same: one more approval does nothing, a rejection does."""
    return found is None or found.word == "enough"


PAST: Final = {Verdict.APPROVE: "approved", Verdict.REJECT: "rejected"}


def ended(request: ApprovalRequest, now: datetime) -> str:
    """Return how a request stands that can't be decided any more, as a phrase."""
    state = request.status.state
    if state is RequestState.PENDING:
        return f"its time was over {age(request.spec.expires_at, now)} ago"
    told = next(
        (
            item
            for item in request.status.conditions
            if item.type == state.value and item.status is ConditionStatus.TRUE
        ),
        None,
    )
    return joined(
        (state.value, told.reason if told.reason != state.value else "", told.message)
        if told
        else (state.value,)
    )


def decision_of(
    spec: ApprovalRequestSpec, caller: Caller, verdict: Verdict, comment: str = ""
) -> ApprovalDecision:
    """Return the caller's decision as the API server wants it: with every group that is asked for and the caller is in."""
    named = (
        group
        for quorum in spec.quorums
        for approvers in (quorum.approvers, quorum.escalation.approvers if quorum.escalation else Approvers())
        for group in approvers.groups
    )
    groups = tuple(dict.fromkeys(group for group in named if group in caller.groups))
    return ApprovalDecision(approver=caller.name, verdict=verdict, comment=comment, groups=groups)


def decisions_text(request: ApprovalRequest) -> str:
    """Return who said what, as a phrase; empty while nobody did."""
    return ", ".join(
        joined((f"{PAST[item.verdict]} by {item.approver}", item.comment)) for item in request.spec.decisions
    )


def rules_of(spec: ApprovalRequestSpec, caller: Caller, now: datetime) -> tuple[str, ...]:
    """Return the quorums that the caller's word counts for."""
    return counts_for(spec, decision_of(spec, caller, Verdict.APPROVE), now)


def progress_of(request: ApprovalRequest) -> Tally:
    """Return how far the request is, by what the operator has counted."""
    return tally(request.spec, request.status.counted)


def open_rules(request: ApprovalRequest, caller: Caller, now: datetime) -> tuple[str, ...]:
    """Return the quorums that still need somebody and that the caller's word counts for."""
    own = rules_of(request.spec, caller, now)
    return tuple(
        quorum.rule for quorum in progress_of(request).quorums if quorum.rule in own and is_short(quorum)
    )


def is_short(quorum: QuorumStatus) -> bool:
    """Whether the quorum needs more people."""
    return quorum.approved < quorum.required


def needs(pending: Pending, caller: Caller, now: datetime) -> str:
    """Return how many approvals are missing, for a column: ``you + 1``, or ``2`` where the caller can't give one."""
    progress = progress_of(pending.request)
    missing = progress.need - progress.have
    if pending.hindrance is not None:
        return str(missing)
    others = missing - len(open_rules(pending.request, caller, now))
    return f"you + {others}" if others else "you"


def approvers_text(quorum: Quorum, now: datetime) -> str:
    """Return who counts for the quorum, as a phrase; with those who do only later."""
    said = _named(quorum.approvers)
    escalation = quorum.escalation
    if escalation is None:
        return said
    if now >= escalation.at:
        return f"{said} or {_named(escalation.approvers)}"
    return f"{said} (in {age(now, escalation.at)} also {_named(escalation.approvers)})"


def _named(approvers: Approvers) -> str:
    parts: Sequence[tuple[str, Sequence[str]]] = (
        ("group", approvers.groups),
        ("user", approvers.users),
        ("service account", approvers.service_accounts),
    )
    said = [f"{kind} {', '.join(names)}" for kind, names in parts if names]
    people = "" if approvers.groups or approvers.users else "anybody who may approve"
    return " or ".join(part for part in (people, *said) if part)
