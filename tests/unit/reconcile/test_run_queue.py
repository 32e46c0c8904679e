"""Whose turn it is among the open runs of a Workflow."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.model.workflow import Concurrency, OnExcess
from aos.reconcile.run_queue import Contender, Turn, turns
from tests.unit.reconcile.make import NOW


def contender(
    uid: str, age: int = 0, *, priority: int = 0, started: bool = False, held: bool = False
) -> Contender:
    return Contender(uid, uid, priority, NOW - timedelta(seconds=age), has_started=started, is_held=held)


def bounded(on_excess: OnExcess = OnExcess.QUEUE, most: int = 1) -> Concurrency:
    return Concurrency(max_runs=most, on_excess=on_excess)


def test_without_a_bound_every_run_goes() -> None:
    found = turns([contender("a"), contender("b", started=True)], None)
    assert found == {"a": Turn.GO, "b": Turn.GO}


def test_a_suspended_run_that_has_not_started_waits_and_takes_nobodys_place() -> None:
    open_runs = [contender("old", 9, held=True), contender("new", 1)]
    assert turns(open_runs, bounded()) == {"old": Turn.WAIT, "new": Turn.GO}
    assert turns(open_runs, None) == {"old": Turn.WAIT, "new": Turn.GO}


def test_a_suspended_run_that_has_started_keeps_its_place() -> None:
    found = turns([contender("old", 9, started=True, held=True), contender("new", 1)], bounded())
    assert found == {"old": Turn.GO, "new": Turn.WAIT}


def test_the_oldest_comes_first() -> None:
    found = turns([contender("new", 1), contender("old", 9)], bounded())
    assert found == {"old": Turn.GO, "new": Turn.WAIT}


def test_the_highest_priority_comes_before_the_oldest_but_takes_no_place_that_is_taken() -> None:
    waiting = [contender("old", 9), contender("urgent", 1, priority=5)]
    assert turns(waiting, bounded()) == {"urgent": Turn.GO, "old": Turn.WAIT}
    taken = [contender("first", 20, started=True), *waiting]
    assert turns(taken, bounded()) == {"first": Turn.GO, "urgent": Turn.WAIT, "old": Turn.WAIT}


def test_those_beyond_the_most_are_skipped_where_the_workflow_says_so() -> None:
    found = turns([contender("old", 9, started=True), contender("new", 1)], bounded(OnExcess.SKIP))
    assert found == {"old": Turn.GO, "new": Turn.SKIP}


def test_a_newer_run_takes_the_place_of_the_oldest_once_that_has_ended() -> None:
    replace = bounded(OnExcess.REPLACE)
    found = turns([contender("old", 9, started=True), contender("new", 1)], replace)
    assert found == {"old": Turn.MAKE_WAY, "new": Turn.WAIT}
    assert turns([contender("new", 1)], replace) == {"new": Turn.GO}


def test_runs_that_had_no_turn_make_way_at_once() -> None:
    replace = bounded(OnExcess.REPLACE)
    found = turns([contender("a", 9), contender("b", 5), contender("c", 1)], replace)
    assert found == {"a": Turn.MAKE_WAY, "b": Turn.MAKE_WAY, "c": Turn.GO}


@pytest.mark.parametrize("on_excess", list(OnExcess))
@given(data=st.data())
def test_no_more_runs_go_than_may_but_for_those_that_went_before(
    on_excess: OnExcess, data: st.DataObject
) -> None:
    most = data.draw(st.integers(1, 4))
    open_runs = [
        contender(
            str(number), data.draw(st.integers(0, 9)), priority=data.draw(st.integers(0, 2)), started=begun
        )
        for number, begun in enumerate(data.draw(st.lists(st.booleans(), max_size=8)))
    ]
    found = turns(open_runs, bounded(on_excess, most))
    assert found.keys() == {item.uid for item in open_runs}
    started = sum(item.has_started for item in open_runs)
    begins = sum(found[item.uid] is Turn.GO and not item.has_started for item in open_runs)
    assert begins <= max(0, most - started)
    # Nobody waits while there is room.
    if started < most:
        waiting = sum(found[item.uid] in (Turn.WAIT, Turn.SKIP) for item in open_runs)
        assert not waiting or started + begins == most
