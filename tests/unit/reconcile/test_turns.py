from collections import Counter
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from aos.reconcile.turns import Waiter, in_turn, place
from tests.unit.reconcile.make import NOW

WAITERS = st.lists(
    st.builds(
        lambda namespace, name, priority, age: Waiter(
            namespace, f"t{name}", priority, NOW - timedelta(seconds=age)
        ),
        st.sampled_from("abc"),
        st.integers(0, 30),
        st.integers(-2, 2),
        st.integers(0, 5),
    ),
    unique_by=lambda one: (one.namespace, one.name),
)
RUNNING = st.dictionaries(st.sampled_from("abc"), st.integers(0, 4))


def by_namespace(waiters: list[Waiter]) -> dict[str, list[Waiter]]:
    return {name: [one for one in waiters if one.namespace == name] for name in "abc"}


@given(WAITERS, RUNNING)
def test_everybody_gets_a_turn_and_only_one(waiters: list[Waiter], running: dict[str, int]) -> None:
    found = list(in_turn(by_namespace(waiters), running))
    assert Counter(found) == Counter(waiters)


@given(WAITERS, RUNNING)
def test_within_a_namespace_priority_and_then_age_decide(
    waiters: list[Waiter], running: dict[str, int]
) -> None:
    for name in "abc":
        line = [one for one in in_turn(by_namespace(waiters), running) if one.namespace == name]
        assert line == sorted(line, key=lambda one: (-one.priority, one.created, one.name))


@given(WAITERS, RUNNING)
def test_each_turn_is_of_a_namespace_in_which_the_fewest_run(
    waiters: list[Waiter], running: dict[str, int]
) -> None:
    counts, left = Counter(running), Counter(one.namespace for one in waiters)
    for one in in_turn(by_namespace(waiters), running):
        assert counts[one.namespace] == min(counts[name] for name in left if left[name])
        counts[one.namespace] += 1
        left[one.namespace] -= 1


def test_a_priority_counts_within_its_own_namespace_alone() -> None:
    loud = Waiter("a", "loud", 1000, NOW)
    old = Waiter("b", "old", -1000, NOW - timedelta(hours=1))
    assert list(in_turn({"a": [loud], "b": [old]}, {"a": 1})) == [old, loud]
    assert list(in_turn({"a": [loud], "b": [old]}, {})) == [old, loud]


def test_a_place_is_told_in_words_that_stay_true() -> None:
    assert place(0) == "it is next"
    assert place(1) == place(9) == "fewer than 10 Tasks are ahead of it"
    assert place(10) == "fewer than 100 Tasks are ahead of it"
