"""The schedules of a Workflow: which runs they start now, as manifests, and where they stand after."""

from dataclasses import dataclass, field
from datetime import datetime

from aos.model.base import JsonObject
from aos.model.names import API_VERSION, LABEL_MANAGED_BY, LABEL_WORKFLOW, MANAGED_BY, triggered_run
from aos.model.workflow import Trigger, TriggerStatus, Workflow
from aos.model.workflow_run import trigger_requester
from aos.reconcile.children import owner_reference
from aos.reconcile.events import EventReason, Happening
from aos.reconcile.schedule import Due, ScheduleError, due, seconds_until
from aos.workflow.expression import ExpressionError
from aos.workflow.template import Template


@dataclass(slots=True)
class Triggers:
    """What comes of all schedules of a Workflow.

    Attributes:
        statuses: where they stand.
        start: runs to create, before that is recorded.
        events: what to tell people.
        look_again_seconds: when the next run is due; None for never.
    """

    statuses: tuple[TriggerStatus, ...] = ()
    start: tuple[JsonObject, ...] = ()
    events: tuple[Happening, ...] = ()
    look_again_seconds: float | None = field(default=None)


def triggers_of(workflow: Workflow, now: datetime, *, is_held: bool) -> Triggers:
    """Return what comes of the schedules of ``workflow``; ``is_held`` while it may start no runs."""
    found = Triggers()
    known = {item.name: item for item in workflow.status.triggers}
    for trigger in workflow.spec.triggers:
        if trigger.schedule is None:
            continue
        before = known.get(trigger.name)
        try:
            one = due(trigger.name, trigger.schedule, before, now, is_held=is_held)
        except ScheduleError:
            # The condition Accepted says why.
            found.statuses += (before,) if before is not None else ()
            continue
        _take(found, workflow, trigger, one, now)
    return found


def _take(found: Triggers, workflow: Workflow, trigger: Trigger, one: Due, now: datetime) -> None:
    status, left_out = one.status, one.left_out
    if one.time is not None:
        try:
            run = _manifest(workflow, trigger, told(one.time))
        except ExpressionError as error:
            status = status.model_copy(update={"missed": status.missed + 1})
            note = f"{trigger.name}: its input for {told(one.time)} can't be computed: {error}"
            found.events += (Happening(EventReason.TRIGGER_FAILED, note),)
        else:
            found.start += (run,)
            note = f"{trigger.name}: a run for {told(one.time)}"
            found.events += (Happening(EventReason.TRIGGERED, note),)
    if left_out:
        note = f"{trigger.name}: {left_out} of its times passed without a run of their own"
        found.events += (Happening(EventReason.RUNS_MISSED, note),)
    found.statuses += (status,)
    seconds = seconds_until(status, now)
    if seconds:
        known = found.look_again_seconds
        found.look_again_seconds = seconds if known is None else min(known, seconds)


def told(time: datetime) -> str:
    """Return a time as a run of a schedule is told it."""
    return time.isoformat().replace("+00:00", "Z")


def _manifest(workflow: Workflow, trigger: Trigger, time: str) -> JsonObject:
    metadata = workflow.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": "WorkflowRun",
        "metadata": {
            "name": triggered_run(metadata.name, metadata.uid, trigger.name, time),
            "namespace": metadata.namespace,
            "labels": {LABEL_WORKFLOW: metadata.name, LABEL_MANAGED_BY: MANAGED_BY},
            "ownerReferences": [{**owner_reference("Workflow", metadata), "controller": False}],
        },
        "spec": {
            "workflowRef": {"name": metadata.name},
            "input": Template.compile(trigger.input).render({"time": time}),
            "requestedBy": trigger_requester(trigger.name),
            "trigger": {"name": trigger.name, "id": time},
        },
    }
