"""Agents on a real API server: children, conditions, and quiet once all is as it should be."""

from pydantic import JsonValue

from aos.kube.objects import child, children, resource_version_of, text
from aos.kube.resources import (
    AGENTS,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    EVENTS,
    MODELS,
    NAMESPACES,
    NETWORK_POLICIES,
    POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    TOOLS,
)
from aos.model.base import JsonObject
from tests.cluster.operator.conftest import operating
from tests.cluster.operator.fake_gateway import FakeGateway
from tests.cluster.operator.rig import AGENT_SPEC, HOME, POLICY_SPEC, Rig


async def test_an_agent_gets_identity_isolation_and_revision_and_is_ready(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    account = await running.get(SERVICE_ACCOUNTS, "aos-agent-enricher")
    assert account["automountServiceAccountToken"] is False
    isolation = child(await running.get(NETWORK_POLICIES, "aos-agent-enricher"), "spec")
    assert isolation["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in isolation
    agent = await running.get(AGENTS, "enricher")
    revision = text(child(agent, "status"), "revision")
    record = await running.get(CONTROLLER_REVISIONS, revision)
    assert child(record, "data")["instructions"] == "Enrich the lead."
    assert record["revision"] == 1
    assert await running.condition(POLICIES, "baseline", "Ready") == ("True", "Ready")


async def test_a_tool_with_a_credential_lends_it_to_the_gateway_alone(running: Rig) -> None:
    await running.sales()
    await running.until(TOOLS, "crm", "Accepted", "True", "Accepted")
    rules = children(await running.get(ROLES, "aos-tool-crm"), "rules")
    assert [rule["resourceNames"] for rule in rules] == [["crm-credentials"]]
    subjects = children(await running.get(ROLE_BINDINGS, "aos-tool-crm"), "subjects")
    assert [(text(item, "namespace"), text(item, "name")) for item in subjects] == [
        ("aos-system", "aos-gateway")
    ]


async def test_nothing_is_written_once_everything_is_as_it_should_be(rig: Rig, gateway: FakeGateway) -> None:
    assert not gateway.paused
    async with operating(rig.settings):
        await rig.eventually(rig.is_leading)
        await rig.sales()
        await rig.ready_agent()
        await rig.settled()
        before = await rig.metric("aos_operator_api_writes_total")
        version = resource_version_of(await rig.get(AGENTS, "enricher"))
        await rig.admin.merge_patch(
            AGENTS, "enricher", {"metadata": {"annotations": {"a": "b"}}}, namespace=rig.namespace
        )
        await rig.settled()
        assert await rig.metric("aos_operator_api_writes_total") == before
        assert resource_version_of(await rig.get(AGENTS, "enricher")) != version
    async with operating(rig.settings):
        await rig.eventually(rig.is_leading)

        async def has_looked() -> bool:
            return await rig.metric("aos_operator_reconciles_total") > 0

        await rig.eventually(has_looked)
        await rig.settled()
        assert await rig.metric("aos_operator_api_writes_total") == 0


async def test_a_child_that_somebody_changes_or_removes_is_put_right(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    name = "aos-agent-enricher"
    open_to_all: JsonObject = {"spec": {"egress": [{}], "ingress": [{}]}}
    await running.admin.merge_patch(NETWORK_POLICIES, name, open_to_all, namespace=running.namespace)

    async def closed() -> bool:
        spec = child(await running.get(NETWORK_POLICIES, name), "spec")
        return "ingress" not in spec and spec["egress"] != [{}]

    await running.eventually(closed)
    await running.admin.delete(SERVICE_ACCOUNTS, name, namespace=running.namespace)

    async def there() -> bool:
        return bool(await running.get(SERVICE_ACCOUNTS, name))

    await running.eventually(there)

    async def told() -> bool:
        return "ChildRestored" in {text(event, "reason") for event in await running.all(EVENTS)}

    await running.eventually(told)


async def test_a_change_of_policy_is_enforced_only_once_the_gateway_says_so(
    running: Rig, gateway: FakeGateway
) -> None:
    await running.sales()
    await running.ready_agent()
    gateway.paused = True
    rules: list[JsonValue] = [{"name": "read", "effect": "Allow", "tools": [{"name": "*"}]}]
    await running.admin.merge_patch(
        POLICIES,
        "baseline",
        {"spec": {"rules": rules}},
        namespace=running.namespace,
    )
    await running.until(AGENTS, "enricher", "PolicyEnforced", "False", "GatewayBehind")
    await running.until(AGENTS, "enricher", "Ready", "False", "NotEnforced")
    gateway.paused = False
    await running.ready_agent()


async def test_an_agent_is_not_ready_while_a_gateway_can_not_use_its_store(
    running: Rig, gateway: FakeGateway
) -> None:
    await running.sales()
    await running.ready_agent()
    gateway.store = {"store": "unavailable", "problem": "the disk is full"}
    await running.until(AGENTS, "enricher", "PolicyEnforced", "False", "StoreUnavailable")
    await running.until(AGENTS, "enricher", "Ready", "False", "NotEnforced")
    gateway.store = {"store": "ok"}
    await running.ready_agent()


async def test_money_can_not_be_counted_where_nobody_knows_the_models_price(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    budgets: list[JsonValue] = [{"name": "daily", "microUSD": 1_000_000, "per": "24h"}]
    changed: JsonObject = {"spec": {"budgets": budgets}}
    await running.admin.merge_patch(POLICIES, "baseline", changed, namespace=running.namespace)
    await running.until(AGENTS, "enricher", "PolicyEnforced", "False", "PriceUnknown")
    prices: JsonObject = {"spec": {"prices": {"inputMicroUSD": 1, "outputMicroUSD": 2}}}
    await running.admin.merge_patch(MODELS, "default", prices, namespace=running.namespace)
    await running.ready_agent()


async def test_a_policy_that_goes_or_breaks_takes_the_agent_with_it(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()
    rules: list[JsonValue] = [{"name": "read", "effect": "Allow", "tools": [{"name": "*"}], "when": "1 +"}]
    await running.admin.merge_patch(
        POLICIES,
        "baseline",
        {"spec": {"rules": rules}},
        namespace=running.namespace,
    )
    await running.until(POLICIES, "baseline", "Accepted", "False", "InvalidExpression")
    await running.until(AGENTS, "enricher", "PolicyEnforced", "False", "PolicyNotAccepted")
    await running.admin.delete(POLICIES, "baseline", namespace=running.namespace)
    await running.until(AGENTS, "enricher", "PolicyEnforced", "False", "NoPolicy")
    await running.make(POLICIES, "baseline", POLICY_SPEC)
    await running.ready_agent()


async def test_instructions_come_from_a_labelled_config_map_and_follow_its_changes(running: Rig) -> None:
    await running.sales()
    source: JsonObject = {"configMapKeyRef": {"name": "texts", "key": "a"}}
    spec: JsonObject = {**AGENT_SPEC, "instructionsFrom": source}
    del spec["instructions"]
    await running.make(AGENTS, "told", spec, {"role": "research"})
    await running.make(CONFIG_MAPS, "texts", data={"a": "Do this."})
    await running.until(AGENTS, "told", "Accepted", "False", "InstructionsNotFound")
    label: JsonObject = {"metadata": {"labels": {"aos.dev/instructions": "true"}}}
    await running.admin.merge_patch(CONFIG_MAPS, "texts", label, namespace=running.namespace)
    await running.until(AGENTS, "told", "Ready", "True", "Ready")
    first = text(child(await running.get(AGENTS, "told"), "status"), "revision")
    await running.admin.merge_patch(
        CONFIG_MAPS, "texts", {"data": {"a": "Do that."}}, namespace=running.namespace
    )

    async def revised() -> bool:
        return text(child(await running.get(AGENTS, "told"), "status"), "revision") != first

    await running.eventually(revised)
    records = await running.all(CONTROLLER_REVISIONS, "aos.dev/agent=told")
    assert sorted(str(record["revision"]) for record in records) == ["1", "2"]


async def test_an_agent_whose_budget_is_used_up_says_so_and_stays_ready(
    running: Rig, gateway: FakeGateway
) -> None:
    await running.sales()
    await running.ready_agent()
    await running.until(AGENTS, "enricher", "WithinBounds", "True", "WithinBounds")
    bound = "Policy baseline, budget dollar (Namespace sales)"
    said: JsonObject = {"namespace": running.namespace, "agent": "enricher"}
    exceeded: JsonObject = {"reason": "BudgetExceeded", "bound": bound, "freesAt": "2030-01-02T03:04:05Z"}
    gateway.exceeded = [{**said, "exceeded": exceeded}]
    await running.until(AGENTS, "enricher", "WithinBounds", "False", "BudgetExceeded")
    status = child(await running.get(AGENTS, "enricher"), "status")
    (message,) = [
        text(item, "message")
        for item in children(status, "conditions")
        if text(item, "type") == "WithinBounds"
    ]
    assert bound in message
    assert "2030-01-02T03:04:05Z" in message
    assert await running.condition(AGENTS, "enricher", "Ready") == ("True", "Ready")
    gateway.exceeded = [{**said, "exceeded": None}]
    await running.until(AGENTS, "enricher", "WithinBounds", "True", "WithinBounds")


async def test_the_gateways_part_of_a_status_is_left_alone(running: Rig) -> None:
    await running.sales()
    await running.until(TOOLS, "crm", "Ready", "Unknown", "NotObserved")
    available: JsonObject = {
        "type": "Available",
        "status": "False",
        "reason": "Unreachable",
        "message": "refused",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    actions: list[JsonValue] = [{"name": "get_contact", "state": "Missing"}]
    await running.gateway.apply_status(
        TOOLS,
        running.manifest(TOOLS, "crm", status={"conditions": [available], "actions": actions}),
        field_manager="aos-gateway",
    )
    await running.until(TOOLS, "crm", "Ready", "False", "Unavailable")
    assert await running.condition(TOOLS, "crm", "Available") == ("False", "Unreachable")
    assert child(await running.get(TOOLS, "crm"), "status")["actions"] == actions


async def test_the_labels_of_the_namespace_are_part_of_the_policy(running: Rig) -> None:
    await running.sales()
    await running.ready_agent()

    async def digest() -> str:
        status = child(await running.get(AGENTS, "enricher"), "status")
        return text(child(status, "policy"), "digest")

    before = await digest()
    label: JsonObject = {"metadata": {"labels": {"aos.dev/tenant": "acme"}}}
    await running.admin.merge_patch(NAMESPACES, running.namespace, label)

    async def changed() -> bool:
        return await digest() != before

    await running.eventually(changed)
    await running.ready_agent()


async def test_the_operator_makes_the_certificates_that_the_gateway_needs(running: Rig) -> None:
    authority = child(await running.admin.get(SECRETS, "aos-ca", HOME), "data")
    serving = child(await running.admin.get(SECRETS, "aos-gateway-tls", HOME), "data")
    assert set(authority) == set(serving) == {"tls.crt", "tls.key", "ca.crt"}
    assert authority["ca.crt"] == serving["ca.crt"]
    assert authority["tls.key"] != serving["tls.key"]

    async def ready_and_reporting() -> bool:
        return await running.metric("aos_operator_gateways") == 2

    await running.eventually(ready_and_reporting)


async def test_an_agent_is_accepted_only_while_its_delegates_are_there(running: Rig) -> None:
    await running.sales({"delegates": ["writer"]})
    await running.until(AGENTS, "enricher", "Accepted", "False", "DelegateNotFound")
    await running.make(AGENTS, "writer", AGENT_SPEC, {"role": "research"})
    await running.ready_agent()
    await running.admin.delete(AGENTS, "writer", namespace=running.namespace)
    await running.until(AGENTS, "enricher", "Accepted", "False", "DelegateNotFound")
