import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from aos.gateway.model_status import ModelStatus
from aos.gateway.registry import Listener
from aos.gateway.reporter import Availability, StatusReporter, status_manifest
from aos.kube.client import ApiClient
from aos.kube.errors import ApiError, Conflict, Target
from aos.kube.lease import LeaderElector
from aos.kube.resources import MODELS, TOOLS, Resource
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.meta import KeyReference, ObjectKey
from aos.model.model import Model
from aos.model.tool import ActionState, ObservedAction, Tool
from tests.unit.gateway.make import raw, raw_tool
from tests.unit.kube.fakes import FakeClock
from tests.unit.kube.test_lease import Connection, Server

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
AVAILABLE = Availability(Reason.AVAILABLE, "the tool was listed")
ACTIONS = (ObservedAction(name="get_contact", state=ActionState.OFFERED),)
CONDITION: JsonObject = {
    "type": "Available",
    "status": "True",
    "reason": "Available",
    "message": "the tool was listed",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-02T03:04:05Z",
}


def tool(status: JsonObject | None = None) -> Tool:
    return Tool.parse(raw_tool() | {"status": status or {}})


def test_a_status_carries_the_condition_and_the_actions() -> None:
    manifest = status_manifest(TOOLS, tool(), AVAILABLE, ACTIONS, NOW)
    assert manifest == {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Tool",
        "metadata": {"name": "crm", "namespace": "sales", "resourceVersion": "1"},
        "status": {
            "conditions": [CONDITION],
            "actions": [{"name": "get_contact", "state": "Offered", "message": ""}],
        },
    }


def test_what_is_said_already_is_not_written_again() -> None:
    said: JsonObject = {
        "conditions": [CONDITION],
        "actions": [{"name": "get_contact", "state": "Offered"}],
    }
    assert status_manifest(TOOLS, tool(said), AVAILABLE, ACTIONS, NOW) is None


@pytest.mark.parametrize(
    "change",
    [
        {"conditions": []},
        {"conditions": [{**CONDITION, "message": "other"}]},
        {"conditions": [{**CONDITION, "observedGeneration": 0}]},
        {"actions": []},
        {"actions": [{"name": "get_contact", "state": "Missing"}]},
    ],
)
def test_what_differs_is_written(change: JsonObject) -> None:
    said: JsonObject = {
        "conditions": [CONDITION],
        "actions": [{"name": "get_contact", "state": "Offered"}],
        **change,
    }
    assert status_manifest(TOOLS, tool(said), AVAILABLE, ACTIONS, NOW) is not None


def test_the_time_of_a_transition_stays_while_the_status_does() -> None:
    earlier: JsonObject = {**CONDITION, "message": "other", "lastTransitionTime": "2025-01-01T00:00:00Z"}
    manifest = status_manifest(TOOLS, tool({"conditions": [earlier]}), AVAILABLE, ACTIONS, NOW)
    assert manifest is not None
    status = manifest["status"]
    assert isinstance(status, dict)
    assert status["conditions"] == [{**CONDITION, "lastTransitionTime": "2025-01-01T00:00:00Z"}]


def test_every_reason_but_one_is_false() -> None:
    missing = Availability(Reason.CREDENTIALS_MISSING, "no Secret")
    manifest = status_manifest(TOOLS, tool(), missing, (), NOW)
    assert manifest is not None
    status = manifest["status"]
    assert isinstance(status, dict)
    assert "actions" not in status
    conditions = status["conditions"]
    assert isinstance(conditions, list)
    assert isinstance(conditions[0], dict)
    assert conditions[0]["status"] == "False"


class OneToolAndModel:
    """A registry with a Tool and a Model."""

    def __init__(self) -> None:
        self.tool_object: Tool | None = tool()
        auth: JsonObject = {"auth": {"secretRef": {"name": "key", "key": "token"}}}
        spec: JsonObject = {"url": "http://m/v1", "model": "small"}
        self.model_object: Model | None = Model.parse(raw("Model", "default", spec={**spec, **auth}))
        self.secret: str | None = None
        self.listeners: list[Listener] = []

    def tool(self, namespace: str, name: str) -> Tool | None:
        return self.tool_object

    def model(self, namespace: str, name: str) -> Model | None:
        return self.model_object

    def credential(self, namespace: str, reference: KeyReference) -> str | None:
        return self.secret

    def on_model_change(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def on_tool_change(self, listener: Listener) -> None:
        self.listeners.append(listener)


class KeptStatuses(ApiClient):
    def __init__(self) -> None:
        self.applied: list[tuple[Resource, JsonObject]] = []
        self.failures: list[ApiError] = []
        self.written = asyncio.Event()

    async def apply_status(
        self,
        resource: Resource,
        manifest: Mapping[str, JsonValue],
        *,
        field_manager: str,
        force: bool = True,
    ) -> JsonObject:
        self.applied.append((resource, dict(manifest)))
        self.written.set()
        if self.failures:
            raise self.failures.pop(0)
        return dict(manifest)


async def test_a_conflict_is_tried_again_on_what_is_there_by_then() -> None:
    client, registry = KeptStatuses(), OneToolAndModel()
    reporter = StatusReporter(client, registry)  # type: ignore[arg-type] # it asks for no more than this
    running = asyncio.create_task(reporter.run())
    key = ObjectKey(namespace="sales", name="crm")
    client.failures.append(Conflict(Target("apply", "tools"), 409, "Conflict", "another version"))
    reporter.report_tool(key, AVAILABLE, ACTIONS)
    async with asyncio.timeout(20):
        while len(client.applied) < 2:
            client.written.clear()
            await client.written.wait()
    running.cancel()
    await asyncio.wait((running,))
    assert [resource for resource, _ in client.applied] == [TOOLS, TOOLS]


async def test_what_is_said_while_an_earlier_word_is_on_its_way_is_not_lost() -> None:
    client, registry = KeptStatuses(), OneToolAndModel()
    registry.tool_object = tool(
        {"conditions": [CONDITION], "actions": [{"name": "get_contact", "state": "Offered"}]}
    )
    reporter = StatusReporter(client, registry, recheck_seconds=0.05)  # type: ignore[arg-type] # as above
    running = asyncio.create_task(reporter.run())
    key = ObjectKey(namespace="sales", name="crm")
    async with asyncio.timeout(20):
        reporter.report_tool(key, Availability(Reason.CREDENTIALS_MISSING, "gone"), ACTIONS)
        await client.written.wait()
        client.written.clear()
        # The credential is back before the cache shows that it was missed: the cache still says what is true again.
        reporter.report_tool(key, AVAILABLE, ACTIONS)
        await asyncio.sleep(0)
        missing = {**CONDITION, "status": "False", "reason": "CredentialsMissing", "message": "gone"}
        registry.tool_object = tool(
            {"conditions": [missing], "actions": [{"name": "get_contact", "state": "Offered"}]}
        )
        await client.written.wait()
    running.cancel()
    await asyncio.wait((running,))
    said = [json.dumps(manifest["status"]) for _, manifest in client.applied]
    assert ["CredentialsMissing" in said[0], "CredentialsMissing" in said[-1]] == [True, False]


async def test_nothing_is_said_of_a_tool_that_is_gone() -> None:
    client, registry = KeptStatuses(), OneToolAndModel()
    reporter = StatusReporter(client, registry)  # type: ignore[arg-type] # as above
    running = asyncio.create_task(reporter.run())
    gone, there = ObjectKey(namespace="sales", name="crm"), ObjectKey(namespace="sales", name="default")
    registry.tool_object = None
    reporter.report_tool(gone, AVAILABLE, ACTIONS)
    reporter.report_model(there, AVAILABLE)
    async with asyncio.timeout(20):
        await client.written.wait()
    running.cancel()
    await asyncio.wait((running,))
    assert [resource for resource, _ in client.applied] == [MODELS]


async def test_what_was_said_of_tools_and_models_that_are_gone_is_not_kept() -> None:
    registry = OneToolAndModel()
    reporter = StatusReporter(KeptStatuses(), registry)  # type: ignore[arg-type] # as above
    key = ObjectKey(namespace="sales", name="crm")
    reporter.report_tool(key, AVAILABLE, ACTIONS)
    reporter.report_model(key, AVAILABLE)
    for listener in registry.listeners:
        listener(key)
    assert reporter.kept == 2
    registry.tool_object = registry.model_object = None
    for listener in registry.listeners:
        listener(key)
    assert reporter.kept == 0


async def test_a_model_is_reported_by_its_credential() -> None:
    client, registry = KeptStatuses(), OneToolAndModel()
    reporter = StatusReporter(client, registry)  # type: ignore[arg-type] # as above
    running = asyncio.create_task(reporter.run())
    ModelStatus(registry, reporter)  # type: ignore[arg-type] # as above
    key = ObjectKey(namespace="sales", name="default")
    said = []
    for secret in (None, "s3cret"):
        registry.secret = secret
        client.written.clear()
        for listener in registry.listeners:
            listener(key)
        async with asyncio.timeout(20):
            await client.written.wait()
        resource, manifest = client.applied[-1]
        assert resource is MODELS
        status = manifest["status"]
        assert isinstance(status, dict)
        assert isinstance(status["conditions"], list)
        said.append(status["conditions"][0])
    running.cancel()
    await asyncio.wait((running,))
    reasons = [item["reason"] for item in said if isinstance(item, dict)]
    assert reasons == ["CredentialsMissing", "Available"]
    assert "s3cret" not in str(client.applied)


async def test_of_two_gateways_that_disagree_one_speaks_until_it_ends_and_then_the_other() -> None:
    key, clock, server = ObjectKey(namespace="sales", name="crm"), FakeClock(), Server()
    clients, reporters = (KeptStatuses(), KeptStatuses()), []
    for number, client in enumerate(clients):
        elector = LeaderElector(
            Connection(server), namespace="aos-system", name="l", identity=str(number), clock=clock
        )
        reporter = StatusReporter(client, OneToolAndModel(), elector=elector)  # type: ignore[arg-type] # as above
        reporter.report_tool(key, Availability(Reason.UNREACHABLE, f"so says {number}"), ACTIONS)
        reporters.append(asyncio.create_task(reporter.run()))
        await clock.advance(0)
    async with asyncio.timeout(20):
        await clients[0].written.wait()
    await clock.advance(30)
    assert clients[1].applied == []
    reporters[0].cancel()
    await asyncio.wait((reporters[0],))
    await clock.advance(5)
    async with asyncio.timeout(20):
        await clients[1].written.wait()
    reporters[1].cancel()
    await asyncio.wait((reporters[1],))


async def test_a_gateway_that_lost_its_turn_writes_nothing_and_takes_part_again() -> None:
    key, clock, server = ObjectKey(namespace="sales", name="crm"), FakeClock(), Server()
    client = KeptStatuses()
    elector = LeaderElector(Connection(server), namespace="aos-system", name="l", identity="0", clock=clock)
    reporter = StatusReporter(client, OneToolAndModel(), elector=elector)  # type: ignore[arg-type] # as above
    running = asyncio.create_task(reporter.run())
    await clock.advance(0)
    usurper: JsonObject = {"holderIdentity": "1", "leaseDurationSeconds": 15, "renewTime": "t"}
    server.store({**(server.lease or {}), "spec": usurper})
    await clock.advance(3)
    reporter.report_tool(key, AVAILABLE, ACTIONS)
    await clock.advance(5)
    assert client.applied == []
    await clock.advance(20)
    async with asyncio.timeout(20):
        await client.written.wait()
    running.cancel()
    await asyncio.wait((running,))


async def test_what_one_replica_does_for_all_runs_beside_its_statuses_and_ends_with_its_turn() -> None:
    clock, server = FakeClock(), Server()
    began, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    elector = LeaderElector(Connection(server), namespace="aos-system", name="l", identity="0", clock=clock)
    reporter = StatusReporter(KeptStatuses(), OneToolAndModel(), elector=elector, beside=work)  # type: ignore[arg-type] # as above
    running = asyncio.create_task(reporter.run())
    await clock.advance(0)
    async with asyncio.timeout(20):
        await began.wait()
    assert not ended.is_set()
    running.cancel()
    await asyncio.wait((running,))
    assert ended.is_set()
