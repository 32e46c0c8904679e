"""What the parts of an ApprovalRequest's reconcile share: what is observed, and where the request goes from there."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aos.model.approval_request import (
    ApprovalRequest,
    CountedDecision,
    QuorumStatus,
    RequestState,
    RequestType,
)
from aos.model.conditions import Reason
from aos.policy.quorums import Tally, tally
from aos.reconcile.events import Happening
from aos.reconcile.guard import Guard
from aos.reconcile.plan import Plan

OPEN_STATES: Final = frozenset({RequestState.PENDING, RequestState.APPROVED})


@dataclass(frozen=True, slots=True)
class CallingAgent:
    """An Agent as far as its calls are approved by it; what is not known is empty.

    Attributes:
        revision: that new Tasks run.
        policy_digest: of its effective policy.
        has_counted: whether it remembers that it counted the request.
    """

    revision: str = ""
    policy_digest: str = ""
    has_counted: bool = False


@dataclass(frozen=True, slots=True)
class CallingTask:
    """The Task of a call.

    Attributes:
        is_open: whether calls may still be made for it.
        ended_at: when it ended; None where that is not known.
    """

    is_open: bool = True
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CalledAction:
    """The action that is called.

    Attributes:
        definition_digest: of the definition that the gateway found last; empty if it found none.
    """

    definition_digest: str = ""


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """The run that waits at a gate.

    Attributes:
        over: why it does not wait there any more, as a phrase; empty while it does.
    """

    over: str = ""


@dataclass(frozen=True, slots=True)
class ObservedRequest:
    """All that becomes of a request is decided from.

    Attributes:
        request: as the API server has it.
        agent: who calls; None if there is no such Agent, and at a gate.
        action: what is called; None if there is no such Tool, or it does not declare the action, and at a gate.
        task: what the call belongs to; None if there is no such Task, and at a gate.
        run: what waits at the gate; None if there is no such run, and for a call.
        guard: whether, and since when, the admission policies are in place.
        confirmed: whether the agent's digest was computed from its policies, and not only read from its status, which may lag.
    """

    request: ApprovalRequest
    agent: CallingAgent | None = field(default_factory=CallingAgent)
    action: CalledAction | None = field(default_factory=CalledAction)
    task: CallingTask | None = field(default_factory=CallingTask)
    run: WaitingRun | None = None
    guard: Guard = field(default_factory=Guard)
    confirmed: bool = False

    @property
    def is_call(self) -> bool:
        """Whether a call waits."""
        return self.request.spec.type is RequestType.CALL

    @property
    def is_gate(self) -> bool:
        """Whether a run waits."""
        return self.request.spec.type is RequestType.GATE

    @property
    def is_first_look(self) -> bool:
        """Whether nobody looked at it yet."""
        return self.request.status.observed_generation < 0


@dataclass(frozen=True, slots=True)
class Count:
    """The decisions so far.

    Attributes:
        counted: every decision that was seen, with its time.
        news: those that were seen just now.
        tally: how far the quorums are.
    """

    counted: tuple[CountedDecision, ...]
    news: tuple[CountedDecision, ...]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a request goes.

    Attributes:
        state: its state.
        reason: why it can't be approved any more; None if it can, or was.
        message: for people.
    """

    state: RequestState
    reason: Reason | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """What is to be done about a request.

    Attributes:
        plan: about the request itself.
        told: events about its Agent and its Task.
        decided_after_seconds: how long it took until it was approved or rejected, if that is what happens.
    """

    plan: Plan
    told: tuple[Happening, ...] = ()
    decided_after_seconds: float | None = None


def counted_so_far(request: ApprovalRequest) -> Count:
    """Return what the status says of the decisions."""
    counted = request.status.counted
    return Count(counted, (), tally(request.spec, counted))


def progress(quorums: tuple[QuorumStatus, ...]) -> str:
    """Return how far the quorums are, for people."""
    return "; ".join(f"{item.rule}: {item.approved} of {item.required}" for item in quorums)
