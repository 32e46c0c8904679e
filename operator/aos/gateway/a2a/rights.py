"""Whether work may be handed over: to whom, by whom, and how far down a chain. Pure."""

from typing import Final

from aos.gateway.caller import Caller
from aos.gateway.refusal import RefusalCode, Refused
from aos.model.agent import Agent
from aos.model.conditions import ConditionType
from aos.model.meta import ConditionStatus
from aos.model.task import MAX_LINEAGE
from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import EffectivePolicy
from aos.policy.merging import narrowest
from aos.policy.obligations import LoopBounds, Obligations
from aos.reconcile.conditions import find

RECEIVER_RETRY_SECONDS: Final = 5.0

_LOWER: Final = "Policy"
"""The layer without which nothing is allowed."""


def is_delegate(caller: Caller, namespace: str, name: str) -> bool:
    """Whether the caller's agent names this agent, of its own namespace, in ``spec.delegates``."""
    return namespace == caller.namespace and name in caller.policy.agent.spec.delegates


def not_a_delegate(caller: Caller) -> Refused:
    """Return the refusal of whoever asks for an agent that is none of its delegates: whether there is one or not."""
    return _denied(
        RefusalCode.DELEGATE_NOT_ALLOWED,
        f"agent {caller.agent} hands work only to agents of its own namespace that its spec.delegates names",
        note="it tried to hand work to an agent that its spec.delegates does not name",
    )


def refusal_of_caller(caller: Caller) -> Refused | None:
    """Return why the caller's agent, or one that it acts for, may hand over nothing at all; None if they may."""
    for policy in (caller.policy, *caller.ancestors):
        agent = policy.agent
        name = agent.metadata.name
        if agent.spec.suspend:
            return _denied(DecisionReason.AGENT_SUSPENDED, f"agent {name} is suspended (spec.suspend)")
        if policy.problems:
            return _denied(
                DecisionReason.POLICY_NOT_ACCEPTED,
                f"agent {name} may hand over nothing until this is mended: {policy.problems[0]}",
            )
        if not any(layer.kind == _LOWER for layer in policy.layers):
            return _denied(
                DecisionReason.NO_POLICY, f"no Policy selects agent {name}, so it may hand over nothing"
            )
    return None


def refusal_of_receiver(name: str, agent: Agent | None) -> Refused | None:
    """Return why the receiver takes no work now; None if it does."""
    if agent is None or agent.metadata.deletion_timestamp is not None:
        return _denied(
            RefusalCode.AGENT_UNKNOWN,
            f"there is no readable Agent {name} in this namespace",
            note=f"its delegate {name} does not exist",
        )
    if agent.spec.suspend:
        return _denied(DecisionReason.AGENT_SUSPENDED, f"agent {name} is suspended (spec.suspend)")
    ready = find(agent.status.conditions, ConditionType.READY)
    if ready is None or ready.observed_generation != agent.metadata.generation:
        return _not_ready(name, "the operator has not looked at it yet")
    if ready.status is not ConditionStatus.TRUE:
        return _not_ready(name, f"{ready.reason}: {ready.message}")
    return None


def refusal_of_chain(caller: Caller, name: str, loops: LoopBounds) -> Refused | None:
    """Return why the chain of agents would be too long, or go round too often, with ``name`` at its end.

    The depth is the number of handoffs in the chain; an agent's visits are the times that it stands in it.
    """
    chain = (*(ancestor.agent for ancestor in caller.task.spec.lineage), caller.agent, name)
    drawn = " > ".join(chain)
    depth, visits = len(chain) - 1, chain.count(name)
    if visits > loops.max_visits:
        return _denied(
            RefusalCode.TOO_MANY_VISITS,
            f"{drawn}: agent {name} would work on this for the {visits}. time, and {loops.max_visits} are allowed"
            " (loops.maxVisits): answer with what there is",
            note=f"the chain {drawn} visits agent {name} more often than loops.maxVisits ({loops.max_visits})",
        )
    if depth > min(loops.max_depth, MAX_LINEAGE):
        return _denied(
            RefusalCode.TOO_DEEP,
            f"{drawn}: these are {depth} handoffs in a row, and {loops.max_depth} are allowed (loops.maxDepth):"
            " answer with what there is",
            note=f"the chain {drawn} is deeper than loops.maxDepth ({loops.max_depth})",
        )
    return None


def refusal_of_run(tasks: int, most: int) -> Refused | None:
    """Return why a run may have no further Task.

    Args:
        tasks: how many it has, with all that it started and that was handed over.
        most: how many there may be.
    """
    if tasks < most:
        return None
    return _denied(
        RefusalCode.TOO_MANY_TASKS,
        f"the run that this Task is done for has {tasks} Tasks with all that it started, and {most} are allowed: answer with"
        " what there is",
        note=f"a run has the {most} Tasks that it may have, with all that it started (operator.maxRunTasks)",
    )


def obligations_of(caller: Caller) -> Obligations:
    """Return what a handoff of the caller is held to: by its own policies and by those of the agents it acts for."""
    own = caller.policy.handoff_obligations()
    if not caller.ancestors:
        return own
    return caller.policy.narrowed((own, *(policy.handoff_obligations() for policy in caller.ancestors)))


def with_receiver(obligations: Obligations, receiver: EffectivePolicy | None) -> Obligations:
    """Return the same with the receiver's own bounds on chains and on data; its limits count what it does itself."""
    return obligations if receiver is None else narrowest(obligations, receiver.handoff_obligations())


def _not_ready(name: str, why: str) -> Refused:
    return Refused(
        Effect.DENY,
        RefusalCode.DELEGATE_NOT_READY,
        f"agent {name} takes no work now: {why}",
        retry_after_seconds=RECEIVER_RETRY_SECONDS,
        note=f"its delegate {name} is not ready",
    )


def _denied(code: RefusalCode | DecisionReason, message: str, note: str = "") -> Refused:
    return Refused(Effect.DENY, code, message, note=note)
