"""Fields of every kind but the policies: what holds the cluster to each, and which tests show it."""

from collections.abc import Iterator, Mapping
from typing import Final

from aos.model.kinds import KINDS
from hack.generate.enforcement import begins
from hack.generate.enforcement_rows import Held, held_by
from hack.generate.enforcement_runs import APPROVAL_REQUEST, TASK, WORKFLOW, WORKFLOW_RUN
from hack.generate.fields import fields_of

_AGENT: Final[Mapping[str, Held]] = {
    "owner": held_by("policy.effective", "policy/test_decision.py::test_truth_table"),
    "instructions": held_by(
        "reconcile.agent gateway.inbox",
        "reconcile/test_agent.py::test_a_changed_spec_makes_a_new_revision_with_the_next_number",
    ),
    "instructionsFrom": held_by(
        "reconcile.agent controllers.objects",
        "controllers/test_objects.py::test_a_config_map_concerns_the_agents_that_it_tells",
        "reconcile/test_agent.py::test_an_agent_whose_instructions_stand_in_a_config_map_is_accepted",
    ),
    "model.name": held_by(
        "gateway.models.endpoint", "gateway_models/test_endpoint.py::test_models_are_the_agents_own"
    ),
    "model.temperature": held_by(
        "gateway.models.completion", "gateway_models/test_completion.py::test_the_agents_temperature_counts"
    ),
    "model.maxOutputTokens": held_by(
        "gateway.models.completion",
        "gateway_models/test_completion.py::test_output_is_limited_to_what_the_agent_may_have",
    ),
    "tools[].name": held_by(
        "policy.effective policy.decision",
        "policy/test_decision.py::test_truth_table",
        "policy/test_decision.py::test_a_tool_that_the_agent_does_not_list_is_unknown_to_it",
    ),
    "tools[].actions": held_by(
        "policy.decision",
        "policy/test_decision.py::test_what_the_agent_does_not_ask_for_is_not_listed",
        "policy/test_decision.py::test_truth_table",
        "policy/test_decision.py::test_an_action_that_the_agent_does_not_ask_for_is_denied",
    ),
    "delegates": held_by(
        "gateway.a2a.rights",
        "gateway_a2a/test_rights.py::test_only_delegates_of_the_own_namespace_are_handed_work",
    ),
    "capabilities": held_by(
        "reconcile.run_start gateway.a2a.card",
        "reconcile/test_run_start.py::test_a_capability_is_pinned_as_the_one_agent_that_offers_it_and_is_ready",
        "gateway_a2a/test_card.py::test_what_an_agent_can_do_is_its_skills",
    ),
    "input": held_by(
        "reconcile.task_start gateway.a2a.carrying",
        "gateway_a2a/test_carrying.py::test_an_input_fits_the_schema_of_the_receiver_as_it_is_now",
        "cluster/operator/test_tasks.py::test_an_input_that_does_not_fit_never_becomes_a_pod",
    ),
    "output": held_by(
        "gateway.inbox", "gateway/test_inbox.py::test_an_output_that_does_not_fit_is_refused_place_by_place"
    ),
    "runtime.mode": held_by(
        "reconcile.agent reconcile.deployment",
        "reconcile/test_deployment.py::test_an_agent_that_is_no_service_any_more_has_no_deployment",
    ),
    "runtime.replicas": held_by(
        "reconcile.deployment", "reconcile/test_deployment.py::test_the_deployment_of_a_service_is_as_on_file"
    ),
    "runtime.drain": held_by(
        "reconcile.deployment reconcile.containers",
        "reconcile/test_deployment.py::test_the_deployment_of_a_service_is_as_on_file",
        "reconcile/test_containers.py::test_an_own_image_of_a_service_is_ended_after_its_drain_and_the_helper_after_it",
    ),
    "runtime.warm": held_by(
        "reconcile.warm",
        "reconcile/test_agent.py::test_an_agent_that_gets_fewer_warm_pods_than_it_asks_for_says_so",
    ),
    "runtime.a2a": held_by(
        "reconcile.containers agent.helper.delivery",
        "reconcile/test_containers.py::test_the_helper_is_told_of_an_a2a_server",
    ),
    "runtime.image": held_by(
        "reconcile.containers reconcile.revision",
        "reconcile/test_containers.py::test_an_own_image_has_no_credential_and_one_way_to_the_gateway",
    ),
    "runtime.imagePullSecrets": held_by(
        "reconcile.pod",
        "reconcile/test_children.py::test_the_pod_of_an_agent_with_its_own_image_runtime_and_resources_is_as_on_file",
    ),
    "runtime.runtimeClassName": held_by(
        "reconcile.pod",
        "reconcile/test_children.py::test_the_pod_of_an_agent_with_its_own_image_runtime_and_resources_is_as_on_file",
    ),
    "runtime.resources": held_by(
        "reconcile.resources reconcile.containers",
        "reconcile/test_children.py::test_the_pod_of_an_agent_with_its_own_image_runtime_and_resources_is_as_on_file",
    ),
    "autonomy": held_by("policy.approving", "policy/test_approving.py::test_truth_table"),
    "suspend": held_by(
        "policy.decision reconcile.agent",
        "policy/test_decision.py::test_a_suspended_agent_is_denied_whatever_policies_say",
        "reconcile/test_agent.py::test_a_suspended_agent_is_not_ready_and_keeps_its_revision",
    ),
}
_AUTH: Final = "gateway.upstream.outbound"
_TOOL: Final[Mapping[str, Held]] = {
    "type": held_by(
        "gateway.mcp.calls gateway.mcp.catalogue",
        "gateway_memory/test_system.py::test_a_value_is_held_to_its_schema_and_the_place_is_told",
        "gateway_memory/test_endpoint.py::test_other_methods_and_other_tools_are_not_there",
    ),
    "url": held_by(
        _AUTH, "gateway_openapi/test_system.py::test_a_read_becomes_the_request_that_the_document_describes"
    ),
    "openapi.path": held_by(
        "gateway.openapi.system",
        "gateway_openapi/test_system.py::test_declared_operations_are_offered_as_tools",
    ),
    "openapi.configMapKeyRef": held_by(
        "gateway.openapi.system gateway.openapi.document_watch",
        "gateway_openapi/test_system.py::test_a_document_in_a_config_map_is_read_and_read_again_when_it_changes",
    ),
    "memory.scope": held_by(
        "gateway.memory.places", "gateway_memory/test_places.py::test_a_value_of_a_namespace_has_no_owner"
    ),
    "memory.ttl": held_by(
        "gateway.memory.system",
        "gateway_memory/test_system.py::test_a_value_is_gone_when_its_task_ends_or_its_time_is_up",
    ),
    "memory.maxBytes": held_by(
        "gateway.memory.definitions",
        "gateway_memory/test_system.py::test_a_value_that_is_too_long_is_refused",
    ),
    "memory.schema": held_by(
        "gateway.memory.definitions",
        "gateway_memory/test_system.py::test_a_value_is_held_to_its_schema_and_the_place_is_told",
    ),
    "auth.type": held_by(
        _AUTH, "gateway_openapi/test_system.py::test_a_credential_may_stand_in_a_header_of_its_own"
    ),
    "auth.header": held_by(
        _AUTH, "gateway_openapi/test_system.py::test_a_credential_may_stand_in_a_header_of_its_own"
    ),
    "auth.secretRef": held_by(
        "gateway.credentials reconcile.connected",
        "gateway/test_cluster_registry.py::test_a_credential_is_read_while_something_refers_to_it_and_forgotten_afterwards",
        "reconcile/test_tool_and_model.py::test_a_tool_with_a_credential_gets_access_to_that_one_secret",
    ),
    "actions[].name": held_by(
        "policy.decision gateway.mcp.catalogue", "policy/test_decision.py::test_truth_table"
    ),
    "actions[].access": held_by(
        "policy.matching policy.approving", "policy/test_decision.py::test_truth_table"
    ),
    "actions[].risk": held_by(
        "policy.approving",
        "policy/test_approving.py::test_what_is_held_by_default_follows_from_risk_and_autonomy",
    ),
    "actions[].dataClasses": held_by(
        "policy.matching",
        "policy/test_decision.py::test_truth_table",
        "gateway_mcp/test_policy_fields.py::test_a_field_holds_calls_of_tools",
    ),
    "actions[].record": held_by(
        "gateway.control.records",
        "gateway_mcp/test_controlled_calls.py::test_of_two_agents_that_write_one_record_one_wins_and_the_other_is_told_by_whom",
    ),
    "actions[].preview": held_by(
        "gateway.approvals.preview",
        "gateway_approvals/test_preview.py::test_people_see_the_record_as_it_is_and_as_it_would_be",
    ),
    "actions[].idempotent": held_by(
        "gateway.control.retries",
        "gateway_control/test_retries.py::test_only_what_can_do_no_harm_is_sent_again",
        "gateway_control/test_runs.py::test_a_write_of_which_nobody_knows_what_came_is_sent_again_as_the_same_one_where_that_does_no_harm",
        "gateway_mcp/test_controlled_calls.py::test_only_a_write_that_may_be_repeated_has_a_key",
        "gateway_openapi/test_system.py::test_only_a_write_that_may_be_repeated_has_a_key",
    ),
    "actions[].costMicroUSD": held_by(
        "gateway.control.charges",
        "gateway_control/test_charges.py::test_a_tool_that_costs_nothing_takes_no_money_and_no_tokens",
        "gateway_mcp/test_policy_fields.py::test_a_field_holds_calls_of_tools",
    ),
    "actions[].definitionDigest": held_by(
        "gateway.mcp.definitions",
        "gateway_mcp/test_catalogue.py::test_attack_10_a_definition_that_changes_later_is_quarantined_at_the_next_reading",
    ),
}
_MODEL: Final[Mapping[str, Held]] = {
    "url": held_by(
        "gateway.models.endpoint", "gateway_models/test_endpoint.py::test_the_official_client_gets_an_answer"
    ),
    "model": held_by(
        "gateway.models.completion",
        "gateway_models/test_completion.py::test_a_request_for_the_agents_model_names_the_one_behind_it",
    ),
    "auth.type": held_by(
        _AUTH, "gateway_models/test_endpoint.py::test_a_credential_may_stand_in_a_header_of_its_own"
    ),
    "auth.header": held_by(
        _AUTH, "gateway_models/test_endpoint.py::test_a_credential_may_stand_in_a_header_of_its_own"
    ),
    "auth.secretRef": held_by(
        "gateway.credentials reconcile.connected",
        "gateway/test_cluster_registry.py::test_a_credential_is_read_while_something_refers_to_it_and_forgotten_afterwards",
        "gateway_models/test_endpoint.py::test_attack_04_nothing_of_the_agent_but_its_request_reaches_the_model",
        "reconcile/test_tool_and_model.py::test_a_model_is_treated_like_a_tool",
    ),
    "prices": held_by(
        "policy.prices gateway.models.spending",
        "gateway_models/test_spending.py::test_a_request_reserves_the_most_that_it_may_take",
        "policy/test_prices.py::test_what_the_model_says_of_itself_counts",
    ),
}
HELD: Final[Mapping[str, Mapping[str, Held]]] = {
    "Agent": _AGENT,
    "Tool": _TOOL,
    "Model": _MODEL,
    "Workflow": WORKFLOW,
    "WorkflowRun": WORKFLOW_RUN,
    "Task": TASK,
    "ApprovalRequest": APPROVAL_REQUEST,
}
"""By kind, and by the beginning of a field's path, of which the longest counts. The policies have a table by paths."""


def spec_fields(kind: str) -> Iterator[str]:
    """Yield every field of a kind's spec.

    Raises:
        KeyError: there is no such kind.
    """
    models = {item.kind: item.spec_model for item in KINDS}
    yield from fields_of(models[kind])


def held(kind: str, field: str) -> Held:
    """Return what holds the cluster to a field.

    Raises:
        KeyError: nobody has said so.
    """
    said = [name for name in HELD[kind] if begins(field, name)]
    if not said:
        raise KeyError(f"{kind}.{field} has no row: say in {__name__} what holds the cluster to it")
    return HELD[kind][max(said, key=len)]
