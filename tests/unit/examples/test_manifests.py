from datetime import UTC, datetime

import jsonschema_rs
import pytest
from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.meta import ApiObject
from aos.model.task import Task
from aos.model.workflow import Workflow
from aos.model.workflow_run import WorkflowRun
from aos.policy.decision import Call, Decision, DecisionReason, decide
from aos.policy.effective import EffectivePolicy
from aos.workflow.checking import World, problems
from examples.common.model import SCRIPTS
from hack.demo import example
from hack.demo.example import Example
from tests.unit.examples.loading import MODELS, all_of, documents, effective, parsed

EXAMPLES = pytest.mark.parametrize("chosen", example.ALL.values(), ids=lambda one: one.name)


@pytest.fixture(name="effective")
def effective_fixture() -> EffectivePolicy:
    return effective("lead-enricher")


@pytest.mark.parametrize(
    ("action", "args", "reason"),
    [
        ("search_contacts", {"territory": "emea"}, DecisionReason.ALLOWED),
        ("search_contacts", {"territory": "amer"}, DecisionReason.NOT_ALLOWED),
        ("search_contacts", {}, DecisionReason.NOT_ALLOWED),
        ("get_contact", {"id": "emea-0001"}, DecisionReason.ALLOWED),
        ("get_contact", {"id": "amer-0001"}, DecisionReason.NOT_ALLOWED),
        ("update_contact", {"id": "emea-0001", "stage": "qualified"}, DecisionReason.APPROVAL_NEEDED),
        ("update_contact", {"id": "amer-0001"}, DecisionReason.NOT_ALLOWED),
        ("grant_discount", {"id": "emea-0001", "percent": 15}, DecisionReason.APPROVAL_NEEDED),
        ("grant_discount", {"id": "amer-0001", "percent": 15}, DecisionReason.NOT_ALLOWED),
        ("add_note", {"id": "emea-0001", "text": "called"}, DecisionReason.ALLOWED),
        ("export_contacts", {"territory": "emea"}, DecisionReason.DENIED_BY_RULE),
        ("delete_contact", {"id": "emea-0001"}, DecisionReason.NOT_REQUESTED),
    ],
)
def test_the_policy_keeps_the_agent_to_its_territory(
    effective: EffectivePolicy, action: str, args: JsonObject, reason: DecisionReason
) -> None:
    assert decided(effective, action, args).reason == reason


@pytest.mark.parametrize(
    ("action", "rule", "required", "groups"),
    [
        ("update_contact", "Policy sales-baseline, approval outbound", 1, ("sales-leads",)),
        ("grant_discount", "Policy sales-baseline, approval pricing", 2, ("sales-leads", "finance")),
    ],
)
def test_a_change_waits_for_the_people_that_the_policy_names(
    effective: EffectivePolicy, action: str, rule: str, required: int, groups: tuple[str, ...]
) -> None:
    (quorum,) = decided(effective, action, {"id": "emea-0001"}).before
    assert (quorum.rule, quorum.required, quorum.approvers.groups) == (rule, required, groups)


def decided(effective: EffectivePolicy, action: str, args: JsonObject) -> Decision:
    now = datetime.now(UTC)
    return decide(effective, Call("crm", action, args, task="t", requested_by="ana", now=now))


@EXAMPLES
def test_every_object_of_aos_parses_and_stands_in_the_namespace_of_the_team(chosen: Example) -> None:
    own = [raw for raw in documents(chosen) if str(raw["apiVersion"]).startswith("aos.dev/")]
    objects = [MODELS[str(raw["kind"])].parse(named(raw)) for raw in own]
    assert {type(item).__name__ for item in objects} >= {"Agent", "Tool", "Model", "Policy", "Workflow"}
    assert {namespace_of(item) for item in objects} == {chosen.name, ""}


def named(raw: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """With the name that the API server would make up."""
    metadata = raw["metadata"]
    assert isinstance(metadata, dict)
    return {**raw, "metadata": {"name": "made-up", **metadata}}


def namespace_of(item: ApiObject) -> str:
    return "" if isinstance(item, ClusterPolicy) else item.metadata.namespace


@EXAMPLES
def test_each_agent_is_played_by_a_script_of_its_own(chosen: Example) -> None:
    openings = [(agent.spec.instructions or "").partition("\n")[0] for agent in all_of(Agent, chosen)]
    assert len(openings) == len(set(openings))
    assert set(openings) <= set(SCRIPTS)


@EXAMPLES
def test_each_agent_is_held_by_both_layers_of_policy(chosen: Example) -> None:
    for agent in chosen.agents:
        policy = effective(agent, chosen)
        assert [layer.kind for layer in policy.layers] == ["ClusterPolicy", "Policy"]
        assert policy.problems == ()


@EXAMPLES
def test_a_workflow_fits_its_agents_and_what_its_run_gives_fits_it(chosen: Example) -> None:
    workflow = parsed(Workflow, chosen=chosen)
    agents = {agent.metadata.name: agent.spec for agent in all_of(Agent, chosen)}
    assert problems(workflow.spec, World(workflow.metadata.name, agents, {})) == ()
    [raw] = documents(chosen, "run.yaml")
    run = WorkflowRun.parse(named(raw))
    assert run.spec.workflow_ref.name == workflow.metadata.name
    assert workflow.spec.input is not None
    jsonschema_rs.validate(workflow.spec.input.schema_, run.spec.input)


def test_the_ceiling_and_the_teams_policy_both_hold_the_agent(effective: EffectivePolicy) -> None:
    assert [layer.kind for layer in effective.layers] == ["ClusterPolicy", "Policy"]
    assert effective.problems == ()
    bounds = effective.model_obligations()
    assert [str(bound.reference) for bound in bounds.budgets] == [
        "ClusterPolicy demo-ceiling, budget tenant",
        "Policy sales-baseline, budget daily",
    ]
    action = effective.action("crm", "update_contact")
    assert action is not None
    held = effective.obligations("crm", action)
    assert held.record is not None
    assert held.record.render({"id": "emea-0001"}) == "contact/emea-0001"
    assert (held.cost_micro_usd, held.conflicts.lease_seconds) == (200, 300)
    assert held.data.redact_response == {"pii"}
    assert held.data.block_request == {"payment", "secret"}


def test_the_tasks_input_fits_the_agents_schema() -> None:
    schema = parsed(Agent, "lead-enricher").spec.input
    assert schema is not None
    jsonschema_rs.validate(schema.schema_, parsed(Task).spec.input)


@EXAMPLES
def test_no_secret_is_in_the_repository(chosen: Example) -> None:
    assert "Secret" not in {document["kind"] for document in documents(chosen)}


@EXAMPLES
def test_the_systems_are_as_restricted_as_an_agents_pod(chosen: Example) -> None:
    deployments = [raw for raw in documents(chosen, "systems.yaml") if raw["kind"] == "Deployment"]
    assert len(deployments) == len(chosen.systems) + 1
    for deployment in deployments:
        assert at(deployment, "spec", "template", "spec", "automountServiceAccountToken") is False
        assert at(deployment, "spec", "template", "spec", "containers", 0, "securityContext") == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def at(value: JsonValue, *path: str | int) -> JsonValue:
    for key in path:
        value = value[key]  # type: ignore[index]  # the test fails where the path does not exist
    return value
