from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from pydantic import JsonValue

from aos.model.agent import AgentStatus
from aos.model.base import JsonObject
from aos.model.tool import Risk
from aos.policy.effective import PolicyInputs, effective_policy
from aos.reconcile.agent import GatewayReport, ObservedAgent, reconcile_agent
from aos.reconcile.guard import Guard
from aos.reconcile.plan import ChildKey, Plan
from aos.reconcile.reliability import Judged, Judgement
from aos.reconcile.revision import ObservedRevision
from aos.reconcile.warm import WarmBounds
from tests.unit.reconcile.make import (
    NOW,
    SETTINGS,
    agent,
    cluster_policy,
    condition,
    conditions_of,
    message_of,
    model,
    observed_agent,
    policy,
    present,
    report,
    tool,
)


def digest_of(observed: ObservedAgent) -> str:
    return effective_policy(
        PolicyInputs(
            agent=observed.agent,
            namespace_labels=observed.namespace_labels,
            tools=observed.tools,
            policies=observed.policies,
            unreadable=observed.unreadable,
            cluster_policies=observed.cluster_policies,
        )
    ).digest


def enforced(observed: ObservedAgent) -> ObservedAgent:
    return replace(observed, gateways=[report(digest_of(observed))])


def with_status(observed: ObservedAgent, plan: Plan) -> ObservedAgent:
    """Return what is observed once the plan was carried out."""
    status = AgentStatus.model_validate(plan.status)
    return replace(
        observed,
        agent=observed.agent.model_copy(update={"status": status}),
        children=present(plan),
        revisions=[
            ObservedRevision(key.name, child.uid, 1)
            for key, child in present(plan).items()
            if key.kind == "ControllerRevision"
        ],
    )


@dataclass(frozen=True)
class Row:
    says: str
    spec: Mapping[str, JsonValue]
    reason: str
    message: str
    observed: Mapping[str, object] = field(default_factory=dict)


NOT_ACCEPTED: Sequence[Row] = (
    Row(
        "instructions from a ConfigMap that is missing or has no label",
        {"instructions": None, "instructionsFrom": {"configMapKeyRef": {"name": "texts", "key": "a"}}},
        "InstructionsNotFound",
        "no ConfigMap texts with the label aos.dev/instructions=true and the key a",
    ),
    Row(
        "instructions from a key that is missing",
        {"instructions": None, "instructionsFrom": {"configMapKeyRef": {"name": "texts", "key": "a"}}},
        "InstructionsNotFound",
        "the key a",
        {"instructions": {"b": "Do."}},
    ),
    Row("no instructions at all", {"instructions": None}, "Invalid", "give instructions or instructionsFrom"),
    Row(
        "instructions that are too long",
        {"instructions": None, "instructionsFrom": {"configMapKeyRef": {"name": "texts", "key": "a"}}},
        "Invalid",
        "65537 bytes",
        {"instructions": {"a": "x" * 65_537}},
    ),
    Row(
        "an input schema that leads out of itself",
        {"input": {"schema": {"$ref": "https://example.com/s"}}},
        "InvalidSchema",
        "spec.input.schema: #/: $ref",
    ),
    Row(
        "an output schema that is none",
        {"output": {"schema": {"type": "sting"}}},
        "InvalidSchema",
        "spec.output.schema: not valid JSON Schema",
    ),
    Row(
        "a Model that does not exist",
        {"model": {"name": "none"}},
        "ModelNotFound",
        "no Model none in the namespace",
    ),
    Row(
        "a Tool that does not exist",
        {"tools": [{"name": "erp", "actions": ["x"]}]},
        "ToolNotFound",
        "no Tool erp",
    ),
    Row(
        "a delegate that does not exist",
        {"delegates": ["copywriter", "nobody"]},
        "DelegateNotFound",
        "no Agent nobody",
        {"agents": frozenset({"enricher", "copywriter"})},
    ),
    Row(
        "an action that the Tool does not have",
        {"tools": [{"name": "crm", "actions": ["get_contact", "drop_*"]}]},
        "ActionNotFound",
        "nothing like drop_*",
    ),
)


@pytest.mark.parametrize("row", NOT_ACCEPTED, ids=lambda row: row.says)
def test_an_agent_is_not_accepted_with(row: Row) -> None:
    plan = reconcile_agent(observed_agent(agent=agent(row.spec), **row.observed), SETTINGS, NOW)
    conditions = conditions_of(plan)
    assert conditions["Accepted"] == ("False", row.reason)
    assert row.message in message_of(plan, "Accepted")
    assert conditions["Ready"] == ("False", "NotAccepted")
    assert conditions["PolicyEnforced"] == ("False", "NotAccepted")
    assert "ControllerRevision" not in {ChildKey.of(child).kind for child in plan.apply}
    assert plan.events[0].reason == "NotAccepted"


def test_an_agent_whose_instructions_stand_in_a_config_map_is_accepted() -> None:
    source: JsonValue = {"configMapKeyRef": {"name": "texts", "key": "a"}}
    one = agent({"instructions": None, "instructionsFrom": source})
    plan = reconcile_agent(observed_agent(agent=one, instructions={"a": "Do."}), SETTINGS, NOW)
    assert conditions_of(plan)["Accepted"] == ("True", "Accepted")
    assert plan.apply[2]["data"] == {
        "instructions": "Do.",
        "spec": one.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"suspend"}),
        "image": SETTINGS.agent_image,
    }


def test_isolation_is_applied_before_identity_and_revision() -> None:
    plan = reconcile_agent(observed_agent(), SETTINGS, NOW)
    kinds = [ChildKey.of(child).kind for child in plan.apply]
    assert kinds == ["NetworkPolicy", "ServiceAccount", "ControllerRevision"]


@dataclass(frozen=True)
class EnforcementRow:
    says: str
    observed: Mapping[str, object]
    condition: tuple[str, str]
    message: str = ""


def _priced(prices: JsonValue = None) -> dict[str, object]:
    """What is observed of an agent whose model requests are paid from a budget in money."""
    money: JsonObject = {"name": "daily", "microUSD": 5, "per": "24h"}
    return {
        "agent": agent({"model": {"name": "default"}}),
        "models": {"default": model(prices=prices) if prices else model()},
        "cluster_policies": [cluster_policy(budgets=[money])],
    }


def _enforced(observed: Mapping[str, object]) -> dict[str, object]:
    return {**observed, "gateways": [report(digest_of(observed_agent(**observed)))]}


FULL = GatewayReport("gateway-1", store_problem="the disk is full")


def _behind(problem: str = "", digest: str = "") -> dict[str, object]:
    return {"gateways": [report(digest_of(observed_agent())), report(digest, "gateway-1", problem)]}


ENFORCEMENT: Sequence[EnforcementRow] = (
    EnforcementRow("no Policy selects it", {"policies": []}, ("False", "NoPolicy")),
    EnforcementRow(
        "a Policy of other agents selects it not",
        {"policies": [policy(labels={"role": "x"})]},
        ("False", "NoPolicy"),
    ),
    EnforcementRow(
        "a Policy does not compile",
        {"policies": [policy(when="1 +")]},
        ("False", "PolicyNotAccepted"),
        "Policy baseline: spec.rules[read].when",
    ),
    EnforcementRow(
        "a Policy can't be read", {"unreadable": ["odd"]}, ("False", "PolicyNotAccepted"), "Policy odd"
    ),
    EnforcementRow(
        "a ClusterPolicy alone allows nothing",
        {"policies": [], "cluster_policies": [cluster_policy()]},
        ("False", "NoPolicy"),
    ),
    EnforcementRow(
        "a ClusterPolicy can't be read, whomever it selects",
        {"unreadable_cluster": ["odd"]},
        ("False", "PolicyNotAccepted"),
        "ClusterPolicy odd",
    ),
    EnforcementRow(
        "money is to be counted and nobody knows the model's price",
        _enforced(_priced()),
        ("False", "PriceUnknown"),
        "spec.prices of Model default",
    ),
    EnforcementRow(
        "money is counted by the prices that the Model gives",
        _enforced(_priced(prices={"inputMicroUSD": 1, "outputMicroUSD": 2})),
        ("True", "Enforced"),
    ),
    EnforcementRow(
        "a model without a price matters not where no money is counted",
        _enforced({**_priced(), "cluster_policies": []}),
        ("True", "Enforced"),
    ),
    EnforcementRow(
        "a replica can't use the store",
        {"gateways": [report(digest_of(observed_agent())), FULL]},
        ("False", "StoreUnavailable"),
        "gateway-1: the disk is full",
    ),
    EnforcementRow(
        "no replica is ready since none can use the store",
        {"gateways": [replace(FULL, is_ready=False)]},
        ("False", "StoreUnavailable"),
        "gateway-1: the disk is full",
    ),
    EnforcementRow(
        "a replica that gets no calls is passed over",
        {"gateways": [report(digest_of(observed_agent())), replace(FULL, is_ready=False)]},
        ("True", "Enforced"),
    ),
    EnforcementRow("no gateway is ready", {"gateways": []}, ("False", "NoGateway")),
    EnforcementRow(
        "a gateway reports another digest",
        _behind(digest="sha256:1"),
        ("False", "GatewayBehind"),
        "gateway-1",
    ),
    EnforcementRow(
        "a gateway does not know it", _behind(), ("False", "GatewayBehind"), "enforces another policy"
    ),
    EnforcementRow(
        "a gateway can't be heard", _behind(problem="lost"), ("False", "GatewayBehind"), "gateway-1: lost"
    ),
    EnforcementRow(
        "every gateway reports the digest",
        {"gateways": [report(digest_of(observed_agent()), name) for name in "ab"]},
        ("True", "Enforced"),
        "2 gateway replicas of 2",
    ),
)


@pytest.mark.parametrize("row", ENFORCEMENT, ids=lambda row: row.says)
def test_policy_enforced_tells_that(row: EnforcementRow) -> None:
    plan = reconcile_agent(observed_agent(**row.observed), SETTINGS, NOW)
    assert conditions_of(plan)["PolicyEnforced"] == row.condition
    assert row.message in message_of(plan, "PolicyEnforced")
    ready = ("True", "Ready") if row.condition[0] == "True" else ("False", "NotEnforced")
    assert conditions_of(plan)["Ready"] == ready


def test_the_status_publishes_digest_sources_revision_and_account() -> None:
    observed = observed_agent()
    plan = reconcile_agent(observed, SETTINGS, NOW)
    assert plan.status is not None
    assert plan.status["policy"] == {
        "digest": digest_of(observed),
        "sources": [{"kind": "Policy", "name": "baseline", "generation": 1}],
    }
    assert plan.status["serviceAccount"] == "aos-agent-enricher"
    assert str(plan.status["revision"]).startswith("enricher-")


def test_a_suspended_agent_is_not_ready_and_keeps_its_revision() -> None:
    running = reconcile_agent(observed_agent(), SETTINGS, NOW)
    suspended = reconcile_agent(observed_agent(agent=agent({"suspend": True})), SETTINGS, NOW)
    assert conditions_of(suspended)["Suspended"] == ("True", "Suspended")
    assert conditions_of(suspended)["Ready"] == ("False", "Suspended")
    assert running.status is not None
    assert suspended.status is not None
    assert suspended.status["revision"] == running.status["revision"]


def test_an_unguarded_agent_is_not_ready() -> None:
    observed = enforced(observed_agent(guard=Guard("missing: aos-agent-identity")))
    plan = reconcile_agent(observed, SETTINGS, NOW)
    assert conditions_of(plan)["AdmissionGuarded"] == ("False", "PolicyMissing")
    assert conditions_of(plan)["Ready"] == ("False", "PolicyMissing")
    assert "Unguarded" in {event.reason for event in plan.events}


def test_an_agent_whose_child_was_refused_is_being_provisioned() -> None:
    observed = enforced(observed_agent(refused="ServiceAccount x: quota"))
    plan = reconcile_agent(observed, SETTINGS, NOW)
    assert conditions_of(plan)["Ready"] == ("False", "Provisioning")
    assert "ChildRefused" in {event.reason for event in plan.events}


def test_nothing_is_written_once_everything_is_as_it_should_be() -> None:
    observed = enforced(observed_agent())
    after = with_status(observed, reconcile_agent(observed, SETTINGS, NOW))
    assert reconcile_agent(after, SETTINGS, NOW) == Plan()


def test_a_child_that_somebody_changed_is_put_right() -> None:
    observed = enforced(observed_agent())
    after = with_status(observed, reconcile_agent(observed, SETTINGS, NOW))
    key = ChildKey("NetworkPolicy", "aos-agent-enricher")
    altered = replace(after, children={**after.children, key: replace(after.children[key], fingerprint="x")})
    plan = reconcile_agent(altered, SETTINGS, NOW)
    assert [ChildKey.of(child) for child in plan.apply] == [key]
    assert [event.reason for event in plan.events] == ["ChildRestored"]


def test_a_child_that_somebody_removed_is_made_again() -> None:
    observed = enforced(observed_agent())
    after = with_status(observed, reconcile_agent(observed, SETTINGS, NOW))
    key = ChildKey("ServiceAccount", "aos-agent-enricher")
    plan = reconcile_agent(
        replace(after, children={name: child for name, child in after.children.items() if name != key}),
        SETTINGS,
        NOW,
    )
    assert [ChildKey.of(child) for child in plan.apply] == [key]
    assert [event.reason for event in plan.events] == ["ChildRestored"]


def test_a_changed_spec_makes_a_new_revision_with_the_next_number() -> None:
    observed = enforced(observed_agent())
    after = with_status(observed, reconcile_agent(observed, SETTINGS, NOW))
    changed = replace(
        after,
        agent=after.agent.model_copy(
            update={"spec": after.agent.spec.model_copy(update={"instructions": "Other."})}
        ),
    )
    plan = reconcile_agent(changed, SETTINGS, NOW)
    assert [child["revision"] for child in plan.apply] == [2]
    assert [event.reason for event in plan.events] == ["RevisionCreated"]


def test_while_the_spec_is_not_accepted_the_last_revision_stays_on_show() -> None:
    status: JsonObject = {"observedGeneration": 1, "revision": "enricher-1", "serviceAccount": "a"}
    plan = reconcile_agent(
        observed_agent(agent=agent({"model": {"name": "none"}}, status=status)), SETTINGS, NOW
    )
    assert plan.status is not None
    assert plan.status["revision"] == "enricher-1"


def test_old_revisions_go_but_for_ten_and_those_in_use() -> None:
    observed = enforced(observed_agent())
    after = with_status(observed, reconcile_agent(observed, SETTINGS, NOW))
    old = [ObservedRevision(f"enricher-old{number:02}", f"old-{number}", -number) for number in range(1, 14)]
    in_use = frozenset({"enricher-old13"})
    plan = reconcile_agent(
        replace(after, revisions=[*after.revisions, *old], revisions_in_use=in_use), SETTINGS, NOW
    )
    assert [item.name for item in plan.delete] == ["enricher-old11", "enricher-old12"]


def test_an_agent_that_is_being_deleted_is_left_alone() -> None:
    going = agent(meta={"deletionTimestamp": "2026-01-02T03:04:05Z"})
    assert reconcile_agent(observed_agent(agent=going), SETTINGS, NOW) == Plan()


def test_a_transition_keeps_its_time_until_the_status_changes() -> None:
    status: JsonObject = {
        "observedGeneration": 1,
        "conditions": [condition("Accepted", "True", "Accepted"), condition("Ready", "True", "Ready")],
    }
    plan = reconcile_agent(observed_agent(agent=agent(status=status)), SETTINGS, NOW)
    assert plan.status is not None
    times = {
        str(item["type"]): item["lastTransitionTime"]
        for item in plan.status["conditions"]  # type: ignore[union-attr]
        if isinstance(item, dict)
    }
    assert times["Accepted"] == "2026-01-02T03:00:00Z"
    assert times["Ready"] == "2026-01-02T03:04:05Z"


def test_a_tool_that_is_not_asked_for_has_no_part() -> None:
    other = tool()
    alone = reconcile_agent(observed_agent(tools={}), SETTINGS, NOW)
    beside = reconcile_agent(observed_agent(tools={"crm": other}), SETTINGS, NOW)
    assert alone.status == beside.status


def test_the_autonomy_that_is_granted_stands_on_the_status() -> None:
    ceiling = policy(autonomy={"ceiling": "Propose"})
    plan = reconcile_agent(observed_agent(policies=[ceiling]), SETTINGS, NOW)
    assert plan.status is not None
    assert plan.status["autonomy"] == "Propose"


def test_an_agent_that_gets_fewer_warm_pods_than_it_asks_for_says_so() -> None:
    asks = agent({"runtime": {"warm": 3}})
    cut = enforced(observed_agent(agent=asks, warm=WarmBounds(share=1)))
    plan = reconcile_agent(cut, SETTINGS, NOW)
    assert conditions_of(plan)["Ready"] == ("True", "Ready")
    assert "1 of 3 warm pods" in message_of(plan, "Ready")
    whole = enforced(observed_agent(agent=asks, warm=WarmBounds(share=3)))
    assert message_of(reconcile_agent(whole, SETTINGS, NOW), "Ready") == ""


def test_what_people_said_of_its_calls_is_counted_and_stays_in_every_status() -> None:
    observed = enforced(observed_agent(judged={"u1": Judged(Risk.HIGH, Judgement.OVERTURNED)}))
    first = reconcile_agent(observed, SETTINGS, NOW)
    assert first.status is not None
    overturned = {"risk": "High", "approved": 0, "rejected": 0, "confirmed": 0, "overturned": 1}
    assert first.status["reliability"] == {"risks": [overturned], "recent": ["u1"]}
    after = with_status(observed, first)
    assert reconcile_agent(after, SETTINGS, NOW).status is None
    forgotten = reconcile_agent(replace(after, judged={}, gateways=[]), SETTINGS, NOW)
    assert forgotten.status is not None
    assert forgotten.status["reliability"] == first.status["reliability"]
