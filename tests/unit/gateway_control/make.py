"""Short ways to write calls, and the obligations that they are held to."""

from collections.abc import Mapping

from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.control.asked import AskedCall
from aos.gateway.control.likeness import likeness
from aos.gateway.journal import Subject, arguments_digest
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.policy import Policy
from aos.model.task import Task
from aos.model.tool import Tool
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from tests.unit.gateway_mcp.make import NAMESPACE, SETTINGS

URL = "http://crm.sales-tools.svc:8080/mcp"
FAST = SETTINGS.model_copy(update={"store_timeout_seconds": 5})


def tool(url: str = URL, **update: JsonValue) -> Tool:
    return Tool.parse(
        {
            "metadata": {"name": "crm", "namespace": NAMESPACE, "uid": "uid-crm"},
            "spec": {
                "type": "MCP",
                "url": url,
                "actions": [
                    {"name": "get_contact", "access": "Read", "risk": "Low"},
                    {
                        "name": "update_contact",
                        "access": "Write",
                        "risk": "Low",
                        "record": "contact/${args.id}",
                        **update,
                    },
                ],
            },
        }
    )


def policy(name: str = "baseline", **spec: JsonValue) -> Policy:
    rules: list[JsonValue] = [{"name": "all", "effect": "Allow", "tools": [{"name": "*"}]}]
    return Policy.parse(
        {
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"agents": {}, "rules": rules, **spec},
        }
    )


def effective(
    *policies: Policy,
    agent: str = "enricher",
    namespace: str = NAMESPACE,
    labels: Mapping[str, str] | None = None,
    of: Tool | None = None,
) -> EffectivePolicy:
    return effective_policy(
        PolicyInputs(
            agent=Agent.parse(
                {
                    "metadata": {"name": agent, "namespace": namespace, "uid": f"uid-{agent}"},
                    "spec": {
                        "owner": {"team": "revops"},
                        "instructions": "Enrich.",
                        "tools": [{"name": "crm", "actions": ["*"]}],
                    },
                }
            ),
            namespace_labels=labels or {},
            tools={"crm": of or tool()},
            policies=policies or (policy(),),
        )
    )


def task(
    name: str = "t1",
    agent: str = "enricher",
    lineage: list[JsonValue] | None = None,
    run: JsonObject | None = None,
) -> Task:
    """Return a Task; ``run`` is what differs from the step ``draft`` of the run ``r1``."""
    spec: JsonObject = {"agentRef": {"name": agent}, "requestedBy": "ana@example.com"}
    if lineage:
        spec["lineage"] = lineage
    if run is not None:
        step = {"name": "r1", "uid": "uid-r1", "rootUID": "uid-r1", "workflow": "outreach", "step": "draft"}
        spec["run"] = {**step, **run}
    return Task.parse(
        {"metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"}, "spec": spec}
    )


def caller(of: EffectivePolicy, work: Task | None = None) -> Caller:
    return Caller(
        namespace=of.agent.metadata.namespace,
        agent=of.agent.metadata.name,
        task=work or task(agent=of.agent.metadata.name),
        pod_name="t1-pod",
        pod_uid="pod-uid-1",
        revision="enricher-1",
        policy=of,
    )


def asked(by: Caller, action: str = "get_contact", arguments: JsonObject | None = None) -> AskedCall:
    """Return a tool call as the gateway asks for it."""
    said: JsonObject = {"id": "7"} if arguments is None else arguments
    declared = by.policy.action("crm", action)
    assert declared is not None
    return AskedCall(
        caller=by,
        subject=Subject.TOOL,
        name="crm",
        action=action,
        obligations=by.policy.obligations("crm", declared),
        arguments=said,
        arguments_digest=arguments_digest(said),
        likeness=likeness(said),
        declared=declared,
        system=by.policy.tools["crm"].spec.url,
    )


def asked_of_model(by: Caller, tokens: int, cost_micro_usd: int) -> AskedCall:
    return AskedCall(
        caller=by,
        subject=Subject.MODEL,
        name="default",
        action="chat/completions",
        obligations=by.policy.model_obligations(),
        arguments_digest="sha256:0",
        likeness="0",
        tokens=tokens,
        cost_micro_usd=cost_micro_usd,
    )
