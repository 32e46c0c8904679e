"""Workflow: conditions, revision, the Secrets of its webhooks, and the runs that are kept."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.workflow import WorkflowStatus
from aos.reconcile.plan import ChildKey, ObservedChild, Plan
from aos.reconcile.revision import ObservedRevision
from aos.reconcile.run_history import KeptRun
from aos.reconcile.workflow import ObservedWorkflow, WebhookReport, data_of, reconcile_workflow, revision_of
from tests.unit.reconcile.flows import able, workflow
from tests.unit.reconcile.make import NOW, SETTINGS, conditions_of, message_of, present

HOOK: JsonObject = {"name": "crm", "webhook": {"secretRef": {"name": "hooks", "key": "key"}}}
FRESH = ObservedWorkflow(workflow=workflow(status={}), agents={"enricher": able()})


def plan_of(observed: ObservedWorkflow) -> Plan:
    return reconcile_workflow(observed, SETTINGS, NOW).plan


def settled(observed: ObservedWorkflow) -> ObservedWorkflow:
    """Return what is observed once the plan was done."""
    plan = plan_of(observed)
    status = WorkflowStatus.model_validate(plan.status)
    children = present(plan)
    revisions = tuple(
        ObservedRevision(key.name, child.uid, 1)
        for key, child in children.items()
        if key.kind == "ControllerRevision"
    )
    return replace(
        observed,
        workflow=observed.workflow.model_copy(update={"status": status}),
        children=children,
        revisions=revisions,
    )


def test_a_sound_workflow_is_ready_and_its_revision_recorded() -> None:
    plan = plan_of(FRESH)
    assert conditions_of(plan) == {"Accepted": ("True", "Accepted"), "Ready": ("True", "Ready")}
    name = revision_of(FRESH.workflow)
    assert [ChildKey.of(child) for child in plan.apply] == [ChildKey("ControllerRevision", name)]
    assert plan.apply[0]["data"] == data_of(FRESH.workflow)
    assert plan.status is not None
    assert plan.status["revision"] == name
    assert [event.reason.value for event in plan.events] == ["RevisionCreated"]


def test_nothing_is_left_to_do_once_it_was_done() -> None:
    assert plan_of(settled(FRESH)) == Plan()


def test_suspending_makes_no_other_revision() -> None:
    suspended = replace(FRESH, workflow=workflow({"suspend": True}, status={}))
    assert revision_of(suspended.workflow) == revision_of(FRESH.workflow)
    assert conditions_of(plan_of(suspended))["Ready"] == ("False", "Suspended")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"steps": [{"name": "a", "agent": "nobody"}]}, "AgentNotFound"),
        (
            {
                "steps": [
                    {"name": "a", "agent": "enricher", "dependsOn": ["b"]},
                    {"name": "b", "agent": "enricher", "dependsOn": ["a"]},
                ]
            },
            "Cycle",
        ),
        ({"input": {"schema": {"$ref": "http://elsewhere/"}}}, "InvalidSchema"),
        ({"triggers": [{"name": "t", "schedule": {"cron": "61 * * * *"}}]}, "TriggerInvalid"),
    ],
)
def test_a_workflow_that_can_not_be_run_is_not_accepted(spec: JsonObject, reason: str) -> None:
    plan = plan_of(replace(FRESH, workflow=workflow(spec, status={})))
    assert conditions_of(plan) == {"Accepted": ("False", reason), "Ready": ("False", "NotAccepted")}
    assert plan.apply == ()
    assert "spec." in message_of(plan, "Accepted")


def test_what_is_wrong_with_triggers_and_with_steps_is_told_at_once() -> None:
    spec: JsonObject = {
        "triggers": [
            {"name": "a", "schedule": {"cron": "0 25 * * *"}},
            {"name": "b", "schedule": {"cron": "0 5 * * *", "timeZone": "Europe/Berln"}},
        ],
        "steps": [{"name": "a", "agent": "nobody"}],
    }
    said = message_of(plan_of(replace(FRESH, workflow=workflow(spec, status={}))), "Accepted")
    assert [
        place for place in ("triggers[0]", "triggers[1]", "steps[0]") if f"spec.{place}" not in said
    ] == []


def test_a_spec_that_is_no_longer_accepted_keeps_its_last_revision_on_show() -> None:
    before = settled(FRESH)
    broken = workflow({"steps": [{"name": "a", "agent": "nobody"}]}, meta={"generation": 2}).model_copy(
        update={"status": before.workflow.status}
    )
    plan = plan_of(replace(before, workflow=broken))
    assert plan.status is not None
    assert plan.status["revision"] == revision_of(FRESH.workflow)
    assert plan.delete == ()


def test_each_secret_of_a_webhook_is_opened_to_the_gateway_once() -> None:
    hooks: list[JsonValue] = [HOOK, {**HOOK, "name": "again"}]
    plan = plan_of(replace(FRESH, workflow=workflow({"triggers": hooks}, status={})))
    roles = [child for child in plan.apply if child["kind"] == "Role"]
    assert [rule["resourceNames"] for role in roles for rule in role["rules"]] == [["hooks"]]  # type: ignore[union-attr,index,call-overload]
    assert "CredentialGranted" in [event.reason.value for event in plan.events]


def test_a_secret_that_no_webhook_names_any_more_is_closed() -> None:
    before = settled(replace(FRESH, workflow=workflow({"triggers": [HOOK]}, status={})))
    after = before.workflow.model_copy(update={"spec": FRESH.workflow.spec})
    plan = plan_of(replace(before, workflow=after))
    assert {item.kind for item in plan.delete} == {"Role", "RoleBinding"}
    assert "CredentialRevoked" in [event.reason.value for event in plan.events]


def test_secrets_of_the_operators_own_namespace_are_never_lent_out() -> None:
    at_home = workflow({"triggers": [HOOK]}, status={}, meta={"namespace": SETTINGS.namespace})
    plan = plan_of(replace(FRESH, workflow=at_home))
    assert conditions_of(plan)["Accepted"] == ("False", "Invalid")
    assert plan.apply == ()


def test_what_the_api_server_refuses_keeps_it_from_being_ready() -> None:
    plan = plan_of(replace(FRESH, refused="Role x: no"))
    assert conditions_of(plan)["Ready"] == ("False", "Provisioning")
    assert "ChildRefused" in [event.reason.value for event in plan.events]


HOOKED = replace(FRESH, workflow=workflow({"triggers": [HOOK]}, status={}))
MISSING = "trigger crm: Secret hooks is not there"


def ready_of(observed: ObservedWorkflow) -> tuple[str, str]:
    return conditions_of(plan_of(observed))["Ready"]


@pytest.mark.parametrize(
    ("reports", "ready"),
    [
        ((), ("Unknown", "NotObserved")),
        ((WebhookReport(0, ""),), ("Unknown", "NotObserved")),
        ((WebhookReport(1, ""),), ("True", "Ready")),
        ((WebhookReport(1, MISSING),), ("False", "CredentialsMissing")),
        ((WebhookReport(1, ""), WebhookReport(1, MISSING)), ("False", "CredentialsMissing")),
        ((WebhookReport(0, MISSING), WebhookReport(1, "")), ("True", "Ready")),
    ],
)
def test_a_workflow_with_webhooks_is_ready_once_the_gateways_have_their_keys(
    reports: tuple[WebhookReport, ...], ready: tuple[str, str]
) -> None:
    assert ready_of(replace(HOOKED, webhooks=reports)) == ready


def test_which_secret_a_webhook_lacks_is_told_and_what_goes_on() -> None:
    said = message_of(plan_of(replace(HOOKED, webhooks=(WebhookReport(1, MISSING),))), "Ready")
    assert said == f"{MISSING}; runs are started by everything else"


def test_what_gateways_said_of_webhooks_stays_while_none_says_anything() -> None:
    fine, before = (
        settled(replace(HOOKED, webhooks=(WebhookReport(1, problem),))) for problem in ("", MISSING)
    )
    assert plan_of(replace(fine, webhooks=())) == Plan()
    assert plan_of(replace(before, webhooks=())) == Plan()
    changed = before.workflow.metadata.model_copy(update={"generation": 2})
    newer = before.workflow.model_copy(update={"metadata": changed})
    assert ready_of(replace(before, workflow=newer, webhooks=())) == ("Unknown", "NotObserved")


def test_a_workflow_without_webhooks_waits_for_no_gateway() -> None:
    assert ready_of(replace(FRESH, webhooks=(WebhookReport(1, MISSING),))) == ("True", "Ready")


def test_a_changed_child_is_put_right() -> None:
    before = settled(replace(FRESH, workflow=workflow({"triggers": [HOOK]}, status={})))
    changed = {
        key: ObservedChild(child.uid, "other") if key.kind == "Role" else child
        for key, child in before.children.items()
    }
    plan = plan_of(replace(before, children=changed))
    assert [child["kind"] for child in plan.apply] == ["Role"]
    assert [event.reason.value for event in plan.events] == ["ChildRestored"]


def test_open_runs_are_counted() -> None:
    runs = (KeptRun("a", "a"), KeptRun("b", "b"), KeptRun("c", "c", ended_at=NOW))
    plan = plan_of(replace(FRESH, runs=runs))
    assert plan.status is not None
    assert plan.status["active"] == 2


def test_revisions_beyond_the_last_ten_go_but_for_those_that_open_runs_go_by() -> None:
    before = settled(FRESH)
    old = tuple(ObservedRevision(f"old-{number:02}", f"uid-{number}", number) for number in range(1, 14))
    current = replace(before.revisions[0], number=14)
    runs = (
        KeptRun("a", "a", revision="old-01"),
        KeptRun("b", "b", revision="old-02", ended_at=NOW - timedelta(hours=1)),
    )
    plan = plan_of(replace(before, revisions=(*old, current), runs=runs))
    assert [item.name for item in plan.delete] == ["old-03", "old-02"]


def test_a_workflow_that_is_being_deleted_is_left_alone() -> None:
    going = workflow(status={}, meta={"deletionTimestamp": "2026-01-02T03:04:05Z"})
    assert plan_of(replace(FRESH, workflow=going)) == Plan()
