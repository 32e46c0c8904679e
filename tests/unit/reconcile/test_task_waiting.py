"""A Task whose calls wait for people: its deadline, and what its status says."""

from datetime import datetime, timedelta

from aos.model.base import JsonObject
from aos.model.task import Task
from aos.reconcile.pod import remaining_seconds
from aos.reconcile.task import reconcile_task
from aos.reconcile.task_step import ObservedTask, deadline_of
from aos.reconcile.waiting import MAX_WAIT_SECONDS, Wait
from tests.unit.reconcile.make import (
    CREATED,
    NOW,
    SETTINGS,
    conditions_of,
    observed_task,
    pod,
    running_status,
    task,
)

LATE = CREATED + timedelta(minutes=10)
OPEN = Wait("apr-1", CREATED + timedelta(minutes=1), CREATED + timedelta(hours=4), is_over=False)
OVER = Wait("apr-1", CREATED + timedelta(minutes=1), CREATED + timedelta(minutes=4), is_over=True)


def running(*waits: Wait, status: JsonObject | None = None) -> ObservedTask:
    said = running_status("Running", "True", **(status or {}))
    return observed_task(task(status=said), [pod("Running", is_running=True)], waits=waits)


def said(observed: ObservedTask, now: datetime) -> JsonObject:
    """Return what the Task's status says of its waiting after a look."""
    status = reconcile_task(observed, SETTINGS, now).status
    assert status is not None
    return {name: status[name] for name in ("deadline", "waitingFor", "waitedSeconds") if name in status}


def again(status: JsonObject, *waits: Wait) -> ObservedTask:
    return running(*waits, status=status)


def test_a_task_that_waits_for_people_says_so_and_does_not_end_at_its_deadline() -> None:
    found = said(running(OPEN), NOW)
    assert found == {"deadline": "2026-01-02T07:12:55Z", "waitingFor": "apr-1", "waitedSeconds": 0}
    plan = reconcile_task(again(found, OPEN), SETTINGS, LATE + timedelta(hours=1))
    assert plan.status is None
    assert plan.requeue_after_seconds == (OPEN.until - OPEN.since - timedelta(hours=1)).total_seconds()


def test_once_people_decided_it_has_the_time_left_that_it_had_before() -> None:
    waiting = said(running(OPEN), NOW)
    found = said(again(waiting, OVER), NOW)
    assert found == {"deadline": "2026-01-02T03:16:55Z", "waitedSeconds": 180}
    observed = again(found, OVER)
    before_the_end = LATE + timedelta(minutes=3, seconds=-1)
    assert reconcile_task(observed, SETTINGS, before_the_end).status is None
    plan = reconcile_task(observed, SETTINGS, LATE + timedelta(minutes=3))
    assert conditions_of(plan)["Succeeded"] == ("False", "DeadlineExceeded")


def test_what_it_waited_stands_in_every_status_or_apply_would_drop_it() -> None:
    observed = again({"deadline": "2026-01-02T03:16:55Z", "waitedSeconds": 180}, OVER)
    assert said(observed, LATE + timedelta(hours=1))["waitedSeconds"] == 180


def test_a_task_that_ends_waits_for_nobody() -> None:
    ended = task(
        status=running_status(
            "Running", "True", result={"outcome": "Succeeded", "time": "2026-01-02T03:04:04Z"}
        )
    )
    found = said(observed_task(ended, [pod("Running", is_running=True)], waits=[OPEN]), NOW)
    assert "waitingFor" not in found


def test_everybody_who_reads_the_status_finds_the_operators_deadline() -> None:
    observed = running(OVER)
    raw = observed.task.model_dump(mode="json", by_alias=True, exclude_none=True)
    written = Task.parse({**raw, "status": {**raw["status"], **said(observed, NOW)}})
    assert written.due_at == deadline_of(observed, NOW)
    assert task().due_at == deadline_of(observed_task(task()), NOW) == LATE
    assert task(meta={"creationTimestamp": None}).due_at is None


def test_the_kubelet_ends_no_pod_that_may_still_wait() -> None:
    made = reconcile_task(observed_task(task()), SETTINGS, NOW).create
    assert made is not None
    spec = made["spec"]
    assert isinstance(spec, dict)
    left = remaining_seconds(LATE, NOW)
    assert spec["activeDeadlineSeconds"] == left + MAX_WAIT_SECONDS + SETTINGS.deadline_grace_seconds
