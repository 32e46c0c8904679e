from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aos.gateway.approvals.current import changed_since
from aos.gateway.caller import Caller
from aos.model.meta import ObjectMeta
from aos.model.task import Ancestor, Task
from aos.policy.effective import EffectivePolicy
from tests.unit.gateway_approvals.people import People
from tests.unit.gateway_approvals.world import caller, effective
from tests.unit.gateway_control import make

NOW = datetime.now(UTC)


def said(by: Caller, now: People) -> str:
    return changed_since(by, now, NOW)


def test_a_caller_whose_world_is_the_same_may_go_on() -> None:
    by = caller()
    assert said(by, People(by)) == ""
    assert said(by, People(caller())) == ""


def test_a_task_that_has_ended_is_told() -> None:
    by = caller()
    assert said(by, People()) == "the Task has ended"
    assert said(by, People(by, closed=True)) == "the Task has ended"
    other: ObjectMeta = by.task.metadata.model_copy(update={"uid": "another"})
    assert (
        said(by, People(replace(by, task=by.task.model_copy(update={"metadata": other}))))
        == "the Task has ended"
    )


def test_a_task_past_its_deadline_is_told() -> None:
    by = caller()
    assert changed_since(by, People(by), NOW + timedelta(days=2)) == "the Task is past its deadline"


def test_a_pod_that_has_ended_is_told() -> None:
    by = caller()
    assert said(by, People(replace(by, pod_uid="another"))) == "the pod that made the call has ended"
    assert said(by, People(replace(by, pod_name="another"))) == "the pod that made the call has ended"


def test_another_policy_is_told() -> None:
    by = caller()
    tighter = replace(by, policy=effective({"loops": {"maxDepth": 1}}))
    assert said(by, People(tighter)) == "the policy of agent enricher is another one"
    gone = replace(by, policy=make.effective(agent="another"))
    assert said(by, People(gone)) == "the policy of agent enricher is another one"


def test_an_agent_that_was_suspended_is_told() -> None:
    by = caller()
    agent = by.policy.agent
    suspended = agent.model_copy(update={"spec": agent.spec.model_copy(update={"suspend": True})})
    now: EffectivePolicy = replace(by.policy, agent=suspended)
    assert said(by, People(replace(by, policy=now))) == "the policy of agent enricher is another one"


def test_an_ancestor_whose_task_or_policy_is_another_is_told() -> None:
    above = make.effective(agent="planner")
    by = caller()
    lineage = (Ancestor(agent="planner", task="t0", task_uid="uid-t0"),)
    spec = by.task.spec.model_copy(update={"lineage": lineage})
    task: Task = by.task.model_copy(update={"spec": spec})
    by = replace(by, task=task, ancestors=(above,))
    assert said(by, People(replace(by, ancestors=()))) == "the policy of agent planner is another one"
    assert said(by, People(by)) == "Task t0, which it was handed over from, has ended"
