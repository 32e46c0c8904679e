"""Which work a change of an object makes, and what the stores keep."""

import pytest
from pydantic import JsonValue

from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Objects
from aos.model.base import JsonObject
from tests.unit.controllers.make import AGENT, CLUSTER_POLICY, MODEL, POLICY, TASK, TOOL, raw

RESEARCH = {"role": "research"}
ENDED: JsonObject = {
    "pod": {"name": "p", "uid": "u"},
    "conditions": [
        {
            "type": "Succeeded",
            "status": "False",
            "reason": "NoResult",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
}


class Heard:
    """Objects, and the keys that they asked for."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self.labels = {"sales": {"tier": "one"}, "hr": {"tier": "two"}}
        self.objects = Objects(self._keys.append, self.labels.__getitem__)

    def take(self) -> set[str]:
        """Return what was asked for since the last call."""
        found = {f"{key.subject}/{key.name}" for key in self._keys}
        self._keys.clear()
        return found


@pytest.fixture
def heard() -> Heard:
    one = Heard()
    one.objects.observe("Agent", raw("Agent", "enricher", AGENT, labels=RESEARCH))
    one.objects.observe("Agent", raw("Agent", "other", {**AGENT, "tools": [], "model": {"name": "x"}}))
    one.objects.observe("Tool", raw("Tool", "crm", TOOL))
    one.objects.observe("Model", raw("Model", "default", MODEL))
    one.objects.observe("Policy", raw("Policy", "baseline", POLICY))
    one.objects.observe("Task", raw("Task", "t1", TASK))
    one.take()
    return one


def test_what_is_already_known_makes_no_work(heard: Heard) -> None:
    heard.objects.observe("Agent", raw("Agent", "enricher", AGENT, labels=RESEARCH))
    assert heard.take() == set()


def test_the_end_of_an_object_is_told_and_not_that_of_one_before_it(heard: Heard) -> None:
    ended: list[Key] = []
    heard.objects.on_end(ended.append)
    heard.objects.forget("Task", "sales", "t1", "an-earlier-uid")
    assert ended == []
    heard.objects.forget("Task", "sales", "t1", "t1-uid")
    assert ended == [Key(Subject.TASK, "sales", "t1")]


def test_an_older_version_never_replaces_a_newer_one(heard: Heard) -> None:
    heard.objects.observe("Agent", raw("Agent", "enricher", AGENT, version=5, labels=RESEARCH))
    heard.take()
    heard.objects.observe("Agent", raw("Agent", "enricher", {**AGENT, "suspend": True}, version=4))
    assert heard.take() == set()
    found = heard.objects.agents.get("sales", "enricher")
    assert found is not None
    assert not found.spec.suspend


def test_an_agents_change_concerns_its_waiting_tasks(heard: Heard) -> None:
    heard.objects.observe("Agent", raw("Agent", "enricher", AGENT, version=2, labels=RESEARCH))
    assert heard.take() == {"Agent/enricher", "Task/t1"}


def test_an_agents_new_labels_concern_the_policies_that_select_it_before_or_after(heard: Heard) -> None:
    heard.objects.observe("Agent", raw("Agent", "enricher", AGENT, version=2, labels={"role": "x"}))
    assert heard.take() == {"Agent/enricher", "Task/t1", "Policy/baseline"}


def test_the_operators_own_write_concerns_others_and_not_itself(heard: Heard) -> None:
    changed = raw("Agent", "enricher", AGENT, version=2, labels=RESEARCH)
    heard.objects.observe("Agent", changed, own=True)
    assert heard.take() == {"Task/t1"}


def test_the_end_of_an_agent_concerns_its_open_tasks(heard: Heard) -> None:
    heard.objects.forget("Agent", "sales", "enricher", "enricher-uid")
    assert heard.take() == {"Task/t1", "Policy/baseline"}
    assert heard.objects.agents.get("sales", "enricher") is None


def test_the_end_of_another_object_of_that_name_changes_nothing(heard: Heard) -> None:
    heard.objects.forget("Agent", "sales", "enricher", "another-uid")
    assert heard.take() == set()
    assert heard.objects.agents.get("sales", "enricher") is not None


def test_a_tools_spec_concerns_the_agents_that_ask_for_it(heard: Heard) -> None:
    heard.objects.observe("Tool", raw("Tool", "crm", TOOL, version=2, generation=2))
    assert heard.take() == {"Tool/crm", "Agent/enricher"}


def test_a_tools_status_concerns_itself_alone(heard: Heard) -> None:
    heard.objects.observe("Tool", raw("Tool", "crm", TOOL, version=2, status={"observedGeneration": 1}))
    assert heard.take() == {"Tool/crm"}


def test_a_model_that_comes_or_goes_concerns_the_agents_that_name_it(heard: Heard) -> None:
    heard.objects.forget("Model", "sales", "default", "default-uid")
    assert heard.take() == {"Agent/enricher"}
    heard.objects.observe("Model", raw("Model", "x", MODEL, version=9))
    assert heard.take() == {"Model/x", "Agent/other"}


def test_a_policys_spec_concerns_the_agents_that_it_selects_before_or_after(heard: Heard) -> None:
    wider: JsonObject = {**POLICY, "agents": {}}
    heard.objects.observe("Policy", raw("Policy", "baseline", wider, version=2, generation=2))
    assert heard.take() == {"Policy/baseline", "Agent/enricher", "Agent/other"}
    heard.objects.observe("Policy", raw("Policy", "baseline", POLICY, version=3, generation=3))
    assert heard.take() == {"Policy/baseline", "Agent/enricher", "Agent/other"}


def test_a_policy_that_can_not_be_read_may_concern_every_agent(heard: Heard) -> None:
    heard.objects.observe("Policy", raw("Policy", "odd", {"new": 1}, version=2))
    assert heard.take() == {"Policy/odd", "Agent/enricher", "Agent/other"}
    assert "agents" in heard.objects.policies.problem("sales", "odd")
    assert heard.objects.policies.get("sales", "odd") is None


def test_a_task_that_ends_concerns_its_agents_history(heard: Heard) -> None:
    heard.objects.observe("Task", raw("Task", "t1", TASK, version=2, status=ENDED))
    assert heard.take() == {"Task/t1", "History/enricher"}
    heard.objects.observe("Task", raw("Task", "t1", TASK, version=3, status=ENDED))
    assert heard.take() == {"Task/t1"}


def test_tasks_are_found_by_their_agent_until_they_are_gone(heard: Heard) -> None:
    assert [name for name, _ in heard.objects.tasks_of("sales", "enricher")] == ["t1"]
    heard.objects.forget("Task", "sales", "t1", "t1-uid")
    assert list(heard.objects.tasks_of("sales", "enricher")) == []
    assert heard.take() == set()


def test_waiting_tasks_and_tasks_of_a_revision_can_be_asked_for(heard: Heard) -> None:
    heard.objects.touch_waiting_tasks()
    assert heard.take() == {"Task/t1"}
    running: JsonObject = {"revision": "r1", "pod": {"name": "p", "uid": "u"}}
    heard.objects.observe("Task", raw("Task", "t1", TASK, version=2, status=running))
    heard.take()
    heard.objects.touch_waiting_tasks()
    assert heard.take() == set()
    heard.objects.touch_tasks_of_revision("sales", "enricher", "r1")
    assert heard.take() == {"Task/t1"}
    heard.objects.touch_tasks_of_revision("sales", "enricher", "r2")
    assert heard.take() == set()


def test_a_config_map_concerns_the_agents_that_it_tells(heard: Heard) -> None:
    source: JsonObject = {"instructionsFrom": {"configMapKeyRef": {"name": "texts", "key": "a"}}}
    spec = {name: value for name, value in AGENT.items() if name != "instructions"} | source
    heard.objects.observe("Agent", raw("Agent", "told", spec))
    heard.take()
    heard.objects.touch_agents_told_by("sales", "texts")
    assert heard.take() == {"Agent/told"}


def test_everything_can_be_asked_for(heard: Heard) -> None:
    heard.objects.touch_all()
    assert heard.take() == {
        "Agent/enricher",
        "Agent/other",
        "Tool/crm",
        "Model/default",
        "Policy/baseline",
        "Task/t1",
        "History/enricher",
    }
    heard.objects.touch_agents("elsewhere")
    assert heard.take() == set()


def test_what_is_kept_is_lean_and_complete(heard: Heard) -> None:
    kept = heard.objects.agents.raw("sales", "enricher")
    metadata = kept["metadata"]
    assert isinstance(metadata, dict)
    assert "managedFields" not in metadata
    assert metadata["resourceVersion"] == "1"
    assert kept["spec"] == AGENT
    assert heard.objects.agents.raw("sales", "none") == {}
    assert len(heard.objects.agents) == 2


def test_an_agent_that_comes_or_goes_concerns_the_agents_that_delegate_to_it(heard: Heard) -> None:
    heard.objects.observe("Agent", raw("Agent", "lead", {**AGENT, "delegates": ["writer"], "tools": []}))
    heard.take()
    heard.objects.observe("Agent", raw("Agent", "writer", AGENT))
    assert heard.take() == {"Agent/writer", "Agent/lead"}
    heard.objects.observe("Agent", raw("Agent", "writer", AGENT, version=2, generation=2))
    assert heard.take() == {"Agent/writer"}
    heard.objects.forget("Agent", "sales", "writer", "writer-uid")
    assert heard.take() == {"Agent/lead"}


def test_the_end_of_a_task_concerns_the_tasks_that_it_handed_over(heard: Heard) -> None:
    lineage: JsonValue = [{"agent": "enricher", "task": "t1", "taskUID": "t1-uid"}]
    heard.objects.observe("Task", raw("Task", "t2", {**TASK, "lineage": lineage}))
    heard.take()
    heard.objects.observe("Task", raw("Task", "t1", TASK, version=2, status=ENDED))
    assert heard.take() == {"Task/t1", "Task/t2", "History/enricher"}
    heard.objects.forget("Task", "sales", "t2", "t2-uid")
    heard.objects.observe("Task", raw("Task", "t1", TASK, version=3, uid="anew"))
    heard.objects.observe("Task", raw("Task", "t1", TASK, version=4, uid="anew", status=ENDED))
    assert "Task/t2" not in heard.take()


@pytest.fixture
def ceiling(heard: Heard) -> Heard:
    """A ClusterPolicy over the namespaces of tier one; there is an agent of the same label in another one, too."""
    heard.objects.observe("Agent", raw("Agent", "recruiter", AGENT, labels=RESEARCH, namespace="hr"))
    heard.objects.observe("ClusterPolicy", raw("ClusterPolicy", "ceiling", CLUSTER_POLICY))
    heard.take()
    return heard


def test_a_cluster_policy_concerns_the_agents_that_it_selects_in_the_namespaces_that_it_selects(
    ceiling: Heard,
) -> None:
    ceiling.objects.observe("ClusterPolicy", raw("ClusterPolicy", "other", CLUSTER_POLICY))
    assert ceiling.take() == {"ClusterPolicy/other", "Agent/enricher"}
    ceiling.objects.forget("ClusterPolicy", "", "other", "other-uid")
    assert ceiling.take() == {"Agent/enricher"}


def test_a_cluster_policy_that_moves_concerns_those_that_it_selects_before_and_after(ceiling: Heard) -> None:
    moved: JsonObject = {**CLUSTER_POLICY, "namespaces": {"matchLabels": {"tier": "two"}}}
    changed = raw("ClusterPolicy", "ceiling", moved, version=2, generation=2)
    ceiling.objects.observe("ClusterPolicy", changed)
    assert ceiling.take() == {"ClusterPolicy/ceiling", "Agent/enricher", "Agent/recruiter"}


def test_the_status_of_a_cluster_policy_concerns_no_agent(ceiling: Heard) -> None:
    told = raw("ClusterPolicy", "ceiling", CLUSTER_POLICY, version=2, status={"selectedAgents": 1})
    ceiling.objects.observe("ClusterPolicy", told, own=True)
    assert ceiling.take() == set()


def test_a_cluster_policy_that_can_not_be_read_may_concern_every_agent_of_every_namespace(
    ceiling: Heard,
) -> None:
    ceiling.objects.observe("ClusterPolicy", raw("ClusterPolicy", "odd", {"new": 1}))
    assert ceiling.take() == {"ClusterPolicy/odd", "Agent/enricher", "Agent/other", "Agent/recruiter"}
    assert ceiling.objects.cluster_policies.problem("", "odd")


def test_an_agent_that_comes_or_goes_is_counted_anew_by_the_cluster_policies_that_select_it(
    ceiling: Heard,
) -> None:
    ceiling.objects.observe("Agent", raw("Agent", "new", AGENT, labels=RESEARCH))
    assert ceiling.take() == {"Agent/new", "Policy/baseline", "ClusterPolicy/ceiling"}
    ceiling.objects.observe("Agent", raw("Agent", "plain", AGENT))
    assert ceiling.take() == {"Agent/plain"}
    ceiling.objects.observe("Agent", raw("Agent", "far", AGENT, labels=RESEARCH, namespace="hr"))
    assert ceiling.take() == {"Agent/far"}


def test_a_namespaces_labels_concern_its_agents_and_the_cluster_policies_that_they_decide_on(
    ceiling: Heard,
) -> None:
    ceiling.objects.namespace_changed("sales", {"tier": "one"}, {"tier": "one", "a": "b"})
    assert ceiling.take() == {"Agent/enricher", "Agent/other"}
    ceiling.objects.namespace_changed("sales", {"tier": "one"}, {"tier": "two"})
    assert ceiling.take() == {"Agent/enricher", "Agent/other", "ClusterPolicy/ceiling"}
    ceiling.objects.namespace_changed("empty", {}, {"tier": "one"})
    assert ceiling.take() == set()


def test_agents_that_come_together_are_counted_together_by_a_cluster_policy() -> None:
    now: list[Key] = []
    later: list[Key] = []
    objects = Objects(now.append, lambda _: {"tier": "one"}, later.append)
    objects.observe("ClusterPolicy", raw("ClusterPolicy", "ceiling", CLUSTER_POLICY))
    for name in ("a", "b"):
        objects.observe("Agent", raw("Agent", name, AGENT, labels=RESEARCH))
    assert [str(key.subject) for key in now] == ["ClusterPolicy", "Agent", "Agent"]
    assert {(key.subject, key.name) for key in later} == {("ClusterPolicy", "ceiling")}
