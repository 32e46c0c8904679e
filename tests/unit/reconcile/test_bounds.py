from datetime import UTC, datetime

import pytest

from aos.model.conditions import BOUND_REASONS, COUNTED_REASONS, Reason
from aos.model.meta import ConditionStatus
from aos.reconcile.bounds import ExceededBound, within_bounds

EARLY, LATE = (datetime(2026, 1, 2, hour, tzinfo=UTC) for hour in (3, 4))
BUDGET = "Policy spenders, budget dollar (Namespace sales)"


def test_an_agent_of_which_nothing_is_told_is_within_its_bounds() -> None:
    verdict = within_bounds([])
    assert (verdict.status, verdict.reason) == (ConditionStatus.TRUE, Reason.WITHIN_BOUNDS)


def test_the_message_names_the_bound_when_it_frees_and_the_way_out() -> None:
    verdict = within_bounds([ExceededBound(Reason.BUDGET_EXCEEDED, BUDGET, EARLY)])
    assert (verdict.status, verdict.reason) == (ConditionStatus.FALSE, Reason.BUDGET_EXCEEDED)
    assert verdict.message == (
        f"calls are refused: {BUDGET}; enough is free at 2026-01-02T03:00:00Z; wait, or raise the budget in that policy"
    )


def test_of_what_several_replicas_tell_the_budget_that_frees_last_is_said() -> None:
    told = [
        ExceededBound(Reason.CIRCUIT_OPEN, "Tool crm fails"),
        ExceededBound(Reason.BUDGET_EXCEEDED, BUDGET),
        ExceededBound(Reason.BUDGET_EXCEEDED, BUDGET, EARLY),
        ExceededBound(Reason.BUDGET_EXCEEDED, BUDGET, LATE),
    ]
    assert within_bounds(told) == within_bounds(told[::-1]) == within_bounds([told[-1]])


@pytest.mark.parametrize("reason", BOUND_REASONS)
def test_every_bound_has_a_way_out_even_if_no_time_is_known(reason: Reason) -> None:
    verdict = within_bounds([ExceededBound(reason, "it")])
    when = "it frees by no set time; " if reason in COUNTED_REASONS else ""
    start = f"calls are refused: it; {when}"
    assert verdict.message.startswith(start)
    assert len(verdict.message) > len(start)
