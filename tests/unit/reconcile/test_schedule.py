"""When schedules are due: time zones, clocks that are changed, and times that were missed."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from aos.model.workflow import MissedRuns, Schedule, TriggerStatus
from aos.reconcile.schedule import Due, ScheduleError, check_schedule, due, seconds_until

HOURLY = Schedule(cron="0 * * * *")
CATCHING_UP = Schedule(cron="0 * * * *", missed_runs=MissedRuns.RUN_ONCE)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def standing(next_due: str, last_due: str = "", missed: int = 0) -> TriggerStatus:
    return TriggerStatus(name="t", next_due=next_due, last_due=last_due, missed=missed)


def look(schedule: Schedule, before: TriggerStatus | None, now: str, *, held: bool = False) -> Due:
    return due("t", schedule, before, at(now), is_held=held)


def test_a_new_schedule_begins_with_its_next_time() -> None:
    found = look(HOURLY, None, "2026-01-01T09:30:00")
    assert (found.time, found.status.next_due) == (None, "2026-01-01T10:00:00Z")
    assert seconds_until(found.status, at("2026-01-01T09:30:00")) == 1800


def test_nothing_is_due_before_its_time() -> None:
    before = standing("2026-01-01T10:00:00Z")
    assert look(HOURLY, before, "2026-01-01T09:59:59") == Due(before)


def test_a_run_is_due_at_its_time_and_the_next_one_after() -> None:
    found = look(HOURLY, standing("2026-01-01T10:00:00Z"), "2026-01-01T10:00:01")
    assert found.time == at("2026-01-01T10:00:00")
    assert found.status == standing("2026-01-01T11:00:00Z", "2026-01-01T10:00:00Z")
    # What is recorded is not due again.
    assert look(HOURLY, found.status, "2026-01-01T10:00:02").time is None


def test_times_that_were_missed_are_left_out() -> None:
    found = look(HOURLY, standing("2026-01-01T10:00:00Z"), "2026-01-01T13:30:00")
    assert (found.time, found.left_out, found.status.missed) == (None, 4, 4)
    assert found.status.next_due == "2026-01-01T14:00:00Z"


def test_a_time_that_has_just_come_is_started_though_others_were_missed() -> None:
    found = look(HOURLY, standing("2026-01-01T10:00:00Z"), "2026-01-01T13:00:30")
    assert (found.time, found.left_out) == (at("2026-01-01T13:00:00"), 3)


def test_one_run_is_started_for_all_that_were_missed_where_the_schedule_says_so() -> None:
    found = look(CATCHING_UP, standing("2026-01-01T10:00:00Z"), "2026-01-01T13:30:00")
    assert (found.time, found.left_out) == (at("2026-01-01T13:00:00"), 3)


def test_while_it_is_held_times_are_left_out_or_kept_for_one_run() -> None:
    before = standing("2026-01-01T10:00:00Z")
    left_out = look(HOURLY, before, "2026-01-01T10:00:01", held=True)
    assert (left_out.time, left_out.status.missed) == (None, 1)
    assert look(CATCHING_UP, before, "2026-01-01T12:00:01", held=True) == Due(before)
    assert look(CATCHING_UP, before, "2026-01-01T12:00:01").time == at("2026-01-01T12:00:00")


def test_another_schedule_begins_anew() -> None:
    found = look(
        Schedule(cron="30 * * * *"), standing("2026-01-01T10:00:00Z", missed=2), "2026-01-01T13:00:00"
    )
    assert (found.time, found.status.next_due, found.status.missed) == (None, "2026-01-01T13:30:00Z", 2)


def test_a_rare_time_that_was_missed_is_not_forgotten() -> None:
    yearly = Schedule(cron="0 0 1 1 *", missed_runs=MissedRuns.RUN_ONCE)
    found = look(yearly, standing("2024-01-01T00:00:00Z"), "2026-06-01T00:00:00")
    assert (found.time, found.left_out) == (at("2026-01-01T00:00:00"), 2)


def test_a_long_time_away_is_counted_within_bounds() -> None:
    found = look(Schedule(cron="* * * * *"), standing("2020-01-01T00:00:00Z"), "2026-01-01T00:00:00")
    assert found.status.last_due == "2026-01-01T00:00:00Z"
    assert found.left_out <= 10_000 + 7 * 24 * 60


def times(schedule: Schedule, start: str, count: int) -> list[str]:
    """Return the next times, looked for as the operator does: from one to the next."""
    now, found = at(start), []
    status = due("t", schedule, None, now, is_held=False).status
    for _ in range(count):
        now = datetime.fromisoformat(status.next_due)
        one = due("t", schedule, status, now + timedelta(seconds=1), is_held=False)
        assert one.time == now
        found.append(status.next_due)
        status = one.status
    return found


def test_a_time_that_clocks_leave_out_comes_once_and_late() -> None:
    # In Berlin the hour from 2 to 3 is left out on 29 March 2026.
    nightly = Schedule(cron="30 2 * * *", time_zone="Europe/Berlin")
    assert times(nightly, "2026-03-28T00:00:00", 3) == [
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ]


@pytest.mark.parametrize("start", ["2026-10-24T12:00:00", "2026-10-25T00:10:00", "2026-10-25T00:40:00"])
def test_a_time_that_clocks_have_twice_comes_once(start: str) -> None:
    # In Berlin the hour from 2 to 3 comes twice on 25 October 2026.
    nightly = Schedule(cron="30 2 * * *", time_zone="Europe/Berlin")
    first = [] if start.endswith("40:00") else ["2026-10-25T00:30:00Z"]
    assert times(nightly, start, 2)[: len(first) + 1] == [*first, "2026-10-26T01:30:00Z"]


def test_times_of_every_hour_keep_their_distance_over_both_changes() -> None:
    hourly = Schedule(cron="*/30 * * * *", time_zone="Europe/Berlin")
    for start in ("2026-03-28T23:00:00", "2026-10-24T23:00:00"):
        found = [datetime.fromisoformat(time) for time in times(hourly, start, 8)]
        assert {b - a for a, b in itertools.pairwise(found)} == {timedelta(minutes=30)}


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (Schedule(cron="61 * * * *"), "the minute fits nothing; write 0 to 59"),
        (Schedule(cron="0 0 * * FOO"), "write 0 to 7 or SUN to SAT"),
        (Schedule(cron="0 0 30 2 *"), "0 0 30 2"),
        (Schedule(cron="* * * * * *"), "five fields"),
        (Schedule(cron="@every 1h"), "five fields"),
        (Schedule(cron="0 0 * * *", time_zone="Moon/Sea"), "Moon/Sea"),
        (Schedule(cron="0 0 * * *", time_zone="Europe"), "Europe"),
        (Schedule(cron="0 0 * * *", time_zone="/etc/passwd"), "IANA"),
    ],
)
def test_what_can_not_be_kept_is_said(schedule: Schedule, said: str) -> None:
    with pytest.raises(ScheduleError, match=said):
        check_schedule(schedule, at("2026-01-01T00:00:00"))
