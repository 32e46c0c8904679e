"""What people said of an agent's calls, each request counted once, whatever dies between two writes.

A request is counted on its Agent first, which remembers its uid in the same write; then the request is marked as counted. The Agent
forgets a uid only when that mark stands or the request is gone, so that a request without the mark is either remembered or not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aos.model.agent import Reliability, RiskReliability
from aos.model.approval_request import ApprovalRequest, RequestState, RequestType
from aos.model.tool import Risk

MAX_RECENT: Final = 256
"""Requests that an Agent remembers."""


class Judgement(StrEnum):
    """What people said of a call, by the field of the Agent's status that counts it."""

    APPROVED = "approved"
    REJECTED = "rejected"
    CONFIRMED = "confirmed"
    OVERTURNED = "overturned"


@dataclass(frozen=True, slots=True)
class Judged:
    """A call of a risk, and what was said of it."""

    risk: Risk
    judgement: Judgement


def judged(request: ApprovalRequest) -> Judged | None:
    """Return what people said of a request that is not marked as counted; None if they said nothing that is final.

    What they said at a gate is about a run, and about no agent.
    """
    if request.status.tallied or request.spec.type is RequestType.GATE:
        return None
    approved = _approved(request)
    if approved is None:
        return None
    if request.spec.type is RequestType.REVIEW:
        judgement = Judgement.CONFIRMED if approved else Judgement.OVERTURNED
    else:
        judgement = Judgement.APPROVED if approved else Judgement.REJECTED
    return Judged(request.spec.asked_call.risk, judgement)


def _approved(request: ApprovalRequest) -> bool | None:
    status = request.status
    match status.state:
        case RequestState.APPROVED | RequestState.USED:
            return True
        case RequestState.REJECTED:
            return False
        case RequestState.EXPIRED | RequestState.STALE if status.have >= status.need > 0:
            # It was approved, and ended unused before anybody counted it.
            return True
    return None


def counted(before: Reliability | None, found: Mapping[str, Judged]) -> Reliability | None:
    """Return the counts with the requests of ``found`` (by uid) that are not in them.

    Args:
        before: as it stands on the Agent.
        found: every request of the agent that was judged and is not marked as counted.
    """
    known = before.recent if before is not None else ()
    news = [uid for uid in sorted(found) if uid not in known]
    if not news:
        return before
    kept = [uid for uid in known if uid in found]
    # Those that do not fit are counted once others are marked.
    taken = news[: MAX_RECENT - len(kept)]
    forgettable = [uid for uid in known if uid not in found]
    surplus = len(known) + len(taken) - MAX_RECENT
    forgotten = frozenset(forgettable[:surplus]) if surplus > 0 else frozenset()
    return Reliability(
        risks=_added(before.risks if before is not None else (), [found[uid] for uid in taken]),
        recent=(*(uid for uid in known if uid not in forgotten), *taken),
    )


def _added(risks: tuple[RiskReliability, ...], news: list[Judged]) -> tuple[RiskReliability, ...]:
    counts = {item.risk: item for item in risks}
    for item in news:
        entry = counts.get(item.risk) or RiskReliability(risk=item.risk)
        field = item.judgement.value
        counts[item.risk] = entry.model_copy(update={field: getattr(entry, field) + 1})
    return tuple(counts[risk] for risk in Risk if risk in counts)
