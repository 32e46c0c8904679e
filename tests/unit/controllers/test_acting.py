"""What is written, and what becomes of refusals; the API server is a script."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import pytest
from pydantic import JsonValue

from aos.controllers.acting import Actor, NotLeadingError
from aos.controllers.children import Children
from aos.controllers.keys import Key
from aos.controllers.metrics import OperatorMetrics
from aos.controllers.objects import Objects
from aos.kube.client import ApiClient
from aos.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound, QuotaExceeded, Target
from aos.kube.events import EventRecorder, EventType, ObjectReference
from aos.kube.resources import Resource
from aos.model.base import JsonObject
from aos.reconcile.children import network_policy, service_account
from aos.reconcile.events import EventReason, Happening
from aos.reconcile.observed_pod import ObservedPod
from aos.reconcile.plan import Deletion, PodChange
from aos.reconcile.pod import pod
from aos.reconcile.task_step import Rejection
from tests.unit.controllers.make import AGENT, CLUSTER_POLICY, raw
from tests.unit.reconcile.make import PLATFORM, SETTINGS, agent, ready_agent, task

TARGET = Target("do", "things")


def refusal(kind: type[ApiError], message: str = "no") -> ApiError:
    return kind(TARGET, 400, kind.__name__, message)


@dataclass
class Script:
    """Answers requests as told, and keeps what was asked."""

    answers: dict[str, JsonObject | ApiError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    wrote: list[str] = field(default_factory=list)
    told: list[tuple[str, str, EventType]] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)

    def _answer(self, verb: str, kind: str, default: JsonObject) -> JsonObject:
        self.asked.append(f"{verb} {kind}")
        answer = self.answers.get(f"{verb} {kind}", default)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def apply(self, resource: Resource, manifest: JsonObject, *, field_manager: str) -> JsonObject:
        assert field_manager == "aos-operator"
        return self._answer("apply", resource.kind, manifest)

    async def apply_status(
        self, resource: Resource, manifest: JsonObject, *, field_manager: str
    ) -> JsonObject:
        assert field_manager == "aos-operator"
        metadata = cast("JsonObject", manifest["metadata"])
        assert set(metadata) == {"name", "resourceVersion", *(["namespace"] if resource.namespaced else [])}
        return self._answer("status", resource.kind, manifest)

    async def create(self, resource: Resource, manifest: Mapping[str, JsonValue]) -> JsonObject:
        return self._answer("create", resource.kind, dict(manifest))

    async def get(self, resource: Resource, name: str, namespace: str) -> JsonObject:
        assert name
        assert bool(namespace) is resource.namespaced
        return self._answer("get", resource.kind, {})

    async def merge_patch(
        self, resource: Resource, name: str, patch: Mapping[str, JsonValue], *, namespace: str
    ) -> JsonObject:
        assert name
        assert namespace
        return self._answer("patch", resource.kind, {"metadata": {"name": name}, **patch})

    async def delete(self, resource: Resource, name: str, *, namespace: str, uid: str) -> None:
        assert name
        assert namespace
        assert uid
        self._answer("delete", resource.kind, {})

    def record(
        self,
        regarding: ObjectReference,
        *,
        reason: str,
        action: str,
        note: str,
        type: EventType,  # noqa: A002
    ) -> None:
        assert action
        assert note
        self.told.append((regarding.kind, reason, type))


class FakeChildren:
    def __init__(self, script: Script) -> None:
        self._script = script

    def applied(self, resource: Resource, _: JsonObject) -> None:
        self._script.applied.append(resource.kind)


class FakeMetrics:
    def __init__(self, script: Script) -> None:
        self._script = script

    def wrote(self, verb: str, kind: str) -> None:
        self._script.wrote.append(f"{verb} {kind}")


def actor(script: Script, objects: Objects | None = None, *, leads: bool = True) -> Actor:
    return Actor(
        cast("ApiClient", script),
        objects or Objects(lambda _: None),
        cast("Children", FakeChildren(script)),
        cast("EventRecorder", script),
        cast("OperatorMetrics", FakeMetrics(script)),
        lambda: leads,
    )


ONE = agent().metadata
MADE = pod(task(), ready_agent(), "r", SETTINGS, PLATFORM, 60)


async def test_children_are_applied_and_remembered() -> None:
    script = Script()
    children = [network_policy(ONE, SETTINGS), service_account(ONE)]
    assert await actor(script).apply(children) == ""
    assert script.applied == ["NetworkPolicy", "ServiceAccount"]
    assert script.wrote == ["apply NetworkPolicy", "apply ServiceAccount"]


async def test_a_refused_child_is_told_and_the_others_are_applied_all_the_same() -> None:
    script = Script({"apply NetworkPolicy": refusal(Forbidden, "not you")})
    refused = await actor(script).apply([network_policy(ONE, SETTINGS), service_account(ONE)])
    assert refused == "NetworkPolicy aos-agent-enricher: not you"
    assert script.applied == ["ServiceAccount"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(QuotaExceeded, "full"), Rejection(reason="QuotaExceeded", message="full")),  # type: ignore[arg-type]
        (refusal(Forbidden, "not you"), Rejection(reason="PodRejected", message="not you")),  # type: ignore[arg-type]
    ],
)
async def test_a_pod_that_is_refused_is_told(answer: ApiError, expected: Rejection) -> None:
    assert await actor(Script({"create Pod": answer})).create_pod(MADE) == expected


async def test_a_pod_that_has_the_name_is_found() -> None:
    script = Script({"create Pod": refusal(AlreadyExists), "get Pod": MADE})
    found = await actor(script).create_pod(MADE)
    assert isinstance(found, ObservedPod)
    assert found.owner_uid == "t1-uid"


async def test_a_pod_is_changed_only_as_the_version_that_was_observed() -> None:
    change = PodChange(ObservedPod("p", "u", version="7"), {"metadata": {"name": "p"}})
    script = Script()
    assert (await actor(script).change_pod("sales", change)).version == "7"
    assert script.wrote == ["patch Pod"]
    with pytest.raises(Conflict):
        await actor(Script({"patch Pod": refusal(Conflict)})).change_pod("sales", change)


async def test_which_task_has_a_name_is_read_from_the_api_server() -> None:
    assert await actor(Script({"get Task": {"metadata": {"uid": "u"}}})).read_task_uid("sales", "t1") == "u"
    assert await actor(Script({"get Task": refusal(NotFound)})).read_task_uid("sales", "t1") == ""


async def test_what_it_may_not_delete_is_left_and_keeps_nothing_else_from_going() -> None:
    script = Script({"delete Pod": refusal(Forbidden)})
    await actor(script).delete("sales", [Deletion("Pod", "p", "u"), Deletion("Role", "r", "u")])
    assert script.asked == ["delete Pod", "delete Role"]


async def test_what_is_gone_already_is_deleted_enough() -> None:
    script = Script({"delete Pod": refusal(NotFound), "delete Role": refusal(Conflict)})
    await actor(script).delete("sales", [Deletion("Pod", "p", "u"), Deletion("Role", "r", "u")])
    assert script.asked == ["delete Pod", "delete Role"]


async def test_a_status_is_written_onto_the_version_that_was_observed_and_taken_over() -> None:
    seen = raw("Agent", "a", AGENT, version=3)
    written = raw("Agent", "a", AGENT, version=4)
    objects = Objects(lambda _: None)
    await actor(Script({"status Agent": written}), objects).write_status("Agent", seen, {})
    found = objects.agents.identity("sales", "a")
    assert found is not None
    assert found.version == 4


async def test_a_status_that_meets_another_version_is_read_anew_and_not_written() -> None:
    keys: list[Key] = []
    objects = Objects(keys.append)
    newer = raw("Agent", "a", AGENT, version=9)
    script = Script({"status Agent": refusal(Conflict), "get Agent": newer})
    with pytest.raises(Conflict):
        await actor(script, objects).write_status("Agent", raw("Agent", "a", AGENT), {})
    assert [key.name for key in keys] == ["a"]


async def test_the_status_of_what_is_gone_is_not_written() -> None:
    script = Script({"status Agent": refusal(NotFound)})
    await actor(script).write_status("Agent", raw("Agent", "a", AGENT), {})


async def test_without_the_lease_nothing_is_written() -> None:
    script = Script()
    one = actor(script, leads=False)
    with pytest.raises(NotLeadingError):
        await one.apply([service_account(ONE)])
    with pytest.raises(NotLeadingError):
        await one.create_pod(MADE)
    with pytest.raises(NotLeadingError):
        await one.delete("sales", [Deletion("Pod", "p", "u")])
    with pytest.raises(NotLeadingError):
        await one.write_status("Agent", raw("Agent", "a", AGENT), {})
    assert script.asked == []


def test_events_carry_the_type_that_the_table_gives() -> None:
    script = Script()
    happening = Happening(EventReason.NOT_ACCEPTED, "why")
    actor(script).tell(raw("Agent", "a", AGENT), [happening])
    assert script.told == [("Agent", "NotAccepted", EventType.WARNING)]


async def test_what_is_cluster_wide_is_written_and_read_anew_without_a_namespace() -> None:
    keys: list[Key] = []
    objects = Objects(keys.append)
    seen, newer = (raw("ClusterPolicy", "p", CLUSTER_POLICY, version=version) for version in (1, 9))
    script = Script({"status ClusterPolicy": refusal(Conflict), "get ClusterPolicy": newer})
    with pytest.raises(Conflict):
        await actor(script, objects).write_status("ClusterPolicy", seen, {})
    assert [(key.namespace, key.name) for key in keys] == [("", "p")]
