import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Sized

import pytest

from aos.gateway.cluster_registry import ClusterRegistry
from aos.gateway.settings import GatewaySettings
from aos.kube.errors import Forbidden, Target
from aos.kube.objects import child, text
from aos.kube.resources import (
    AGENTS,
    APPROVAL_REQUESTS,
    CLUSTER_POLICIES,
    CONTROLLER_REVISIONS,
    MODELS,
    NAMESPACES,
    PODS,
    POLICIES,
    SECRETS,
    SERVICE_ACCOUNTS,
    TASKS,
    TOOLS,
    WORKFLOWS,
    Resource,
)
from aos.model.approval_request import RequestType
from aos.model.base import JsonObject
from aos.model.meta import KeyReference, ObjectKey
from tests.unit.gateway.make import (
    POD_UID,
    SETTINGS,
    TASK_UID,
    FakeApiServer,
    raw,
    raw_agent,
    raw_cluster_policy,
    raw_pod,
    raw_policy,
    raw_task,
    raw_tool,
)

KEY = KeyReference(name="crm-key", key="token")


def raw_secret(value: bytes = b"s3cret\n", name: str = "crm-key", namespace: str = "sales") -> JsonObject:
    return raw("Secret", name, namespace, data={"token": base64.b64encode(value).decode()})


@pytest.fixture
def api() -> FakeApiServer:
    api = FakeApiServer()
    api.put(NAMESPACES, raw("Namespace", "sales", "", metadata={"labels": {"aos.dev/tenant": "emea"}}))
    api.put(AGENTS, raw_agent())
    api.put(POLICIES, raw_policy())
    api.put(TOOLS, raw_tool())
    return api


@contextlib.asynccontextmanager
async def registry(
    api: FakeApiServer, settings: GatewaySettings = SETTINGS
) -> AsyncIterator[ClusterRegistry]:
    made = ClusterRegistry(api, settings)
    running = asyncio.create_task(made.run())
    async with asyncio.timeout(20):
        await made.synced()
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait((running,))


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_policy_is_compiled_once_and_anew_when_something_that_it_is_made_of_changes(
    api: FakeApiServer,
) -> None:
    async with registry(api) as made:
        before = made.policy("sales", "enricher")
        assert before is not None
        assert before.namespace_binding["tenant"] == "emea"
        assert made.policy("sales", "enricher") is before
        changes = [
            (POLICIES, raw_policy(agents={"matchLabels": {"a": "b"}}) | {"metadata": _newer("baseline")}),
            (TOOLS, raw_tool(url="http://other/mcp") | {"metadata": _newer("crm")}),
            (NAMESPACES, raw("Namespace", "sales", "", metadata={"labels": {}})),
            (AGENTS, raw_agent(suspend=True) | {"metadata": _newer("enricher")}),
        ]
        for resource, item in changes:
            api.put(resource, item)
            await settled()
            after = made.policy("sales", "enricher")
            assert after is not None
            assert after.digest != before.digest
            assert made.policy("sales", "enricher") is after
            before = after


def _newer(name: str) -> JsonObject:
    return {"name": name, "namespace": "sales", "uid": f"{name}-uid", "generation": 2}


async def test_a_change_of_status_alone_compiles_nothing_anew(api: FakeApiServer) -> None:
    async with registry(api) as made:
        before = made.policy("sales", "enricher")
        told: list[tuple[str, str]] = []
        made.on_policy_change(lambda namespace, agent: told.append((namespace, agent)))
        api.put(AGENTS, raw_agent() | {"status": {"revision": "enricher-2"}})
        api.put(POLICIES, raw_policy() | {"status": {"selectedAgents": 1}})
        api.put(TOOLS, raw_tool() | {"status": {"observedGeneration": 1}})
        await settled()
        assert made.policy("sales", "enricher") is before
        assert told == []


async def test_the_label_of_an_agent_decides_which_policies_select_it(api: FakeApiServer) -> None:
    api.put(POLICIES, raw_policy(agents={"matchLabels": {"role": "research"}}))
    async with registry(api) as made:
        first = made.policy("sales", "enricher")
        assert first is not None
        assert first.layers == ()
        api.put(AGENTS, raw_agent(metadata={"labels": {"role": "research"}}))
        await settled()
        second = made.policy("sales", "enricher")
        assert second is not None
        assert len(second.layers) == 1


async def test_a_policy_that_can_not_be_read_denies_everything_until_it_is_mended_or_gone(
    api: FakeApiServer,
) -> None:
    broken = raw("Policy", "broken", spec={"agents": {}, "rules": [], "surprise": True})
    async with registry(api) as made:
        api.put(POLICIES, broken)
        await settled()
        barred = made.policy("sales", "enricher")
        assert barred is not None
        assert [problem.name for problem in barred.problems] == ["broken"]
        api.remove(POLICIES, "broken")
        await settled()
        mended = made.policy("sales", "enricher")
        assert mended is not None
        assert mended.problems == ()


async def test_an_agent_has_no_policy_without_itself_or_its_namespace(api: FakeApiServer) -> None:
    async with registry(api) as made:
        assert made.policy("sales", "nobody") is None
        assert made.policy("elsewhere", "enricher") is None
        api.remove(NAMESPACES, "sales", "")
        await settled()
        assert made.policy("sales", "enricher") is None


async def test_an_agent_that_can_not_be_read_is_none(api: FakeApiServer) -> None:
    async with registry(api) as made:
        api.put(AGENTS, raw_agent(surprise=True))
        await settled()
        assert made.policy("sales", "enricher") is None
        assert made.agents() == []


async def test_listeners_hear_of_agents_whose_policy_may_be_another(api: FakeApiServer) -> None:
    async with registry(api) as made:
        told: list[tuple[str, str]] = []
        made.on_policy_change(lambda namespace, agent: told.append((namespace, agent)))
        api.remove(TOOLS, "crm")
        await settled()
        assert told == [("sales", "enricher")]
        api.remove(AGENTS, "enricher")
        await settled()
        assert told == [("sales", "enricher")] * 2


async def test_of_revisions_those_of_agents_alone_are_read(api: FakeApiServer) -> None:
    async with registry(api):
        assert dict(api.watched)["controllerrevisions"].label_selector == (
            "app.kubernetes.io/managed-by=aos,aos.dev/agent"
        )


async def test_objects_are_found_by_namespace_and_name(api: FakeApiServer) -> None:
    api.put(TASKS, raw_task())
    api.put(PODS, raw_pod())
    api.put(SERVICE_ACCOUNTS, raw("ServiceAccount", "aos-agent-enricher"))
    api.put(MODELS, raw("Model", "default", spec={"url": "http://m/v1", "model": "small"}))
    spec: JsonObject = {"owner": {"team": "revops"}, "instructions": "Old."}
    api.put(
        CONTROLLER_REVISIONS,
        raw("ControllerRevision", "enricher-1", data={"instructions": "Old.", "spec": spec, "image": "a:1"}),
    )
    async with registry(api) as made:
        found = made.task("sales", "t1")
        assert found is not None
        assert found.metadata.uid == TASK_UID
        pod = made.pod("sales", "t1-pod")
        assert pod is not None
        assert (pod.uid, pod.agent, pod.task, pod.owner_uid) == (POD_UID, "enricher", "t1", TASK_UID)
        assert made.service_account_uid("sales", "aos-agent-enricher") == "aos-agent-enricher-uid"
        revision = made.revision("sales", "enricher-1")
        assert revision is not None
        assert (revision.instructions, revision.spec.owner.team) == ("Old.", "revops")
        assert [tool.metadata.name for tool in made.tools()] == ["crm"]
        assert [model.metadata.name for model in made.models()] == ["default"]
        assert made.tool("sales", "crm") is not None
        assert made.model("sales", "default") is not None
        for missing in (made.tool, made.model, made.task, made.pod, made.revision, made.service_account_uid):
            assert missing("elsewhere", "crm") is None


def named(made: ClusterRegistry, pod_uid: str) -> list[str]:
    return [task.metadata.name for task in made.tasks_of_pod(pod_uid)]


async def test_the_tasks_that_name_a_pod_are_found_by_it_until_they_are_gone(api: FakeApiServer) -> None:
    second = raw_task("t2")
    second["metadata"] = {**child(second, "metadata"), "uid": "second"}
    api.put(TASKS, raw_task())
    async with registry(api) as made:
        first = made.tasks_of_pod(POD_UID)
        assert (named(made, POD_UID), named(made, "other")) == (["t1"], [])
        api.put(TASKS, second)
        await settled()
        assert named(made, POD_UID) == ["t1", "t2"]
        assert made.tasks_of_pod(POD_UID) is made.tasks_of_pod(POD_UID)
        assert first == made.tasks_of_pod(POD_UID)[:1]
        api.put(TASKS, {**second, "status": {"pod": {"name": "another", "uid": "other"}}})
        await settled()
        assert (named(made, POD_UID), named(made, "other")) == (["t1"], ["t2"])
        api.put(TASKS, {**second, "status": {}})
        api.remove(TASKS, "t1")
        await settled()
        assert made.tasks_of_pod(POD_UID) == made.tasks_of_pod("other") == ()


async def test_the_end_of_a_pod_is_remembered_and_so_is_one_that_was_replaced(api: FakeApiServer) -> None:
    api.put(PODS, raw_pod())
    async with registry(api) as made:
        ended: list[str] = []
        made.on_pod_end(ended.append)
        assert not made.has_ended(POD_UID)
        api.put(PODS, raw_pod(metadata={"uid": "second"}))
        await settled()
        assert made.has_ended(POD_UID)
        api.remove(PODS, "t1-pod")
        await settled()
        assert made.has_ended("second")
        assert ended == [POD_UID, "second"]


async def test_a_closed_task_stays_closed_until_it_is_gone(api: FakeApiServer) -> None:
    api.put(TASKS, raw_task())
    async with registry(api) as made:
        ended: list[str] = []
        made.on_task_end(ended.append)
        known = made.task("sales", "t1")
        assert known is not None
        made.close_task(known)
        api.put(TASKS, raw_task(status={"startTime": "2026-01-02T03:04:06Z"}))
        await settled()
        assert made.is_closed(TASK_UID)
        assert ended == []
        api.remove(TASKS, "t1")
        await settled()
        assert not made.is_closed(TASK_UID)
        assert ended == [TASK_UID]
        # Its result was taken while it was deleted: nobody would tell of its end again.
        made.close_task(known)
        assert not made.is_closed(TASK_UID)
        api.put(TASKS, raw_task() | {"metadata": {"name": "t1", "namespace": "sales", "uid": "another"}})
        await settled()
        made.close_task(known)
        assert not made.is_closed(TASK_UID)


async def test_what_is_gone_is_forgotten_but_for_the_uids_of_pods_that_ended(api: FakeApiServer) -> None:
    async with registry(api) as made:
        before = kept_by(made)
        for number in range(3):
            name = f"team-{number}"
            agent = raw_agent() | {"metadata": {**child(raw_agent(), "metadata"), "namespace": name}}
            own: list[tuple[Resource, JsonObject]] = [
                (NAMESPACES, raw("Namespace", name, "")),
                (AGENTS, agent),
                (
                    TASKS,
                    {**raw_task(), "metadata": {"name": "t1", "namespace": name, "uid": f"task-{number}"}},
                ),
                (
                    PODS,
                    raw_pod() | {"metadata": {"name": "t1-pod", "namespace": name, "uid": f"pod-{number}"}},
                ),
            ]
            for resource, item in own:
                api.put(resource, item)
            await settled()
            assert made.policy(name, "enricher") is not None
            task = made.task(name, "t1")
            assert task is not None
            made.close_task(task)
            assert kept_by(made) != before
            for resource, item in reversed(own):
                api.remove(
                    resource, text(child(item, "metadata"), "name"), "" if resource is NAMESPACES else name
                )
            await settled()
        grown = {name for name, size in kept_by(made).items() if size != before[name]}
    assert grown == {"_ended_pods"}


def kept_by(made: ClusterRegistry) -> dict[str, int]:
    """Return how much there is in each collection of the registry."""
    return {name: len(value) for name, value in vars(made).items() if isinstance(value, Sized)}


async def test_the_tasks_of_all_namespaces_are_known(api: FakeApiServer) -> None:
    api.put(TASKS, raw_task())
    metadata: JsonObject = {"name": "other", "namespace": "support", "uid": "other-uid"}
    api.put(TASKS, {**raw_task(), "metadata": metadata})
    async with registry(api) as made:
        assert {task.metadata.uid for task in made.all_tasks()} == {TASK_UID, "other-uid"}


async def test_the_end_of_a_task_is_told(api: FakeApiServer) -> None:
    api.put(TASKS, raw_task())
    async with registry(api) as made:
        ended: list[str] = []
        made.on_task_end(ended.append)
        condition: JsonObject = {
            "type": "Succeeded",
            "status": "True",
            "reason": "Completed",
            "lastTransitionTime": "2026-01-02T03:04:06Z",
        }
        api.put(TASKS, raw_task(status={"conditions": [condition]}))
        await settled()
        assert ended == [TASK_UID]


async def test_a_credential_is_read_while_something_refers_to_it_and_forgotten_afterwards(
    api: FakeApiServer,
) -> None:
    api.put(SECRETS, raw_secret())
    async with registry(api) as made:
        assert made.credential("sales", KEY) is None
        told: list[ObjectKey] = []
        made.on_tool_change(told.append)
        api.put(TOOLS, raw_tool(secret="crm-key") | {"metadata": _newer("crm")})
        await settled()
        assert made.credential("sales", KEY) == "s3cret"
        assert made.credential("sales", KeyReference(name="crm-key", key="other")) is None
        assert set(told) == {ObjectKey(namespace="sales", name="crm")}
        told.clear()
        api.put(SECRETS, raw_secret(b"rotated"))
        await settled()
        assert made.credential("sales", KEY) == "rotated"
        assert len(told) == 1
        api.remove(SECRETS, "crm-key")
        await settled()
        assert made.credential("sales", KEY) is None
        api.put(SECRETS, raw_secret())
        api.remove(TOOLS, "crm")
        await settled()
        assert made.credential("sales", KEY) is None


async def test_a_start_can_wait_for_the_secrets_that_are_referred_to(api: FakeApiServer) -> None:
    api.put(SECRETS, raw_secret())
    api.put(TOOLS, raw_tool(secret="crm-key"))
    api.refusals["secrets"] = Forbidden(Target("list", "secrets"), 403, "Forbidden", "no Role yet")
    async with registry(api) as made:
        reading = asyncio.create_task(made.credentials_read())
        await settled()
        assert not reading.done()
        del api.refusals["secrets"]
        async with asyncio.timeout(20):
            await reading
        assert made.credential("sales", KEY) == "s3cret"


async def test_the_secret_of_a_webhook_is_read_while_its_trigger_names_it(api: FakeApiServer) -> None:
    api.put(SECRETS, raw_secret())
    webhook: JsonObject = {"secretRef": {"name": "crm-key", "key": "token"}}
    spec: JsonObject = {"steps": [{"name": "enrich", "agent": "enricher"}]}
    hooked: JsonObject = {**spec, "triggers": [{"name": "new-lead", "webhook": webhook}]}
    async with registry(api) as made:
        api.put(WORKFLOWS, raw("Workflow", "outreach", spec=hooked))
        await settled()
        assert made.trigger_secret("sales", "outreach", "new-lead") == "s3cret"
        assert made.trigger_secret("sales", "outreach", "another") is None
        api.put(WORKFLOWS, raw("Workflow", "outreach", spec=spec, metadata=_newer("outreach")))
        await settled()
        assert made.trigger_secret("sales", "outreach", "new-lead") is None
        assert made.credential("sales", KEY) is None


async def test_why_a_webhook_has_no_key_is_known_once_its_secret_was_looked_for(api: FakeApiServer) -> None:
    webhook: JsonObject = {"secretRef": {"name": "crm-key", "key": "token"}}
    triggers: JsonObject = {"triggers": [{"name": "new-lead", "webhook": webhook}]}
    spec: JsonObject = {"steps": [{"name": "enrich", "agent": "enricher"}], **triggers}
    api.refusals["secrets"] = Forbidden(Target("list", "secrets"), 403, "Forbidden", "no Role yet")
    async with registry(api) as made:
        heard: list[str | None] = []
        made.on_workflow_change(
            lambda key: heard.append(made.trigger_problem(key.namespace, key.name, "new-lead"))
        )
        api.put(WORKFLOWS, raw("Workflow", "outreach", spec=spec))
        await settled()
        assert heard == [None]
        del api.refusals["secrets"]

        async def until(problem: str) -> None:
            async with asyncio.timeout(20):
                while heard[-1] != problem:  # noqa: ASYNC110 - the registry sets no event
                    await asyncio.sleep(0.01)

        await until("Secret crm-key is not there")
        other: JsonObject = {"data": {"other": ""}}
        api.put(SECRETS, raw_secret() | other)
        await until("Secret crm-key has no key token")
        odd: JsonObject = {"data": {"token": base64.b64encode(b"two\nlines").decode()}}
        api.put(SECRETS, raw_secret() | odd)
        await until("key token of Secret crm-key is not one line of visible ASCII")
        api.put(SECRETS, raw_secret())
        await until("")
        assert made.trigger_secret("sales", "outreach", "new-lead") == "s3cret"
        assert made.trigger_problem("sales", "outreach", "another") is None


async def test_a_webhooks_key_that_was_there_before_the_webhook_is_told_once_it_is_read(
    api: FakeApiServer,
) -> None:
    api.put(SECRETS, raw_secret())
    webhook: JsonObject = {"secretRef": {"name": "crm-key", "key": "token"}}
    triggers: JsonObject = {"triggers": [{"name": "new-lead", "webhook": webhook}]}
    spec: JsonObject = {"steps": [{"name": "enrich", "agent": "enricher"}], **triggers}
    async with registry(api) as made:
        heard: list[str | None] = []
        made.on_workflow_change(
            lambda key: heard.append(made.trigger_problem(key.namespace, key.name, "new-lead"))
        )
        api.put(WORKFLOWS, raw("Workflow", "outreach", spec=spec))
        await settled()
        assert heard[-1] == ""


async def test_only_the_secret_that_is_referred_to_is_asked_for(api: FakeApiServer) -> None:
    api.put(SECRETS, raw_secret())
    api.put(TOOLS, raw_tool(secret="crm-key"))
    async with registry(api):
        await settled()
        asked = [selection for plural, selection in api.watched if plural == "secrets"]
    assert [(one.namespace, one.field_selector) for one in asked] == [("sales", "metadata.name=crm-key")]


async def test_a_secret_that_two_refer_to_is_read_until_neither_does(api: FakeApiServer) -> None:
    api.put(SECRETS, raw_secret())
    api.put(TOOLS, raw_tool(secret="crm-key"))
    api.put(TOOLS, raw_tool("mail", secret="crm-key"))
    async with registry(api) as made:
        await settled()
        api.remove(TOOLS, "crm")
        await settled()
        assert made.credential("sales", KEY) == "s3cret"
        api.remove(TOOLS, "mail")
        await settled()
        assert made.credential("sales", KEY) is None


async def test_secrets_beside_the_gateway_are_never_lent_out(api: FakeApiServer) -> None:
    api.put(SECRETS, raw_secret(namespace="aos-system"))
    own = raw_tool(secret="crm-key")
    api.put(TOOLS, own | {"metadata": {**_newer("crm"), "namespace": "aos-system"}})
    async with registry(api) as made:
        await settled()
        assert made.credential("aos-system", KEY) is None
        assert not [plural for plural, _ in api.watched if plural == "secrets"]


async def test_a_secret_that_may_not_be_read_yet_is_tried_again(api: FakeApiServer) -> None:
    api.put(SECRETS, raw_secret())
    api.put(TOOLS, raw_tool(secret="crm-key"))
    api.refusals["secrets"] = Forbidden(Target("list", "secrets"), 403, "Forbidden", "no Role yet")
    async with registry(api) as made:
        await settled()
        assert made.credential("sales", KEY) is None
        del api.refusals["secrets"]
        async with asyncio.timeout(20):
            while made.credential("sales", KEY) is None:  # noqa: ASYNC110 - the registry sets no event
                await asyncio.sleep(0.01)


async def test_a_credential_that_was_not_confirmed_for_too_long_is_none(api: FakeApiServer) -> None:
    api.put(SECRETS, raw_secret())
    api.put(TOOLS, raw_tool(secret="crm-key"))
    async with registry(api, SETTINGS.model_copy(update={"max_staleness_seconds": 1e-9})) as made:
        await settled()
        assert made.credential("sales", KEY) is None


@pytest.mark.parametrize(
    ("value", "credential"),
    [
        (b"abc", "abc"),
        (b"abc\r\n", "abc"),
        (b"", None),
        (b"\n", None),
        (b"abc\r\nX-Injected: 1", None),
        (b"two words", None),
        (b"caf\xc3\xa9", None),
        (b"a\x7fb", None),
        (b"a\x00b", None),
    ],
)
async def test_a_credential_that_could_not_stand_in_a_header_is_none(
    api: FakeApiServer, value: bytes, credential: str | None
) -> None:
    api.put(SECRETS, raw_secret(value))
    api.put(TOOLS, raw_tool(secret="crm-key"))
    async with registry(api) as made:
        await settled()
        assert made.credential("sales", KEY) == credential


async def test_knowledge_is_as_old_as_its_oldest_part_and_endless_before_the_first_reading(
    api: FakeApiServer,
) -> None:
    made = ClusterRegistry(api, SETTINGS)
    assert made.staleness_seconds() == float("inf")
    assert not made.is_synced
    async with registry(api) as synced:
        assert synced.is_synced
        assert synced.staleness_seconds() < 20
        assert synced.stalest() in {"agents", "tools", "models", "policies", "tasks", "pods"} | {
            "controllerrevisions",
            "serviceaccounts",
            "namespaces",
        }


def test_a_secret_is_not_shown_when_it_is_printed() -> None:
    from aos.gateway.facts import SecretData

    assert "s3cret" not in repr(SecretData.parse(raw_secret()))


def test_a_value_that_is_not_base64_is_left_out() -> None:
    from aos.gateway.facts import SecretData

    secret = SecretData.parse(raw("Secret", "a", data={"token": "***", "other": 1}))
    assert secret.credential("token") is None


@pytest.fixture
def two_namespaces(api: FakeApiServer) -> FakeApiServer:
    """Another namespace, of another tenant, with an agent of its own; and a second agent beside the first."""
    api.put(NAMESPACES, raw("Namespace", "hr", "", metadata={"labels": {"aos.dev/tenant": "apac"}}))
    api.put(AGENTS, raw_agent("other", metadata={"labels": {"role": "mail"}}))
    api.put(AGENTS, raw_agent("recruiter") | {"metadata": {**_newer("recruiter"), "namespace": "hr"}})
    api.put(POLICIES, raw_policy(agents={}))
    return api


@contextlib.asynccontextmanager
async def told_by(api: FakeApiServer) -> AsyncIterator[tuple[ClusterRegistry, set[tuple[str, str]]]]:
    """A registry whose policies are all compiled, and the agents that it tells of."""
    async with registry(api) as made:
        for key in made.agents():
            assert made.policy(*key) is not None
        told: set[tuple[str, str]] = set()
        made.on_policy_change(lambda namespace, agent: told.add((namespace, agent)))
        yield made, told


async def test_a_cluster_policy_concerns_the_agents_that_it_selects_and_no_others(
    two_namespaces: FakeApiServer,
) -> None:
    api = two_namespaces
    async with told_by(api) as (made, told):
        kept = made.policy("hr", "recruiter")
        api.put(CLUSTER_POLICIES, raw_cluster_policy())
        await settled()
        assert told == {("sales", "enricher"), ("sales", "other")}
        ceiling = made.policy("sales", "enricher")
        assert ceiling is not None
        assert [layer.kind for layer in ceiling.layers] == ["ClusterPolicy", "Policy"]
        assert made.policy("hr", "recruiter") is kept
        told.clear()
        moved = raw_cluster_policy(namespaces={}, agents={"matchLabels": {"role": "mail"}})
        api.put(
            CLUSTER_POLICIES, moved | {"metadata": {"name": "ceiling", "uid": "ceiling-uid", "generation": 2}}
        )
        await settled()
        assert told == {("sales", "enricher"), ("sales", "other")}
        assert made.policy("hr", "recruiter") is kept
        told.clear()
        api.remove(CLUSTER_POLICIES, "ceiling", "")
        await settled()
        assert told == {("sales", "other")}


async def test_a_cluster_policy_that_can_not_be_read_denies_everything_everywhere_until_it_is_mended_or_gone(
    two_namespaces: FakeApiServer,
) -> None:
    api = two_namespaces
    async with told_by(api) as (made, told):
        api.put(CLUSTER_POLICIES, raw_cluster_policy("broken", surprise=True))
        await settled()
        assert told == set(made.agents())
        for key in made.agents():
            barred = made.policy(*key)
            assert barred is not None
            assert [(one.kind, one.name) for one in barred.problems] == [("ClusterPolicy", "broken")]
        told.clear()
        api.remove(CLUSTER_POLICIES, "broken", "")
        await settled()
        assert told == set(made.agents())
        mended = made.policy("hr", "recruiter")
        assert mended is not None
        assert mended.problems == ()


async def test_the_label_of_a_namespace_decides_which_cluster_policies_hold_there(
    two_namespaces: FakeApiServer,
) -> None:
    api = two_namespaces
    api.put(CLUSTER_POLICIES, raw_cluster_policy())
    async with told_by(api) as (made, told):
        api.put(NAMESPACES, raw("Namespace", "hr", "", metadata={"labels": {"aos.dev/tenant": "emea"}}))
        await settled()
        assert told == {("hr", "recruiter")}
        found = made.policy("hr", "recruiter")
        assert found is not None
        assert [layer.kind for layer in found.layers] == ["ClusterPolicy"]


async def test_a_policy_or_tool_concerns_no_agents_that_it_has_no_part_in(
    two_namespaces: FakeApiServer,
) -> None:
    api = two_namespaces
    async with told_by(api) as (_, told):
        api.put(POLICIES, raw_policy("mail", agents={"matchLabels": {"role": "mail"}}))
        await settled()
        assert told == {("sales", "other")}
        told.clear()
        api.put(TOOLS, raw_tool("unasked"))
        await settled()
        assert told == set()


def raw_approval(name: str, agent: str = "enricher", kind: str = "Call", **status: str) -> JsonObject:
    digest = "sha256:" + "0" * 64
    return raw(
        "ApprovalRequest",
        name,
        spec={
            "type": kind,
            "agent": {"name": agent, "revision": f"{agent}-1"},
            "task": {"name": "t1", "uid": TASK_UID},
            "tool": "crm",
            "action": "update_contact",
            "access": "Write",
            "risk": "Medium",
            "summary": "It would.",
            "arguments": '{"id":"7"}',
            "argumentsDigest": digest,
            "definitionDigest": digest,
            "policyDigest": digest,
            "preview": {"before": "{}", "after": "{}"},
            "quorums": [{"rule": "risk Medium", "required": 1}],
            "expiresAt": "2026-01-02T03:04:05Z",
        },
        status={**status, "notices": [{"webhook": "a", "event": "b", "time": "2026-01-02T03:04:05Z"}]},
    )


def raw_gate() -> JsonObject:
    run: JsonObject = {"name": "r1", "uid": "r1-uid", "workflow": "outreach", "step": "review"}
    call = child(raw_approval("gate-1"), "spec")
    kept = ("summary", "arguments", "argumentsDigest", "quorums", "expiresAt")
    spec: JsonObject = {"type": "Gate", "run": run, **{name: call[name] for name in kept}}
    return raw("ApprovalRequest", "gate-1", spec=spec, status={})


async def test_requests_are_kept_without_what_only_people_read_and_counted_while_they_are_pending(
    api: FakeApiServer,
) -> None:
    async with registry(api) as made:
        told: list[ObjectKey] = []
        made.on_approval_change(told.append)
        for item in (
            raw_approval("apr-1"),
            raw_approval("apr-2", agent="writer"),
            raw_approval("rev-1", kind="Review"),
            raw_gate(),
        ):
            api.put(APPROVAL_REQUESTS, item)
        await settled()
        found = made.approval("sales", "apr-1")
        assert found is not None
        assert (found.spec.arguments, found.spec.preview, found.status.notices) == ("", None, ())
        assert len(made.approvals()) == 4
        assert list(made.pending_approvals("sales", "enricher", RequestType.CALL)) == ["apr-1"]
        assert list(made.pending_approvals("sales", "enricher", RequestType.REVIEW)) == ["rev-1"]
        assert made.waiting == 2
        api.put(APPROVAL_REQUESTS, raw_approval("apr-1", state="Approved"))
        api.remove(APPROVAL_REQUESTS, "apr-2")
        await settled()
        assert made.pending_approvals("sales", "enricher", RequestType.CALL) == ()
        api.put(APPROVAL_REQUESTS, raw_approval("apr-1", state="Used"))
        await settled()
        ended = made.approval("sales", "apr-1")
        assert ended is not None
        assert (ended.spec.quorums, ended.status.state.value) == ((), "Used")
        assert made.pending_approvals("sales", "writer", RequestType.CALL) == ()
        assert made.approval("sales", "apr-2") is None
        assert (made.waiting, len(told)) == (0, 7)
