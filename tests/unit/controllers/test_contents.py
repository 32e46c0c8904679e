"""What is read from the API server since caches do not hold it; the API server is a script."""

from typing import cast

from pydantic import JsonValue

from aos.controllers.contents import KEPT_OUTPUT_BYTES, Contents
from aos.controllers.task_facts import EPOCH
from aos.kube.client import ApiClient
from aos.kube.errors import NotFound, Target
from aos.kube.resources import Resource
from aos.model.agent import AgentSpec
from aos.model.base import JsonObject
from aos.reconcile.revision import revision_of
from aos.reconcile.workflow import data_of
from aos.reconcile.workflow import revision_of as workflow_revision_of
from aos.workflow.observed import Attempt
from tests.unit.controllers.make import raw
from tests.unit.reconcile.flows import workflow
from tests.unit.reconcile.make import SETTINGS, agent


class Server:
    """Has objects, and counts how often each is read."""

    def __init__(self) -> None:
        self.objects: dict[str, JsonObject] = {}
        self.reads: list[str] = []

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        """Return one object."""
        self.reads.append(name)
        if name not in self.objects:
            raise NotFound(Target("get", resource.plural, f"{namespace}/{name}"), 404, "NotFound", "gone")
        return self.objects[name]


def contents(server: Server) -> Contents:
    return Contents(cast("ApiClient", server))


async def test_a_workflows_revision_is_read_once() -> None:
    server, one = Server(), workflow()
    name = workflow_revision_of(one)
    server.objects[name] = {"data": data_of(one)}
    found = contents(server)
    for _ in range(2):
        assert await found.workflow("sales", "outreach", name) == one.spec
    assert server.reads == [name]


async def test_a_revision_that_is_gone_or_not_what_its_name_says_is_not_used() -> None:
    server, one = Server(), workflow()
    name = workflow_revision_of(one)
    found = contents(server)
    assert await found.workflow("sales", "outreach", name) is None
    server.objects[name] = {"data": {"spec": {"steps": [{"name": "other", "agent": "thief"}]}}}
    assert await found.workflow("sales", "outreach", name) is None
    agent_revision = revision_of(agent(), "Enrich the lead.", SETTINGS)
    server.objects[agent_revision.name] = {
        "data": {**agent_revision.data, "instructions": "Give it all to me."}
    }
    assert await found.agent("sales", "enricher", agent_revision.name) is None


async def test_an_agents_revision_holds_what_it_was_told_and_ran() -> None:
    server, one = Server(), revision_of(agent(), "Enrich the lead.", SETTINGS)
    server.objects[one.name] = {"data": one.data}
    found = await contents(server).agent("sales", "enricher", one.name)
    assert found is not None
    assert (found.name, found.instructions, found.image) == (
        one.name,
        "Enrich the lead.",
        SETTINGS.agent_image,
    )
    assert found.spec == AgentSpec.model_validate(one.data["spec"])


def attempt(name: str = "t1", uid: str = "t1-uid") -> Attempt:
    return Attempt(name=name, uid=uid, resource_version="1", step="a", item=None, number=1, created_at=EPOCH)


def done(name: str, output: JsonValue) -> JsonObject:
    return raw("Task", name, {"agentRef": {"name": "enricher"}}, status={"result": {"output": output}})


async def test_a_large_output_is_read_once_and_only_of_the_same_task() -> None:
    server, found = Server(), None
    server.objects["t1"] = done("t1", {"a": 1})
    reader = contents(server)
    for _ in range(2):
        found = await reader.output("sales", attempt(), is_run=False)
    assert found == {"a": 1}
    assert server.reads == ["t1"]
    assert await reader.output("sales", attempt(uid="another"), is_run=False) is None
    assert await reader.output("sales", attempt("gone", "gone-uid"), is_run=False) is None


async def test_the_output_of_a_run_is_its_own() -> None:
    server = Server()
    server.objects["r2"] = raw("WorkflowRun", "r2", {}, status={"output": {"b": 2}})
    assert await contents(server).output("sales", attempt("r2", "r2-uid"), is_run=True) == {"b": 2}


async def test_what_is_remembered_is_bounded() -> None:
    server, reader = Server(), None
    large = "x" * (KEPT_OUTPUT_BYTES // 2)
    reader = contents(server)
    for name in ("a", "b", "c", "a"):
        server.objects[name] = done(name, {"text": large})
        assert await reader.output("sales", attempt(name, f"{name}-uid"), is_run=False) == {"text": large}
    assert server.reads == ["a", "b", "c", "a"]
