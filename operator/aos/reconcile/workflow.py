"""Workflow: what may be said of it, its revision, the Secrets of its webhooks, the runs that its schedules start and those that are kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.model.conditions import ConditionType, Reason
from aos.model.meta import ConditionStatus
from aos.model.names import workflow_revision
from aos.model.workflow import Workflow, WorkflowSpec, WorkflowStatus
from aos.reconcile.children import webhook_access, workflow_revision_record
from aos.reconcile.conditions import Verdict, as_json, conditions, find, no, unchanged, unknown, yes
from aos.reconcile.events import EventReason, Happening, happenings, restored
from aos.reconcile.fingerprint import fingerprint
from aos.reconcile.plan import ChildKey, Deletion, ObservedChild, Plan
from aos.reconcile.revision import ObservedRevision, number_of, superfluous
from aos.reconcile.run_history import KeptRun, expired_runs, seconds_to_look_again
from aos.reconcile.schedule import ScheduleError, check_schedule
from aos.reconcile.settings import OperatorSettings
from aos.reconcile.transitions import ACCEPTING, transitions
from aos.reconcile.triggers import Triggers, triggers_of
from aos.workflow.checking import Problem, World, problems


@dataclass(frozen=True, slots=True)
class WebhookReport:
    """What a gateway says of the webhooks of a Workflow.

    Attributes:
        generation: of the Workflow that it looked at.
        problem: why the requests of some can't be verified; empty if those of all can.
    """

    generation: int
    problem: str


@dataclass(frozen=True, slots=True)
class ObservedWorkflow:
    """All that a Workflow's children and status are made from.

    Attributes:
        workflow: as the API server has it.
        agents: the namespace's Agents by name, as far as it, or a Workflow that it runs, could mean them.
        workflows: the namespace's Workflows by name.
        runs: its runs, but for those that steps of other runs started and that have ended.
        revisions: its ControllerRevisions.
        children: what there is of its children, Roles that it no longer needs included.
        refused: what the API server said when a child was to be written; empty if it took all.
        webhooks: what the gateways say of its webhooks.
    """

    workflow: Workflow
    agents: Mapping[str, Agent] = field(default_factory=dict)
    workflows: Mapping[str, Workflow] = field(default_factory=dict)
    runs: Sequence[KeptRun] = ()
    revisions: Sequence[ObservedRevision] = ()
    children: Mapping[ChildKey, ObservedChild] = field(default_factory=dict)
    refused: str = ""
    webhooks: Sequence[WebhookReport] = ()


@dataclass(frozen=True, slots=True)
class WorkflowPlan:
    """What a Workflow needs.

    Attributes:
        plan: its children, what is to be deleted, its status and events.
        start: runs to create before the status is written, whole manifests; that one exists already is fine.
    """

    plan: Plan
    start: tuple[JsonObject, ...] = ()


def reconcile_workflow(observed: ObservedWorkflow, settings: OperatorSettings, now: datetime) -> WorkflowPlan:
    """Return what the Workflow needs."""
    workflow = observed.workflow
    if workflow.metadata.deletion_timestamp is not None:
        return WorkflowPlan(Plan())
    barred = _barred(workflow, settings)
    accepted = barred or _accepted(observed, now)
    revision = revision_of(workflow) if accepted.holds else ""
    desired = _children(observed, settings, revision, is_barred=barred is not None)
    missing = {
        key: child
        for key, child in desired.items()
        if key not in observed.children or observed.children[key].fingerprint != fingerprint(child)
    }
    triggers = triggers_of(workflow, now, is_held=not accepted.holds or workflow.spec.suspend)
    status = _status(observed, accepted, revision, triggers, now)
    plan = Plan(
        apply=tuple(missing.values()),
        delete=(
            *_obsolete_roles(observed, desired),
            *_old_revisions(observed, revision),
            *expired_runs(observed.runs, workflow.spec.history, now),
        ),
        status=None if _stands(workflow.status, status) else _as_json(status),
        events=(
            *_child_events(observed, missing, desired, revision),
            *transitions(workflow.status.conditions, status.conditions, ACCEPTING),
            *triggers.events,
        ),
        requeue_after_seconds=_first(triggers.look_again_seconds, seconds_to_look_again(observed.runs, now)),
    )
    return WorkflowPlan(plan, triggers.start)


def _first(*seconds: float | None) -> float | None:
    return min((item for item in seconds if item is not None), default=None)


def data_of(workflow: Workflow) -> JsonObject:
    """Return what a revision of the Workflow holds: what merely stops and starts it makes no other Workflow of it."""
    spec = workflow.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"suspend"})
    return {"spec": spec}


def revision_of(workflow: Workflow) -> str:
    """Return the name of the ControllerRevision of what the Workflow is now.

    Raises:
        ValueError: the spec holds a number that JSON can't carry exactly.
    """
    return workflow_revision(workflow.metadata.name, json_digest(data_of(workflow)))


def _barred(workflow: Workflow, settings: OperatorSettings) -> Verdict | None:
    """Return why its webhooks' Secrets are not lent out; None if they may be."""
    if _secrets(workflow) and workflow.metadata.namespace == settings.namespace:
        return no(
            Reason.INVALID,
            "spec.triggers: Secrets of the operator's own namespace are never lent out; put this Workflow and its Secrets into"
            " another namespace",
        )
    return None


def _accepted(observed: ObservedWorkflow, now: datetime) -> Verdict:
    spec = observed.workflow.spec
    world = World(
        workflow=observed.workflow.metadata.name,
        agents={name: agent.spec for name, agent in observed.agents.items()},
        workflows={name: workflow.spec for name, workflow in observed.workflows.items()},
    )
    found = (*_schedule_problems(spec, now), *problems(spec, world))
    if found:
        return no(found[0].reason, "; ".join(str(item) for item in found))
    return yes(Reason.ACCEPTED)


def _schedule_problems(spec: WorkflowSpec, now: datetime) -> Iterator[Problem]:
    for place, trigger in enumerate(spec.triggers):
        if trigger.schedule is not None:
            try:
                check_schedule(trigger.schedule, now)
            except ScheduleError as error:
                yield Problem(f"spec.triggers[{place}].schedule", Reason.TRIGGER_INVALID, str(error))


def _secrets(workflow: Workflow) -> list[str]:
    hooks = (trigger.webhook for trigger in workflow.spec.triggers)
    return sorted({hook.secret_ref.name for hook in hooks if hook is not None})


def _children(
    observed: ObservedWorkflow, settings: OperatorSettings, revision: str, *, is_barred: bool
) -> dict[ChildKey, JsonObject]:
    workflow = observed.workflow
    made: list[JsonObject] = []
    if revision:
        number = number_of(revision, observed.revisions)
        made.append(workflow_revision_record(workflow.metadata, revision, data_of(workflow), number))
    if not is_barred:
        for secret in _secrets(workflow):
            made.extend(webhook_access(workflow.metadata, secret, settings))
    return {ChildKey.of(child): child for child in made}


def _obsolete_roles(
    observed: ObservedWorkflow, desired: Mapping[ChildKey, JsonObject]
) -> tuple[Deletion, ...]:
    return tuple(
        Deletion(key.kind, key.name, child.uid)
        for key, child in observed.children.items()
        if key.kind != "ControllerRevision" and key not in desired
    )


def _old_revisions(observed: ObservedWorkflow, revision: str) -> tuple[Deletion, ...]:
    if not revision:
        return ()
    in_use = {run.revision for run in observed.runs if run.ended_at is None}
    return tuple(
        Deletion("ControllerRevision", item.name, item.uid)
        for item in superfluous(revision, observed.revisions, in_use)
    )


def _status(
    observed: ObservedWorkflow, accepted: Verdict, revision: str, triggers: Triggers, now: datetime
) -> WorkflowStatus:
    workflow = observed.workflow
    verdicts = {ConditionType.ACCEPTED: accepted, ConditionType.READY: _ready(observed, accepted)}
    return WorkflowStatus(
        observed_generation=workflow.metadata.generation,
        conditions=conditions(workflow.status.conditions, verdicts, workflow.metadata.generation, now),
        # While the spec is not accepted the last revision stays on show; no run starts meanwhile.
        revision=revision or workflow.status.revision,
        active=sum(run.ended_at is None for run in observed.runs),
        triggers=triggers.statuses,
    )


def _ready(observed: ObservedWorkflow, accepted: Verdict) -> Verdict:
    if not accepted.holds:
        return no(Reason.NOT_ACCEPTED, accepted.message)
    if observed.workflow.spec.suspend:
        return no(Reason.SUSPENDED, "spec.suspend is true")
    if observed.refused:
        return no(Reason.PROVISIONING, observed.refused)
    return _keyed(observed) if _secrets(observed.workflow) else yes(Reason.READY)


def _keyed(observed: ObservedWorkflow) -> Verdict:
    """Return whether all webhooks have their keys, as the gateways say; what they said stays while they say nothing."""
    status, generation = observed.workflow.status, observed.workflow.metadata.generation
    reports = [report for report in observed.webhooks if report.generation == generation]
    problem = next((report.problem for report in reports if report.problem), "")
    if problem:
        return no(Reason.CREDENTIALS_MISSING, f"{problem}; runs are started by everything else")
    if reports:
        return yes(Reason.READY)
    before = find(status.conditions, ConditionType.READY)
    if before is not None and before.observed_generation == generation:
        if before.status is ConditionStatus.TRUE:
            return yes(Reason.READY)
        if before.reason == Reason.CREDENTIALS_MISSING:
            return no(Reason.CREDENTIALS_MISSING, before.message)
    return unknown(Reason.NOT_OBSERVED, "no gateway has looked for the Secrets of its webhooks yet")


def _stands(before: WorkflowStatus, after: WorkflowStatus) -> bool:
    same = before.model_copy(update={"conditions": after.conditions}) == after
    return same and unchanged(before.conditions, after.conditions)


def _as_json(status: WorkflowStatus) -> JsonObject:
    said: JsonObject = {
        "observedGeneration": status.observed_generation,
        "conditions": list(as_json(status.conditions)),
        "active": status.active,
    }
    if status.revision:
        said["revision"] = status.revision
    if status.triggers:
        listed = [item.model_dump(mode="json", by_alias=True) for item in status.triggers]
        said["triggers"] = [{name: value for name, value in item.items() if value != ""} for item in listed]
    return said


def _child_events(
    observed: ObservedWorkflow,
    missing: Mapping[ChildKey, JsonObject],
    desired: Mapping[ChildKey, JsonObject],
    revision: str,
) -> tuple[Happening, ...]:
    altered = [key for key in missing if key in observed.children and key.kind != "ControllerRevision"]
    granted = [key for key in missing if key.kind == "Role" and key not in observed.children]
    revoked = [item for item in _obsolete_roles(observed, desired) if item.kind == "Role"]
    is_new = revision not in ("", observed.workflow.status.revision)
    return (
        *restored(altered),
        *happenings(
            Happening(EventReason.REVISION_CREATED, f"new runs go by revision {revision}")
            if is_new
            else None,
            Happening(EventReason.CREDENTIAL_GRANTED, "the gateway may read the Secrets of its webhooks")
            if granted
            else None,
            Happening(
                EventReason.CREDENTIAL_REVOKED,
                "the gateway may no longer read a Secret that no webhook names any more",
            )
            if revoked
            else None,
            Happening(EventReason.CHILD_REFUSED, observed.refused) if observed.refused else None,
        ),
    )
