"""What a call takes from which counters: limits, budgets and the bounds on loops, as charges. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from aos.gateway.control.asked import AskedCall, Finished
from aos.gateway.journal import Subject
from aos.model.bounds import Scope
from aos.model.task import BudgetOfRun, Task
from aos.policy.effective import EffectivePolicy
from aos.policy.obligations import BoundBudget, BoundLimit, Obligations, PartReference
from aos.store.interface import Charge

CALLS: Final = "calls"
TOKENS: Final = "tokens"
MICRO_USD: Final = "microUSD"
IDENTICAL_CALLS: Final = "identicalCalls"
CALLS_PER_TASK: Final = "callsPerTask"
HANDOFFS: Final = "handoffs"
"""Of one Task and of all below it: a chain's depth alone would let every Task of it hand over as many as the first."""

PROMPT_TOKENS: Final = "promptTokens"
COMPLETION_TOKENS: Final = "completionTokens"
COST: Final = "costMicroUSD"
"""What a Task has used, beside what bounds it: counted for its status."""

APPROVALS: Final = "approvals"
"""The one call that people's approval lets through."""
APPROVAL_SECONDS: Final = 2_592_000
"""How long it is known that an approval was used: far longer than any may be waited for."""

LOOP_RESOURCES: Final = frozenset({IDENTICAL_CALLS, CALLS_PER_TASK})
"""What is counted even of calls that came to nothing: a loop of failures is a loop."""

UNBOUNDED: Final = 2**53 - 1

MAX_PLANS: Final = 4096
MAX_TASKS: Final = 256
"""Plans that are remembered, and Tasks in each; of others it is made anew."""


@dataclass(frozen=True, slots=True)
class _PerTask:
    """A charge whose counter is the Task's own, or that of the whole that it is part of; a uid is still missing in its key."""

    charge: Charge
    is_of_whole: bool = False

    def of(self, task_uid: str, rest: str = "") -> Charge:
        charge = self.charge
        return Charge(
            counter=charge.counter + task_uid + rest,
            amount=charge.amount,
            limit=charge.limit,
            window_seconds=charge.window_seconds,
            owner=task_uid,
            name=charge.name,
            resource=charge.resource,
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """The charges of every call of one agent that has the same obligations; amounts of tokens and money are still 1.

    Attributes:
        counted: one of each call.
        counted_per_task: the same, on counters of the Task's own.
        measured: by what the call may use.
        calls_per_task: one of each call of the Task.
        identical_calls: one of each call that is like this one.
        handoffs: one of each handoff of the Task, and of those below it.
        of_tasks: all that is counted, by uid of the Task.
    """

    policy: EffectivePolicy
    obligations: Obligations
    counted: tuple[Charge, ...]
    counted_per_task: tuple[_PerTask, ...]
    measured: tuple[Charge | _PerTask, ...]
    calls_per_task: _PerTask
    identical_calls: _PerTask
    handoffs: _PerTask
    of_tasks: dict[str, tuple[Charge, ...]] = field(default_factory=dict)


class Charges:
    """Makes the charges of calls; what depends on policy alone is made once."""

    def __init__(self) -> None:
        self._plans: dict[tuple[int, int], _Plan] = {}

    def of(self, asked: AskedCall) -> tuple[Charge, ...]:
        """Return what ``asked`` takes, all of which must be there at once."""
        charges = self._of_policies(asked)
        run = asked.caller.task.spec.run
        return (*charges, *_of_runs(asked)) if run is not None and run.budgets else charges

    def _of_policies(self, asked: AskedCall) -> tuple[Charge, ...]:
        caller = asked.caller
        uid = caller.task.metadata.uid
        plan = self._plan(caller.policy, asked.obligations)
        if caller.ancestors:
            return (*self._along(asked), *_loops(plan, asked, (plan.calls_per_task.of(uid),)))
        counted = plan.of_tasks.get(uid)
        if counted is None:
            if len(plan.of_tasks) >= MAX_TASKS:
                plan.of_tasks.clear()
            counted = plan.of_tasks[uid] = (
                *plan.counted,
                *(_along_of(item, caller.task, uid) for item in plan.counted_per_task),
                plan.calls_per_task.of(uid),
            )
        if _hands_over(asked):
            counted = (*counted, plan.handoffs.of(uid))
        counted = _loops(plan, asked, counted)
        if plan.measured:
            return (*counted, *_measured(plan.measured, asked, uid))
        return counted

    def _along(self, asked: AskedCall) -> Iterable[Charge]:
        """Return what a call takes from the limits and budgets of everybody that it is made for, each as its own.

        What counts by agent counts for the caller's agent and for those before it, what counts by Task for the caller's
        Task and for those that it comes from; what they have in common counts once.
        """
        caller = asked.caller
        uids = (caller.task.metadata.uid, *(ancestor.task_uid for ancestor in caller.task.spec.lineage))
        taken: dict[str, Charge] = {}
        for policy, uid in zip((caller.policy, *caller.ancestors), uids, strict=True):
            plan = self._plan(policy, _own_obligations(policy, asked))
            if _hands_over(asked):
                handoffs = plan.handoffs.of(uid)
                taken[handoffs.counter] = handoffs
            per_task = (_along_of(item, caller.task, uid) for item in plan.counted_per_task)
            for charge in (*plan.counted, *per_task, *_measured(plan.measured, asked, uid)):
                taken.setdefault(charge.counter, charge)
        return taken.values()

    def _plan(self, policy: EffectivePolicy, obligations: Obligations) -> _Plan:
        # By identity: comparing all bounds on every call would cost more than all the rest. A plan keeps both objects,
        # so that no other one can have their identity.
        key = (id(policy), id(obligations))
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            found = self._plans[key] = _plan(policy, obligations)
        return found


def _own_obligations(policy: EffectivePolicy, asked: AskedCall) -> Obligations:
    """Return what ``policy`` by itself holds the call to."""
    match asked.subject:
        case Subject.MODEL:
            return policy.model_obligations()
        case Subject.AGENT:
            return policy.handoff_obligations()
        case Subject.TOOL if asked.declared is not None:
            return policy.obligations(asked.name, asked.declared)
        case _:
            return asked.obligations


def _loops(plan: _Plan, asked: AskedCall, counted: tuple[Charge, ...]) -> tuple[Charge, ...]:
    """Return ``counted`` with what counts for the caller's own Task alone: repetition, and what it has used."""
    uid = asked.caller.task.metadata.uid
    if asked.likeness:
        key = f"/{asked.subject.value}/{asked.name}/{asked.action}/{asked.likeness}"
        counted = (*counted, plan.identical_calls.of(uid, key))
    cost = estimate_micro_usd(asked)
    if asked.subject is Subject.MODEL:
        counted = (*counted, _used(PROMPT_TOKENS, asked.tokens, uid), _used(COMPLETION_TOKENS, 0, uid))
    return (*counted, _used(COST, cost, uid)) if cost else counted


def _hands_over(asked: AskedCall) -> bool:
    """Whether a Task is to be made; a cancellation carries nothing that could be like another."""
    return asked.subject is Subject.AGENT and bool(asked.likeness)


def estimate_micro_usd(asked: AskedCall) -> int:
    """Return the most that the call may cost."""
    return asked.cost_micro_usd + asked.obligations.cost_micro_usd


def settled(asked: AskedCall, charges: Iterable[Charge], finished: Finished) -> Mapping[str, int]:
    """Return units really used, by counter, for `aos.store.interface.Completion`."""
    if finished.released:
        return {charge.counter: 0 for charge in charges if charge.resource not in LOOP_RESOURCES}
    known: dict[str, int] = {}
    if finished.tokens is not None:
        prompt, completion = finished.tokens.prompt, finished.tokens.completion
        known = {TOKENS: prompt + completion, PROMPT_TOKENS: prompt, COMPLETION_TOKENS: completion}
    if finished.cost_micro_usd is not None:
        known[MICRO_USD] = known[COST] = finished.cost_micro_usd + asked.obligations.cost_micro_usd
    if not known:
        return known
    return {charge.counter: known[charge.resource] for charge in charges if charge.resource in known}


def approval_counter(uid: str) -> str:
    """Return the counter of the call that the ApprovalRequest with ``uid`` lets through."""
    return f"approval/{uid}"


def approval_charge(asked: AskedCall) -> tuple[Charge, ...]:
    """Return what makes an approval let one call through, over all replicas; nothing for a call that needs none."""
    if not asked.approval_uid:
        return ()
    return (
        Charge(
            counter=approval_counter(asked.approval_uid),
            amount=1,
            limit=1,
            window_seconds=APPROVAL_SECONDS,
            owner="",
            name=f"the approval {', '.join(asked.approvals)}",
            resource=APPROVALS,
        ),
    )


def used_counters(task_uid: str) -> Mapping[str, str]:
    """Return the counters of what a Task has used, by resource; none of them has a window."""
    used = {resource: _used_key(resource, task_uid) for resource in (PROMPT_TOKENS, COMPLETION_TOKENS, COST)}
    return {CALLS_PER_TASK: _loop_key(CALLS_PER_TASK) + task_uid, **used}


def _used(resource: str, amount: int, task_uid: str) -> Charge:
    """Return a charge that nothing bounds."""
    return Charge(
        counter=_used_key(resource, task_uid),
        amount=max(amount, 1),
        limit=UNBOUNDED,
        window_seconds=0,
        owner=task_uid,
        name=f"what the Task has used ({resource})",
        resource=resource,
    )


def _used_key(resource: str, task_uid: str) -> str:
    return f"Task///usage/{resource}/Task/{task_uid}"


def _loop_key(resource: str) -> str:
    return f"Task///loops/{resource}/Task/"


def budgets_of_runs(task: Task) -> tuple[BudgetOfRun, ...]:
    """Return the budgets of the run that ``task`` is done for, and of the runs above that one."""
    return task.spec.run.budgets if task.spec.run is not None else ()


def name_of_run_budget(task: Task, budget: BudgetOfRun) -> str:
    """Return what a refusal calls a budget of the run that ``task`` is done for, or of one above it."""
    run = task.spec.run
    which = run.name if run is not None and run.uid == budget.run_uid else budget.run_uid
    return f"Workflow {budget.workflow}'s budget (run {which})"


def _of_runs(asked: AskedCall) -> Iterable[Charge]:
    """Yield what a call takes from the budgets of runs: each counts over its whole run, whoever calls, and time frees nothing."""
    task = asked.caller.task
    for budget in budgets_of_runs(task):
        for resource, amount, most in (
            (CALLS, 1, budget.calls),
            (TOKENS, asked.tokens, budget.tokens),
            (MICRO_USD, estimate_micro_usd(asked), budget.micro_usd),
        ):
            if most is not None and amount:
                yield Charge(
                    counter=f"WorkflowRun///budget/{resource}/WorkflowRun/{budget.run_uid}",
                    amount=amount,
                    limit=most,
                    window_seconds=0,
                    owner=budget.run_uid,
                    name=name_of_run_budget(task, budget),
                    resource=resource,
                )


def whole_of(task: Task) -> str:
    """Return the uid of what ``task`` is part of: the first run of its chain, else the first Task of its lineage, else itself."""
    if task.spec.run is not None:
        return task.spec.run.root_uid
    return task.spec.lineage[0].task_uid if task.spec.lineage else task.metadata.uid


def _along_of(part: _PerTask, task: Task, uid: str) -> Charge:
    """Return the charge of the Task with ``uid``, which is ``task`` or one that it was handed over from."""
    return part.of(whole_of(task) if part.is_of_whole else uid)


def _measured(parts: Iterable[Charge | _PerTask], asked: AskedCall, uid: str) -> Iterable[Charge]:
    amounts = {TOKENS: asked.tokens, MICRO_USD: estimate_micro_usd(asked)}
    for part in parts:
        charge = _along_of(part, asked.caller.task, uid) if isinstance(part, _PerTask) else part
        amount = amounts[charge.resource]
        if amount:
            yield charge if amount == charge.amount else replace(charge, amount=amount)


def _plan(policy: EffectivePolicy, obligations: Obligations) -> _Plan:
    counted = [_limit_charge(policy, limit) for limit in obligations.limits]
    measured: list[Charge | _PerTask] = []
    for budget in obligations.budgets:
        for resource, bound in _bounds_of(budget):
            part = _budget_charge(policy, budget, resource, bound)
            (counted if resource == CALLS else measured).append(part)
    loops = obligations.loops
    return _Plan(
        policy=policy,
        obligations=obligations,
        counted=tuple(part for part in counted if isinstance(part, Charge)),
        counted_per_task=tuple(part for part in counted if isinstance(part, _PerTask)),
        measured=tuple(measured),
        calls_per_task=_loop_charge(CALLS_PER_TASK, loops.max_calls_per_task),
        identical_calls=_loop_charge(IDENTICAL_CALLS, loops.max_identical_calls),
        handoffs=_loop_charge(HANDOFFS, loops.max_calls_per_task),
    )


def _bounds_of(budget: BoundBudget) -> Iterable[tuple[str, int]]:
    said = budget.budget
    for resource, bound in ((CALLS, said.calls), (TOKENS, said.tokens), (MICRO_USD, said.micro_usd)):
        if bound is not None:
            yield resource, bound


def _limit_charge(policy: EffectivePolicy, bound: BoundLimit) -> Charge | _PerTask:
    scope = bound.limit.scope
    charge = _charge(policy, bound.reference, CALLS, scope, bound.limit.calls, bound.window_seconds)
    return _of_scope(charge, scope)


def _budget_charge(
    policy: EffectivePolicy, bound: BoundBudget, resource: str, most: int
) -> Charge | _PerTask:
    scope = bound.budget.scope
    charge = _charge(policy, bound.reference, resource, scope, most, bound.window_seconds)
    return _of_scope(charge, scope)


def _of_scope(charge: Charge, scope: Scope) -> Charge | _PerTask:
    if scope in (Scope.TASK, Scope.WORKFLOW):
        return _PerTask(charge, is_of_whole=scope is Scope.WORKFLOW)
    return charge


def _charge(
    policy: EffectivePolicy,
    reference: PartReference,
    resource: str,
    scope: Scope,
    most: int,
    window_seconds: int,
) -> Charge:
    whose = _scope_value(policy, scope)
    return Charge(
        counter=f"{prefix_of(reference)}{resource}/{scope.value}/{whose}",
        amount=1,
        limit=most,
        window_seconds=window_seconds,
        owner="",
        name=f"{reference} ({scope.value}{' ' if whose else ''}{whose})",
        resource=resource,
    )


def _scope_value(policy: EffectivePolicy, scope: Scope) -> str:
    """Return whose calls are counted together; of a Task or a run nothing, its uid comes with each call."""
    metadata = policy.agent.metadata
    match scope:
        case Scope.AGENT:
            return f"{metadata.namespace}/{metadata.name}"
        case Scope.TASK | Scope.WORKFLOW:
            return ""
        case Scope.NAMESPACE:
            return metadata.namespace
        case Scope.TENANT:
            return tenant_of(policy)


def prefix_of(reference: PartReference) -> str:
    """Return what the keys of all counters of one part of one policy begin with."""
    return f"{reference.kind}/{reference.namespace}/{reference.name}/{reference.part}/"


def tenant_of(policy: EffectivePolicy) -> str:
    """Return the tenant of the agent's namespace."""
    return str(policy.namespace_binding["tenant"])


def _loop_charge(resource: str, most: int) -> _PerTask:
    return _PerTask(
        Charge(
            counter=_loop_key(resource),
            amount=1,
            limit=most,
            window_seconds=0,
            owner="",
            name=f"the bound on {_LOOPS[resource]} ({most})",
            resource=resource,
        )
    )


_LOOPS: Final[Mapping[str, str]] = {
    IDENTICAL_CALLS: "identical calls of one Task",
    CALLS_PER_TASK: "calls of one Task",
    HANDOFFS: "handoffs of one Task and those below it",
}
