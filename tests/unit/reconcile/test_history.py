from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from aos.reconcile.history import EndedTask, expired_tasks
from tests.unit.reconcile.make import NOW


def ended(number: int, minutes: int) -> EndedTask:
    return EndedTask(f"t{number}", f"uid-{number}", NOW - timedelta(minutes=minutes))


def test_the_oldest_go_first() -> None:
    tasks = [ended(1, 5), ended(2, 50), ended(3, 1), ended(4, 20)]
    assert [item.name for item in expired_tasks(tasks, 2)] == ["t2", "t4"]


def test_nothing_goes_within_the_limit() -> None:
    assert expired_tasks([ended(1, 5)], 1) == ()


@given(st.lists(st.integers(0, 100), max_size=30), st.integers(0, 10))
def test_what_stays_is_never_older_than_what_goes(ages: list[int], limit: int) -> None:
    tasks = [ended(number, age) for number, age in enumerate(ages)]
    gone = {item.name for item in expired_tasks(tasks, limit)}
    assert len(tasks) - len(gone) == min(len(tasks), limit)
    oldest_kept = min((task.ended_at for task in tasks if task.name not in gone), default=NOW)
    assert all(task.ended_at <= oldest_kept for task in tasks if task.name in gone)
