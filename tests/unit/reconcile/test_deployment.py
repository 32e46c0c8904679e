from dataclasses import replace
from typing import cast

import pytest

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.reconcile.agent import ObservedAgent, reconcile_agent
from aos.reconcile.claim import Hold, Spare
from aos.reconcile.deployment import deployment, drain_seconds, replicas_of, service_ready
from aos.reconcile.guard import Guard
from aos.reconcile.observed_pod import Claim, ObservedPod, PodOwner
from aos.reconcile.plan import ChildKey, Deletion, ObservedChild, Plan
from aos.reconcile.pod import PodMaker, pod
from aos.reconcile.settings import Platform
from tests.unit.reconcile.golden_files import check
from tests.unit.reconcile.make import NOW, PLATFORM, SETTINGS, agent, observed_agent, ready_agent, task

KEY = ChildKey("Deployment", "aos-agent-enricher")


def service(**runtime: object) -> Agent:
    return ready_agent({"runtime": {"mode": "Service", **runtime}})  # type: ignore[dict-item]


def maker(one: Agent) -> PodMaker:
    return PodMaker(one, "enricher-12345678", SETTINGS, PLATFORM)


def of_service(revision: str = "r", **more: object) -> Spare:
    made = ObservedPod(
        name="p",
        uid="u",
        agent_uid="enricher-uid",
        owner=PodOwner.SERVICE,
        service_account="aos-agent-enricher",
        revision=revision,
        is_ready=True,
    )
    return Spare(replace(made, **more), Hold.FREE)  # type: ignore[arg-type]


def test_the_deployment_of_a_service_is_as_on_file() -> None:
    check("deployment", deployment(maker(service(replicas=3, drain="1m30s"))))


def test_a_warm_pod_is_as_on_file() -> None:
    check("pod-warm", maker(ready_agent()).kept_warm("enricher-warm-1"))


def test_pods_of_a_service_and_warm_ones_are_locked_down_as_those_of_tasks() -> None:
    def locks(manifest: JsonObject) -> JsonObject:
        spec = cast("JsonObject", manifest["spec"])
        own = ("restartPolicy", "activeDeadlineSeconds", "terminationGracePeriodSeconds", "containers")
        (container,) = cast("list[JsonObject]", spec["containers"])
        locked = {name: value for name, value in container.items() if name != "env"}
        return {name: value for name, value in spec.items() if name not in own} | {"container": locked}

    one = service()
    of_task = pod(task(), one, "r", SETTINGS, PLATFORM, 30)
    template = cast("JsonObject", cast("JsonObject", deployment(maker(one))["spec"])["template"])
    assert locks(template) == locks(maker(one).kept_warm("w")) == locks(of_task)


def test_what_a_service_leaves_out_has_defaults_and_a_suspended_one_has_no_pods() -> None:
    assert (replicas_of(service()), drain_seconds(service())) == (1, 30)
    assert (replicas_of(service(replicas=0)), drain_seconds(service(drain="1.5s"))) == (0, 2)
    assert replicas_of(ready_agent({"suspend": True, "runtime": {"mode": "Service", "replicas": 3}})) == 0


@pytest.mark.parametrize(
    ("spare", "said"),
    [
        (of_service("old"), "0 of 1 pod of revision r"),
        (of_service(is_deleting=True), "0 of 1 pod"),
        (of_service(agent_uid="another"), "0 of 1 pod"),
        (of_service(is_ready=False, image_problem="ErrImagePull: denied"), "ErrImagePull: denied"),
        (of_service(is_ready=False, unschedulable="no room"), "no room"),
        (of_service(is_ready=False, last_ending="exit code 1"), "exit code 1"),
    ],
)
def test_a_service_without_a_ready_pod_of_its_revision_is_not_ready(spare: Spare, said: str) -> None:
    found = service_ready(service(), "r", [spare])
    assert (found.holds, found.reason) == (False, "Provisioning")
    assert said in found.message


def test_a_service_is_ready_with_one_pod_and_says_how_many_it_has() -> None:
    found = service_ready(service(replicas=2), "r", [of_service()])
    assert (found.holds, found.message) == (True, "ready: 1 of 2 pods of revision r")
    none = service_ready(service(replicas=0), "r", [])
    assert (none.holds, none.reason) == (False, "Provisioning")
    assert "replicas is 0" in none.message


def plan_of(spec: JsonObject, **changes: object) -> Plan:
    base: ObservedAgent = observed_agent(agent=agent(spec), platform=PLATFORM)
    return reconcile_agent(replace(base, **changes), SETTINGS, NOW)  # type: ignore[arg-type]


SERVICE: JsonObject = {"runtime": {"mode": "Service"}}


def test_a_service_has_a_deployment_once_all_is_there_that_pods_need() -> None:
    assert KEY in {ChildKey.of(child) for child in plan_of(SERVICE).apply}
    for missing in ({"platform": Platform()}, {"guard": Guard("missing: x")}):
        assert KEY not in {ChildKey.of(child) for child in plan_of(SERVICE, **missing).apply}
    assert KEY not in {ChildKey.of(child) for child in plan_of({}).apply}


def test_an_agent_that_is_no_service_any_more_has_no_deployment() -> None:
    there = {KEY: ObservedChild("d-uid", "x")}
    assert plan_of({}, children=there).delete == (Deletion("Deployment", "aos-agent-enricher", "d-uid"),)
    assert plan_of(SERVICE, children=there).delete == ()


def test_a_pod_whose_task_may_be_gone_is_deleted_only_after_a_look_at_the_api_server() -> None:
    lost = replace(of_service(claim=Claim("t1", "t1-uid")), hold=Hold.LOST)
    first = plan_of(SERVICE, spares=[lost])
    assert (first.confirm, first.delete) == (True, ())
    second = plan_of(SERVICE, spares=[lost], confirmed=True)
    assert (second.confirm, second.delete) == (False, (Deletion("Pod", "p", "u"),))
