"""The bounds of a call in words, one line a bound, for people who ask why."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from aos.model.bounds import Scope
from aos.model.tool import Access, ToolAction
from aos.policy.expression import ExpressionError
from aos.policy.obligations import BoundBudget, BoundLimit, DataRules, Obligations

_WHOLE_TASK: Final = "over the whole Task"
_WHOLE_RUN: Final = "over the whole run"


@dataclass(frozen=True, slots=True)
class ToldBound:
    """One bound: what it is, and what it says."""

    name: str
    says: str


def told_bounds(
    obligations: Obligations, action: ToolAction, arguments: Mapping[str, JsonValue]
) -> tuple[ToldBound, ...]:
    """Return all that a call of ``action`` with ``arguments`` is held to once it is allowed."""
    return (
        *(ToldBound(str(limit.reference), _limit(limit)) for limit in obligations.limits),
        *(ToldBound(str(budget.reference), _budget(budget)) for budget in obligations.budgets),
        *(ToldBound("data", says) for says in _data(obligations.data)),
        *_record(obligations, action, arguments),
        *_repeated(obligations, action),
        *_loops(obligations),
    )


def _limit(bound: BoundLimit) -> str:
    return f"{bound.limit.calls} calls per {bound.limit.per}, counted by {bound.limit.scope.value}"


def _budget(bound: BoundBudget) -> str:
    budget = bound.budget
    amounts = ((budget.micro_usd, "microUSD"), (budget.tokens, "tokens"), (budget.calls, "calls"))
    most = ", ".join(f"{amount} {unit}" for amount, unit in amounts if amount is not None)
    span = (
        f"per {budget.per}"
        if budget.per is not None
        else _WHOLE_RUN
        if budget.scope is Scope.WORKFLOW
        else _WHOLE_TASK
    )
    return f"{most} {span}, counted by {budget.scope.value}"


def _data(rules: DataRules) -> Iterator[str]:
    for classes, says in (
        (rules.redact_request, "redacted in the request"),
        (rules.redact_response, "redacted in the answer"),
        (rules.block_request, "refuses the request"),
        (rules.block_response, "withholds the answer"),
    ):
        if classes:
            yield f"{_listed(classes)}: {says}"
    for fields in sorted(rules.projections, key=sorted):
        yield f"the answer keeps only {_listed(fields)}"
    for hosts in sorted(rules.url_hosts, key=sorted):
        yield f"URLs may only name {_listed(hosts)}"
    for most, what in ((rules.max_request_bytes, "request"), (rules.max_response_bytes, "answer")):
        if most is not None:
            yield f"the {what} has at most {most} bytes"


def _record(
    obligations: Obligations, action: ToolAction, arguments: Mapping[str, JsonValue]
) -> Iterator[ToldBound]:
    if obligations.record is None:
        return
    try:
        record = obligations.record.render(arguments)
    except ExpressionError as error:
        yield ToldBound("record", f"refused: {action.record} can't be named: {error}")
    else:
        yield ToldBound(
            "record", f"{record}, leased for {obligations.conflicts.lease_seconds} s by the first writer"
        )


def _repeated(obligations: Obligations, action: ToolAction) -> Iterator[ToldBound]:
    window_seconds = obligations.conflicts.duplicate_window_seconds
    if action.access is Access.WRITE and window_seconds:
        yield ToldBound("duplicates", f"an identical write within {window_seconds} s is not sent again")
    if obligations.cost_micro_usd:
        yield ToldBound("cost", f"{obligations.cost_micro_usd} microUSD a call")


def _loops(obligations: Obligations) -> Iterator[ToldBound]:
    loops = obligations.loops
    yield ToldBound(
        "loops",
        f"{loops.max_identical_calls} identical calls and {loops.max_calls_per_task} calls a Task; handoffs"
        f" {loops.max_depth} deep, {loops.max_visits} to one agent",
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
