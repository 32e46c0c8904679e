from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.reconcile.claim import Hold, Spare
from aos.reconcile.observed_pod import Claim, ObservedPod, PodOwner, PodPhase, observe_pod
from aos.reconcile.plan import Deletion
from aos.reconcile.pod import PodMaker
from aos.reconcile.warm import WarmBounds, WarmPlan, lost_pods, share_of, warm_asked, warm_plan
from tests.unit.reconcile.make import NOW, PLATFORM, SETTINGS, ready_agent

ONE = ready_agent({"runtime": {"warm": 2}})
CLAIM = Claim("t1", "t1-uid")


def plan_of(
    *pods: ObservedPod,
    agent: Agent = ONE,
    share: int = 2,
    room: int | None = None,
    may_create: bool = True,
    later_seconds: float = 0,
    **maker: object,
) -> WarmPlan:
    made = replace(PodMaker(agent, "enricher-1", SETTINGS, PLATFORM), **maker)  # type: ignore[arg-type]
    spares = [Spare(pod, Hold.FREE) for pod in pods]
    now = NOW + timedelta(seconds=later_seconds)
    return warm_plan(made, spares, WarmBounds(share, room), now, may_create=may_create)


def kept(manifest: JsonObject, **changes: object) -> ObservedPod:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    raw = {**manifest, "metadata": {**metadata, "uid": f"{metadata['name']}-uid"}}
    return replace(observe_pod(raw), is_ready=True, created_at=NOW, **changes)  # type: ignore[arg-type]


POOL = [kept(manifest) for manifest in plan_of().keep]


def deletions(*pods: ObservedPod) -> tuple[Deletion, ...]:
    return tuple(Deletion("Pod", pod.name, pod.uid) for pod in pods)


def test_as_many_pods_are_kept_as_are_asked_for_and_none_is_changed_then() -> None:
    assert len(POOL) == 2
    assert {(pod.owner, pod.owner_uid) for pod in POOL} == {(PodOwner.AGENT, "enricher-uid")}
    assert plan_of(*POOL) == WarmPlan()


def test_a_pod_that_is_claimed_or_going_is_replaced_under_another_name() -> None:
    for change in ({"claim": CLAIM}, {"is_deleting": True}, {"claim": CLAIM, "owner": PodOwner.TASK}):
        used = replace(POOL[0], **change)
        (made,) = plan_of(used, POOL[1]).keep
        assert kept(made).name not in {pod.name for pod in POOL}
        assert plan_of(used, POOL[1], kept(made)) == WarmPlan()


def test_a_pod_whose_creation_nobody_saw_is_tried_under_the_same_name() -> None:
    assert plan_of(POOL[1]).keep[0]["metadata"]["name"] == POOL[0].name  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    "change",
    [{"revision": "enricher-2"}, {"platform": replace(PLATFORM, authorities="other")}],
    ids=["revision", "authorities"],
)
def test_pods_that_would_be_made_otherwise_now_are_replaced(change: Mapping[str, object]) -> None:
    plan = plan_of(*POOL, **change)  # type: ignore[arg-type]
    assert plan.delete == deletions(*POOL)
    assert len(plan.keep) == 2


def test_nothing_is_made_or_replaced_while_something_is_missing_that_a_pod_needs() -> None:
    assert plan_of(may_create=False) == WarmPlan()
    assert plan_of(*POOL, may_create=False, platform=replace(PLATFORM, authorities="")) == WarmPlan()


OFF: Mapping[str, Agent] = {
    "suspended": ready_agent({"suspend": True, "runtime": {"warm": 2}}),
    "a Service": ready_agent({"runtime": {"mode": "Service"}}),
    "without warm pods": ready_agent(),
}


@pytest.mark.parametrize("agent", OFF.values(), ids=OFF)
def test_an_agent_keeps_no_pods_that_is(agent: Agent) -> None:
    assert warm_asked(agent) == 0
    assert plan_of(*POOL, agent=agent).delete == deletions(*POOL)
    assert plan_of(*POOL, agent=agent, may_create=False).delete == deletions(*POOL)


def test_those_that_are_of_least_use_go_first() -> None:
    plan = plan_of(POOL[0], replace(POOL[1], is_ready=False), share=1)
    assert plan.delete == deletions(POOL[1])


def test_no_pod_is_made_where_there_is_no_room_and_some_go_where_they_are_in_the_way() -> None:
    assert plan_of(room=0) == WarmPlan()
    assert len(plan_of(room=1).keep) == 1
    assert plan_of(*POOL, room=0) == WarmPlan()
    assert len(plan_of(*POOL, room=-1).delete) == 1
    assert len(plan_of(*POOL, room=-9).delete) == 2


def test_a_pod_that_failed_keeps_its_place_for_a_while_so_that_it_is_not_tried_endlessly() -> None:
    failed = replace(POOL[0], phase=PodPhase.FAILED)
    early = plan_of(failed, POOL[1], later_seconds=200)
    assert (early.keep, early.delete, early.look_again_seconds) == ((), (), 100)
    late = plan_of(failed, POOL[1], later_seconds=300)
    assert (len(late.keep), late.delete) == (1, deletions(failed))


def test_pods_of_somebody_else_are_left_alone() -> None:
    for change in ({"service_account": "default"}, {"agent_uid": "another"}):
        other = replace(POOL[0], **change)  # type: ignore[arg-type]
        assert plan_of(other, share=0) == WarmPlan()


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10), min_size=1), st.integers(0, 20))
def test_what_a_namespace_may_keep_is_shared_out_evenly_and_wholly(asked: dict[str, int], bound: int) -> None:
    given_ = {name: share_of(name, asked, bound) for name in asked}
    assert sum(given_.values()) == min(bound, sum(asked.values()))
    assert all(given_[name] <= asked[name] for name in asked)
    cut = [given_[name] for name in asked if given_[name] < asked[name]]
    assert not cut or max(given_.values()) <= min(cut) + 1


@pytest.mark.parametrize("owner", [PodOwner.SERVICE, PodOwner.AGENT])
def test_a_pod_whose_task_is_gone_is_deleted_unless_it_goes_with_it(owner: PodOwner) -> None:
    pod = replace(POOL[0], owner=owner, claim=CLAIM)
    assert lost_pods([Spare(pod, Hold.LOST)], ONE) == deletions(pod)
    for hold in (Hold.FREE, Hold.HELD, Hold.SPENT):
        assert lost_pods([Spare(pod, hold)], ONE) == ()
    for change in ({"owner": PodOwner.TASK}, {"is_deleting": True}, {"agent_uid": "another"}):
        assert lost_pods([Spare(replace(pod, **change), Hold.LOST)], ONE) == ()
