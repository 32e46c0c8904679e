from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from aos.gateway.facts import PodFacts, PodOwner
from aos.gateway.http import HttpRequest, Message
from aos.gateway.identity import Facts, Identity, Unassigned, bearer_token, deadline_of, judge
from aos.gateway.refusal import Refusal
from aos.gateway.registry import Revision
from aos.gateway.tokens import Claims, TokenVerifier
from aos.kube.objects import child
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.task import StepOfRun, Task
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from tests.unit.gateway.make import (
    ACCOUNT_UID,
    CLAIMS,
    POD,
    POD_UID,
    SETTINGS,
    TASK_UID,
    facts,
    policy,
    raw_agent,
    raw_pod,
    raw_task,
    task,
)

ENDED: JsonObject = {
    "type": "Succeeded",
    "status": "True",
    "reason": "Completed",
    "lastTransitionTime": "2026-01-02T03:04:05Z",
}
SERVICE_POD = replace(POD, owner=PodOwner.SERVICE, owner_uid="replicas", task="", said_task_uid="")
WARM_POD = replace(SERVICE_POD, owner=PodOwner.AGENT, owner_uid="enricher-uid")


def task_of(uid: str, **status: JsonValue) -> Task:
    """A Task that names the pod."""
    item = raw_task(f"{uid}-name", status=status)
    return Task.parse({**item, "metadata": {**child(item, "metadata"), "uid": uid}})


ENDED_TASK = task_of("before", conditions=[ENDED])


def code_of(changed: Facts) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        judge(changed)
    return caught.value.status, str(caught.value.code)


def test_facts_that_agree_make_a_caller() -> None:
    whole = facts()
    caller = judge(whole)
    assert (caller.namespace, caller.agent, caller.pod_name) == ("sales", "enricher", "t1-pod")
    assert (caller.pod_uid, caller.revision) == (POD_UID, "enricher-1")
    assert caller.task is whole.task
    assert caller.policy is whole.policy


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        # The service account is an agent's, the operator's own, and still the same.
        (facts(claims=replace(CLAIMS, service_account="default")), (403, "NotAnAgent")),
        (facts(claims=replace(CLAIMS, service_account="aos-agent-")), (403, "NotAnAgent")),
        (facts(service_account_uid=None), (403, "ServiceAccountUnknown")),
        (facts(service_account_uid="another"), (403, "ServiceAccountUnknown")),
        (facts(claims=replace(CLAIMS, pod="", pod_uid=""), pod=None), (403, "PodUnknown")),
        # The pod is there, is the one that the token is bound to, and runs.
        (facts(pod=None), (503, "PodNotRecorded")),
        (facts(pod=None, pod_has_ended=True), (403, "PodEnded")),
        (facts(pod=replace(POD, uid="another")), (403, "PodEnded")),
        (facts(pod=replace(POD, is_deleted=True)), (403, "PodEnded")),
        (facts(pod=replace(POD, phase="Succeeded")), (403, "PodEnded")),
        (facts(pod=replace(POD, phase="Failed")), (403, "PodEnded")),
        # The pod is one that the operator makes for this agent.
        (facts(pod=replace(POD, agent="another")), (403, "PodUnknown")),
        (facts(pod=replace(POD, service_account="default")), (403, "PodUnknown")),
        (facts(pod=replace(POD, host_network=True)), (403, "PodUnknown")),
        (facts(pod=replace(POD, addresses=frozenset())), (503, "PodNotRecorded")),
        # The Task is there, is this agent's, and names this pod.
        (facts(task=None), (403, "TaskUnknown")),
        (facts(pod=replace(POD, owner=PodOwner.NOBODY, owner_uid="")), (403, "TaskUnknown")),
        (facts(pod=replace(POD, owner_uid="another")), (403, "TaskUnknown")),
        (facts(pod=replace(POD, said_task_uid="another")), (403, "TaskUnknown")),
        (facts(pod=replace(SERVICE_POD, said_task_uid="another")), (403, "TaskUnknown")),
        # A warm pod is the Agent's that is there now.
        (facts(pod=replace(WARM_POD, owner_uid="another")), (403, "TaskUnknown")),
        # Without a Task it waits for one, unless it is to go.
        (facts(pod=WARM_POD, task=None), (503, "PodNotRecorded")),
        (facts(pod=SERVICE_POD, task=None), (503, "PodNotRecorded")),
        (facts(pod=replace(WARM_POD, is_deleted=True), task=None), (403, "PodEnded")),
        (facts(pod=replace(SERVICE_POD, is_deleted=True), task=None), (403, "PodEnded")),
        # A pod of a Service that is to go may end its Task; a warm one that has a Task is as any other.
        (facts(pod=replace(WARM_POD, is_deleted=True)), (403, "PodEnded")),
        (facts(pod=replace(SERVICE_POD, phase="Failed")), (403, "PodEnded")),
        # Tasks that name the same pod.
        (facts(named_by=(ENDED_TASK, task())), (403, "PodUnknown")),
        (facts(pod=WARM_POD, named_by=(ENDED_TASK, task())), (403, "PodUnknown")),
        (facts(pod=SERVICE_POD, named_by=(task(), task())), (503, "PodNotRecorded")),
        (facts(task=task(agentRef={"name": "another"})), (403, "TaskUnknown")),
        (facts(task=task(status={"pod": None})), (503, "PodNotRecorded")),
        (facts(task=task(status={"pod": {"name": "t1-pod", "uid": "another"}})), (403, "PodUnknown")),
        # The Agent is there and readable.
        (facts(policy=None), (403, "AgentUnknown")),
    ],
)
def test_facts_that_do_not_agree_are_refused(changed: Facts, expected: tuple[int, str]) -> None:
    assert code_of(changed) == expected


@pytest.mark.parametrize(
    "owner",
    [
        [],
        [{"apiVersion": "aos.dev/v1alpha1", "kind": "Task", "name": "t1", "uid": TASK_UID}],
        [{"apiVersion": "batch/v1", "kind": "Task", "name": "t1", "uid": TASK_UID, "controller": True}],
        [
            {
                "apiVersion": "aos.dev/v1alpha1",
                "kind": "Agent",
                "name": "t1",
                "uid": TASK_UID,
                "controller": True,
            }
        ],
        [{"apiVersion": "v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": True}],
        [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "r", "uid": "r", "controller": True}],
    ],
)
def test_attack_30_a_pod_that_no_task_controls_is_refused(owner: list[dict[str, str | bool]]) -> None:
    pod = PodFacts.parse(raw_pod(metadata={"ownerReferences": [dict(item) for item in owner]}))
    assert code_of(facts(pod=pod)) == (403, "TaskUnknown")


def test_a_deadline_counts_from_the_creation_of_the_task() -> None:
    found = task(deadline="90s")
    assert found.metadata.creation_timestamp is not None
    assert deadline_of(found) == found.metadata.creation_timestamp.timestamp() + 90


def test_a_deadline_that_moved_while_people_decided_is_the_one_on_the_status() -> None:
    found = task(deadline="90s")
    later = datetime(2026, 1, 2, 12, tzinfo=UTC)
    moved = found.model_copy(update={"status": found.status.model_copy(update={"deadline": later})})
    assert deadline_of(moved) == later.timestamp()


@dataclass
class FakeCluster:
    whole: Facts = field(default_factory=facts)
    staleness: float = 0.0
    closed: set[str] = field(default_factory=set)
    policies: dict[str, EffectivePolicy] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    named: tuple[Task, ...] | None = None
    _named: tuple[Task, ...] = ()

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        return self.whole.policy if agent == "enricher" else self.policies.get(agent)

    def task(self, namespace: str, name: str) -> Task | None:
        return self.whole.task if name == "t1" else self.tasks.get(name)

    def tasks_of_pod(self, pod_uid: str) -> tuple[Task, ...]:
        if self.named is not None:
            return self.named
        there = self.whole.task
        now = (there,) if there is not None and there.status.pod is not None else ()
        if len(now) != len(self._named) or any(
            one is not other for one, other in zip(now, self._named, strict=True)
        ):
            self._named = now
        return self._named

    def revision(self, namespace: str, name: str) -> Revision | None:
        return self.whole.revision

    def pod(self, namespace: str, name: str) -> PodFacts | None:
        return self.whole.pod

    def has_ended(self, pod_uid: str) -> bool:
        return self.whole.pod_has_ended

    def service_account_uid(self, namespace: str, name: str) -> str | None:
        return self.whole.service_account_uid

    def is_closed(self, uid: str) -> bool:
        return uid in self.closed

    def staleness_seconds(self) -> float:
        return self.staleness

    def stalest(self) -> str:
        return "policies"


class Trusting(TokenVerifier):
    def __init__(self) -> None:
        self.claims = CLAIMS

    async def verify(self, token: bytes) -> Claims:
        return self.claims


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def nothing() -> Message:
    return {"type": "http.disconnect"}


def request(address: str = "10.0.0.7", headers: Mapping[str, str] | None = None) -> HttpRequest:
    said = {"authorization": "Bearer token"} if headers is None else headers
    scope = {
        "method": "GET",
        "path": "/",
        "headers": [(name.encode(), value.encode()) for name, value in said.items()],
        "client": (address, 1234),
    }
    return HttpRequest(scope, nothing, max_body_bytes=0, timeout_seconds=1)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def wall() -> Clock:
    return Clock(deadline_of(task()) - 60)


@pytest.fixture
def monotonic() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def identity(cluster: FakeCluster, wall: Clock, monotonic: Clock) -> Identity:
    return Identity(Trusting(), cluster, SETTINGS, wall, monotonic)


async def refused(identity: Identity, address: str = "10.0.0.7") -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        await identity.authenticate(request(address))
    return caught.value.status, str(caught.value.code)


async def test_a_caller_is_the_same_as_long_as_nothing_changed(
    identity: Identity, cluster: FakeCluster
) -> None:
    first = await identity.authenticate(request())
    assert await identity.authenticate(request()) is first
    cluster.whole = replace(cluster.whole, policy=policy(suspend=True))
    assert (await identity.authenticate(request())).policy is cluster.whole.policy


async def test_nothing_is_kept_of_a_pod_that_is_gone(identity: Identity) -> None:
    await identity.authenticate(request())
    assert len(identity._resolved) == 1
    identity.forget(POD_UID)
    identity.forget("never seen")
    assert len(identity._resolved) == 0


@pytest.mark.parametrize("address", ["10.0.0.8", "", "::1", "10.0.0.70", "0a00:0007"])
async def test_attack_03_another_address_is_refused(identity: Identity, address: str) -> None:
    await identity.authenticate(request())
    assert await refused(identity, address) == (403, "AddressMismatch")


async def test_an_address_of_either_family_is_the_pods(identity: Identity, cluster: FakeCluster) -> None:
    cluster.whole = facts(pod=PodFacts.parse(raw_pod(podIPs=[{"ip": "10.0.0.7"}, {"ip": "fd00::7"}])))
    for address in ("10.0.0.7", "::ffff:10.0.0.7", "fd00::7"):
        await identity.authenticate(request(address))


async def test_every_request_is_judged_by_what_is_there_now(identity: Identity, cluster: FakeCluster) -> None:
    await identity.authenticate(request())
    for changed, expected in (
        (facts(task=None), (403, "TaskUnknown")),
        (facts(pod=None, pod_has_ended=True), (403, "PodEnded")),
        (facts(service_account_uid="another"), (403, "ServiceAccountUnknown")),
        (facts(policy=None), (403, "AgentUnknown")),
    ):
        cluster.whole = changed
        assert await refused(identity) == expected
    cluster.whole = facts()
    assert (await identity.authenticate(request())).agent == "enricher"


async def test_a_task_that_has_ended_has_no_callers_but_for_its_result(
    identity: Identity, cluster: FakeCluster
) -> None:
    ended: JsonObject = {
        "type": "Succeeded",
        "status": "False",
        "reason": "DeadlineExceeded",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    cluster.whole = facts(task=task(status={"conditions": [ended]}))
    assert await refused(identity) == (403, "TaskEnded")
    assert (await identity.authenticate(request(), must_be_open=False)).agent == "enricher"


async def test_a_task_whose_result_was_taken_here_has_ended_before_its_status_says_so(
    identity: Identity, cluster: FakeCluster
) -> None:
    cluster.closed.add(TASK_UID)
    assert await refused(identity) == (403, "TaskEnded")


async def test_a_task_past_its_deadline_has_ended(identity: Identity, wall: Clock) -> None:
    await identity.authenticate(request())
    wall.now += 61
    assert await refused(identity) == (403, "TaskEnded")


async def test_old_knowledge_is_used_for_so_long_and_then_denies(
    identity: Identity, cluster: FakeCluster, monotonic: Clock
) -> None:
    await identity.authenticate(request())
    cluster.staleness, monotonic.now = 299, 1299
    await identity.authenticate(request())
    cluster.staleness, monotonic.now = 301, 1301
    assert await refused(identity) == (503, "Stale")
    cluster.staleness = 0
    await identity.authenticate(request())


async def test_nothing_is_known_before_the_cluster_was_read(identity: Identity, cluster: FakeCluster) -> None:
    cluster.staleness = float("inf")
    assert await refused(identity) == (503, "Stale")


ROOT_ENTRY: JsonObject = {"agent": "lead", "task": "t0", "taskUID": "t0-uid"}
MIDDLE_ENTRY: JsonObject = {"agent": "writer", "task": "t00", "taskUID": "t00-uid"}


def ancestor(name: str, agent: str, lineage: list[JsonValue], **status: JsonValue) -> Task:
    item = raw_task(name, agentRef={"name": agent}, lineage=lineage, status=status)
    return Task.parse({**item, "metadata": {**child(item, "metadata"), "uid": f"{name}-uid"}})


def named_policy(name: str, **spec: JsonValue) -> EffectivePolicy:
    agent = Agent.parse(raw_agent(name, **spec))  # type: ignore[arg-type] # parts of a spec
    return effective_policy(PolicyInputs(agent=agent, namespace_labels={}, tools={}, policies=()))


@pytest.fixture
def handed_over(cluster: FakeCluster) -> FakeCluster:
    """The caller's Task was handed over by writer, whose Task was handed over by lead."""
    cluster.policies = {name: named_policy(name) for name in ("lead", "writer")}
    cluster.tasks = {"t0": ancestor("t0", "lead", []), "t00": ancestor("t00", "writer", [ROOT_ENTRY])}
    cluster.whole = facts(task=task(lineage=[ROOT_ENTRY, MIDDLE_ENTRY]))
    return cluster


async def test_attack_19_a_caller_brings_the_policies_of_all_agents_that_led_to_its_task(
    identity: Identity, handed_over: FakeCluster
) -> None:
    caller = await identity.authenticate(request())
    assert caller.ancestors == (handed_over.policies["lead"], handed_over.policies["writer"])
    handed_over.policies["lead"] = named_policy("lead", tools=[])
    again = await identity.authenticate(request())
    assert again.ancestors[0] is handed_over.policies["lead"]


@pytest.mark.parametrize("name", ["lead", "writer"])
async def test_an_ancestor_that_is_suspended_or_gone_stops_what_was_handed_over(
    identity: Identity, handed_over: FakeCluster, name: str
) -> None:
    await identity.authenticate(request())
    handed_over.policies[name] = named_policy(name, suspend=True)
    assert await refused(identity) == (403, "AgentSuspended")
    assert (await identity.authenticate(request(), must_be_open=False)).agent == "enricher"
    del handed_over.policies[name]
    assert await refused(identity) == (403, "AgentUnknown")


@pytest.mark.parametrize("name", ["t0", "t00"])
async def test_what_was_handed_over_ends_with_what_it_came_from(
    identity: Identity, handed_over: FakeCluster, name: str
) -> None:
    await identity.authenticate(request())
    there = handed_over.tasks[name]
    agent, lineage = there.spec.agent_ref.name, [] if name == "t0" else [ROOT_ENTRY]
    handed_over.tasks[name] = ancestor(name, agent, [*lineage], conditions=[ENDED])
    assert await refused(identity) == (403, "TaskEnded")
    handed_over.tasks[name] = there
    await identity.authenticate(request())
    handed_over.closed.add(f"{name}-uid")
    assert await refused(identity) == (403, "TaskEnded")
    handed_over.closed.clear()
    del handed_over.tasks[name]
    assert await refused(identity) == (403, "TaskEnded")


async def test_another_task_of_an_ancestors_name_is_not_the_ancestor(
    identity: Identity, handed_over: FakeCluster
) -> None:
    anew = handed_over.tasks["t0"].metadata.model_copy(update={"uid": "anew"})
    handed_over.tasks["t0"] = handed_over.tasks["t0"].model_copy(update={"metadata": anew})
    assert await refused(identity) == (403, "TaskEnded")


@pytest.mark.parametrize(
    "lineage",
    [
        [MIDDLE_ENTRY],
        [{**ROOT_ENTRY, "agent": "writer"}],
        [{**MIDDLE_ENTRY, "agent": "lead"}, ROOT_ENTRY],
        [ROOT_ENTRY, ROOT_ENTRY, MIDDLE_ENTRY],
    ],
    ids=["a link left out", "another agent", "another order", "a link added"],
)
async def test_attack_20_a_lineage_that_is_not_its_ancestors_is_refused(
    identity: Identity, handed_over: FakeCluster, lineage: list[JsonValue]
) -> None:
    handed_over.whole = facts(task=task(lineage=lineage))
    assert await refused(identity) == (403, "TaskUnknown")


LARGE: JsonObject = {"runUID": "r1-uid", "workflow": "outreach", "calls": 1000}
STEP: JsonObject = {
    "name": "r1",
    "uid": "r1-uid",
    "rootUID": "r1-uid",
    "workflow": "outreach",
    "step": "draft",
}


async def test_what_was_handed_over_in_a_run_is_for_the_step_that_it_came_from(
    identity: Identity, handed_over: FakeCluster
) -> None:
    for name, agent, lineage in (("t0", "lead", []), ("t00", "writer", [ROOT_ENTRY])):
        handed_over.tasks[name] = in_run(ancestor(name, agent, [*lineage]), STEP)
    handed_over.whole = facts(task=task(lineage=[ROOT_ENTRY, MIDDLE_ENTRY], run={**STEP, "attempt": 1}))
    found = (await identity.authenticate(request())).task.spec.run
    assert found is not None
    assert found.step == "draft"


@pytest.mark.parametrize("name", ["t0", "t00"])
@pytest.mark.parametrize(
    "said",
    [
        None,
        {**STEP, "uid": "r2-uid"},
        {**STEP, "rootUID": "another"},
        {**STEP, "step": "send"},
        {**STEP, "item": 1},
        {**STEP, "attempt": 2},
        {**STEP, "budgets": [LARGE]},
    ],
    ids=["no run", "another run", "another root", "another step", "an item", "another attempt", "a budget"],
)
async def test_attack_20_a_task_that_says_to_be_for_another_step_than_its_ancestors_is_refused(
    identity: Identity, handed_over: FakeCluster, said: JsonObject | None, name: str
) -> None:
    handed_over.tasks = {
        "t0": in_run(ancestor("t0", "lead", []), STEP),
        "t00": in_run(ancestor("t00", "writer", [ROOT_ENTRY]), STEP),
    }
    handed_over.tasks[name] = in_run(handed_over.tasks[name], said)
    handed_over.whole = facts(task=task(lineage=[ROOT_ENTRY, MIDDLE_ENTRY], run=STEP))
    assert await refused(identity) == (403, "TaskUnknown")


def in_run(item: Task, run: JsonObject | None) -> Task:
    step = StepOfRun.model_validate(run) if run is not None else None
    return item.model_copy(update={"spec": item.spec.model_copy(update={"run": step})})


@pytest.mark.parametrize("said", ["", "Bearer", "Bearer ", "Basic eA==", "token"])
def test_a_request_without_a_bearer_token_is_refused(said: str) -> None:
    with pytest.raises(Refusal) as caught:
        bearer_token(request(headers={"authorization": said}))
    assert (caught.value.status, caught.value.code) == (401, "NoToken")


def test_the_scheme_may_be_written_as_one_likes() -> None:
    assert bearer_token(request(headers={"authorization": "bearer abc"})) == b"abc"


def test_the_uid_of_a_service_account_is_compared_with_the_tokens() -> None:
    assert CLAIMS.service_account_uid == ACCOUNT_UID


async def test_a_revision_that_comes_late_is_seen_from_the_next_request_on(
    identity: Identity, cluster: FakeCluster
) -> None:
    assert (await identity.authenticate(request())).running is None
    spec = policy().agent.spec
    cluster.whole = replace(cluster.whole, revision=Revision("enricher-1", "Enrich.", spec, "sha256:1"))
    running = (await identity.authenticate(request())).running
    assert running is not None
    assert running.digest == "sha256:1"


@pytest.fixture
def service(cluster: FakeCluster) -> FakeCluster:
    """The caller's pod is one of a Service; first and second are its Tasks, one after the other."""
    cluster.whole = facts(pod=SERVICE_POD, task=None)
    cluster.named = (task_of("first"),)
    return cluster


def saying(uid: str) -> HttpRequest:
    return request(headers={"authorization": "Bearer token", "aos-task": uid})


async def test_a_pod_of_a_service_is_of_the_open_task_that_names_it(
    identity: Identity, service: FakeCluster
) -> None:
    first = await identity.authenticate(request())
    assert (first.task.metadata.uid, first.is_service) == ("first", True)
    assert await identity.authenticate(saying("first")) is first
    service.named = (task_of("first", conditions=[ENDED]), task_of("second"))
    second = await identity.authenticate(request())
    assert second.task.metadata.uid == "second"
    assert await identity.authenticate(saying("second")) is second


async def test_attack_20_a_pod_of_a_service_can_do_nothing_more_for_the_task_that_it_had_before(
    identity: Identity, service: FakeCluster
) -> None:
    await identity.authenticate(request())
    ended = task_of("first", conditions=[ENDED])
    service.named = (ended,)
    assert await refused(identity) == (403, "TaskEnded")
    service.named = (ended, task_of("second"))
    await identity.authenticate(request())
    for said, code in (("first", "TaskEnded"), ("third", "TaskUnknown"), ("first, second", "TaskUnknown")):
        with pytest.raises(Refusal) as caught:
            await identity.authenticate(saying(said))
        assert caught.value.code == code
    late = await identity.authenticate(saying("first"), must_be_open=False)
    assert late.task is ended
    assert (await identity.authenticate(request())).task.metadata.uid == "second"


async def test_a_task_of_a_service_that_ended_here_counts_as_ended_before_its_status_says_so(
    identity: Identity, service: FakeCluster
) -> None:
    await identity.authenticate(request())
    service.closed.add("first")
    assert await refused(identity) == (403, "TaskEnded")


@pytest.mark.parametrize("end", ["ended", "closed", "past its deadline", "without a Task"])
async def test_a_pod_of_a_service_is_free_once_its_task_has_ended(
    identity: Identity, service: FakeCluster, wall: Clock, end: str
) -> None:
    if end == "ended":
        service.named = (ENDED_TASK,)
    elif end == "closed":
        service.closed.add("first")
    elif end == "without a Task":
        service.named = ()
    else:
        wall.now += 61
    with pytest.raises(Unassigned) as caught:
        await identity.authenticate(request())
    assert (caught.value.namespace, caught.value.agent, caught.value.pod) == (
        "sales",
        "enricher",
        SERVICE_POD,
    )
    assert await refused(identity, "10.0.0.8") == (403, "AddressMismatch")


async def test_a_pod_that_had_its_one_task_is_never_free(identity: Identity, cluster: FakeCluster) -> None:
    for pod in (POD, WARM_POD):
        cluster.whole = facts(pod=pod, task=task(status={"conditions": [ENDED]}))
        with pytest.raises(Refusal) as caught:
            await identity.authenticate(request())
        assert caught.value.code == "TaskEnded"
        assert not isinstance(caught.value, Unassigned)


async def test_a_pod_of_a_service_that_is_to_go_ends_its_task_and_gets_no_other(
    identity: Identity, service: FakeCluster
) -> None:
    service.whole = facts(pod=replace(SERVICE_POD, is_deleted=True), task=None)
    assert (await identity.authenticate(request())).task.metadata.uid == "first"
    service.named = (task_of("first", conditions=[ENDED]),)
    with pytest.raises(Refusal) as caught:
        await identity.authenticate(request())
    assert caught.value.code == "TaskEnded"
    assert not isinstance(caught.value, Unassigned)


async def test_a_warm_pod_is_of_the_task_that_claimed_it(identity: Identity, cluster: FakeCluster) -> None:
    cluster.whole = facts(pod=WARM_POD, task=None)
    assert await refused(identity) == (503, "PodNotRecorded")
    cluster.named = (task_of("claimed"),)
    caller = await identity.authenticate(request())
    assert (caller.task.metadata.uid, caller.is_service) == ("claimed", False)
    owned = replace(WARM_POD, owner=PodOwner.TASK, owner_uid="claimed", said_task_uid="claimed")
    cluster.whole = facts(pod=owned, task=None)
    assert (await identity.authenticate(request())).task.metadata.uid == "claimed"


async def test_a_task_of_another_namespace_or_agent_that_names_the_pod_is_not_its_own(
    identity: Identity, service: FakeCluster
) -> None:
    metadata = task().metadata.model_copy(update={"namespace": "finance"})
    service.named = (task().model_copy(update={"metadata": metadata}),)
    assert await refused(identity) == (403, "TaskUnknown")
    service.named = (task(agentRef={"name": "another"}),)
    assert await refused(identity) == (403, "TaskUnknown")
