from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.model.workflow_step import Retry
from aos.workflow.backoff import next_attempt_at
from tests.unit.workflow.world import START

RETRY = Retry(attempts=10, backoff="10s", max_backoff="1m")


@pytest.mark.parametrize(("attempt", "full"), [(2, 10), (3, 20), (4, 40), (5, 60), (10, 60)])
def test_each_wait_is_twice_the_one_before_up_to_the_longest_and_shortened_by_a_fifth_at_most(
    attempt: int, full: int
) -> None:
    waits = {
        (next_attempt_at(START, RETRY, attempt, f"run/step/{item}/{attempt}") - START).total_seconds()
        for item in range(50)
    }

    assert full * 0.8 <= min(waits)
    assert max(waits) <= full
    assert len(waits) > 40
    assert min(waits) < full * 0.85
    assert max(waits) > full * 0.95


@given(identity=st.text(), attempt=st.integers(2, 10))
def test_the_time_of_the_next_attempt_depends_on_data_alone(identity: str, attempt: int) -> None:
    first = next_attempt_at(START, RETRY, attempt, identity)

    assert first == next_attempt_at(START, RETRY, attempt, identity)
    assert first > START
    assert next_attempt_at(START + timedelta(days=1), RETRY, attempt, identity) == first + timedelta(days=1)
