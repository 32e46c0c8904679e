from datetime import UTC, datetime

import pytest

from aos.gateway.control.announcing import Announcers
from aos.gateway.control.persisting import MAX_BOUNDS, QUIET_SECONDS, Exceeded, PersistingBounds
from aos.gateway.refusal import RefusalCode, Refused
from aos.model.conditions import BOUND_REASONS, COUNTED_REASONS, Reason
from aos.policy.decision import Effect
from tests.unit.gateway_control.make import caller, effective

NAME = "Policy baseline, budget dollar (Agent sales/enricher)"
CALLER = caller(effective())
AGENT = (CALLER.namespace, CALLER.agent)


def refused(code: RefusalCode, seconds: float | None, bound: str = NAME) -> Refused:
    return Refused(
        Effect.DENY, code, "", retry_after_seconds=seconds, facts={"bound": bound}, note="crm fails"
    )


class Bounds:
    """The bounds with clocks that stand still, and a policy that may be changed."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.digest = CALLER.policy.digest
        self.kept = PersistingBounds(lambda: self.now, lambda: self.now)

    def refuse(self, code: RefusalCode, seconds: float | None = None, bound: str = NAME) -> None:
        self.kept.announce(CALLER, refused(code, seconds, bound))

    def told(self) -> list[Exceeded | None]:
        changes = self.kept.changes(lambda _namespace, _agent: self.digest)
        assert changes.keys() <= {AGENT}
        return list(changes.values())


@pytest.fixture
def bounds() -> Bounds:
    return Bounds()


def test_a_bound_that_frees_late_is_told_once_and_again_when_it_has_freed(bounds: Bounds) -> None:
    assert bounds.told() == []
    for _ in range(100):
        bounds.refuse(RefusalCode.BUDGET_EXCEEDED, 100)
        assert len(bounds.told()) <= 1
    bounds.now += 99
    assert bounds.told() == []
    bounds.now += 1
    assert bounds.told() == [None]
    assert bounds.told() == []


def test_what_is_told_names_the_bound_and_when_it_frees(bounds: Bounds) -> None:
    bounds.refuse(RefusalCode.BUDGET_EXCEEDED, 100)
    assert bounds.told() == [Exceeded(Reason.BUDGET_EXCEEDED, NAME, datetime.fromtimestamp(1100, UTC))]


def test_a_bound_that_frees_soon_is_told_only_if_refusals_go_on(bounds: Bounds) -> None:
    for _ in range(6):
        bounds.refuse(RefusalCode.LIMIT_EXCEEDED, 5)
        assert bounds.told() == []
        bounds.now += 10
    bounds.refuse(RefusalCode.LIMIT_EXCEEDED, 5)
    assert bounds.told() == [Exceeded(Reason.LIMIT_EXCEEDED, NAME)]
    bounds.now += 59
    assert bounds.told() == []
    bounds.now += 1
    assert bounds.told() == [None]


def test_refusals_that_are_far_apart_are_no_row(bounds: Bounds) -> None:
    for _ in range(5):
        bounds.refuse(RefusalCode.LOOP_DETECTED)
        bounds.now += 61
        assert bounds.told() == []


def test_what_time_does_not_free_is_over_when_nothing_was_refused_for_long(bounds: Bounds) -> None:
    for _ in range(3):
        bounds.refuse(RefusalCode.LOOP_DETECTED)
        bounds.now += 30
    assert bounds.told() == [Exceeded(Reason.LOOP_DETECTED, NAME)]
    bounds.now += QUIET_SECONDS
    assert bounds.told() == [None]


def test_a_time_that_has_passed_is_told_anew_while_refusals_go_on(bounds: Bounds) -> None:
    bounds.refuse(RefusalCode.BUDGET_EXCEEDED, 100)
    assert len(bounds.told()) == 1
    told = []
    for _ in range(40):
        bounds.now += 10
        bounds.refuse(RefusalCode.BUDGET_EXCEEDED, 100)
        told += bounds.told()
    assert told == [Exceeded(Reason.BUDGET_EXCEEDED, NAME, datetime.fromtimestamp(1400, UTC))]


def test_another_policy_begins_anew(bounds: Bounds) -> None:
    bounds.refuse(RefusalCode.BUDGET_EXCEEDED, 100)
    assert len(bounds.told()) == 1
    bounds.digest = "another"
    assert bounds.told() == [None]


def test_of_several_bounds_the_gravest_is_told(bounds: Bounds) -> None:
    bounds.refuse(RefusalCode.CIRCUIT_OPEN, 100, "")
    (told,) = bounds.told()
    assert told
    assert told.bound == "crm fails"
    bounds.refuse(RefusalCode.BUDGET_EXCEEDED, 100)
    (told,) = bounds.told()
    assert told
    assert told.reason is Reason.BUDGET_EXCEEDED


@pytest.mark.parametrize("reason", BOUND_REASONS)
def test_whatever_calls_stay_refused_for_is_told_once(bounds: Bounds, reason: Reason) -> None:
    code, told = RefusalCode(reason.value), []
    for _ in range(600):
        bounds.refuse(code, 1 if reason in COUNTED_REASONS else 500, NAME)
        told += bounds.told()
        bounds.now += 1
    assert [(each.reason, each.frees_at) for each in told if each] == [(reason, None)]


@pytest.mark.parametrize(
    "code", sorted(set(RefusalCode) - {RefusalCode(each.value) for each in BOUND_REASONS})
)
def test_what_other_conditions_tell_or_concerns_one_call_is_not_told(
    bounds: Bounds, code: RefusalCode
) -> None:
    for _ in range(600):
        bounds.refuse(code, 500)
        bounds.now += 1
    assert bounds.told() == []


def test_a_single_refusal_that_counts_nothing_is_not_told_however_long_its_cause_may_last(
    bounds: Bounds,
) -> None:
    bounds.refuse(RefusalCode.RECORD_BUSY, 600)
    assert bounds.told() == []


def test_calls_that_are_refused_for_one_reason_persist_whatever_each_is_refused_for(bounds: Bounds) -> None:
    told = []
    for number in range(61):
        bounds.refuse(RefusalCode.RECORD_BUSY, 600, f"held by Task t{number}")
        told += bounds.told()
        bounds.now += 10
    assert told == [
        Exceeded(Reason.RECORD_BUSY, "held by Task t6"),
        Exceeded(Reason.RECORD_BUSY, "held by Task t36"),
    ]
    bounds.now += QUIET_SECONDS
    assert bounds.told() == [None]


def test_what_is_remembered_is_bounded(bounds: Bounds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.gateway.control.persisting.MAX_AGENTS", 1)
    for number in range(MAX_BOUNDS + 5):
        bounds.refuse(RefusalCode.LIMIT_EXCEEDED, 100, f"limit {number}")
    assert len(bounds.kept._rows[AGENT]) == MAX_BOUNDS
    assert len(bounds.told()) == 1
    Announcers((bounds.kept,)).announce(
        caller(effective(agent="writer")), refused(RefusalCode.LIMIT_EXCEEDED, 100)
    )
    assert bounds.told() == [None]


def test_bounds_have_the_names_of_the_refusals() -> None:
    assert {reason.value for reason in BOUND_REASONS} <= {code.value for code in RefusalCode}
