"""When the schedules of a Workflow start runs: times by cron and time zone, and what becomes of those that were missed.

What is due next stands in the status, so that whoever leads next goes on from there; the name of a run is a function of the time
that it was due, so that nobody starts a time twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from aos.model.workflow import MissedRuns, Schedule, TriggerStatus

LATE_SECONDS: Final = 60
"""A time that is noticed later than this counts as missed."""
MAX_COUNTED: Final = 10_000
"""Missed times are counted one by one up to so many; of those after, only the last days' are."""
COUNTED_DAYS: Final = 7
"""As above."""
FIELDS: Final = 5
_VALUES: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, as far as the month has them",
    "month": "1 to 12 or JAN to DEC",
    "day-of-week": "0 to 7 or SUN to SAT",
}


class ScheduleError(ValueError):
    """A schedule can't be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Due:
    """Where a schedule stands now.

    Attributes:
        status: to be recorded once the run, if there is one, is made.
        time: the time that a run is to be started for; None for none.
        left_out: times without a run of their own that have passed since the last look.
    """

    status: TriggerStatus
    time: datetime | None = None
    left_out: int = 0


def check_schedule(schedule: Schedule, now: datetime) -> None:
    """Find out whether a schedule can be kept.

    Raises:
        ScheduleError: it can't be read, or no time ever fits it.
    """
    if _next(schedule, now) is None:
        raise ScheduleError(f"cron {schedule.cron!r}: no time ever fits it")


def due(name: str, schedule: Schedule, before: TriggerStatus | None, now: datetime, *, is_held: bool) -> Due:
    """Return whether a run is due.

    Args:
        name: of the trigger.
        schedule: as it is now.
        before: where it stood at the last look; None at the first.
        now: the time.
        is_held: whether nothing may be started.

    Raises:
        ScheduleError: as `check_schedule`.
    """
    expected = _read(before.next_due) if before is not None else None
    if before is None or expected is None or not _fits(schedule, expected):
        # A schedule that is new, or another one, begins now: what it would have started before was nobody's wish.
        known = before or TriggerStatus(name=name)
        return Due(known.model_copy(update={"next_due": _told(_next(schedule, now))}))
    if now < expected or (is_held and schedule.missed_runs is MissedRuns.RUN_ONCE):
        return Due(before)
    passed = [expected, *_passed(schedule, expected, now)]
    last = passed[-1]
    is_late = now - last > timedelta(seconds=LATE_SECONDS)
    starts = not is_held and (schedule.missed_runs is MissedRuns.RUN_ONCE or not is_late)
    left_out = len(passed) - int(starts)
    status = TriggerStatus(
        name=name,
        last_due=_told(last),
        next_due=_told(_next(schedule, now)),
        missed=before.missed + left_out,
    )
    return Due(status, last if starts else None, left_out)


def seconds_until(status: TriggerStatus, now: datetime) -> float | None:
    """Return the time until the next run is due; None where none ever is."""
    expected = _read(status.next_due)
    return max(0.0, (expected - now).total_seconds()) if expected is not None else None


def _passed(schedule: Schedule, expected: datetime, now: datetime) -> Iterator[datetime]:
    """Yield the times after ``expected`` that have passed."""
    last = expected
    for time in islice(_times(schedule, expected), MAX_COUNTED):
        if time > now:
            return
        last = time
        yield time
    yield from takewhile(
        lambda time: time <= now, _times(schedule, max(last, now - timedelta(days=COUNTED_DAYS)))
    )


def _next(schedule: Schedule, now: datetime) -> datetime | None:
    return next(_times(schedule, now), None)


def _fits(schedule: Schedule, time: datetime) -> bool:
    return _next(schedule, time - timedelta(seconds=1)) == time


def _times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    if len(schedule.cron.split()) != FIELDS:
        raise ScheduleError(
            f"cron {schedule.cron!r}: give five fields: minute, hour, day of month, month, day of week"
        )
    try:
        zone = ZoneInfo(schedule.time_zone)
    except (KeyError, OSError, ValueError) as error:
        raise ScheduleError(
            f"timeZone {schedule.time_zone!r} is not known; give an IANA name such as Europe/Berlin"
        ) from error
    try:
        times = CronSim(schedule.cron, after.astimezone(zone))
    except CronSimError as error:
        raise ScheduleError(f"cron {schedule.cron!r}: {_way_out(str(error))}") from error
    # Where clocks are set back, a time of the hour that comes twice would be told again.
    return (utc for time in times if (utc := time.astimezone(UTC)) > after)


def _way_out(said: str) -> str:
    """Return what CronSim says of a field, such as ``Bad hour``, with what may stand there."""
    field = said.removeprefix("Bad ")
    if field not in _VALUES:
        return said
    return f"the {field} fits nothing; write {_VALUES[field]}, a list or range of them, or *"


def _read(told: str) -> datetime | None:
    return datetime.fromisoformat(told) if told else None


def _told(time: datetime | None) -> str:
    return time.isoformat().replace("+00:00", "Z") if time is not None else ""
