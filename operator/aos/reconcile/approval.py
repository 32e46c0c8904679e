"""ApprovalRequest: people's decisions seen, counted and kept, up to the one end. Level-based: what is observed decides.

A request goes from Pending to Approved, Rejected, Expired or Stale, and from Approved, which lets one call through, to Used, Expired or
Stale. A review is at its end once it is decided, and a gate once it is decided and its run does not wait there any more. No end changes, and nothing becomes Approved but by `aos.policy.quorums.tally`.
"""

from datetime import datetime, timedelta
from typing import Final

from aos.model.approval_request import CountedDecision, RequestState
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import ConditionStatus
from aos.policy.quorums import counts_for, tally
from aos.reconcile.approval_events import events_of, told_of, used_late
from aos.reconcile.approval_status import status_after, verdicts_at_end, verdicts_while_open, written
from aos.reconcile.approval_step import (
    OPEN_STATES,
    Count,
    Ending,
    ObservedRequest,
    RequestPlan,
    counted_so_far,
    progress,
)
from aos.reconcile.approval_trust import Trust, trust
from aos.reconcile.conditions import find
from aos.reconcile.plan import Plan
from aos.reconcile.waiting import created_of

USE_GRACE_SECONDS: Final = 30
"""A call that was approved may be under way while its Task or its time ends: so long its use is waited for."""
LAG_SECONDS: Final = 5
"""The gateway may see a change before the operator does: a request so young is not yet held against what the operator knows."""
REPORT_LAG_SECONDS: Final = 60
"""As `LAG_SECONDS`, of definitions, which the gateway writes to the Tool's status after it used them."""


def reconcile_request(observed: ObservedRequest, now: datetime) -> RequestPlan:
    """Return what becomes of the request; its status must be written against the version that was observed."""
    request = observed.request
    if request.metadata.deletion_timestamp is not None:
        return RequestPlan(Plan())
    if request.status.state not in OPEN_STATES or _is_at_its_end(observed):
        return _after_end(observed, now)
    trusted = trust(observed, now)
    count = _count(observed, trusted, now)
    stale = _stale(observed, now)
    ending = _ending(observed, trusted, count, stale, now)
    if ending.reason in _UNCONFIRMED and not observed.confirmed:
        return RequestPlan(Plan(confirm=True))
    verdicts = verdicts_while_open(trusted, count, ending)
    after = status_after(observed, trusted.guard, count, ending.state, verdicts, now)
    plan = Plan(
        status=written(request.status, after),
        events=events_of(observed, count, ending, after),
        requeue_after_seconds=_look_again(observed, trusted, ending.state, now),
    )
    return RequestPlan(plan, told_of(observed, ending), _decided_after_seconds(observed, ending.state, now))


_UNCONFIRMED: Final = frozenset({Reason.POLICY_CHANGED, Reason.AGENT_CHANGED})


def _is_at_its_end(observed: ObservedRequest) -> bool:
    """Whether it is approved for good: what was approved at a gate may still turn out untrusted while a run waits there."""
    if observed.is_call or observed.request.status.state is RequestState.PENDING:
        return False
    return not observed.is_gate or observed.run is None or bool(observed.run.over)


def _count(observed: ObservedRequest, trusted: Trust, now: datetime) -> Count:
    """Return the decisions with those that come new, which count only while they can be trusted."""
    request = observed.request
    seen = request.status.counted
    if trusted.problem or trusted.broken:
        return counted_so_far(request)
    news = tuple(
        CountedDecision(
            approver=item.approver,
            verdict=item.verdict,
            time=now,
            rules=counts_for(request.spec, item, now),
        )
        for item in request.spec.decisions[len(seen) :]
    )
    counted = (*seen, *news)
    return Count(counted, news, tally(request.spec, counted))


def _ending(
    observed: ObservedRequest, trusted: Trust, count: Count, stale: Ending | None, now: datetime
) -> Ending:
    if trusted.broken:
        return Ending(RequestState.STALE, Reason.ENFORCEMENT_LAPSED, trusted.broken)
    if observed.request.status.state is RequestState.APPROVED:
        return _after_approval(observed, count, stale, now)
    if count.tally.rejected_by:
        return Ending(RequestState.REJECTED, Reason.REJECTED)
    return stale or _reached(observed, trusted, count, now)


def _reached(observed: ObservedRequest, trusted: Trust, count: Count, now: datetime) -> Ending:
    expires_at = observed.request.spec.expires_at
    if count.tally.reached and not trusted.problem and now <= expires_at:
        return Ending(RequestState.APPROVED)
    if now >= expires_at:
        return _expired(f"not decided in time: {progress(count.tally.quorums)}")
    return Ending(RequestState.PENDING)


def _expired(message: str) -> Ending:
    return Ending(RequestState.EXPIRED, Reason.EXPIRED, message)


def _after_approval(observed: ObservedRequest, count: Count, stale: Ending | None, now: datetime) -> Ending:
    request = observed.request
    if observed.is_call and request.status.use is not None:
        return Ending(RequestState.USED, message=f"call {request.status.use.call}")
    if not count.tally.reached:
        return Ending(
            RequestState.STALE, Reason.ENFORCEMENT_LAPSED, "what approved it does not stand there any more"
        )
    if stale is not None:
        return stale
    if observed.is_call and now >= request.spec.expires_at + timedelta(seconds=USE_GRACE_SECONDS):
        return _expired("approved, and not used in time")
    return Ending(RequestState.APPROVED)


def _stale(observed: ObservedRequest, now: datetime) -> Ending | None:
    """Return why a call or a gate is not any more what people are asked about; None if it is."""
    if observed.is_gate:
        return _run_ended(observed, now)
    if not observed.is_call:
        return None
    for check in (_overtaken, _task_ended, _tool_changed, _agent_changed, _policy_changed):
        found = check(observed, now)
        if found is not None:
            return found
    return None


def _overtaken(observed: ObservedRequest, _now: datetime) -> Ending | None:
    overtaken = observed.request.status.overtaken
    if overtaken is None:
        return None
    return Ending(
        RequestState.STALE,
        Reason.RECORD_CHANGED,
        f"call {overtaken.call} changed the record after this was asked; look at it anew",
    )


def _run_ended(observed: ObservedRequest, now: datetime) -> Ending | None:
    run, asked = observed.run, observed.request.spec.run
    if run is None and _is_young(observed, LAG_SECONDS, now):
        # The cache of runs may lag behind the one of requests.
        return None
    over = run.over if run is not None else "is gone"
    if not over or asked is None:
        return None
    return Ending(RequestState.STALE, Reason.RUN_ENDED, f"WorkflowRun {asked.name} {over}")


def _task_ended(observed: ObservedRequest, now: datetime) -> Ending | None:
    task = observed.task
    name = observed.request.spec.asked_call.task.name
    if task is None:
        return Ending(RequestState.STALE, Reason.TASK_ENDED, f"Task {name} is gone")
    if task.is_open or now < _task_grace_ends(observed):
        return None
    return Ending(RequestState.STALE, Reason.TASK_ENDED, f"Task {name} has ended")


def _task_grace_ends(observed: ObservedRequest) -> datetime:
    task, request = observed.task, observed.request
    if task is None or request.status.state is not RequestState.APPROVED:
        return created_of(request)
    approved = find(request.status.conditions, ConditionType.APPROVED)
    since = task.ended_at or (approved.last_transition_time if approved else created_of(request))
    return since + timedelta(seconds=USE_GRACE_SECONDS)


def _agent_changed(observed: ObservedRequest, now: datetime) -> Ending | None:
    agent, asked = observed.agent, observed.request.spec.asked_call.agent
    if agent is None:
        return Ending(RequestState.STALE, Reason.AGENT_CHANGED, f"Agent {asked.name} is gone")
    if not agent.revision or agent.revision == asked.revision or _is_young(observed, LAG_SECONDS, now):
        return None
    return Ending(
        RequestState.STALE,
        Reason.AGENT_CHANGED,
        f"Agent {asked.name} has revision {agent.revision} now, and the call is of {asked.revision}: start a new Task",
    )


def _policy_changed(observed: ObservedRequest, now: datetime) -> Ending | None:
    agent, call = observed.agent, observed.request.spec.asked_call
    digest = agent.policy_digest if agent is not None else ""
    if not digest or digest == call.policy_digest or _is_young(observed, LAG_SECONDS, now):
        return None
    return Ending(
        RequestState.STALE,
        Reason.POLICY_CHANGED,
        f"the effective policy of Agent {call.agent.name} is another one now",
    )


def _tool_changed(observed: ObservedRequest, now: datetime) -> Ending | None:
    action, call = observed.action, observed.request.spec.asked_call
    if action is None:
        if _is_young(observed, LAG_SECONDS, now):
            return None
        return Ending(
            RequestState.STALE,
            Reason.TOOL_CHANGED,
            f"Tool {call.tool} does not declare {call.action} any more",
        )
    digest = action.definition_digest
    # A Tool that can't be reached has no definition: that changes nothing.
    if not digest or digest == call.definition_digest or _is_young(observed, REPORT_LAG_SECONDS, now):
        return None
    return Ending(
        RequestState.STALE, Reason.TOOL_CHANGED, f"Tool {call.tool} defines {call.action} in another way now"
    )


def _is_young(observed: ObservedRequest, lag_seconds: int, now: datetime) -> bool:
    return now < created_of(observed.request) + timedelta(seconds=lag_seconds)


def _look_again(
    observed: ObservedRequest, trusted: Trust, state: RequestState, now: datetime
) -> float | None:
    """Return when time alone may change something, or somebody is to be told again; None for never."""
    if state not in OPEN_STATES:
        return None
    times = _times(observed) if observed.is_call or state is RequestState.PENDING else []
    if trusted.again_at is not None:
        times.append(trusted.again_at)
    return min(((time - now).total_seconds() for time in times if time > now), default=None)


def _times(observed: ObservedRequest) -> list[datetime]:
    request = observed.request
    created = created_of(request)
    return [
        request.spec.expires_at,
        request.spec.expires_at + timedelta(seconds=USE_GRACE_SECONDS),
        _task_grace_ends(observed),
        *(created + timedelta(seconds=seconds) for seconds in (LAG_SECONDS, REPORT_LAG_SECONDS)),
        *(quorum.remind_at for quorum in request.spec.quorums if quorum.remind_at is not None),
        *(quorum.escalation.at for quorum in request.spec.quorums if quorum.escalation is not None),
    ]


def _decided_after_seconds(observed: ObservedRequest, state: RequestState, now: datetime) -> float | None:
    request = observed.request
    if request.status.state is not RequestState.PENDING or state not in (
        RequestState.APPROVED,
        RequestState.REJECTED,
    ):
        return None
    return max(0.0, (now - created_of(request)).total_seconds())


def _after_end(observed: ObservedRequest, now: datetime) -> RequestPlan:
    """Return what is left to say of a request at its end: that its Agent counted it, and a use that was told late."""
    status = observed.request.status
    used = find(status.conditions, ConditionType.USED)
    is_used = status.use is not None and not observed.is_gate
    is_late = is_used and (used is None or used.status is not ConditionStatus.TRUE)
    has_counted = observed.agent is not None and observed.agent.has_counted
    if not is_late and not has_counted:
        return RequestPlan(Plan())
    after = status_after(
        observed,
        status.guard,
        counted_so_far(observed.request),
        status.state,
        verdicts_at_end(observed),
        now,
    )
    told = (used_late(observed),) if is_late else ()
    return RequestPlan(Plan(status=written(status, after), events=told), told)
