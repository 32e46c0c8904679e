"""Tasks of runs, which go by the revision of their agent that the run pinned."""

from dataclasses import replace

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.reconcile.claim import Hold, Spare
from aos.reconcile.plan import Plan
from aos.reconcile.pod import ANNOTATION_REVISION
from aos.reconcile.revision import PinnedRevision, as_pinned
from aos.reconcile.task import reconcile_task
from aos.reconcile.task_step import ObservedTask
from tests.unit.reconcile.make import (
    NOW,
    SETTINGS,
    agent,
    conditions_of,
    observed_task,
    pod,
    ready_agent,
    task,
)

OLD = "enricher-old"
BEFORE = agent({"instructions": "As before.", "suspend": False}).spec
PINNED = PinnedRevision(OLD, BEFORE, "As before.", "registry.example/aos:0")


def observed(**changes: object) -> ObservedTask:
    current = ready_agent()
    base = observed_task(
        task(spec={"revision": OLD}), revisions=frozenset({current.status.revision, OLD}), pinned=PINNED
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def plan_of(item: ObservedTask) -> Plan:
    return reconcile_task(item, SETTINGS, NOW)


def made_pod(plan: Plan) -> tuple[JsonObject, JsonObject]:
    """Return annotations and the container of the pod that is made."""
    assert plan.create is not None
    metadata, spec = plan.create["metadata"], plan.create["spec"]
    assert isinstance(metadata, dict)
    assert isinstance(spec, dict)
    annotations, containers = metadata["annotations"], spec["containers"]
    assert isinstance(annotations, dict)
    assert isinstance(containers, list)
    container = containers[0]
    assert isinstance(container, dict)
    return annotations, container


def test_a_pod_is_made_of_the_pinned_revision_with_its_image() -> None:
    annotations, container = made_pod(plan_of(observed()))
    assert annotations[ANNOTATION_REVISION] == OLD
    assert container["image"] == "registry.example/aos:0"


def test_the_current_revision_needs_no_pin() -> None:
    current = ready_agent().status.revision
    item = observed_task(task(spec={"revision": current}))
    annotations, container = made_pod(plan_of(item))
    assert annotations[ANNOTATION_REVISION] == current
    assert container["image"] == SETTINGS.agent_image


def test_the_input_has_to_fit_the_schema_of_then() -> None:
    schema: JsonObject = {"schema": {"type": "object", "required": ["company"]}}
    then = replace(PINNED, spec=agent({"input": schema}).spec)
    assert conditions_of(plan_of(observed(pinned=then)))["Succeeded"] == ("False", "InputInvalid")
    now = ready_agent({"input": schema})
    assert plan_of(observed(agent=now)).create is not None


def test_a_revision_that_is_gone_is_lost() -> None:
    for changes in ({"revisions": frozenset({"enricher-new"})}, {"pinned": None}):
        assert conditions_of(plan_of(observed(**changes)))["Succeeded"] == ("False", "RevisionLost")


def test_what_the_agent_is_now_says_whether_it_may_run() -> None:
    suspended = ready_agent({"suspend": True})
    assert conditions_of(plan_of(observed(agent=suspended)))["Started"] == ("False", "AgentSuspended")
    unready = agent(status={"revision": "enricher-new"})
    assert conditions_of(plan_of(observed(agent=unready)))["Started"] == ("False", "AgentNotReady")
    assert conditions_of(plan_of(observed(agent=None)))["Started"] == ("False", "AgentNotFound")


def test_pods_that_are_there_run_another_revision_and_are_not_claimed() -> None:
    service = ready_agent({"runtime": {"mode": "Service"}})
    spare = Spare(pod("Running", revision=service.status.revision), Hold.FREE)
    plan = plan_of(observed(agent=service, spares=(spare,)))
    assert plan.claim is None
    assert plan.create is not None


def test_an_agent_as_it_was_is_run_by_a_pod_of_its_own() -> None:
    service: JsonObject = {"runtime": {"mode": "Service", "replicas": 2, "image": "own:1"}}
    found: Agent = as_pinned(ready_agent(), replace(PINNED, spec=agent(service).spec))
    assert (found.spec.runtime.mode.value, found.spec.runtime.replicas, found.spec.runtime.image) == (
        "OnDemand",
        None,
        "own:1",
    )
    assert found.status.revision == OLD
