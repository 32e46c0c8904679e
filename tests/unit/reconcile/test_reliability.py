from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aos.model.agent import Reliability
from aos.model.approval_request import ApprovalRequest
from aos.model.tool import Risk
from aos.reconcile.reliability import MAX_RECENT, Judged, Judgement, counted, judged
from tests.unit.reconcile.asked import EXPIRES, decided, looked_at, request, said

YES = Judged(Risk.MEDIUM, Judgement.APPROVED)
NO = Judged(Risk.HIGH, Judgement.REJECTED)


def after(verdict: str, type_: str = "Call") -> ApprovalRequest:
    return looked_at(decided(looked_at(request(type=type_)), said("ada", verdict)))


@pytest.mark.parametrize(
    ("verdict", "type_", "judgement"),
    [
        ("Approve", "Call", Judgement.APPROVED),
        ("Reject", "Call", Judgement.REJECTED),
        ("Approve", "Review", Judgement.CONFIRMED),
        ("Reject", "Review", Judgement.OVERTURNED),
    ],
)
def test_a_decision_judges_the_call(verdict: str, type_: str, judgement: Judgement) -> None:
    assert judged(after(verdict, type_)) == Judged(Risk.MEDIUM, judgement)


def test_what_nobody_decided_judges_nothing() -> None:
    asked = looked_at(request())
    assert judged(asked) is None
    assert judged(looked_at(asked, EXPIRES)) is None
    assert judged(looked_at(asked, EXPIRES, task=None)) is None


def test_an_approval_counts_though_it_was_not_used_in_time() -> None:
    expired = looked_at(after("Approve"), EXPIRES + timedelta(hours=1))
    assert judged(expired) == Judged(Risk.MEDIUM, Judgement.APPROVED)


def test_what_is_marked_as_counted_is_not_counted() -> None:
    item = after("Approve")
    marked = item.status.model_copy(update={"tallied": True})
    assert judged(item.model_copy(update={"status": marked})) is None


def test_counts_are_kept_by_risk() -> None:
    found = counted(None, {"u1": YES, "u2": NO, "u3": YES})
    assert found is not None
    assert [(one.risk, one.approved, one.rejected) for one in found.risks] == [
        (Risk.MEDIUM, 2, 0),
        (Risk.HIGH, 0, 1),
    ]
    assert found.recent == ("u1", "u2", "u3")


def test_a_request_counts_once() -> None:
    once = counted(None, {"u1": YES})
    assert counted(once, {"u1": YES}) is once
    assert counted(once, {}) is once
    assert counted(None, {}) is None


def test_what_is_not_marked_yet_is_never_forgotten() -> None:
    many = {f"u{number:04}": YES for number in range(MAX_RECENT + 10)}
    full = counted(None, many)
    assert full is not None
    assert len(full.recent) == MAX_RECENT
    assert counted(full, many) == full
    marked = {"u0003", "u0007", "u0100"}
    rest = {uid: item for uid, item in many.items() if uid not in marked}
    more = counted(full, rest)
    assert more is not None
    assert more.risks[0].approved == MAX_RECENT + len(marked)
    assert set(full.recent) - set(more.recent) == marked


@settings(max_examples=40, deadline=None)
@given(rounds=st.lists(st.tuples(st.integers(1, 200), st.booleans(), st.booleans()), max_size=12))
def test_whatever_dies_between_the_two_writes_each_request_counts_once(
    rounds: list[tuple[int, bool, bool]],
) -> None:
    """Each round some requests are decided; the Agent's write and then the requests' marks come through, or do not."""
    known: Reliability | None = None
    unmarked: dict[str, Judged] = {}
    total = 0
    for number, (count, is_counted, is_marked) in enumerate(rounds):
        unmarked |= {f"{number}-{item}": YES for item in range(count)}
        total += count
        if is_counted:
            known = counted(known, unmarked)
        if is_marked and known is not None:
            unmarked = {uid: item for uid, item in unmarked.items() if uid not in known.recent}
    for _ in range(30):
        known = counted(known, unmarked)
        unmarked = {uid: item for uid, item in unmarked.items() if known and uid not in known.recent}
    assert (known.risks[0].approved if known else 0) == total
    assert known is None or len(known.recent) <= MAX_RECENT
