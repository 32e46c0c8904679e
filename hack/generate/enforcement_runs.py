"""Fields of what is done (Workflow, WorkflowRun, Task, ApprovalRequest): what holds the cluster to each, and which tests show it."""

from collections.abc import Mapping
from typing import Final

from hack.generate.enforcement_rows import Held, held_by, told_to

_RUN_BUDGET: Final = "gateway_mcp/test_policy_fields.py::test_a_field_holds_calls_of_tools"
_GATE: Final = "reconcile/test_gate.py::test_a_gate_freezes_what_people_are_asked"
WORKFLOW: Final[Mapping[str, Held]] = {
    "input": held_by(
        "reconcile.run_start",
        "reconcile/test_run_start.py::test_what_does_not_fit_the_input_schema_ends_the_run_and_is_not_quoted",
    ),
    "steps[].name": held_by(
        "workflow.graph",
        "workflow/test_advance.py::test_steps_start_one_after_the_other_and_hand_on_what_they_give",
    ),
    "steps[].agent": held_by(
        "workflow.making", "workflow/test_making.py::test_a_task_has_all_that_its_step_and_its_run_say"
    ),
    "steps[].capability": held_by(
        "reconcile.run_start workflow.making",
        "reconcile/test_run_start.py::test_a_capability_is_pinned_as_the_one_agent_that_offers_it_and_is_ready",
        "workflow/test_advance.py::test_a_capability_is_done_by_the_agent_that_was_chosen_at_the_start",
    ),
    "steps[].workflow": held_by(
        "workflow.making",
        "workflow/test_making.py::test_a_run_below_knows_the_run_that_started_it_and_the_first_of_all",
    ),
    "steps[].approval": held_by("workflow.gates reconcile.gate", _GATE),
    "steps[].approval.show": held_by(
        "workflow.gates", "workflow/test_gates.py::test_people_are_asked_with_what_the_gate_shows"
    ),
    "steps[].input": held_by(
        "workflow.making",
        "workflow/test_advance.py::test_steps_start_one_after_the_other_and_hand_on_what_they_give",
    ),
    "steps[].dependsOn": held_by(
        "workflow.graph workflow.readiness",
        "workflow/test_graph.py::test_edges_come_from_expressions_and_from_depends_on",
    ),
    "steps[].when": held_by(
        "workflow.starting",
        "workflow/test_advance.py::test_a_run_whose_steps_are_all_skipped_succeeds",
        "workflow/test_starting.py::test_a_step_starts_where_its_when_gives_true",
    ),
    "steps[].forEach": held_by(
        "workflow.fanout",
        "workflow/test_fanout.py::test_a_step_is_done_once_for_each_item_and_gives_the_list_in_order",
    ),
    "steps[].maxParallel": held_by(
        "workflow.fanout", "workflow/test_fanout.py::test_no_more_items_are_worked_on_at_once_than_may_be"
    ),
    "steps[].timeout": held_by(
        "workflow.making workflow.attempts",
        "workflow/test_making.py::test_a_task_has_all_that_its_step_and_its_run_say",
        "workflow/test_attempts.py::test_a_run_below_is_cancelled_at_the_step_s_timeout_and_that_is_a_timeout",
    ),
    "steps[].retry.attempts": held_by(
        "workflow.attempts",
        "workflow/test_attempts.py::test_a_step_that_failed_as_often_as_it_may_has_failed",
    ),
    "steps[].retry.backoff": held_by(
        "workflow.backoff",
        "workflow/test_compensation.py::test_undoing_is_tried_again_as_its_step_says",
        "workflow/test_backoff.py::test_each_wait_is_twice_the_one_before_up_to_the_longest_and_shortened_by_a_fifth_at_most",
    ),
    "steps[].retry.maxBackoff": held_by(
        "workflow.backoff",
        "workflow/test_backoff.py::test_each_wait_is_twice_the_one_before_up_to_the_longest_and_shortened_by_a_fifth_at_most",
    ),
    "steps[].retry.failures": held_by(
        "workflow.attempts",
        "workflow/test_attempts.py::test_a_step_is_tried_again_after_failures_of_the_kinds_that_it_names",
    ),
    "steps[].onFailure": held_by(
        "workflow.advance", "workflow/test_advance.py::test_a_step_that_may_fail_lets_the_run_go_on"
    ),
    "steps[].compensate": held_by(
        "workflow.compensation",
        "workflow/test_compensation.py::test_what_was_done_is_undone_one_by_one_and_the_last_comes_first",
    ),
    "output": held_by(
        "workflow.advance",
        "workflow/test_advance.py::test_steps_start_one_after_the_other_and_hand_on_what_they_give",
    ),
    "budget": held_by(
        "workflow.making gateway.control.charges",
        "workflow/test_making.py::test_a_task_has_all_that_its_step_and_its_run_say",
        _RUN_BUDGET,
    ),
    "timeout": held_by(
        "workflow.advance",
        "workflow/test_advance.py::test_a_run_that_takes_too_long_is_cancelled_and_timed_out",
    ),
    "concurrency.maxRuns": held_by(
        "reconcile.run_queue",
        "cluster/operator/test_workflows.py::test_runs_beyond_the_most_wait_for_their_turn",
    ),
    "concurrency.onExcess": held_by(
        "reconcile.run_queue",
        "controllers/test_executions.py::test_only_replacing_makes_a_run_that_has_started_end",
    ),
    "history": held_by(
        "reconcile.run_history", "cluster/operator/test_workflows.py::test_ended_runs_beyond_the_history_go"
    ),
    "priority": held_by(
        "workflow.making controllers.executions",
        "workflow/test_making.py::test_a_task_has_all_that_its_step_and_its_run_say",
        "controllers/test_executions.py::test_a_run_below_comes_in_the_order_of_the_highest_priority_above_it",
    ),
    "triggers[].name": held_by(
        "reconcile.triggers gateway.hooks.endpoint",
        "reconcile/test_triggers.py::test_a_run_is_named_by_the_time_that_it_is_due_so_that_nobody_starts_it_twice",
    ),
    "triggers[].schedule.cron": held_by(
        "reconcile.schedule",
        "reconcile/test_schedule.py::test_a_run_is_due_at_its_time_and_the_next_one_after",
    ),
    "triggers[].schedule.timeZone": held_by(
        "reconcile.schedule",
        "reconcile/test_schedule.py::test_a_time_that_clocks_have_twice_comes_once",
        "reconcile/test_schedule.py::test_times_of_every_hour_keep_their_distance_over_both_changes",
    ),
    "triggers[].schedule.missedRuns": held_by(
        "reconcile.schedule",
        "reconcile/test_schedule.py::test_one_run_is_started_for_all_that_were_missed_where_the_schedule_says_so",
    ),
    "triggers[].webhook.secretRef": held_by(
        "gateway.hooks.endpoint reconcile.workflow",
        "gateway/test_cluster_registry.py::test_the_secret_of_a_webhook_is_read_while_its_trigger_names_it",
        "gateway_hooks/test_endpoint.py::test_attack_20_a_forged_or_replayed_request_starts_nothing",
        "reconcile/test_workflow.py::test_each_secret_of_a_webhook_is_opened_to_the_gateway_once",
    ),
    "triggers[].webhook.replayWindow": held_by(
        "gateway.hooks.endpoint",
        "gateway_hooks/test_endpoint.py::test_the_trigger_says_how_old_a_request_may_be",
    ),
    "triggers[].webhook.when": held_by(
        "gateway.hooks.endpoint",
        "gateway_hooks/test_endpoint.py::test_a_condition_decides_which_bodies_start_a_run",
    ),
    "triggers[].input": held_by(
        "gateway.hooks.endpoint reconcile.triggers",
        "gateway_hooks/test_endpoint.py::test_a_signed_request_starts_a_run_with_the_input_that_the_trigger_makes_of_it",
    ),
    "suspend": held_by(
        "workflow.advance reconcile.triggers",
        "workflow/test_advance.py::test_a_suspended_workflow_suspends_its_runs",
        "gateway_hooks/test_endpoint.py::test_a_workflow_that_starts_no_runs_now_says_so_to_who_can_sign",
    ),
}
_ABOVE: Final = (
    "cluster/operator/test_run_admission.py::test_a_run_that_a_step_starts_belongs_to_the_run_above"
)
_UNDOING: Final = "workflow/test_room.py::test_what_undoes_and_all_that_it_starts_has_room_of_its_own"
_BELOW: Final = "workflow/test_facts.py::test_a_run_below_is_the_attempt_that_it_says"
_TRIGGERED: Final = (
    "cluster/operator/test_run_admission.py::test_a_run_of_a_trigger_is_asked_for_by_the_trigger"
)
WORKFLOW_RUN: Final[Mapping[str, Held]] = {
    "workflowRef": held_by(
        "controllers.run_gathering",
        "controllers/test_executions.py::test_another_workflow_concerns_its_open_runs_and_the_workflows_above",
    ),
    "input": held_by(
        "reconcile.run_start workflow.advance",
        "workflow/test_advance.py::test_steps_start_one_after_the_other_and_hand_on_what_they_give",
    ),
    "requestedBy": held_by(
        "reconcile.admission.workflow_runs workflow.making",
        "workflow/test_making.py::test_a_task_has_all_that_its_step_and_its_run_say",
        "cluster/operator/test_run_admission.py::test_a_user_starts_runs_in_their_own_name_alone",
    ),
    "parent": held_by(
        "controllers.run_gathering workflow.facts",
        "controllers/test_run_gathering.py::test_a_run_below_is_an_attempt_of_the_one_above_that_it_names",
        _BELOW,
        _ABOVE,
    ),
    "parent.run": held_by(
        "reconcile.admission.workflow_runs controllers.run_gathering",
        "controllers/test_run_gathering.py::test_attack_20_a_run_ends_when_the_one_above_has_ended_or_was_deleted",
        _ABOVE,
    ),
    "parent.rootUID": held_by(
        "workflow.making",
        "workflow/test_making.py::test_a_task_of_a_run_below_counts_for_the_first_run_of_all",
    ),
    "parent.depth": held_by(
        "workflow.making", "workflow/test_making.py::test_no_more_than_four_runs_follow_one_another"
    ),
    "parent.budgets": held_by(
        "workflow.making",
        "workflow/test_making.py::test_a_run_below_is_held_to_the_budgets_of_all_above_it",
    ),
    "parent.place": held_by(
        "workflow.making",
        "workflow/test_making.py::test_every_attempt_of_a_step_and_of_those_above_it_is_one_place",
    ),
    "parent.undoing": held_by("controllers.trees workflow.making", _UNDOING),
    "trigger": held_by(
        "reconcile.admission.workflow_runs reconcile.run_history",
        "reconcile/test_triggers.py::test_a_run_is_named_by_the_time_that_it_is_due_so_that_nobody_starts_it_twice",
        _TRIGGERED,
        "reconcile/test_run_history.py::test_a_run_stays_while_the_request_that_started_it_may_come_again",
    ),
    "suspend": held_by(
        "workflow.advance",
        "workflow/test_advance.py::test_while_suspended_nothing_starts_and_what_runs_goes_on",
    ),
    "cancel": held_by(
        "workflow.advance",
        "workflow/test_advance.py::test_cancelling_a_run_cancels_what_is_open_and_waits_until_it_has_ended",
    ),
}
_ATTEMPT: Final = "workflow/test_facts.py::test_a_task_is_the_attempt_that_it_says"
TASK: Final[Mapping[str, Held]] = {
    "agentRef": held_by(
        "gateway.identity reconcile.task",
        "gateway/test_identity.py::test_facts_that_do_not_agree_are_refused",
    ),
    "input": held_by(
        "gateway.inbox", "gateway/test_inbox.py::test_a_task_is_handed_out_as_its_revision_says"
    ),
    "deadline": held_by(
        "gateway.identity reconcile.task",
        "gateway/test_identity.py::test_a_deadline_counts_from_the_creation_of_the_task",
        "gateway/test_identity.py::test_a_task_past_its_deadline_has_ended",
        "reconcile/test_waiting.py::test_a_task_that_nobody_was_asked_about_has_the_deadline_of_its_spec",
    ),
    "requestedBy": held_by(
        "reconcile.admission.task_requester policy.quorums",
        "gateway_a2a/test_children.py::test_the_lineage_grows_at_its_end_and_the_requester_stays",
        "policy/test_decision.py::test_truth_table",
        "cluster/operator/test_admission.py::test_a_task_is_asked_for_under_ones_own_name",
    ),
    "lineage": held_by(
        "gateway.identity reconcile.admission.task_lineage",
        "gateway/test_identity.py::test_attack_19_a_caller_brings_the_policies_of_all_agents_that_led_to_its_task",
        "gateway/test_identity.py::test_attack_20_a_lineage_that_is_not_its_ancestors_is_refused",
        "cluster/operator/test_admission.py::test_attack_20_nobody_but_the_gateway_says_where_a_task_comes_from",
    ),
    "run": held_by(
        "workflow.facts gateway.control.records",
        "controllers/test_executions.py::test_what_a_task_below_a_step_used_counts_for_the_step",
        _ATTEMPT,
        "cluster/operator/test_run_admission.py::test_attack_20_a_user_makes_no_task_of_a_run",
    ),
    "run.rootUID": held_by(
        "gateway.control.charges",
        "gateway_control/test_charges.py::test_what_counts_by_workflow_counts_over_the_first_run_of_the_chain_or_the_first_task",
    ),
    "run.place": held_by(
        "gateway.control.records",
        "gateway_control/test_records.py::test_attack_20_attempts_of_a_step_that_runs_a_workflow_are_attempts_of_all_its_steps",
    ),
    "run.undoing": held_by(
        "controllers.trees gateway.a2a.handoffs",
        "gateway_a2a/test_handoffs.py::test_a_run_that_has_all_its_tasks_hands_nothing_over_but_what_undoes",
        _UNDOING,
    ),
    "run.workflow": held_by(
        "policy.decision",
        "policy/test_decision.py::test_a_rule_may_ask_for_which_step_of_which_workflow_a_call_is_made",
    ),
    "run.budgets": held_by(
        "gateway.control.charges",
        "gateway_control/test_charges.py::test_a_call_for_a_run_takes_from_its_budget_and_from_those_of_the_runs_above",
    ),
    "revision": held_by(
        "reconcile.task_start",
        "reconcile/test_task_pinned.py::test_a_revision_that_is_gone_is_lost",
        "reconcile/test_task_pinned.py::test_a_pod_is_made_of_the_pinned_revision_with_its_image",
    ),
    "priority": held_by(
        "controllers.turns", "controllers/test_pool.py::test_priority_and_then_age_say_who_comes_first"
    ),
}
_IDENTITY: Final = "gateway_approvals/test_desk.py::test_attack_20_a_request_for_another_call_lets_nothing_through_under_this_ones_name"
_FROZEN: Final = (
    "cluster/operator/test_approval_requests.py::test_attack_21_what_people_decide_on_is_never_changed"
)
_WHO: Final = "policy/test_quorums.py::test_who_counts_for_a_quorum"
APPROVAL_REQUEST: Final[Mapping[str, Held]] = {
    "type": held_by(
        "gateway.approvals.standing reconcile.approval",
        "reconcile/test_approval.py::test_a_review_is_at_its_end_once_it_is_decided",
    ),
    "agent": held_by(
        "gateway.approvals.asking reconcile.approval",
        "controllers/test_approvals.py::test_what_a_request_is_about_is_observed",
        "reconcile/test_approval.py::test_what_changed_makes_it_stale",
        _FROZEN,
    ),
    "task": held_by(
        "reconcile.approval reconcile.admission.approval_requests",
        "controllers/test_approvals.py::test_what_a_request_is_about_is_observed",
        "controllers/test_approvals.py::test_a_task_of_the_same_name_or_uid_alone_is_another_task",
        "cluster/operator/test_approval_requests.py::test_attack_20_a_request_belongs_to_the_task_that_it_names",
    ),
    "run": held_by(
        "reconcile.approval reconcile.admission.approval_requests",
        "controllers/test_approvals.py::test_at_a_gate_the_run_is_observed_and_nothing_of_a_call",
        "cli/test_approval_view.py::test_a_gate_is_shown_with_its_run_its_step_and_what_there_is_to_look_at",
        "controllers/test_approvals.py::test_attack_20_a_run_of_the_same_name_is_another_run",
        "cluster/operator/test_approval_requests.py::test_attack_20_a_gate_belongs_to_the_run_that_it_names",
    ),
    "requestedBy": held_by(
        "policy.quorums reconcile.admission.approval_decisions",
        _WHO,
        "cluster/operator/test_approval_admission.py::test_attack_21_nobody_decides_on_what_they_asked_for",
    ),
    "tool": held_by("gateway.approvals.desk reconcile.approval", _IDENTITY, _FROZEN),
    "action": held_by("gateway.approvals.desk reconcile.approval", _IDENTITY, _FROZEN),
    "access": held_by("gateway.approvals.desk", _IDENTITY, _FROZEN),
    "risk": held_by(
        "reconcile.reliability",
        "cli/test_approval_view.py::test_all_that_a_person_needs_is_on_one_page",
        "reconcile/test_reliability.py::test_counts_are_kept_by_risk",
        _FROZEN,
    ),
    "record": told_to(
        "people read it; which calls changed it the gateway finds by the call itself",
        "reconcile/test_notice_text.py::test_what_people_are_asked_is_told_in_a_few_lines_with_the_commands",
        _FROZEN,
    ),
    "summary": told_to(
        "people read it in `aos pending` and in notices",
        "reconcile/test_notice_text.py::test_what_people_are_asked_is_told_in_a_few_lines_with_the_commands",
        _FROZEN,
    ),
    "arguments": told_to(
        "people read them in `aos show`; what is let through goes by their digest",
        "cli/test_approval_view.py::test_all_that_a_person_needs_is_on_one_page",
        _FROZEN,
    ),
    "argumentsDigest": held_by("gateway.approvals.desk", _IDENTITY, _FROZEN),
    "definitionDigest": held_by(
        "reconcile.approval", "reconcile/test_approval.py::test_what_changed_makes_it_stale", _FROZEN
    ),
    "policyDigest": held_by(
        "reconcile.approval", "reconcile/test_approval.py::test_what_changed_makes_it_stale", _FROZEN
    ),
    "preview": told_to(
        "people read it in `aos show`",
        "cli/test_approval_view.py::test_all_that_a_person_needs_is_on_one_page",
        _FROZEN,
    ),
    "call": held_by(
        "gateway.approvals.review_sweep",
        "gateway_approvals/test_review_sweep.py::test_what_a_gateway_did_not_live_to_say_is_told_from_the_trail",
        _FROZEN,
    ),
    "quorums[].rule": held_by("policy.quorums", _WHO),
    "quorums[].required": held_by(
        "policy.quorums",
        "policy/test_quorums.py::test_two_different_people_are_two_and_the_same_one_twice_is_not",
    ),
    "quorums[].approvers": held_by(
        "policy.quorums",
        _WHO,
        "cluster/operator/test_approval_admission.py::test_attack_21_only_those_decide_whom_a_quorum_or_an_escalation_asks",
    ),
    "quorums[].escalation": held_by(
        "policy.quorums",
        _WHO,
        "cluster/operator/test_approval_admission.py::test_attack_21_only_those_decide_whom_a_quorum_or_an_escalation_asks",
    ),
    "quorums[].remindAt": held_by(
        "reconcile.notices",
        "reconcile/test_notices.py::test_they_are_reminded_and_others_asked_when_their_time_has_come",
    ),
    "expiresAt": held_by(
        "reconcile.approval gateway.approvals.standing",
        "reconcile/test_approval.py::test_nobody_decided_in_time",
        "gateway_approvals/test_desk.py::test_an_approval_counts_until_it_expires_by_the_gateways_own_clock",
    ),
    "decisions[].approver": held_by(
        "policy.quorums reconcile.admission.approval_decisions",
        _WHO,
        "cluster/operator/test_approval_admission.py::test_attack_21_nobody_decides_as_another_user",
    ),
    "decisions[].verdict": held_by(
        "policy.quorums",
        "policy/test_quorums.py::test_who_counts_for_a_quorum",
        "reconcile/test_approval.py::test_one_rejection_ends_it",
    ),
    "decisions[].comment": told_to(
        "the agent whose call was rejected hears it, and people read it",
        "gateway_approvals/test_standing.py::test_whoever_rejected_is_named_with_what_they_said",
    ),
    "decisions[].groups": held_by(
        "policy.quorums reconcile.admission.approval_decisions",
        _WHO,
        "cluster/operator/test_approval_admission.py::test_attack_21_nobody_claims_a_group_that_they_are_not_in",
    ),
}
