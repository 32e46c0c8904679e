import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.store.counter import BUCKETS_PER_WINDOW, NEVER, Counter

NOW = 1_800_000_000_000


@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(1, 3)), max_size=60),
)
def test_no_span_of_the_windows_length_holds_more_than_the_limit(
    window: int, limit: int, asked: list[tuple[int, int]]
) -> None:
    counter, now = Counter(), NOW
    taken: list[tuple[int, int]] = []
    for pause, amount in asked:
        now += pause
        if counter.used(now, window) + amount <= limit:
            counter.charge(now, window, amount)
            taken.append((now, amount))
        if taken:
            end = taken[-1][0]
            assert sum(units for at, units in taken if at > end - window * 1000) <= limit


@given(st.integers(1, 100_000), st.lists(st.integers(0, 100_000), max_size=200))
def test_a_counter_has_a_bounded_number_of_buckets(window: int, pauses: list[int]) -> None:
    counter, now = Counter(), NOW
    for pause in pauses:
        now += pause
        counter.used(now, window)
        counter.charge(now, window, 1)
        assert len(counter._buckets) <= BUCKETS_PER_WINDOW + 4


@given(
    st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 5)), min_size=1, max_size=20), st.integers(1, 9)
)
def test_units_are_free_when_it_was_said_and_not_before(charges: list[tuple[int, int]], units: int) -> None:
    counter, now = Counter(), NOW
    for pause, amount in charges:
        now += pause
        counter.charge(now, 60, amount)
    used = counter.used(now, 60)
    frees = counter.frees_after(now, 60, units)
    if frees is None:
        assert used < units
        return
    then = now + round(frees * 1000)
    before = Counter.decode(counter.encode(), "")
    assert used - before.used(then - 1, 60) < units
    assert used - counter.used(then, 60) >= units


def test_a_settlement_reaches_the_bucket_of_its_reservation() -> None:
    counter = Counter()
    early = counter.charge(NOW, 60, 5)
    late = counter.charge(NOW + 30_000, 60, 5)
    counter.settle(early, -2)
    counter.settle(late, 4)
    assert counter.used(NOW + 30_000, 60) == 12
    assert counter.used(early + 60_000, 60) == 9


def test_a_settlement_after_the_window_changes_nothing() -> None:
    counter = Counter()
    end = counter.charge(NOW, 60, 5)
    counter.charge(NOW + 200_000, 60, 1)
    assert counter.used(NOW + 200_000, 60) == 1
    counter.settle(end, 100)
    assert counter.used(NOW + 200_000, 60) == 1


def test_a_settlement_never_makes_units_less_than_none() -> None:
    counter = Counter()
    counter.settle(counter.charge(NOW, 0, 5), -9)
    assert counter.empty
    assert counter.used(NOW, 0) == 0


def test_a_clock_that_went_back_frees_nothing() -> None:
    counter = Counter()
    counter.charge(NOW, 60, 5)
    counter.charge(NOW - 3_600_000, 60, 5)
    assert counter.used(NOW - 3_600_000, 60) == 10


def test_a_shorter_window_counts_what_is_in_it() -> None:
    counter = Counter()
    counter.charge(NOW, 3600, 5)
    counter.charge(NOW + 600_000, 3600, 2)
    assert counter.used(NOW + 600_000, 120) == 2
    assert counter.used(NOW + 600_000, 3600) == 7
    counter.charge(NOW + 600_000, 120, 1)
    assert counter.used(NOW + 600_000, 3600) == 3


def test_a_counter_is_read_as_it_was_written() -> None:
    counter = Counter("task")
    counter.charge(NOW, 60, 5)
    again = Counter.decode(counter.encode(), "task")
    assert (again.encode(), again.owner, again.used(NOW, 60)) == (counter.encode(), "task", 5)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[60, [["a", 1]]]', "[60, [[1]]]", "nonsense"])
def test_a_damaged_counter_is_no_empty_one(text: str) -> None:
    with pytest.raises(ValueError, match="a counter is damaged"):
        Counter.decode(text, "")


def test_a_counter_is_kept_while_it_counts() -> None:
    counter = Counter()
    end = counter.charge(NOW, 60, 1)
    expires = counter.expires_ms(NOW, 10)
    assert expires is not None
    assert expires >= end + 60_000


def test_units_that_time_never_frees_are_kept_while_their_task_may_run() -> None:
    total, owned = Counter(), Counter("task")
    assert total.charge(NOW, 0, 1) == owned.charge(NOW, 0, 1) == NEVER
    assert total.expires_ms(NOW, 10) is None
    expires = owned.expires_ms(NOW, 10)
    assert expires is not None
    assert expires >= NOW + 10_000
