from dataclasses import replace

import pytest
from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.tool import Tool, ToolStatus
from aos.reconcile.model import ObservedModel, reconcile_model
from aos.reconcile.plan import ChildKey, Deletion, ObservedChild, Plan
from aos.reconcile.tool import ObservedTool, reconcile_tool
from tests.unit.reconcile.make import (
    NOW,
    SETTINGS,
    condition,
    conditions_of,
    message_of,
    model,
    present,
    tool,
)

ROLE = ChildKey("Role", "aos-tool-crm")
BINDING = ChildKey("RoleBinding", "aos-tool-crm")


def status(*conditions: JsonObject) -> JsonObject:
    return {"observedGeneration": 1, "conditions": list(conditions)}


@pytest.mark.parametrize(
    ("available", "ready"),
    [
        ((), ("Unknown", "NotObserved")),
        ((condition("Available", "True", "Available", generation=0),), ("Unknown", "NotObserved")),
        ((condition("Available", "True", "Available"),), ("True", "Ready")),
        ((condition("Available", "False", "Unreachable", message="refused"),), ("False", "Unavailable")),
    ],
)
def test_a_tool_is_ready_as_the_gateway_finds_it(
    available: tuple[JsonObject, ...], ready: tuple[str, str]
) -> None:
    plan = reconcile_tool(ObservedTool(tool(status=status(*available))), SETTINGS, NOW)
    assert conditions_of(plan) == {"Accepted": ("True", "Accepted"), "Ready": ready}


def test_what_the_gateway_says_is_passed_on_and_never_written() -> None:
    down = condition("Available", "False", "Unreachable", message="refused")
    plan = reconcile_tool(ObservedTool(tool(status=status(down))), SETTINGS, NOW)
    assert message_of(plan, "Ready") == "Unreachable: refused"
    assert plan.status is not None
    assert set(plan.status) == {"observedGeneration", "conditions"}
    assert "Available" not in conditions_of(plan)


def test_a_tool_with_a_credential_gets_access_to_that_one_secret() -> None:
    plan = reconcile_tool(ObservedTool(tool("crm-credentials")), SETTINGS, NOW)
    assert [ChildKey.of(child) for child in plan.apply] == [ROLE, BINDING]
    assert plan.apply[0]["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["crm-credentials"],
            "verbs": ["get", "list", "watch"],
        }
    ]
    assert [event.reason for event in plan.events] == ["CredentialGranted"]


def test_a_record_that_does_not_compile_is_told_and_leaves_the_credential() -> None:
    crm = tool("crm-credentials")
    write = crm.spec.actions[1].model_copy(update={"record": "contact/${args.}"})
    broken = crm.model_copy(
        update={"spec": crm.spec.model_copy(update={"actions": (crm.spec.actions[0], write)})}
    )
    plan = reconcile_tool(ObservedTool(broken), SETTINGS, NOW)
    assert conditions_of(plan)["Accepted"] == ("False", "InvalidExpression")
    assert "spec.actions[update_contact].record: in ${...} at character 9" in message_of(plan, "Accepted")
    assert [ChildKey.of(child) for child in plan.apply] == [ROLE, BINDING]


def test_a_schema_of_shared_values_that_can_not_be_used_is_told() -> None:
    def shared(schema: JsonObject) -> Tool:
        memory: JsonObject = {"schema": schema}
        actions: JsonValue = [{"name": "get", "access": "Read", "risk": "Low"}]
        spec: JsonObject = {"type": "Memory", "memory": memory, "actions": actions}
        metadata: JsonObject = {"name": "notes", "namespace": "sales", "uid": "notes-uid"}
        return Tool.parse({"metadata": metadata, "spec": spec})

    bad = reconcile_tool(ObservedTool(shared({"$ref": "http://evil.example/x"})), SETTINGS, NOW)
    assert conditions_of(bad)["Accepted"] == ("False", "InvalidSchema")
    good = reconcile_tool(ObservedTool(shared({"type": "object"})), SETTINGS, NOW)
    assert conditions_of(good)["Accepted"] == ("True", "Accepted")


def test_access_ends_with_the_reference_to_the_secret() -> None:
    children = {ROLE: ObservedChild("role-uid", "x"), BINDING: ObservedChild("binding-uid", "x")}
    plan = reconcile_tool(ObservedTool(tool(), children), SETTINGS, NOW)
    assert plan.delete == (
        Deletion("Role", ROLE.name, "role-uid"),
        Deletion("RoleBinding", BINDING.name, "binding-uid"),
    )
    assert [event.reason for event in plan.events] == ["CredentialRevoked"]


def test_access_that_somebody_widened_is_put_right() -> None:
    made = reconcile_tool(ObservedTool(tool("crm-credentials")), SETTINGS, NOW)
    children = present(made) | {ROLE: ObservedChild("role-uid", "wider")}
    plan = reconcile_tool(ObservedTool(tool("crm-credentials"), children), SETTINGS, NOW)
    assert [ChildKey.of(child) for child in plan.apply] == [ROLE]
    assert [event.reason for event in plan.events] == ["ChildRestored"]


def test_secrets_of_the_operators_own_namespace_are_never_lent_out() -> None:
    children = {ROLE: ObservedChild("role-uid", "x")}
    observed = ObservedTool(tool("aos-ca", namespace="aos-system"), children)
    plan = reconcile_tool(observed, SETTINGS, NOW)
    assert plan.apply == ()
    assert plan.delete == (Deletion("Role", ROLE.name, "role-uid"),)
    assert conditions_of(plan) == {"Accepted": ("False", "Invalid"), "Ready": ("False", "NotAccepted")}


def test_a_refused_role_shows_in_ready() -> None:
    observed = ObservedTool(tool("crm-credentials"), refused="Role aos-tool-crm: forbidden")
    plan = reconcile_tool(observed, SETTINGS, NOW)
    assert conditions_of(plan)["Ready"] == ("False", "Provisioning")
    assert "ChildRefused" in {event.reason for event in plan.events}


def test_nothing_is_written_once_everything_is_as_it_should_be() -> None:
    first = reconcile_tool(ObservedTool(tool("crm-credentials")), SETTINGS, NOW)
    done = tool("crm-credentials").model_copy(update={"status": ToolStatus.model_validate(first.status)})
    assert reconcile_tool(ObservedTool(done, present(first)), SETTINGS, NOW) == Plan()


def test_a_tool_that_is_being_deleted_is_left_alone() -> None:
    going = tool("crm-credentials")
    deleted = going.model_copy(
        update={"metadata": going.metadata.model_copy(update={"deletion_timestamp": NOW})}
    )
    assert reconcile_tool(ObservedTool(deleted), SETTINGS, NOW) == Plan()


def test_a_model_is_treated_like_a_tool() -> None:
    plan = reconcile_model(ObservedModel(model("openai")), SETTINGS, NOW)
    assert [ChildKey.of(child) for child in plan.apply] == [
        ChildKey("Role", "aos-model-default"),
        ChildKey("RoleBinding", "aos-model-default"),
    ]
    assert conditions_of(plan)["Ready"] == ("Unknown", "NotObserved")
    refused = replace(ObservedModel(model("openai")), refused="no")
    assert conditions_of(reconcile_model(refused, SETTINGS, NOW))["Ready"] == ("False", "Provisioning")
