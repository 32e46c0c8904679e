"""Bounds of delays."""

from hypothesis import given
from hypothesis import strategies as some

from aos.kube.backoff import Backoff


def test_delays_double_up_to_the_cap() -> None:
    backoff = Backoff(initial_seconds=1, cap_seconds=10, jitter=0)
    assert [backoff.delay_seconds(failures) for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_chance_takes_off_at_most_the_jitter() -> None:
    backoff = Backoff(initial_seconds=4, cap_seconds=10, jitter=0.5)
    assert backoff.delay_seconds(1, chance=lambda: 0.0) == 4
    assert backoff.delay_seconds(1, chance=lambda: 1.0) == 2


def test_what_the_other_side_asks_for_is_kept_up_to_the_cap() -> None:
    backoff = Backoff(initial_seconds=1, cap_seconds=10)
    assert backoff.delay_seconds(1, at_least_seconds=7) == 7
    assert backoff.delay_seconds(1, at_least_seconds=3600) == 10


@given(
    failures=some.integers(1, 10**6),
    initial=some.floats(0.001, 60),
    cap=some.floats(0.001, 3600),
    jitter=some.floats(0, 1),
    asked=some.floats(0, 1e9),
)
def test_a_delay_is_never_negative_and_never_above_the_cap(
    failures: int, initial: float, cap: float, jitter: float, asked: float
) -> None:
    assert 0 <= Backoff(initial, cap, jitter).delay_seconds(failures, asked) <= cap
