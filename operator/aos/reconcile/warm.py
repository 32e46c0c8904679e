"""Pods of an OnDemand agent that are kept started for Tasks to come, and what keeps others from being there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.model.names import ANNOTATION_CHILD_DIGEST, warm_pod
from aos.reconcile.claim import Hold, Spare, belongs_to, is_service
from aos.reconcile.observed_pod import ObservedPod, PodOwner
from aos.reconcile.plan import Deletion
from aos.reconcile.pod import PodMaker


@dataclass(frozen=True, slots=True)
class WarmBounds:
    """What bounds the pods that an agent may have kept warm.

    Attributes:
        share: what is left to it of what its namespace may have.
        room: how many more pods the cluster has room for, negative if there are too many; None for any number.
    """

    share: int = 0
    room: int | None = None


@dataclass(frozen=True, slots=True)
class WarmPlan:
    """What is to be done for the pool.

    Attributes:
        keep: pods to create.
        delete: pods to delete.
        look_again_seconds: when time alone changes something; None for never.
    """

    keep: tuple[JsonObject, ...] = ()
    delete: tuple[Deletion, ...] = ()
    look_again_seconds: float | None = None


def warm_asked(agent: Agent) -> int:
    """Return how many warm pods the agent asks for."""
    is_off = agent.spec.suspend or is_service(agent) or agent.metadata.deletion_timestamp is not None
    return 0 if is_off else agent.spec.runtime.warm or 0


def share_of(agent: str, asked: Mapping[str, int], bound: int) -> int:
    """Return how many of a namespace's ``bound`` warm pods are the agent's: each gets one in turn, by name."""
    given = dict.fromkeys(asked, 0)
    left = bound
    while left and any(given[name] < asked[name] for name in asked):
        for name in sorted(asked):
            if left and given[name] < asked[name]:
                given[name] += 1
                left -= 1
    return given.get(agent, 0)


def warm_plan(
    maker: PodMaker, spares: Sequence[Spare], bounds: WarmBounds, now: datetime, *, may_create: bool
) -> WarmPlan:
    """Return how the pool comes to be as the agent asks for it.

    Args:
        maker: makes the pods, of the current revision.
        spares: every pod of the agent that was made before it had a Task, those that have one by now too.
        bounds: what bounds the pool.
        now: the time.
        may_create: whether all is there that a pod needs.
    """
    agent, settings = maker.agent, maker.settings
    idle = [spare.pod for spare in spares if _is_idle(spare, agent)]
    wanted = min(warm_asked(agent), bounds.share)
    current = [pod for pod in idle if not may_create or pod.digest == _digest(maker)]
    # One that failed keeps its place for a while: for its logs, and so that an image that can't run is not tried endlessly.
    stays = timedelta(seconds=settings.failed_pod_seconds)
    over = {pod.uid: (pod.created_at or now) + stays for pod in current if pod.has_ended}
    kept = [pod for pod in current if pod.uid not in over or over[pod.uid] > now]
    room = wanted if bounds.room is None else bounds.room
    surplus = max(len(kept) - wanted, -room, 0)
    gone = sorted(kept, key=_least_use_first)[:surplus]
    leaving = {pod.uid for pod in gone}
    going = [pod for pod in idle if pod not in kept] + gone
    missing = max(min(wanted - len(kept), room), 0) if may_create else 0
    names = _free_names(maker, {spare.pod.name for spare in spares})
    ends = [over[pod.uid] for pod in kept if pod.uid in over and pod.uid not in leaving]
    return WarmPlan(
        keep=tuple(_made(maker, next(names)) for _ in range(missing)),
        delete=tuple(Deletion("Pod", pod.name, pod.uid) for pod in going),
        look_again_seconds=(min(ends) - now).total_seconds() if ends else None,
    )


def lost_pods(spares: Sequence[Spare], agent: Agent) -> tuple[Deletion, ...]:
    """Return the pods whose Task was deleted: they may still be at work for it."""
    return tuple(
        Deletion("Pod", spare.pod.name, spare.pod.uid)
        for spare in spares
        if spare.hold is Hold.LOST and is_loose(spare.pod) and belongs_to(spare.pod, agent)
    )


def is_loose(pod: ObservedPod) -> bool:
    """Whether the pod is claimed for a Task and does not go with it by itself."""
    return pod.claim is not None and pod.owner is not PodOwner.TASK and not pod.is_deleting


def _is_idle(spare: Spare, agent: Agent) -> bool:
    pod = spare.pod
    is_pooled = pod.owner is PodOwner.AGENT and pod.claim is None and not pod.is_deleting
    return is_pooled and belongs_to(pod, agent)


def _least_use_first(pod: ObservedPod) -> tuple[bool, bool, str]:
    return not pod.has_ended, pod.is_ready, pod.name


def _free_names(maker: PodMaker, taken: set[str]) -> Iterator[str]:
    metadata = maker.agent.metadata
    number = 0
    while True:
        name = warm_pod(metadata.name, metadata.uid, maker.revision, number)
        if name not in taken:
            yield name
        number += 1


def _digest(maker: PodMaker) -> str:
    return json_digest(maker.kept_warm(""))


def _made(maker: PodMaker, name: str) -> JsonObject:
    made = maker.kept_warm(name)
    metadata = made["metadata"]
    if not isinstance(metadata, dict):
        raise TypeError("a manifest has metadata")
    annotations = metadata["annotations"]
    if not isinstance(annotations, dict):
        raise TypeError("a pod that is kept warm has annotations")
    annotations[ANNOTATION_CHILD_DIGEST] = _digest(maker)
    return made
