from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aos.model.base import JsonObject
from aos.reconcile.approval import reconcile_request
from aos.reconcile.waiting import MAX_WAIT_SECONDS, Wait, Waiting, wait_of, waiting
from tests.unit.reconcile.asked import EXPIRES, decided, looked_at, moment, observed, request, said, written
from tests.unit.reconcile.make import CREATED, NOW, task

DEADLINE = CREATED + timedelta(minutes=10)
"""Of a Task that waits for nobody."""


def wait(since: float, until: float, name: str = "apr-1", *, is_over: bool = True) -> Wait:
    """Return a wait by minutes from the Task's creation."""
    return Wait(name, minutes(since), minutes(until), is_over)


def minutes(count: float) -> datetime:
    return CREATED + timedelta(minutes=count)


def test_a_task_that_nobody_was_asked_about_has_the_deadline_of_its_spec() -> None:
    assert waiting(task(), []) == Waiting()


def test_an_open_request_moves_the_deadline_by_all_that_it_may_wait() -> None:
    found = waiting(task(), [wait(2, 242, is_over=False)])
    assert found == Waiting("apr-1", 0, DEADLINE + timedelta(minutes=240))


def test_a_request_that_is_over_moves_it_by_what_it_waited() -> None:
    assert waiting(task(), [wait(2, 5)]) == Waiting("", 180, DEADLINE + timedelta(minutes=3))


def test_time_that_two_requests_share_counts_once() -> None:
    both = [wait(2, 5), wait(3, 6, "apr-2"), wait(3, 4, "apr-3"), wait(8, 9, "apr-4")]
    assert waiting(task(), both) == Waiting("", 300, DEADLINE + timedelta(minutes=5))


def test_of_several_open_ones_it_waits_for_the_first() -> None:
    both = [wait(3, 9, "apr-2", is_over=False), wait(2, 5, is_over=False), wait(1, 2, "apr-0")]
    assert waiting(task(), both) == Waiting("apr-1", 60, DEADLINE + timedelta(minutes=8))


def test_what_it_waited_is_not_taken_back_with_the_request() -> None:
    before = task(status={"waitedSeconds": 180, "deadline": moment(DEADLINE + timedelta(minutes=3))})
    assert waiting(before, []) == Waiting("", 180, DEADLINE + timedelta(minutes=3))
    assert waiting(before, [wait(20, 21)]).waited_seconds == 180
    assert waiting(before, [wait(20, 25)]).waited_seconds == 300


def test_it_waits_for_a_week_at_most() -> None:
    found = waiting(task(), [wait(1, 30 * 24 * 60, is_over=False)])
    assert found.deadline == DEADLINE + timedelta(seconds=MAX_WAIT_SECONDS)


def test_a_task_that_was_not_created_yet_has_no_deadline_to_move() -> None:
    unborn = task(meta={"creationTimestamp": None})
    assert waiting(unborn, [wait(2, 5)]).deadline is None


def test_a_call_waits_from_its_request_to_its_expiry() -> None:
    assert wait_of(request()) == Wait("apr-1", NOW, EXPIRES, is_over=False)
    approved = looked_at(decided(looked_at(request()), said("ada")))
    assert wait_of(approved) == Wait("apr-1", NOW, EXPIRES, is_over=False)


def test_a_call_that_was_made_and_is_reviewed_holds_nothing_up() -> None:
    assert wait_of(request(type="Review", call="c1")) is None


LATER = NOW + timedelta(minutes=2)


def test_a_wait_is_over_when_the_call_is_let_through_though_nobody_has_said_so_yet() -> None:
    approved = looked_at(decided(looked_at(request()), said("ada")))
    use: JsonObject = {"call": "c1", "time": moment(LATER)}
    used = written(approved, reconcile_request(observed(approved), LATER), use=use)
    assert wait_of(used) == Wait("apr-1", NOW, LATER, is_over=True)


@pytest.mark.parametrize("verdict", ["Reject", "none"])
def test_a_wait_is_over_when_the_request_ends(verdict: str) -> None:
    asked = looked_at(request())
    if verdict == "Reject":
        ended = looked_at(decided(asked, said("ada", "Reject")), LATER)
        assert wait_of(ended) == Wait("apr-1", NOW, LATER, is_over=True)
    else:
        stale = looked_at(asked, LATER, task=None)
        assert wait_of(stale) == Wait("apr-1", NOW, LATER, is_over=True)
        expired = looked_at(asked, EXPIRES + timedelta(hours=1))
        assert wait_of(expired) == Wait("apr-1", NOW, EXPIRES, is_over=True)


_MINUTES = st.integers(min_value=0, max_value=500)
_WAITS = st.lists(
    st.tuples(_MINUTES, _MINUTES, st.booleans()).map(
        lambda item: wait(min(item[:2]), max(item[:2]), is_over=item[2])
    ),
    max_size=6,
)


@settings(deadline=None)
@given(waits=_WAITS, more=_WAITS)
def test_the_order_does_not_matter_and_more_waiting_never_brings_the_deadline_nearer(
    waits: list[Wait], more: list[Wait]
) -> None:
    found = waiting(task(), waits)
    assert waiting(task(), waits[::-1]) == found
    together = waiting(task(), [*waits, *more])
    assert (together.deadline or DEADLINE) >= (found.deadline or DEADLINE) >= DEADLINE
    longest = sum(((item.until - item.since) for item in waits), timedelta())
    assert (found.deadline or DEADLINE) <= DEADLINE + longest
