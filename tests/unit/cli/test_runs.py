from datetime import UTC, datetime

from aos.cli.runs import run_reference, runs_lines
from tests.unit.cli.run_make import condition, run

NOW = datetime(2026, 1, 2, 3, 5, tzinfo=UTC)
OPEN = run(
    conditions=[condition("Unknown", "WaitingForPeople")],
    progress="2/4",
    waitingFor=["gate-1"],
    usage={"costMicroUSD": 1500},
)
DONE = run(
    name="outreach-a", conditions=[condition("True", "Completed")], progress="4/4", waitingFor=["gate-0"]
)


def test_the_table_tells_how_far_each_run_is_what_it_cost_and_whom_it_waits_for() -> None:
    heading, first, second = runs_lines([OPEN, DONE], NOW, None, everywhere=False)
    assert heading.split() == ["NAME", "WORKFLOW", "AGE", "STEPS", "COST", "WAITING", "FOR", "STATE"]
    assert first.split() == [
        "outreach-b2c4d", "outreach", "5m", "2/4", "0.0015", "USD", "gate-1", "WaitingForPeople",
    ]  # fmt: skip
    assert second.split() == ["outreach-a", "outreach", "5m", "4/4", "Succeeded"]


def test_everywhere_the_namespace_stands_first() -> None:
    assert runs_lines([OPEN], NOW, None, everywhere=True)[1].startswith("sales ")


def test_a_run_is_named_as_kubectl_names_it() -> None:
    assert run_reference(OPEN) == "workflowrun.aos.dev/outreach-b2c4d"
