import json

import pytest
import yaml

from aos.cli.exits import CommandError, ExitCode
from aos.cli.formats import ObjectFormat
from aos.cli.run import GRACE_SECONDS, RunRequest, as_created, as_ended, manifest, new_name, timeout_seconds
from aos.model.task import Task
from tests.unit.cli.make import condition, result, task

DONE = task(condition("Succeeded", "True", "Completed"), result=result(output={"score": 0.5}))


def request(deadline: str = "10m", timeout: str = "") -> RunRequest:
    return RunRequest("enricher", {"lead": "acme"}, deadline, watch=True, timeout=timeout)


@pytest.mark.parametrize("agent", ["a", "lead-enricher", "x" * 52, "x" * 45 + "-" + "y" * 6])
def test_a_task_is_named_for_its_agent_and_fits(agent: str) -> None:
    name = new_name(agent)
    made = manifest("sales", name, "", request())
    assert Task.parse({**made}).metadata.name == name
    assert len(name) <= 52
    assert name.startswith(agent[:45].rstrip("-"))
    assert "--" not in name


def test_two_tasks_have_two_names() -> None:
    assert len({new_name("enricher") for _ in range(50)}) > 45


def test_who_asked_is_left_out_where_it_is_not_known() -> None:
    spec = manifest("sales", "t1", "", request())["spec"]
    assert spec == {"agentRef": {"name": "enricher"}, "input": {"lead": "acme"}, "deadline": "10m"}


def test_waiting_takes_the_deadline_and_a_grace_unless_a_time_is_given() -> None:
    assert timeout_seconds(request("90s")) == 90 + GRACE_SECONDS
    assert timeout_seconds(request("90s", "5s")) == 5


@pytest.mark.parametrize(
    ("deadline", "timeout", "option"), [("soon", "", "--deadline"), ("1m", "2", "--timeout")]
)
def test_a_malformed_duration_names_its_option(deadline: str, timeout: str, option: str) -> None:
    with pytest.raises(CommandError, match=f"{option}: .* is not a duration") as caught:
        timeout_seconds(request(deadline, timeout))
    assert caught.value.code is ExitCode.USAGE


def test_a_created_task_is_printed_as_asked() -> None:
    assert as_created(DONE, None) == "task.aos.dev/t1 created"
    assert as_created(DONE, ObjectFormat.NAME) == "task.aos.dev/t1"
    assert json.loads(as_created(DONE, ObjectFormat.JSON))["spec"]["agentRef"] == {"name": "enricher"}


def test_an_ended_task_is_printed_as_asked() -> None:
    assert json.loads(as_ended(DONE, None)) == {"score": 0.5}
    assert as_ended(DONE, ObjectFormat.NAME) == "task.aos.dev/t1"
    assert yaml.safe_load(as_ended(DONE, ObjectFormat.YAML))["status"]["result"]["output"] == {"score": 0.5}


def test_a_task_without_output_prints_nothing() -> None:
    assert as_ended(task(condition("Succeeded", "False", "PodFailed")), None) == ""
    assert as_ended(task(condition("Succeeded", "False", "AgentFailed"), result=result("Failed")), None) == ""
