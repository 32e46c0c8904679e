"""``aos run workflow/NAME``, ``aos runs`` and ``aos watch RUN`` against a real API server; the test plays the operator."""

import json
import signal

import pytest
from pydantic import JsonValue

from tests.cluster.cli.conftest import NOW, Namespace, Object, condition, until

WORKFLOW: Object = {
    "steps": [
        {"name": "enrich", "agent": "enricher", "input": {"lead": "${input.lead}"}},
        {"name": "review", "approval": {"show": "${steps.enrich.output}"}},
    ]
}


@pytest.fixture
def outreach(sales: Namespace) -> Namespace:
    sales.create("Workflow", "outreach", WORKFLOW)
    return sales


def names(namespace: Namespace) -> list[str]:
    return namespace.kubectl("get", "workflowruns", "-o", "jsonpath={.items[*].metadata.name}").split()


def only_run(namespace: Namespace) -> str:
    until(lambda: bool(names(namespace)))
    return names(namespace)[0]


def status(condition_: Object, *steps: Object, **rest: JsonValue) -> Object:
    return {"conditions": [condition_], "steps": list(steps), "startTime": NOW, **rest}


RUNNING = status(
    condition("Succeeded", "Unknown", "Running"),
    {"name": "enrich", "state": "Running", "agent": "enricher", "startTime": NOW},
    {"name": "review", "state": "Pending"},
    progress="0/2",
)
WAITING = status(
    condition("Succeeded", "Unknown", "WaitingForPeople"),
    {"name": "enrich", "state": "Succeeded", "agent": "enricher", "startTime": NOW, "completionTime": NOW},
    {"name": "review", "state": "Waiting", "waitingFor": "gate-1", "startTime": NOW},
    progress="1/2",
    waitingFor=["gate-1"],
)


def ended(holds: str, reason: str, message: str = "") -> Object:
    return {**WAITING, "conditions": [condition("Succeeded", holds, reason, message)], "output": {"score": 1}}


def test_a_run_that_is_not_watched_is_created_with_input_and_requester(outreach: Namespace) -> None:
    done = outreach.aos("run", "workflow/outreach", "-i", "lead=acme", "--no-watch")
    assert done.code == 0, done.err
    run = only_run(outreach)
    assert done.out == f"workflowrun.aos.dev/{run} created\n"
    spec = json.loads(outreach.kubectl("get", "workflowrun", run, "-o", "jsonpath={.spec}"))
    assert spec["workflowRef"] == {"name": "outreach"}
    assert spec["input"] == {"lead": "acme"}
    assert spec["requestedBy"] == "admin"


def test_a_run_is_followed_to_its_end_and_its_output_stands_alone_on_standard_output(
    outreach: Namespace,
) -> None:
    with outreach.start_aos("run", "workflow/outreach") as process:
        run = only_run(outreach)
        for said in (RUNNING, WAITING, ended("True", "Completed")):
            outreach.patch_status("workflowrun", run, said)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out) == {"score": 1}
    assert f"{run} (outreach): Succeeded (1/2 steps" in err


def test_a_run_that_failed_exits_with_one_and_says_why(outreach: Namespace) -> None:
    outreach.aos("run", "workflow/outreach", "--no-watch")
    run = only_run(outreach)
    outreach.patch_status("workflowrun", run, ended("False", "StepFailed", "step review: rejected"))
    done = outreach.aos("watch", run)
    assert done.code == 1
    assert "StepFailed: step review: rejected" in done.err


def test_who_is_waited_for_is_told_with_the_way_to_look_at_it(outreach: Namespace) -> None:
    outreach.aos("run", "workflow/outreach", "--no-watch")
    run = only_run(outreach)
    outreach.patch_status("workflowrun", run, WAITING)
    with outreach.start_aos("watch", run) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert any(f"`aos show gate-1 -n {outreach.name}`" in line for line in lines), lines
    assert process.returncode == 130


def test_runs_are_listed_with_how_far_they_are(outreach: Namespace) -> None:
    outreach.aos("run", "workflow/outreach", "--no-watch")
    run = only_run(outreach)
    outreach.patch_status("workflowrun", run, WAITING)
    shown = outreach.aos("runs").out.splitlines()
    assert shown[1].split()[:2] == [run, "outreach"]
    assert "1/2" in shown[1]
    assert "gate-1" in shown[1]
    outreach.patch_status("workflowrun", run, ended("True", "Completed"))
    assert outreach.aos("runs", "--open").err.startswith("no open runs in namespace")
    listed = json.loads(outreach.aos("runs", "-o", "json").out)["runs"]
    assert [item["metadata"]["name"] for item in listed] == [run]


def test_a_workflow_that_is_not_there_is_noticed_at_once(outreach: Namespace) -> None:
    done = outreach.aos("run", "workflow/outreech")
    assert done.code == 3
    assert "there is no Workflow outreech" in done.err
    assert names(outreach) == []


def test_a_run_that_is_deleted_ends_the_watch(outreach: Namespace) -> None:
    outreach.aos("run", "workflow/outreach", "--no-watch")
    run = only_run(outreach)
    with outreach.start_aos("watch", run) as process:
        assert process.stderr is not None
        outreach.patch_status("workflowrun", run, RUNNING)
        process.stderr.readline()
        outreach.kubectl("delete", "workflowrun", run)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "was deleted, which cancels it" in err
