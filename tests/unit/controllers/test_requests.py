"""Which work a change of an ApprovalRequest makes, and which requests a change of something else concerns."""

import pytest
from pydantic import JsonValue

from aos.controllers.histories import gather
from aos.controllers.keys import Key
from aos.controllers.objects import Objects
from aos.kube.objects import child
from aos.model.base import JsonObject
from tests.unit.controllers.make import AGENT, TASK, TOOL, raw
from tests.unit.controllers.test_objects import ENDED

DIGEST = f"sha256:{'0' * 64}"
LINEAGE: JsonValue = [{"agent": "enricher", "task": "t1", "taskUID": "t1-uid"}]
CREATED = {"creationTimestamp": "2026-01-01T00:00:00Z"}


def request(
    name: str = "apr-1",
    version: int = 1,
    state: str = "Pending",
    *,
    task: str = "t1",
    status: JsonObject | None = None,
    **spec: JsonValue,
) -> JsonObject:
    said: JsonObject = {
        "agent": {"name": "enricher", "revision": "enricher-1"},
        "task": {"name": task, "uid": f"{task}-uid"},
        "tool": "crm",
        "action": "get",
        "access": "Read",
        "risk": "Medium",
        "summary": "Get it.",
        "arguments": "{}",
        "argumentsDigest": DIGEST,
        "definitionDigest": DIGEST,
        "policyDigest": DIGEST,
        "quorums": [{"rule": "risk Medium", "required": 1}],
        "expiresAt": "2026-01-01T04:00:00Z",
        **spec,
    }
    made = raw("ApprovalRequest", name, said, version=version, status={"state": state, **(status or {})})
    metadata = made["metadata"]
    assert isinstance(metadata, dict)
    return {**made, "metadata": {**metadata, **CREATED}}


class Heard:
    """Objects, and the keys that they asked for."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self.objects = Objects(self._keys.append)
        self.objects.observe("Agent", raw("Agent", "enricher", AGENT))
        self.objects.observe("Tool", raw("Tool", "crm", TOOL))
        self.objects.observe("Task", raw("Task", "t1", TASK))
        self.objects.observe("Task", raw("Task", "t2", {**TASK, "lineage": LINEAGE}))
        self.take()

    def see(self, *items: JsonObject) -> set[str]:
        for item in items:
            self.objects.observe(str(item["kind"]), item)
        return self.take()

    def take(self) -> set[str]:
        """Return what was asked for since the last call."""
        found = {f"{key.subject}/{key.name}" for key in self._keys}
        self._keys.clear()
        return found


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def asked(heard: Heard) -> Heard:
    heard.see(request())
    return heard


def test_a_new_request_concerns_its_task_and_those_above_it(heard: Heard) -> None:
    assert heard.see(request(task="t2")) == {"ApprovalRequest/apr-1", "Task/t1", "Task/t2"}
    assert heard.see(request(task="t2", version=2)) == {"ApprovalRequest/apr-1"}


def test_a_decision_concerns_the_agent_until_it_is_surely_counted(asked: Heard) -> None:
    own = {"ApprovalRequest/apr-1"}
    assert asked.see(request(version=2, state="Approved")) == own | {"Agent/enricher"}
    marked = request(version=3, state="Approved", status={"tallied": True})
    assert asked.see(marked) == own


def test_an_end_concerns_the_task_and_the_agents_history(asked: Heard) -> None:
    found = asked.see(request(version=2, state="Stale"))
    assert found == {"ApprovalRequest/apr-1", "Task/t1", "History/enricher"}
    asked.objects.forget("ApprovalRequest", "sales", "apr-1", "apr-1-uid")
    assert asked.take() == {"Task/t1", "History/enricher"}
    assert list(asked.objects.waits_of("sales", "t1")) == []


def test_a_review_holds_no_task_up_and_keeps_it(heard: Heard) -> None:
    review = request("rev-1", type="Review", call="c1")
    assert heard.see(review) == {"ApprovalRequest/rev-1"}
    heard.see(raw("Task", "t1", TASK, version=2, status=ENDED))
    assert gather(heard.objects, "sales", "enricher") == []
    assert heard.see({**request("rev-1", version=3, state="Expired", type="Review", call="c1")}) == {
        "ApprovalRequest/rev-1",
        "History/enricher",
    }
    assert [item.name for item in gather(heard.objects, "sales", "enricher")] == ["t1"]


RUN: JsonObject = {"workflowRef": {"name": "outreach"}}


def gate(version: int = 1, state: str = "Pending") -> JsonObject:
    """Return the request by which the run ``r1`` waits at a gate."""
    call = ("agent", "task", "tool", "action", "access", "risk", "definitionDigest", "policyDigest")
    made = request("gate-1", version, state, type="Gate")
    spec = {name: value for name, value in child(made, "spec").items() if name not in call}
    run: JsonObject = {"name": "r1", "uid": "r1-uid", "workflow": "outreach", "step": "review"}
    return {**made, "spec": {**spec, "run": run}}


def test_a_gate_concerns_its_run_alone_and_its_run_concerns_the_gate(heard: Heard) -> None:
    heard.see(raw("WorkflowRun", "r1", RUN))
    assert heard.see(gate()) == {"ApprovalRequest/gate-1", "WorkflowRun/r1"}
    assert "ApprovalRequest/gate-1" in heard.see(raw("WorkflowRun", "r1", RUN, version=2))
    assert heard.see(gate(2, "Approved")) == {"ApprovalRequest/gate-1", "WorkflowRun/r1"}
    assert heard.see(gate(3, "Stale")) == {"ApprovalRequest/gate-1", "WorkflowRun/r1"}
    assert "ApprovalRequest/gate-1" not in heard.see(raw("WorkflowRun", "r1", RUN, version=3))
    heard.objects.forget("ApprovalRequest", "sales", "gate-1", "gate-1-uid")
    assert heard.take() == {"WorkflowRun/r1"}


@pytest.mark.parametrize(
    "status",
    [{"revision": "enricher-2"}, {"policy": {"digest": DIGEST}}],
    ids=["another revision", "another policy"],
)
def test_an_agent_that_is_another_concerns_its_open_requests(asked: Heard, status: JsonObject) -> None:
    asked.see(request("apr-2", state="Expired"))
    found = asked.see(raw("Agent", "enricher", AGENT, version=2, status=status))
    assert found & {"ApprovalRequest/apr-1", "ApprovalRequest/apr-2"} == {"ApprovalRequest/apr-1"}


def test_any_other_change_of_an_agent_concerns_those_that_it_may_have_counted(asked: Heard) -> None:
    asked.see(request("apr-2", state="Rejected"))
    found = asked.see(raw("Agent", "enricher", AGENT, version=2, status={"observedGeneration": 1}))
    assert found & {"ApprovalRequest/apr-1", "ApprovalRequest/apr-2"} == {"ApprovalRequest/apr-2"}


def test_an_agent_that_is_gone_concerns_its_open_requests(asked: Heard) -> None:
    asked.objects.forget("Agent", "sales", "enricher", "enricher-uid")
    assert "ApprovalRequest/apr-1" in asked.take()


def test_a_task_that_ends_or_goes_concerns_its_requests(asked: Heard) -> None:
    assert "ApprovalRequest/apr-1" not in asked.see(raw("Task", "t1", TASK, version=2))
    assert "ApprovalRequest/apr-1" in asked.see(raw("Task", "t1", TASK, version=3, status=ENDED))
    asked.objects.forget("Task", "sales", "t1", "t1-uid")
    assert "ApprovalRequest/apr-1" in asked.take()


def test_a_definition_that_the_gateway_finds_changed_concerns_the_tools_requests(asked: Heard) -> None:
    actions: JsonValue = [{"name": "get", "state": "Offered", "definitionDigest": DIGEST}]
    unready = raw("Tool", "crm", TOOL, version=2, status={"observedGeneration": 1})
    assert asked.see(unready) == {"Tool/crm"}
    found = asked.see(raw("Tool", "crm", TOOL, version=3, status={"actions": actions}))
    assert found == {"Tool/crm", "ApprovalRequest/apr-1"}
    declared = asked.see(raw("Tool", "crm", TOOL, version=4, generation=2, status={"actions": actions}))
    assert "ApprovalRequest/apr-1" in declared
    asked.objects.forget("Tool", "sales", "crm", "crm-uid")
    assert "ApprovalRequest/apr-1" in asked.take()


def test_every_open_request_and_no_other_can_be_looked_at_anew(asked: Heard) -> None:
    asked.see(
        request("apr-2", state="Approved"),
        request("apr-3", state="Used"),
        request("rev-1", state="Approved", type="Review"),
        request("rev-2", type="Review"),
    )
    asked.objects.requests.touch_open()
    assert asked.take() == {f"ApprovalRequest/{name}" for name in ("apr-1", "apr-2", "rev-2")}


def test_a_task_waits_with_those_below_it_and_only_for_its_own_requests(asked: Heard) -> None:
    other: JsonObject = {"name": "t1", "uid": "another-uid"}
    asked.see(request("apr-2", task="t2"), {**request("apr-3", task="t1")})
    foreign = request("apr-4")
    spec = foreign["spec"]
    assert isinstance(spec, dict)
    asked.see({**foreign, "spec": {**spec, "task": other}})
    above = sorted(item.request for item in asked.objects.waits_of("sales", "t1"))
    assert above == ["apr-1", "apr-2", "apr-3"]
    assert [item.request for item in asked.objects.waits_of("sales", "t2")] == ["apr-2"]


def test_what_is_there_is_counted_by_state(asked: Heard) -> None:
    asked.see(request("apr-2", state="Used"), request("apr-3", state="Used"))
    found = asked.objects.requests.states()
    assert (found["Pending"], found["Used"], found["Stale"]) == (1, 2, 0)


def test_a_request_that_can_not_be_read_is_in_no_look_up(asked: Heard) -> None:
    asked.see(raw("ApprovalRequest", "apr-1", {"new": 1}, version=2))
    assert list(asked.objects.requests.of_agent("sales", "enricher")) == []
    assert list(asked.objects.waits_of("sales", "t1")) == []
