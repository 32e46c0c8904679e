from datetime import timedelta

import pytest
from pydantic import JsonValue

from aos.cli.overview import Component, Inventory, data, report, work_of
from aos.model.agent import Agent
from aos.model.approval_request import ApprovalRequest
from aos.model.cluster_policy import ClusterPolicy
from aos.model.model import Model
from aos.model.policy import Policy
from aos.model.task import Task
from aos.model.workflow import Workflow
from tests.unit.cli.make import NOW, Object, approval_request, condition, gate_request, task
from tests.unit.policy.make import agent, tool

READY = condition("Ready", "True", "Ready")
DONE = condition("Succeeded", "True", "Completed")
GATEWAY = Component("aos-system", "aos-gateway", "gateway", ready=2, wanted=2)
OPERATOR = Component("aos-system", "aos-operator", "operator", ready=0, wanted=1)


def agent_with(*conditions: Object, **status: JsonValue) -> Agent:
    raw = agent().model_dump(mode="json", by_alias=True, exclude_none=True)
    return Agent.parse({**raw, "status": {"conditions": list(conditions), **status}})


def model(*conditions: Object) -> Model:
    return Model.parse(
        {
            "metadata": {"name": "default", "namespace": "sales"},
            "spec": {"url": "https://models.example.com/v1", "model": "small-1"},
            "status": {"conditions": list(conditions)},
        }
    )


def inventory(
    *agents: Agent,
    namespace: str = "sales",
    components: tuple[Component, ...] | None = (GATEWAY, OPERATOR),
    tasks: tuple[Task, ...] = (),
    unreadable: tuple[str, ...] = (),
    requests: tuple[ApprovalRequest, ...] | None = (),
    workflows: tuple[Workflow, ...] | None = (),
    policies: tuple[Policy, ...] | None = (),
    cluster_policies: tuple[ClusterPolicy, ...] = (),
) -> Inventory:
    return Inventory(
        namespace=namespace,
        components=components,
        agents=agents,
        tools=(tool(),),
        models=(model(READY),),
        tasks=tasks,
        unreadable=unreadable,
        requests=requests,
        workflows=workflows,
        policies=policies,
        cluster_policies=cluster_policies,
    )


def workflow(*conditions: Object) -> Workflow:
    trigger: Object = {
        "name": "new-lead",
        "webhook": {"secretRef": {"name": "crm-hook", "key": "secret"}},
        "input": {},
    }
    return Workflow.parse(
        {
            "metadata": {"name": "outreach", "namespace": "sales"},
            "spec": {"steps": [{"name": "enrich", "agent": "enricher"}], "triggers": [trigger]},
            "status": {"conditions": list(conditions), "active": 2},
        }
    )


RULE: Object = {"name": "read", "effect": "Allow", "tools": [{"name": "crm"}]}


def policy(*conditions: Object) -> Policy:
    return Policy.parse(
        {
            "metadata": {"name": "baseline", "namespace": "sales"},
            "spec": {"agents": {}, "rules": [RULE]},
            "status": {"conditions": list(conditions), "selectedAgents": 3},
        }
    )


def ceiling() -> ClusterPolicy:
    return ClusterPolicy.parse(
        {
            "metadata": {"name": "ceiling"},
            "spec": {"namespaces": {}, "agents": {}, "rules": [RULE]},
            "status": {"conditions": [READY]},
        }
    )


def block(lines: list[str], heading: str) -> list[str]:
    """Return a table of the overview, with single spaces."""
    start = next(place for place, line in enumerate(lines) if line.startswith(f"{heading} "))
    return [" ".join(line.split()) for line in "\n".join(lines[start:]).split("\n\n")[0].split("\n")]


def lines_of(shown: Inventory, width: int | None = None) -> list[str]:
    return report(shown, NOW, width)


def test_a_ready_agent_is_one_line_with_its_last_outcome() -> None:
    ended = task(DONE, completionTime=(NOW - timedelta(minutes=3)).isoformat())
    ready = agent_with(READY, policy={"digest": "sha256:" + "ab" * 32})
    lines = lines_of(inventory(ready, tasks=(ended,)))
    assert lines[:4] == [
        "AOS: gateway 2/2 ready in aos-system; operator 0/1 ready in aos-system",
        "",
        "AGENT     TEAM    READY  POLICY        TASKS      LAST              PROBLEM",
        "enricher  revops  yes    abababababab  0 running  Completed 3m ago",
    ]


def test_an_agent_that_is_not_ready_says_why() -> None:
    lines = lines_of(inventory(agent_with(condition("Ready", "False", "NotEnforced", "a replica is behind"))))
    assert lines[3].endswith("NotEnforced: a replica is behind")
    assert " no " in lines[3]


def test_a_ready_agent_whose_budget_is_used_up_says_so() -> None:
    exhausted = condition("WithinBounds", "False", "BudgetExceeded", "calls are refused: budget dollar")
    lines = lines_of(inventory(agent_with(READY, exhausted)))
    assert " yes " in lines[3]
    assert lines[3].endswith("BudgetExceeded: calls are refused: budget dollar")
    assert not lines_of(inventory(agent_with(READY, condition("WithinBounds", "True", "WithinBounds"))))[
        3
    ].endswith("WithinBounds")


def test_what_nobody_looked_at_is_unknown() -> None:
    lines = lines_of(inventory(agent_with()))
    assert lines[3] == (
        "enricher  revops  unknown  none    0 running        the operator has not looked at it yet"
    )


def test_several_namespaces_are_told_apart() -> None:
    lines = lines_of(inventory(agent_with(READY), namespace=""))
    assert lines[3].startswith("sales/enricher ")


def test_nothing_is_said_to_be_nothing() -> None:
    assert "no agents in namespace sales" in lines_of(inventory())
    assert "no agents in any namespace" in lines_of(inventory(namespace=""))


def test_a_narrow_terminal_loses_nothing() -> None:
    behind = agent_with(condition("Ready", "False", "NotEnforced", "a replica of the gateway is behind"))
    lines = lines_of(inventory(behind), 40)
    assert max(len(line) for line in lines) <= 40
    assert "  problem: NotEnforced: a replica of the" in lines


@pytest.mark.parametrize(
    ("components", "says"),
    [
        (None, "AOS: its Deployments may not be read by you"),
        ((), "AOS: no operator is installed; no gateway is installed"),
        ((GATEWAY,), "AOS: gateway 2/2 ready in aos-system; no operator is installed"),
    ],
)
def test_the_state_of_aos_itself_is_said_in_one_line(
    components: tuple[Component, ...] | None, says: str
) -> None:
    assert lines_of(inventory(components=components))[0] == says


def test_an_object_of_another_version_is_named_and_does_not_hide_the_rest() -> None:
    lines = lines_of(inventory(agent_with(READY), unreadable=("Agent sales/newer",)))
    assert lines[-1] == "Agent sales/newer can't be read by this version of aos"


def test_a_deployment_is_read_from_what_the_api_server_sends() -> None:
    labels: Object = {"app.kubernetes.io/component": "gateway"}
    raw: Object = {
        "metadata": {"name": "aos-gateway", "namespace": "aos-system", "labels": labels},
        "spec": {"replicas": 2},
        "status": {"readyReplicas": 2},
    }
    assert Component.parse(raw) == GATEWAY
    assert Component.parse({"metadata": {"name": "a", "namespace": "b"}}) == Component("b", "a", "a", 0, 0)


def test_only_the_agents_own_tasks_count() -> None:
    running = task(condition("Succeeded", "Unknown", "Running"), name="r", pod={"name": "p", "uid": "u"})
    waiting = task(name="w")
    early = task(DONE, name="early", completionTime=(NOW - timedelta(hours=1)).isoformat())
    late = task(condition("Succeeded", "False", "NodeLost"), name="late")
    other = task(name="o", agent="other")
    work = work_of(agent_with(), (running, late, waiting, early, other))
    assert (work.running, work.waiting) == (1, 1)
    assert work.last == late


def test_programs_get_the_same() -> None:
    shown = inventory(agent_with(READY), tasks=(task(DONE),), unreadable=("Agent sales/newer",))
    said = data(shown)
    assert said["agents"] == [
        {
            "namespace": "sales",
            "name": "enricher",
            "ready": "True",
            "reason": "Ready",
            "message": "",
            "team": "revops",
            "policyDigest": "",
            "runningTasks": 0,
            "waitingTasks": 0,
            "heldCalls": 0,
            "lastTask": {"task": "t1", "reason": "Completed", "time": NOW.isoformat()},
        }
    ]
    assert isinstance(said["tools"], list)
    assert isinstance(said["components"], list)
    assert len(said["components"]) == 2
    assert said["unreadable"] == ["Agent sales/newer"]
    empty = data(inventory(agent_with(), components=None))
    assert empty["components"] == []


def test_what_waits_for_people_is_shown_with_how_far_it_is() -> None:
    shown = inventory(
        agent_with(READY), requests=(approval_request(), approval_request(name="rev-1", type="Review"))
    )
    lines = lines_of(shown)
    assert "0 running, 1 held for people" in lines[3]
    assert lines[5].split() == ["REQUEST", "LEFT", "RISK", "HAS", "AGENT", "TASK", "WHAT"]
    assert lines[6] == (
        "apr-0123456789abcdef  3h    Medium  0 of 1  enricher  t1"
        "    enricher would call crm.update_contact on contact/emea-1"
    )
    assert lines_of(inventory(agent_with(READY), requests=(gate_request(),)))[6].split()[2:7] == [
        "gate",
        *("0", "of", "1"),
        "workflow/outreach",
    ]
    listed = data(shown)["requests"]
    assert isinstance(listed, list)
    first = listed[0]
    assert isinstance(first, dict)
    assert (first["name"], first["need"], first["have"]) == ("apr-0123456789abcdef", 1, 0)


def test_that_requests_may_not_be_read_is_said() -> None:
    assert "approvals: what waits for people may not be read by you" in lines_of(
        inventory(agent_with(READY), requests=None)
    )


def test_workflows_are_shown_with_their_open_runs_and_what_starts_them() -> None:
    missing = condition("Ready", "False", "CredentialsMissing", "Secret crm-hook is not there")
    assert block(lines_of(inventory(workflows=(workflow(missing),))), "WORKFLOW") == [
        "WORKFLOW READY OPEN RUNS TRIGGERS WHY NOT READY",
        "outreach no 2 new-lead CredentialsMissing: Secret crm-hook is not there",
    ]
    everywhere = inventory(namespace="", workflows=(workflow(READY),))
    assert block(lines_of(everywhere), "WORKFLOW")[1] == "sales/outreach yes 2 new-lead"


def test_policies_are_shown_with_how_many_agents_they_select_and_the_platforms_above_them() -> None:
    broken = condition("Ready", "False", "NotAccepted", "rule read: no such variable")
    shown = inventory(policies=(policy(broken),), cluster_policies=(ceiling(),))
    assert block(lines_of(shown), "POLICY") == [
        "POLICY READY RULES AGENTS WHY NOT READY",
        "ClusterPolicy ceiling yes 1 0",
        "baseline no 1 3 NotAccepted: rule read: no such variable",
    ]


def test_workflows_and_policies_that_are_not_there_or_may_not_be_read_are_told_apart() -> None:
    lines = lines_of(inventory())
    assert "no workflows in namespace sales" in lines
    assert "no policies in namespace sales" in lines
    lines = lines_of(inventory(workflows=None, policies=None))
    assert "workflows: they may not be read by you" in lines
    assert "policies: they may not be read by you" in lines


def test_programs_get_workflows_and_policies_too() -> None:
    said = data(
        inventory(workflows=(workflow(READY),), policies=(policy(READY),), cluster_policies=(ceiling(),))
    )
    common: Object = {"ready": "True", "reason": "Ready", "message": ""}
    assert said["workflows"] == [{"namespace": "sales", "name": "outreach", **common, "openRuns": 2}]
    assert said["policies"] == [
        {"kind": "Policy", "namespace": "sales", "name": "baseline", **common, "rules": 1, "agents": 3},
        {"kind": "ClusterPolicy", "namespace": "", "name": "ceiling", **common, "rules": 1, "agents": 0},
    ]
