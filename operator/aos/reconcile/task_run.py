"""A Task whose pod is recorded: how the pod fares, and the ends that it can bring about."""

from datetime import datetime, timedelta

from aos.model.conditions import Reason
from aos.model.task import TaskPod
from aos.reconcile.conditions import Verdict, no, yes
from aos.reconcile.containers import CONTAINER
from aos.reconcile.observed_pod import ObservedNode, ObservedPod, PodPhase
from aos.reconcile.settings import OperatorSettings
from aos.reconcile.task_step import ObservedTask, Step, deadline_of, started_of


def run_step(observed: ObservedTask, recorded: TaskPod, settings: OperatorSettings, now: datetime) -> Step:
    """Return the next step of a Task whose pod is ``recorded``."""
    task = observed.task
    found = next((item for item in observed.pods if item.uid == recorded.uid), None)
    if found is None:
        # The cache may lag behind the record; what is final is believed only after a look at the API server itself.
        lost = no(Reason.POD_LOST, f"pod {recorded.name} was removed before it handed in a result")
        return Step(started=started_of(task), ended=lost, confirm=not observed.confirmed)
    started = _started(found)
    namespace = task.metadata.namespace
    ended = (
        _finished(found, namespace, settings)
        or _started_anew(found, namespace)
        or _node_lost(found, observed, settings, now)
        or _revision_lost(observed)
        or _overdue(observed, found, started, now)
    )
    return Step(
        started=started, ended=ended, look_again_seconds=_node_seconds(found, observed, settings, now)
    )


def _started(found: ObservedPod) -> Verdict:
    if found.is_running or found.phase is PodPhase.RUNNING or found.has_ended:
        return yes(Reason.RUNNING, "" if found.has_ended else found.waiting)
    if found.image_problem:
        return no(Reason.IMAGE_PULL_FAILED, found.image_problem)
    if found.unschedulable:
        return no(Reason.UNSCHEDULABLE, found.unschedulable)
    return no(Reason.STARTING, found.waiting)


def _finished(found: ObservedPod, namespace: str, settings: OperatorSettings) -> Verdict | None:
    """Return the end of a pod that ended without a result."""
    if found.phase is PodPhase.SUCCEEDED and not (found.is_service and found.is_deleting):
        said = "the pod ended well but handed in no result"
        return no(Reason.NO_RESULT, f"{said}{_log(found, namespace, settings)}")
    return _failed(found, namespace, settings) if found.has_ended else None


def _log(found: ObservedPod, namespace: str, settings: OperatorSettings) -> str:
    """Return by which command the log of a pod that has ended is read, and for how long; empty if it is not kept."""
    if found.is_service or not settings.failed_pod_seconds:
        return ""
    return f"; {_logs(found, namespace)}` shows what it wrote, for {settings.failed_pod_seconds} s"


def _logs(found: ObservedPod, namespace: str) -> str:
    return f"`kubectl logs {found.name} -n {namespace} -c {CONTAINER}"


def _started_anew(found: ObservedPod, namespace: str) -> Verdict | None:
    """Return the end of a Task whose pod goes on, but not with it: what was begun is not begun again."""
    if found.claim is None or found.restarts <= found.claim.restarts:
        return None
    if found.last_out_of_memory:
        return _out_of_memory(found.last_ending)
    log = f"{_logs(found, namespace)} --previous` shows what it wrote"
    if found.last_exit_code == 0:
        return no(Reason.NO_RESULT, f"the agent's container ended well but handed in no result; {log}")
    said = found.last_ending or "the agent's container was started anew"
    return no(Reason.POD_FAILED, f"{said}; {log}")


def _out_of_memory(ending: str) -> Verdict:
    return no(Reason.OUT_OF_MEMORY, f"the pod hit its memory limit; raise spec.runtime.resources: {ending}")


def _failed(found: ObservedPod, namespace: str, settings: OperatorSettings) -> Verdict:
    if found.node_lost:
        return no(Reason.NODE_LOST, found.node_lost)
    if found.out_of_memory:
        return _out_of_memory(found.ending)
    if found.overdue:
        return no(Reason.DEADLINE_EXCEEDED, "the kubelet ended the pod after the deadline")
    if found.is_deleting:
        return no(
            Reason.POD_LOST,
            f"the pod was removed before it handed in a result: {found.ending or 'it ended'}",
        )
    return no(Reason.POD_FAILED, f"{found.ending}{_log(found, namespace, settings)}")


def _node_lost(
    found: ObservedPod, observed: ObservedTask, settings: OperatorSettings, now: datetime
) -> Verdict | None:
    if found.node_lost:
        return no(Reason.NODE_LOST, found.node_lost)
    away_since = _away_since(found, observed)
    if away_since is None or now < away_since + timedelta(seconds=settings.node_lost_seconds):
        return None
    what = "is not ready" if found.node in observed.nodes else "does not exist any more"
    return no(Reason.NODE_LOST, f"node {found.node} {what} for {settings.node_lost_seconds} s or longer")


def _node_seconds(
    found: ObservedPod, observed: ObservedTask, settings: OperatorSettings, now: datetime
) -> float | None:
    """Return when the pod's node will have been away for too long; None while it is there."""
    away_since = _away_since(found, observed)
    if away_since is None:
        return None
    return max(0.0, (away_since + timedelta(seconds=settings.node_lost_seconds) - now).total_seconds())


def _away_since(found: ObservedPod, observed: ObservedTask) -> datetime | None:
    if not found.node:
        return None
    node: ObservedNode | None = observed.nodes.get(found.node)
    if node is None:
        # A node that is new may be missing from the cache; one that a pod has been on for long may not.
        return found.scheduled_at
    return None if node.is_ready else node.since


def _revision_lost(observed: ObservedTask) -> Verdict | None:
    revision = observed.task.status.revision
    if revision in observed.revisions:
        return None
    gone = "its Agent was deleted" if observed.agent is None else "its ControllerRevision was deleted"
    return no(Reason.REVISION_LOST, f"revision {revision} can't be run on: {gone}")


def _overdue(observed: ObservedTask, found: ObservedPod, started: Verdict, now: datetime) -> Verdict | None:
    task = observed.task
    if now < deadline_of(observed, now):
        return None
    if started.reason in (Reason.IMAGE_PULL_FAILED, Reason.UNSCHEDULABLE):
        return no(started.reason, f"until the deadline ({task.spec.deadline}): {started.message}")
    what = "the agent ran" if started.holds else "the pod was started"
    said = f": {found.waiting}" if found.waiting else ""
    return no(Reason.DEADLINE_EXCEEDED, f"the deadline ({task.spec.deadline}) passed while {what}{said}")
