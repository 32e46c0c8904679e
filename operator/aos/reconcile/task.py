"""Task: one run by one pod, from waiting to its one end. Level-based: what is observed decides, not what was seen before.

The pod's uid is recorded in the status before the gateway takes calls from it. A pod that vanished before it was recorded did
nothing and may be made again; one that was recorded never is. So it is with pods that were there before (see
`aos.reconcile.claim`). The record and the end are written against the version
of the Task that they were decided on, so that a stale cache can neither start a second run nor end a Task wrongly.

A Task that was handed over ends with the one that it came from. Where that one was deleted, the cluster's garbage
collector deletes it, as it belongs to it; where that one has merely ended, it ends here.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from aos.model.base import JsonObject
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import Condition, ConditionStatus
from aos.model.task import Task
from aos.reconcile.claim import adopted
from aos.reconcile.conditions import Verdict, as_json, conditions, find, no, unchanged, unknown
from aos.reconcile.events import EventReason, EventType, Happening, happenings
from aos.reconcile.observed_pod import ObservedPod, PodOwner, PodPhase
from aos.reconcile.plan import Deletion, Plan, PodChange
from aos.reconcile.pod import remaining_seconds
from aos.reconcile.settings import OperatorSettings
from aos.reconcile.task_run import run_step
from aos.reconcile.task_start import start_step
from aos.reconcile.task_step import ObservedTask, Step, deadline_of, handed_in, started_of
from aos.reconcile.waiting import Waiting

_SELF_ENDING: Final = frozenset({Reason.COMPLETED, Reason.AGENT_FAILED})
"""Ends after which the pod goes by itself; after every other one a pod that still runs is removed at once."""
_WORTH_WAITING: Final = frozenset(
    {
        Reason.AGENT_NOT_FOUND,
        Reason.AGENT_NOT_READY,
        Reason.AGENT_SUSPENDED,
        Reason.QUOTA_EXCEEDED,
        Reason.POD_REJECTED,
        Reason.WAITING_FOR_CAPACITY,
        Reason.UNSCHEDULABLE,
        Reason.IMAGE_PULL_FAILED,
    }
)


def reconcile_task(observed: ObservedTask, settings: OperatorSettings, now: datetime) -> Plan:
    """Return what the Task needs; its status must be written against the version that was observed."""
    task = observed.task
    if task.metadata.deletion_timestamp is not None:
        # Deleting is cancelling: the gateway refuses its pod from now on, and the pod goes with its owner.
        return Plan()
    if task.ended:
        return _after_end(observed, settings, now)
    step = _step(observed, settings, now)
    if step.confirm:
        return Plan(confirm=True)
    return _plan(observed, step, settings, now)


def _step(observed: ObservedTask, settings: OperatorSettings, now: datetime) -> Step:
    result = handed_in(observed.task)
    if result is not None:
        return Step(started=started_of(observed.task), ended=result)
    parent_ended = _parent_ended(observed)
    if parent_ended is not None:
        return Step(started=started_of(observed.task), ended=parent_ended)
    recorded = observed.task.status.pod
    if recorded is None:
        return start_step(observed, settings, now)
    return run_step(observed, recorded, settings, now)


def _parent_ended(observed: ObservedTask) -> Verdict | None:
    """Return the end of a Task that nobody waits for any more, since the one that handed it over has ended."""
    ancestor, parent = observed.task.parent, observed.parent
    if ancestor is None or parent is None or parent.metadata.uid != ancestor.task_uid or not parent.ended:
        return None
    return no(
        Reason.PARENT_ENDED, f"Task {ancestor.task} of agent {ancestor.agent} handed this over and has ended"
    )


def _plan(observed: ObservedTask, step: Step, settings: OperatorSettings, now: datetime) -> Plan:
    task = observed.task
    after = conditions(
        task.status.conditions,
        {ConditionType.STARTED: step.started, ConditionType.SUCCEEDED: step.ended or _open(step)},
        task.metadata.generation,
        now,
    )
    is_made = step.create is not None or step.claim is not None
    status = None if is_made else _status(observed, step, after, now)
    return Plan(
        create=step.create,
        claim=step.claim,
        adopt=_adoption(observed, step, settings, now),
        delete=_strays(observed, step),
        status=status,
        events=() if status is None else _events(task, step, after, _image(observed, step)),
        requeue_after_seconds=_look_again(observed, step, now),
    )


def _open(step: Step) -> Verdict:
    return unknown(Reason.RUNNING if step.started.holds else Reason.PENDING)


def _status(
    observed: ObservedTask, step: Step, after: tuple[Condition, ...], now: datetime
) -> JsonObject | None:
    task = observed.task
    waits = observed.waiting if step.ended is None else replace(observed.waiting, request="")
    before = task.status
    generation, image = task.metadata.generation, _image(observed, step)
    if (
        step.record is None
        and step.ended is None
        and image == before.image_id
        and unchanged(before.conditions, after)
        and before.observed_generation == generation
        and waits == Waiting(before.waiting_for, before.waited_seconds, before.deadline)
    ):
        return None
    status: JsonObject = {"observedGeneration": generation, "conditions": list(as_json(after))}
    status |= _record(task, step, now) | _waiting(waits) | ({"imageID": image} if image else {})
    if step.ended is not None:
        status["completionTime"] = _moment(now)
    return status


def _record(task: Task, step: Step, now: datetime) -> JsonObject:
    before = task.status
    if step.record is not None:
        pod: JsonObject = {"name": step.record.name, "uid": step.record.uid}
        return {"pod": pod, "revision": step.revision, "startTime": _moment(now)}
    if before.pod is None:
        return {}
    # Server-side apply drops what is not said again.
    said: JsonObject = {"pod": before.pod.model_dump(mode="json", by_alias=True), "revision": before.revision}
    if before.start_time is not None:
        said["startTime"] = _moment(before.start_time)
    return said


def _image(observed: ObservedTask, step: Step) -> str:
    """Return what the Task's pod ran first; empty while its node has not said so."""
    recorded = step.record or observed.task.status.pod
    found = next((item for item in observed.pods if recorded and item.uid == recorded.uid), step.record)
    return observed.task.status.image_id or (found.image_id if found is not None else "")


def _waiting(waits: Waiting) -> JsonObject:
    said: JsonObject = {}
    if waits.deadline is not None:
        said |= {"deadline": _moment(waits.deadline), "waitedSeconds": waits.waited_seconds}
    if waits.request:
        said["waitingFor"] = waits.request
    return said


def _moment(time: datetime) -> str:
    return time.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _strays(observed: ObservedTask, step: Step) -> tuple[Deletion, ...]:
    """Return the Task's pods that are not its one pod: the gateway takes no call from them."""
    recorded = observed.task.status.pod
    uid = step.record.uid if step.record is not None else recorded.uid if recorded is not None else ""
    if not uid:
        return ()
    return tuple(
        Deletion("Pod", item.name, item.uid)
        for item in _own(observed)
        # One of a Service that was claimed and never recorded has done nothing, and is free once this Task has its result.
        if item.uid != uid and not item.is_service
    )


def _own(observed: ObservedTask) -> list[ObservedPod]:
    return [
        item for item in observed.pods if item.is_for(observed.task.metadata.uid) and not item.is_deleting
    ]


def _adoption(
    observed: ObservedTask, step: Step, settings: OperatorSettings, now: datetime
) -> PodChange | None:
    """Return how the pod that is recorded becomes the Task's own, if it was kept warm and is not yet."""
    recorded = observed.task.status.pod
    if recorded is None or step.ended is not None:
        return None
    found = next((item for item in _own(observed) if item.uid == recorded.uid), None)
    if found is None or found.owner is not PodOwner.AGENT:
        return None
    left_seconds = remaining_seconds(deadline_of(observed, now), now)
    return adopted(found, observed.task, settings, left_seconds, now)


def _look_again(observed: ObservedTask, step: Step, now: datetime) -> float | None:
    if step.ended is not None or (step.record is not None and not _is_new(step.record)):
        # What was true of the pod before this was written may call for the next step.
        return 0
    until_deadline = max(0.0, (deadline_of(observed, now) - now).total_seconds())
    return until_deadline if step.look_again_seconds is None else min(until_deadline, step.look_again_seconds)


def _is_new(pod: ObservedPod) -> bool:
    """Whether nothing has happened to a pod yet, so that whatever does is told by its watch."""
    return pod.phase is PodPhase.PENDING and not pod.node and pod.claim is None


def _events(task: Task, step: Step, after: tuple[Condition, ...], image: str) -> tuple[Happening, ...]:
    started = find(after, ConditionType.STARTED)
    before = find(task.status.conditions, ConditionType.STARTED)
    told = started is not None and (
        before is None or (before.status, before.reason) != (started.status, started.reason)
    )
    return _worth_telling(
        task,
        Happening(EventReason.POD_CREATED, f"pod {step.record.name} runs revision {step.revision}")
        if step.record is not None
        else None,
        _start_event(step, image) if told and step.ended is None else None,
        _end_event(step.ended) if step.ended is not None else None,
    )


def _worth_telling(task: Task, *events: Happening | None) -> tuple[Happening, ...]:
    """Return the events, without those that tell nothing but the course of things of a step whose run tells it: runs have many Tasks."""
    told = happenings(*events)
    return (
        told if task.spec.run is None else tuple(item for item in told if item.doc.type is EventType.WARNING)
    )


def _start_event(step: Step, image: str) -> Happening | None:
    if step.started.holds:
        return Happening(EventReason.STARTED, f"the agent runs {image}".rstrip())
    if step.started.reason in _WORTH_WAITING:
        return Happening(EventReason.WAITING, f"{step.started.reason}: {step.started.message}")
    return None


def _end_event(ended: Verdict) -> Happening:
    if ended.holds:
        return Happening(EventReason.COMPLETED, "the agent handed in its output")
    if ended.reason is Reason.AGENT_FAILED:
        # The agent's own words may hold what it worked on; events are read by people who may not read Tasks.
        return Happening(EventReason.FAILED, f"{ended.reason}: status.result tells what the agent said")
    return Happening(EventReason.FAILED, f"{ended.reason}: {ended.message}")


def _after_end(observed: ObservedTask, settings: OperatorSettings, now: datetime) -> Plan:
    """Return what is left to do once the Task has ended: its pods go, some at once, some when their logs were there long enough."""
    # A pod of a Service goes on to the next Task, unless it may still be at work on this one.
    own = [item for item in _own(observed) if not (item.is_service and observed.task.status.result)]
    seconds = {item.uid: _linger_seconds(observed.task, item, settings, now) for item in own}
    due = tuple(Deletion("Pod", item.name, item.uid) for item in own if seconds[item.uid] <= 0)
    waiting = [left for left in seconds.values() if left > 0]
    return Plan(
        delete=due,
        events=_worth_telling(
            observed.task,
            *(Happening(EventReason.POD_REMOVED, f"pod {item.name} is removed") for item in due),
        ),
        requeue_after_seconds=min(waiting) if waiting else None,
    )


def _linger_seconds(task: Task, pod: ObservedPod, settings: OperatorSettings, now: datetime) -> float:
    end = find(task.status.conditions, ConditionType.SUCCEEDED)
    if end is None or pod.is_service or (not pod.has_ended and end.reason not in _SELF_ENDING):
        return 0
    succeeded = end.status is ConditionStatus.TRUE
    stay_seconds = settings.finished_pod_seconds if succeeded else settings.failed_pod_seconds
    since = task.status.completion_time or end.last_transition_time
    return (since + timedelta(seconds=stay_seconds) - now).total_seconds()
