from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import jsonschema_rs
import pytest
import yaml
from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.meta import ApiObject
from aos.model.model import Model
from aos.model.policy import Policy
from aos.model.task import Task
from aos.model.tool import Tool
from aos.policy.decision import Call, Decision, DecisionReason, decide
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy

Kind = TypeVar("Kind", bound=ApiObject)

FOLDER = Path(__file__).parents[3] / "examples" / "sales"
KINDS: dict[str, type[ApiObject]] = {
    "Agent": Agent,
    "ClusterPolicy": ClusterPolicy,
    "Model": Model,
    "Policy": Policy,
    "Task": Task,
    "Tool": Tool,
}


def documents(pattern: str = "*.yaml") -> Iterator[dict[str, JsonValue]]:
    for path in sorted(FOLDER.glob(pattern)):
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def parsed(kind: type[Kind]) -> Kind:
    [raw] = [document for document in documents() if document["kind"] == kind.__name__]
    return kind.parse(raw)


@pytest.fixture(name="effective")
def effective_fixture() -> EffectivePolicy:
    return effective_policy(
        PolicyInputs(
            agent=parsed(Agent),
            namespace_labels={"aos.dev/environment": "demo", "aos.dev/tenant": "sales"},
            tools={"crm": parsed(Tool)},
            policies=[parsed(Policy)],
            cluster_policies=[parsed(ClusterPolicy)],
        )
    )


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


def test_every_object_of_aos_parses_and_stands_in_the_namespace_of_the_team() -> None:
    objects = [
        KINDS[str(raw["kind"])].parse(raw)
        for raw in documents()
        if str(raw["apiVersion"]).startswith("aos.dev/")
    ]
    assert sorted(type(item).__name__ for item in objects) == sorted(KINDS)
    assert {item.metadata.namespace for item in objects if not isinstance(item, ClusterPolicy)} == {"sales"}


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
    schema = parsed(Agent).spec.input
    assert schema is not None
    jsonschema_rs.validate(schema.schema_, parsed(Task).spec.input)


def test_no_secret_is_in_the_repository() -> None:
    assert "Secret" not in {document["kind"] for document in documents()}


def test_the_systems_are_as_restricted_as_an_agents_pod() -> None:
    deployments = [document for document in documents("systems.yaml") if document["kind"] == "Deployment"]
    assert len(deployments) == 2
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
