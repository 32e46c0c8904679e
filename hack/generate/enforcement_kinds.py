"""Fields of every kind but the policies: what holds the cluster to each, and which tests show it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aos.model.kinds import KINDS
from hack.generate.enforcement import Enforced, begins
from hack.generate.fields import fields_of


@dataclass(frozen=True, slots=True)
class Told:
    """A field that people read and nothing is decided by.

    Attributes:
        why: where they read it; one sentence without its full stop.
        tests: below ``tests``.
    """

    why: str
    tests: tuple[str, ...]


Held = Enforced | Told


def _held(modules: str, *tests: str) -> Enforced:
    """Return a row; modules stand below ``aos`` with blanks between, tests below ``tests/unit`` or as ``cluster/...``."""
    return Enforced(tuple(modules.split()), _placed(tests))


def _told(why: str, *tests: str) -> Told:
    return Told(why, _placed(tests))


def _placed(tests: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(test if test.startswith("cluster/") else f"unit/{test}" for test in tests)


_AGENT: Final[Mapping[str, Held]] = {
    "owner": _held("policy.effective", "policy/test_decision.py::test_truth_table"),
    "instructions": _held(
        "reconcile.agent gateway.inbox",
        "reconcile/test_agent.py::test_a_changed_spec_makes_a_new_revision_with_the_next_number",
    ),
    "instructionsFrom": _held(
        "reconcile.agent controllers.objects",
        "controllers/test_objects.py::test_a_config_map_concerns_the_agents_that_it_tells",
        "reconcile/test_agent.py::test_an_agent_whose_instructions_stand_in_a_config_map_is_accepted",
    ),
    "model.name": _held(
        "gateway.models.endpoint", "gateway_models/test_endpoint.py::test_models_are_the_agents_own"
    ),
    "model.temperature": _held(
        "gateway.models.completion", "gateway_models/test_completion.py::test_the_agents_temperature_counts"
    ),
    "model.maxOutputTokens": _held(
        "gateway.models.completion",
        "gateway_models/test_completion.py::test_output_is_limited_to_what_the_agent_may_have",
    ),
    "tools[].name": _held(
        "policy.effective policy.decision",
        "policy/test_decision.py::test_truth_table",
        "policy/test_decision.py::test_a_tool_that_the_agent_does_not_list_is_unknown_to_it",
    ),
    "tools[].actions": _held(
        "policy.decision",
        "policy/test_decision.py::test_what_the_agent_does_not_ask_for_is_not_listed",
        "policy/test_decision.py::test_truth_table",
        "policy/test_decision.py::test_an_action_that_the_agent_does_not_ask_for_is_denied",
    ),
    "delegates": _held(
        "gateway.a2a.rights",
        "gateway_a2a/test_rights.py::test_only_delegates_of_the_own_namespace_are_handed_work",
    ),
    "capabilities": _held(
        "reconcile.run_start gateway.a2a.card",
        "reconcile/test_run_start.py::test_a_capability_is_pinned_as_the_one_agent_that_offers_it_and_is_ready",
        "gateway_a2a/test_card.py::test_what_an_agent_can_do_is_its_skills",
    ),
    "input": _held(
        "reconcile.task_start gateway.a2a.carrying",
        "gateway_a2a/test_carrying.py::test_an_input_fits_the_schema_of_the_receiver_as_it_is_now",
        "cluster/operator/test_tasks.py::test_an_input_that_does_not_fit_never_becomes_a_pod",
    ),
    "output": _held(
        "gateway.inbox", "gateway/test_inbox.py::test_an_output_that_does_not_fit_is_refused_place_by_place"
    ),
    "runtime.mode": _held(
        "reconcile.agent reconcile.deployment",
        "reconcile/test_deployment.py::test_an_agent_that_is_no_service_any_more_has_no_deployment",
    ),
    "runtime.replicas": _held(
        "reconcile.deployment", "reconcile/test_deployment.py::test_the_deployment_of_a_service_is_as_on_file"
    ),
    "runtime.drain": _held(
        "reconcile.deployment reconcile.containers",
        "reconcile/test_deployment.py::test_the_deployment_of_a_service_is_as_on_file",
        "reconcile/test_containers.py::test_an_own_image_of_a_service_is_ended_after_its_drain_and_the_helper_after_it",
    ),
    "runtime.warm": _held(
        "reconcile.warm",
        "reconcile/test_agent.py::test_an_agent_that_gets_fewer_warm_pods_than_it_asks_for_says_so",
    ),
    "runtime.a2a": _held(
        "reconcile.containers agent.helper.delivery",
        "reconcile/test_containers.py::test_the_helper_is_told_of_an_a2a_server",
    ),
    "runtime.image": _held(
        "reconcile.containers reconcile.revision",
        "reconcile/test_containers.py::test_an_own_image_has_no_credential_and_one_way_to_the_gateway",
    ),
    "runtime.runtimeClassName": _held(
        "reconcile.pod",
        "reconcile/test_children.py::test_the_pod_of_an_agent_with_its_own_image_runtime_and_resources_is_as_on_file",
    ),
    "runtime.resources": _held(
        "reconcile.resources reconcile.containers",
        "reconcile/test_children.py::test_the_pod_of_an_agent_with_its_own_image_runtime_and_resources_is_as_on_file",
    ),
    "autonomy": _held("policy.approving", "policy/test_approving.py::test_truth_table"),
    "suspend": _held(
        "policy.decision reconcile.agent",
        "policy/test_decision.py::test_a_suspended_agent_is_denied_whatever_policies_say",
        "reconcile/test_agent.py::test_a_suspended_agent_is_not_ready_and_keeps_its_revision",
    ),
}
_AUTH: Final = "gateway.upstream.outbound"
_TOOL: Final[Mapping[str, Held]] = {
    "type": _held(
        "gateway.mcp.calls gateway.mcp.catalogue",
        "gateway_memory/test_endpoint.py::test_other_methods_and_other_tools_are_not_there",
    ),
    "url": _held(
        _AUTH, "gateway_openapi/test_system.py::test_a_read_becomes_the_request_that_the_document_describes"
    ),
    "openapi.path": _held(
        "gateway.openapi.system",
        "gateway_openapi/test_system.py::test_declared_operations_are_offered_as_tools",
    ),
    "openapi.configMapKeyRef": _held(
        "gateway.openapi.system gateway.openapi.document_watch",
        "gateway_openapi/test_system.py::test_a_document_in_a_config_map_is_read_and_read_again_when_it_changes",
    ),
    "memory.scope": _held(
        "gateway.memory.places", "gateway_memory/test_places.py::test_a_value_of_a_namespace_has_no_owner"
    ),
    "memory.ttl": _held(
        "gateway.memory.system",
        "gateway_memory/test_system.py::test_a_value_is_gone_when_its_task_ends_or_its_time_is_up",
    ),
    "memory.maxBytes": _held(
        "gateway.memory.definitions",
        "gateway_memory/test_system.py::test_a_value_that_is_too_long_is_refused",
    ),
    "memory.schema": _held(
        "gateway.memory.definitions",
        "gateway_memory/test_system.py::test_a_value_is_held_to_its_schema_and_the_place_is_told",
    ),
    "auth.type": _held(
        _AUTH, "gateway_openapi/test_system.py::test_a_credential_may_stand_in_a_header_of_its_own"
    ),
    "auth.header": _held(
        _AUTH, "gateway_openapi/test_system.py::test_a_credential_may_stand_in_a_header_of_its_own"
    ),
    "auth.secretRef": _held(
        "gateway.credentials reconcile.connected",
        "gateway/test_cluster_registry.py::test_a_credential_is_read_while_something_refers_to_it_and_forgotten_afterwards",
        "reconcile/test_tool_and_model.py::test_a_tool_with_a_credential_gets_access_to_that_one_secret",
    ),
    "actions[].name": _held(
        "policy.decision gateway.mcp.catalogue", "policy/test_decision.py::test_truth_table"
    ),
    "actions[].access": _held(
        "policy.matching policy.approving", "policy/test_decision.py::test_truth_table"
    ),
    "actions[].risk": _held(
        "policy.approving",
        "policy/test_approving.py::test_what_is_held_by_default_follows_from_risk_and_autonomy",
    ),
    "actions[].dataClasses": _held(
        "policy.matching", "gateway_mcp/test_policy_fields.py::test_a_field_holds_calls_of_tools"
    ),
    "actions[].record": _held(
        "gateway.control.records",
        "gateway_mcp/test_controlled_calls.py::test_of_two_agents_that_write_one_record_one_wins_and_the_other_is_told_by_whom",
    ),
    "actions[].preview": _held(
        "gateway.approvals.preview",
        "gateway_approvals/test_preview.py::test_people_see_the_record_as_it_is_and_as_it_would_be",
    ),
    "actions[].idempotent": _held(
        "gateway.control.retries",
        "gateway_control/test_retries.py::test_only_what_can_do_no_harm_is_sent_again",
    ),
    "actions[].costMicroUSD": _held(
        "gateway.control.charges", "gateway_mcp/test_policy_fields.py::test_a_field_holds_calls_of_tools"
    ),
    "actions[].definitionDigest": _held(
        "gateway.mcp.definitions",
        "gateway_mcp/test_catalogue.py::test_attack_10_a_definition_that_changes_later_is_quarantined_at_the_next_reading",
    ),
}
_MODEL: Final[Mapping[str, Held]] = {
    "url": _held(
        "gateway.models.endpoint", "gateway_models/test_endpoint.py::test_the_official_client_gets_an_answer"
    ),
    "model": _held(
        "gateway.models.completion",
        "gateway_models/test_completion.py::test_a_request_for_the_agents_model_names_the_one_behind_it",
    ),
    "auth.type": _held(
        _AUTH, "gateway_models/test_endpoint.py::test_a_credential_may_stand_in_a_header_of_its_own"
    ),
    "auth.header": _held(
        _AUTH, "gateway_models/test_endpoint.py::test_a_credential_may_stand_in_a_header_of_its_own"
    ),
    "auth.secretRef": _held(
        "gateway.credentials reconcile.connected",
        "gateway_models/test_endpoint.py::test_attack_04_nothing_of_the_agent_but_its_request_reaches_the_model",
        "reconcile/test_tool_and_model.py::test_a_model_is_treated_like_a_tool",
    ),
    "prices": _held(
        "policy.prices gateway.models.spending",
        "policy/test_prices.py::test_what_the_model_says_of_itself_counts",
    ),
}
_RUN_BUDGET: Final = "gateway_mcp/test_policy_fields.py::test_a_field_holds_calls_of_tools"
_GATE: Final = "reconcile/test_gate.py::test_a_gate_freezes_what_people_are_asked"
_WORKFLOW: Final[Mapping[str, Held]] = {
    "input": _held(
        "reconcile.run_start",
        "reconcile/test_run_start.py::test_what_does_not_fit_the_input_schema_ends_the_run_and_is_not_quoted",
    ),
    "steps[].name": _held(
        "workflow.graph",
        "workflow/test_advance.py::test_steps_start_one_after_the_other_and_hand_on_what_they_give",
    ),
    "steps[].agent": _held(
        "workflow.making", "workflow/test_making.py::test_a_task_has_all_that_its_step_and_its_run_say"
    ),
    "steps[].capability": _held(
        "reconcile.run_start workflow.making",
        "reconcile/test_run_start.py::test_a_capability_is_pinned_as_the_one_agent_that_offers_it_and_is_ready",
        "workflow/test_advance.py::test_a_capability_is_done_by_the_agent_that_was_chosen_at_the_start",
    ),
    "steps[].workflow": _held(
        "workflow.making",
        "workflow/test_making.py::test_a_run_below_knows_the_run_that_started_it_and_the_first_of_all",
    ),
    "steps[].approval": _held("workflow.gates reconcile.gate", _GATE),
    "steps[].approval.show": _held(
        "workflow.gates", "workflow/test_gates.py::test_people_are_asked_with_what_the_gate_shows"
    ),
    "steps[].input": _held(
        "workflow.making",
        "workflow/test_advance.py::test_steps_start_one_after_the_other_and_hand_on_what_they_give",
    ),
    "steps[].dependsOn": _held(
        "workflow.graph workflow.readiness",
        "workflow/test_graph.py::test_edges_come_from_expressions_and_from_depends_on",
    ),
    "steps[].when": _held(
        "workflow.starting", "workflow/test_starting.py::test_a_step_starts_where_its_when_gives_true"
    ),
    "steps[].forEach": _held(
        "workflow.fanout",
        "workflow/test_fanout.py::test_a_step_is_done_once_for_each_item_and_gives_the_list_in_order",
    ),
    "steps[].maxParallel": _held(
        "workflow.fanout", "workflow/test_fanout.py::test_no_more_items_are_worked_on_at_once_than_may_be"
    ),
    "steps[].timeout": _held(
        "workflow.making workflow.attempts",
        "workflow/test_making.py::test_a_task_has_all_that_its_step_and_its_run_say",
        "workflow/test_attempts.py::test_a_run_below_is_cancelled_at_the_step_s_timeout_and_that_is_a_timeout",
    ),
    "steps[].retry.attempts": _held(
        "workflow.attempts",
        "workflow/test_attempts.py::test_a_step_that_failed_as_often_as_it_may_has_failed",
    ),
    "steps[].retry.backoff": _held(
        "workflow.backoff",
        "workflow/test_backoff.py::test_each_wait_is_twice_the_one_before_up_to_the_longest_and_shortened_by_a_fifth_at_most",
    ),
    "steps[].retry.maxBackoff": _held(
        "workflow.backoff",
        "workflow/test_backoff.py::test_each_wait_is_twice_the_one_before_up_to_the_longest_and_shortened_by_a_fifth_at_most",
    ),
    "steps[].retry.failures": _held(
        "workflow.attempts",
        "workflow/test_attempts.py::test_a_step_is_tried_again_after_failures_of_the_kinds_that_it_names",
    ),
    "steps[].onFailure": _held(
        "workflow.advance", "workflow/test_advance.py::test_a_step_that_may_fail_lets_the_run_go_on"
    ),
    "steps[].compensate": _held(
        "workflow.compensation",
        "workflow/test_compensation.py::test_what_was_done_is_undone_one_by_one_and_the_last_comes_first",
    ),
    "output": _held(
        "workflow.advance",
        "workflow/test_advance.py::test_steps_start_one_after_the_other_and_hand_on_what_they_give",
    ),
    "budget": _held(
        "workflow.making gateway.control.charges",
        "workflow/test_making.py::test_a_task_has_all_that_its_step_and_its_run_say",
        _RUN_BUDGET,
    ),
    "timeout": _held(
        "workflow.advance",
        "workflow/test_advance.py::test_a_run_that_takes_too_long_is_cancelled_and_timed_out",
    ),
    "concurrency.maxRuns": _held(
        "reconcile.run_queue",
        "cluster/operator/test_workflows.py::test_runs_beyond_the_most_wait_for_their_turn",
    ),
    "concurrency.onExcess": _held(
        "reconcile.run_queue",
        "controllers/test_executions.py::test_only_replacing_makes_a_run_that_has_started_end",
    ),
    "history": _held(
        "reconcile.run_history", "cluster/operator/test_workflows.py::test_ended_runs_beyond_the_history_go"
    ),
    "priority": _held(
        "workflow.making controllers.executions",
        "workflow/test_making.py::test_a_task_has_all_that_its_step_and_its_run_say",
        "controllers/test_executions.py::test_a_run_below_comes_in_the_order_of_the_highest_priority_above_it",
    ),
    "triggers[].name": _held(
        "reconcile.triggers gateway.hooks.endpoint",
        "reconcile/test_triggers.py::test_a_run_is_named_by_the_time_that_it_is_due_so_that_nobody_starts_it_twice",
    ),
    "triggers[].schedule.cron": _held(
        "reconcile.schedule",
        "reconcile/test_schedule.py::test_a_run_is_due_at_its_time_and_the_next_one_after",
    ),
    "triggers[].schedule.timeZone": _held(
        "reconcile.schedule",
        "reconcile/test_schedule.py::test_times_of_every_hour_keep_their_distance_over_both_changes",
    ),
    "triggers[].schedule.missedRuns": _held(
        "reconcile.schedule",
        "reconcile/test_schedule.py::test_one_run_is_started_for_all_that_were_missed_where_the_schedule_says_so",
    ),
    "triggers[].webhook.secretRef": _held(
        "gateway.hooks.endpoint reconcile.workflow",
        "gateway_hooks/test_endpoint.py::test_attack_20_a_forged_or_replayed_request_starts_nothing",
        "reconcile/test_workflow.py::test_each_secret_of_a_webhook_is_opened_to_the_gateway_once",
    ),
    "triggers[].webhook.replayWindow": _held(
        "gateway.hooks.endpoint",
        "gateway_hooks/test_endpoint.py::test_the_trigger_says_how_old_a_request_may_be",
    ),
    "triggers[].webhook.when": _held(
        "gateway.hooks.endpoint",
        "gateway_hooks/test_endpoint.py::test_a_condition_decides_which_bodies_start_a_run",
    ),
    "triggers[].input": _held(
        "gateway.hooks.endpoint reconcile.triggers",
        "gateway_hooks/test_endpoint.py::test_a_signed_request_starts_a_run_with_the_input_that_the_trigger_makes_of_it",
    ),
    "suspend": _held(
        "workflow.advance reconcile.triggers",
        "workflow/test_advance.py::test_a_suspended_workflow_suspends_its_runs",
        "gateway_hooks/test_endpoint.py::test_a_workflow_that_starts_no_runs_now_says_so_to_who_can_sign",
    ),
}
_ABOVE: Final = (
    "cluster/operator/test_run_admission.py::test_a_run_that_a_step_starts_belongs_to_the_run_above"
)
_BELOW: Final = "workflow/test_facts.py::test_a_run_below_is_the_attempt_that_it_says"
_TRIGGERED: Final = (
    "cluster/operator/test_run_admission.py::test_a_run_of_a_trigger_is_asked_for_by_the_trigger"
)
_WORKFLOW_RUN: Final[Mapping[str, Held]] = {
    "workflowRef": _held(
        "controllers.run_gathering",
        "controllers/test_executions.py::test_another_workflow_concerns_its_open_runs_and_the_workflows_above",
    ),
    "input": _held(
        "reconcile.run_start workflow.advance",
        "workflow/test_advance.py::test_steps_start_one_after_the_other_and_hand_on_what_they_give",
    ),
    "requestedBy": _held(
        "reconcile.admission.workflow_runs workflow.making",
        "workflow/test_making.py::test_a_task_has_all_that_its_step_and_its_run_say",
        "cluster/operator/test_run_admission.py::test_a_user_starts_runs_in_their_own_name_alone",
    ),
    "parent": _held("controllers.run_gathering workflow.facts", _BELOW, _ABOVE),
    "parent.run": _held(
        "reconcile.admission.workflow_runs controllers.run_gathering",
        "controllers/test_run_gathering.py::test_a_run_is_held_to_the_budgets_of_all_above_it",
        _ABOVE,
    ),
    "parent.rootUID": _held(
        "workflow.making",
        "workflow/test_making.py::test_a_task_of_a_run_below_counts_for_the_first_run_of_all",
    ),
    "parent.depth": _held(
        "workflow.making", "workflow/test_making.py::test_no_more_than_four_runs_follow_one_another"
    ),
    "trigger": _held(
        "reconcile.admission.workflow_runs reconcile.run_history",
        _TRIGGERED,
        "reconcile/test_run_history.py::test_a_run_stays_while_the_request_that_started_it_may_come_again",
    ),
    "suspend": _held(
        "workflow.advance",
        "workflow/test_advance.py::test_while_suspended_nothing_starts_and_what_runs_goes_on",
    ),
    "cancel": _held(
        "workflow.advance",
        "workflow/test_advance.py::test_cancelling_a_run_cancels_what_is_open_and_waits_until_it_has_ended",
    ),
}
_ATTEMPT: Final = "workflow/test_facts.py::test_a_task_is_the_attempt_that_it_says"
_TASK: Final[Mapping[str, Held]] = {
    "agentRef": _held(
        "gateway.identity reconcile.task",
        "gateway/test_identity.py::test_facts_that_do_not_agree_are_refused",
    ),
    "input": _held("gateway.inbox", "gateway/test_inbox.py::test_a_task_is_handed_out_as_its_revision_says"),
    "deadline": _held(
        "gateway.identity reconcile.task",
        "gateway/test_identity.py::test_a_task_past_its_deadline_has_ended",
        "reconcile/test_waiting.py::test_a_task_that_nobody_was_asked_about_has_the_deadline_of_its_spec",
    ),
    "requestedBy": _held(
        "reconcile.admission.task_requester policy.quorums",
        "policy/test_decision.py::test_truth_table",
        "cluster/operator/test_admission.py::test_a_task_is_asked_for_under_ones_own_name",
    ),
    "lineage": _held(
        "gateway.identity reconcile.admission.task_lineage",
        "gateway/test_identity.py::test_attack_20_a_lineage_that_is_not_its_ancestors_is_refused",
        "cluster/operator/test_admission.py::test_attack_20_nobody_but_the_gateway_says_where_a_task_comes_from",
    ),
    "run": _held(
        "workflow.facts gateway.control.records",
        _ATTEMPT,
        "cluster/operator/test_run_admission.py::test_attack_20_a_user_makes_no_task_of_a_run",
    ),
    "run.rootUID": _held(
        "gateway.control.charges",
        "gateway_control/test_charges.py::test_what_counts_by_workflow_counts_over_the_first_run_of_the_chain_or_the_first_task",
    ),
    "run.workflow": _held(
        "policy.decision",
        "policy/test_decision.py::test_a_rule_may_ask_for_which_step_of_which_workflow_a_call_is_made",
    ),
    "run.budgets": _held(
        "gateway.control.charges",
        "gateway_control/test_charges.py::test_a_call_for_a_run_takes_from_its_budget_and_from_those_of_the_runs_above",
    ),
    "revision": _held(
        "reconcile.task_start",
        "reconcile/test_task_pinned.py::test_a_pod_is_made_of_the_pinned_revision_with_its_image",
    ),
    "priority": _held(
        "controllers.turns", "controllers/test_pool.py::test_priority_and_then_age_say_who_comes_first"
    ),
}
_IDENTITY: Final = "gateway_approvals/test_desk.py::test_attack_20_a_request_for_another_call_lets_nothing_through_under_this_ones_name"
_FROZEN: Final = (
    "cluster/operator/test_approval_requests.py::test_attack_21_what_people_decide_on_is_never_changed"
)
_WHO: Final = "policy/test_quorums.py::test_who_counts_for_a_quorum"
_APPROVAL_REQUEST: Final[Mapping[str, Held]] = {
    "type": _held(
        "gateway.approvals.standing reconcile.approval",
        "reconcile/test_approval.py::test_a_review_is_at_its_end_once_it_is_decided",
    ),
    "agent": _held(
        "gateway.approvals.asking reconcile.approval",
        "reconcile/test_approval.py::test_what_changed_makes_it_stale",
        _FROZEN,
    ),
    "task": _held(
        "reconcile.approval reconcile.admission.approval_requests",
        "controllers/test_approvals.py::test_a_task_of_the_same_name_or_uid_alone_is_another_task",
        "cluster/operator/test_approval_requests.py::test_attack_20_a_request_belongs_to_the_task_that_it_names",
    ),
    "run": _held(
        "reconcile.approval reconcile.admission.approval_requests",
        "controllers/test_approvals.py::test_attack_20_a_run_of_the_same_name_is_another_run",
        "cluster/operator/test_approval_requests.py::test_attack_20_a_gate_belongs_to_the_run_that_it_names",
    ),
    "requestedBy": _held(
        "policy.quorums reconcile.admission.approval_decisions",
        _WHO,
        "cluster/operator/test_approval_admission.py::test_attack_21_nobody_decides_on_what_they_asked_for",
    ),
    "tool": _held("gateway.approvals.desk reconcile.approval", _IDENTITY, _FROZEN),
    "action": _held("gateway.approvals.desk reconcile.approval", _IDENTITY, _FROZEN),
    "access": _held("gateway.approvals.desk", _IDENTITY, _FROZEN),
    "risk": _held(
        "reconcile.reliability", "reconcile/test_reliability.py::test_counts_are_kept_by_risk", _FROZEN
    ),
    "record": _held(
        "gateway.approvals.trail",
        "gateway_approvals/test_desk.py::test_a_record_that_another_call_changed_makes_the_approval_stale",
        _FROZEN,
    ),
    "summary": _told(
        "people read it in `aos pending` and in notices",
        "reconcile/test_notice_text.py::test_what_people_are_asked_is_told_in_a_few_lines_with_the_commands",
        _FROZEN,
    ),
    "arguments": _told(
        "people read them in `aos show`; what is let through goes by their digest",
        "cli/test_approval_view.py::test_all_that_a_person_needs_is_on_one_page",
        _FROZEN,
    ),
    "argumentsDigest": _held("gateway.approvals.desk", _IDENTITY, _FROZEN),
    "definitionDigest": _held(
        "reconcile.approval", "reconcile/test_approval.py::test_what_changed_makes_it_stale", _FROZEN
    ),
    "policyDigest": _held(
        "reconcile.approval", "reconcile/test_approval.py::test_what_changed_makes_it_stale", _FROZEN
    ),
    "preview": _told(
        "people read it in `aos show`",
        "cli/test_approval_view.py::test_all_that_a_person_needs_is_on_one_page",
        _FROZEN,
    ),
    "call": _held(
        "gateway.approvals.review_sweep",
        "gateway_approvals/test_review_sweep.py::test_what_a_gateway_did_not_live_to_say_is_told_from_the_trail",
        _FROZEN,
    ),
    "quorums[].rule": _held("policy.quorums", _WHO),
    "quorums[].required": _held(
        "policy.quorums",
        "policy/test_quorums.py::test_two_different_people_are_two_and_the_same_one_twice_is_not",
    ),
    "quorums[].approvers": _held(
        "policy.quorums",
        _WHO,
        "cluster/operator/test_approval_admission.py::test_attack_21_only_those_decide_whom_a_quorum_or_an_escalation_asks",
    ),
    "quorums[].escalation": _held(
        "policy.quorums",
        _WHO,
        "cluster/operator/test_approval_admission.py::test_attack_21_only_those_decide_whom_a_quorum_or_an_escalation_asks",
    ),
    "quorums[].remindAt": _held(
        "reconcile.notices",
        "reconcile/test_notices.py::test_they_are_reminded_and_others_asked_when_their_time_has_come",
    ),
    "expiresAt": _held(
        "reconcile.approval gateway.approvals.standing",
        "reconcile/test_approval.py::test_nobody_decided_in_time",
        "gateway_approvals/test_desk.py::test_an_approval_counts_until_it_expires_by_the_gateways_own_clock",
    ),
    "decisions[].approver": _held(
        "policy.quorums reconcile.admission.approval_decisions",
        _WHO,
        "cluster/operator/test_approval_admission.py::test_attack_21_nobody_decides_as_another_user",
    ),
    "decisions[].verdict": _held("policy.quorums", "reconcile/test_approval.py::test_one_rejection_ends_it"),
    "decisions[].comment": _told(
        "the agent whose call was rejected hears it, and people read it",
        "gateway_approvals/test_standing.py::test_whoever_rejected_is_named_with_what_they_said",
    ),
    "decisions[].groups": _held(
        "policy.quorums reconcile.admission.approval_decisions",
        _WHO,
        "cluster/operator/test_approval_admission.py::test_attack_21_nobody_claims_a_group_that_they_are_not_in",
    ),
}
HELD: Final[Mapping[str, Mapping[str, Held]]] = {
    "Agent": _AGENT,
    "Tool": _TOOL,
    "Model": _MODEL,
    "Workflow": _WORKFLOW,
    "WorkflowRun": _WORKFLOW_RUN,
    "Task": _TASK,
    "ApprovalRequest": _APPROVAL_REQUEST,
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
