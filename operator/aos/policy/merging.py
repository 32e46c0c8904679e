"""The bounds of many policies as one: every limit counts, the tightest number holds, redactions add up."""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from math import ceil
from typing import Final, TypeVar

from aos.model.bounds import Budget, Data, Direction, Limit
from aos.model.cluster_policy import ClusterPolicy
from aos.model.duration import duration_seconds
from aos.model.policy import Policy
from aos.model.tool import ToolAction
from aos.policy.matching import concerns
from aos.policy.obligations import (
    DEFAULT_DUPLICATE_WINDOW_SECONDS,
    DEFAULT_LEASE_SECONDS,
    DEFAULT_MAX_CALLS_PER_TASK,
    DEFAULT_MAX_DEPTH,
    DEFAULT_MAX_IDENTICAL_CALLS,
    DEFAULT_MAX_VISITS,
    BoundBudget,
    BoundLimit,
    ConflictBounds,
    DataRules,
    LoopBounds,
    Obligations,
    PartReference,
    PatternRule,
)
from aos.policy.template import Template

AnyPolicy = Policy | ClusterPolicy
Bound = TypeVar("Bound", BoundLimit, BoundBudget)

_SHORTEST_WINDOW_SECONDS: Final = 1


def tool_obligations(
    policies: Sequence[AnyPolicy], tool: str, action: ToolAction, record: Template | None
) -> Obligations:
    """Return what an allowed call of ``action`` is held to.

    Args:
        policies: all that select the agent, of every layer.
        tool: the Tool's name.
        action: what is called.
        record: the action's ``record``, compiled.
    """
    return Obligations(
        limits=_limits(policies, lambda limit: not limit.tools or concerns(limit.tools, tool, action)),
        budgets=_budgets(policies),
        loops=_loops(policies),
        conflicts=_conflicts(policies),
        data=_data(policies, _projections(policies, tool, action)),
        record=record,
        cost_micro_usd=action.cost_micro_usd,
    )


def other_obligations(policies: Sequence[AnyPolicy]) -> Obligations:
    """Return what a model request or a handoff is held to: neither limits of certain tools nor projections."""
    return Obligations(
        limits=_limits(policies, lambda limit: not limit.tools),
        budgets=_budgets(policies),
        loops=_loops(policies),
        conflicts=_conflicts(policies),
        data=_data(policies, frozenset()),
    )


def narrowest(first: Obligations, *others: Obligations) -> Obligations:
    """Return what holds a call to all of them; the record and the cost are those of ``first``."""
    return reduce(_narrower, others, first)


def _narrower(one: Obligations, other: Obligations) -> Obligations:
    return Obligations(
        limits=_united((*one.limits, *other.limits)),
        budgets=_united((*one.budgets, *other.budgets)),
        loops=LoopBounds(
            max_depth=min(one.loops.max_depth, other.loops.max_depth),
            max_visits=min(one.loops.max_visits, other.loops.max_visits),
            max_identical_calls=min(one.loops.max_identical_calls, other.loops.max_identical_calls),
            max_calls_per_task=min(one.loops.max_calls_per_task, other.loops.max_calls_per_task),
        ),
        conflicts=ConflictBounds(
            lease_seconds=max(one.conflicts.lease_seconds, other.conflicts.lease_seconds),
            duplicate_window_seconds=max(
                one.conflicts.duplicate_window_seconds, other.conflicts.duplicate_window_seconds
            ),
        ),
        data=DataRules(
            redact_request=one.data.redact_request | other.data.redact_request,
            redact_response=one.data.redact_response | other.data.redact_response,
            block_request=one.data.block_request | other.data.block_request,
            block_response=one.data.block_response | other.data.block_response,
            patterns=one.data.patterns | other.data.patterns,
            projections=one.data.projections | other.data.projections,
            url_hosts=one.data.url_hosts | other.data.url_hosts,
            max_request_bytes=_least(one.data.max_request_bytes, other.data.max_request_bytes),
            max_response_bytes=_least(one.data.max_response_bytes, other.data.max_response_bytes),
        ),
        record=one.record,
        cost_micro_usd=one.cost_micro_usd,
    )


def _united(bounds: Iterable[Bound]) -> tuple[Bound, ...]:
    return tuple(sorted(set(bounds), key=lambda bound: (str(bound.reference), repr(bound))))


def _limits(policies: Sequence[AnyPolicy], counts: Callable[[Limit], bool]) -> tuple[BoundLimit, ...]:
    return _united(
        BoundLimit(_reference(policy, f"limit {limit.name}"), limit, _window_seconds(limit.per))
        for policy in policies
        for limit in policy.spec.limits
        if counts(limit)
    )


def _budgets(policies: Sequence[AnyPolicy]) -> tuple[BoundBudget, ...]:
    return _united(
        BoundBudget(_reference(policy, f"budget {budget.name}"), budget, _budget_seconds(budget))
        for policy in policies
        for budget in policy.spec.budgets
    )


def _reference(policy: AnyPolicy, part: str) -> PartReference:
    return PartReference(
        kind=policy.kind, namespace=policy.metadata.namespace, name=policy.metadata.name, part=part
    )


def _window_seconds(per: str) -> int:
    # A longer window is tighter, so a fraction of a second is rounded up.
    return max(_SHORTEST_WINDOW_SECONDS, ceil(duration_seconds(per)))


def _budget_seconds(budget: Budget) -> int:
    return _window_seconds(budget.per) if budget.per is not None else 0


def _loops(policies: Sequence[AnyPolicy]) -> LoopBounds:
    stated = [policy.spec.loops for policy in policies if policy.spec.loops is not None]
    return LoopBounds(
        max_depth=_lowest((loops.max_depth for loops in stated), DEFAULT_MAX_DEPTH),
        max_visits=_lowest((loops.max_visits for loops in stated), DEFAULT_MAX_VISITS),
        max_identical_calls=_lowest(
            (loops.max_identical_calls for loops in stated), DEFAULT_MAX_IDENTICAL_CALLS
        ),
        max_calls_per_task=_lowest(
            (loops.max_calls_per_task for loops in stated), DEFAULT_MAX_CALLS_PER_TASK
        ),
    )


def _conflicts(policies: Sequence[AnyPolicy]) -> ConflictBounds:
    stated = [policy.spec.conflicts for policy in policies if policy.spec.conflicts is not None]
    leases = [item.lease_seconds for item in stated if item.lease_seconds is not None]
    windows = [item.duplicate_window_seconds for item in stated if item.duplicate_window_seconds is not None]
    return ConflictBounds(
        lease_seconds=max(leases, default=DEFAULT_LEASE_SECONDS),
        duplicate_window_seconds=max(windows, default=DEFAULT_DUPLICATE_WINDOW_SECONDS),
    )


def _data(policies: Sequence[AnyPolicy], projections: frozenset[frozenset[str]]) -> DataRules:
    stated = [policy.spec.data for policy in policies if policy.spec.data is not None]
    return DataRules(
        redact_request=_classes(stated, Direction.REQUEST, lambda data: data.redact),
        redact_response=_classes(stated, Direction.RESPONSE, lambda data: data.redact),
        block_request=_classes(stated, Direction.REQUEST, lambda data: data.block),
        block_response=_classes(stated, Direction.RESPONSE, lambda data: data.block),
        patterns=frozenset(
            PatternRule(name=pattern.name, regex=pattern.regex)
            for data in stated
            for pattern in data.patterns
        ),
        projections=projections,
        url_hosts=frozenset(frozenset(data.urls.allow_hosts) for data in stated if data.urls is not None),
        max_request_bytes=_least(*(data.max_request_bytes for data in stated)),
        max_response_bytes=_least(*(data.max_response_bytes for data in stated)),
    )


def _classes(
    stated: Iterable[Data], direction: Direction, named: Callable[[Data], Iterable[str]]
) -> frozenset[str]:
    return frozenset(name for data in stated if direction in data.in_ for name in named(data))


def _projections(policies: Sequence[AnyPolicy], tool: str, action: ToolAction) -> frozenset[frozenset[str]]:
    return frozenset(
        frozenset(projection.fields)
        for policy in policies
        if policy.spec.data is not None
        for projection in policy.spec.data.projections
        if concerns(projection.tools, tool, action)
    )


def _lowest(stated: Iterable[int | None], default: int) -> int:
    found = _least(*stated)
    return default if found is None else found


def _least(*stated: int | None) -> int | None:
    return min((item for item in stated if item is not None), default=None)
