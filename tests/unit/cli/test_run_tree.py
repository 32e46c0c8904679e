from datetime import UTC, datetime

import pytest

from aos.cli.run_tree import Tree, critical_path, headline, money, standing, tree_lines
from aos.model.workflow_run import WorkflowRun
from tests.unit.cli.run_make import START, Object, condition, run, step

NOW = datetime(2026, 1, 2, 3, 5, tzinfo=UTC)
RUNNING = condition("Unknown", "Running")


def lines(of: WorkflowRun, *below: WorkflowRun, width: int | None = None) -> list[str]:
    return tree_lines(Tree(of, {item.metadata.name: item for item in below}), NOW, width)


def test_a_tree_has_a_line_for_the_run_and_one_for_each_step_in_order() -> None:
    shown = lines(
        run(
            step(
                "enrich",
                "Succeeded",
                agent="enricher",
                startTime=START,
                completionTime="2026-01-02T03:00:09Z",
            ),
            step("draft", "Running", agent="copywriter", startTime=START, attempt=2, costMicroUSD=1500),
            step("send"),
            conditions=[RUNNING],
            progress="1/3",
            usage={"costMicroUSD": 2500},
        )
    )
    assert shown == [
        "outreach-b2c4d (outreach): Running (1/3 steps, 5m, 0.0025 USD)",
        "  + enrich: Succeeded (enricher, 9s)",
        "  > draft: Running (copywriter, attempt 2, 5m, 0.0015 USD)",
        "  . send: Pending",
    ]


def test_who_is_waited_for_stands_with_the_step_and_goes_when_it_is_done() -> None:
    waiting = step("review", "Waiting", waitingFor="gate-1", startTime=START)
    assert lines(run(waiting))[1] == "  ? review: Waiting (5m); waits for gate-1"
    done = step("review", "Succeeded", waitingFor="gate-1", startTime=START, completionTime=START)
    assert lines(run(done))[1] == "  + review: Succeeded (0s)"


def test_why_a_step_failed_is_told_with_it() -> None:
    failed = step("send", "Failed", reason="AgentFailed", message="no such address")
    assert lines(run(failed))[1] == "  x send: Failed; AgentFailed: no such address"


def test_items_of_a_fan_out_are_counted_by_where_they_stand() -> None:
    fan = step("score", "Running", items={"total": 6, "states": "SSRF.W"}, startTime=START)
    assert (
        lines(run(fan))[1]
        == "  > score: Running (6 items: 2 done, 1 running, 1 to be tried again, 1 failed, 5m)"
    )


def test_when_a_step_is_tried_again_is_told_while_it_lies_ahead() -> None:
    ahead = step("draft", "Retrying", attempt=1, retryAt="2026-01-02T03:05:20Z", startTime=START)
    assert lines(run(ahead))[1] == "  ~ draft: Retrying (5m, again in 20s)"
    past = step("draft", "Retrying", attempt=1, retryAt="2026-01-02T03:04:20Z", startTime=START)
    assert lines(run(past))[1] == "  ~ draft: Retrying (5m)"


def test_a_compensation_names_what_it_undoes() -> None:
    undo = step("unbook", "Running", compensates="book", startTime=START)
    assert lines(run(undo))[1] == "  > unbook: Running (5m, undoes book)"


PARENT: Object = {
    "run": "outreach-b2c4d",
    "runUID": "run-1",
    "rootUID": "run-1",
    "step": "notify",
    "depth": 1,
}


def test_a_run_below_stands_under_the_step_that_started_it() -> None:
    below = run(
        step("mail", "Running", startTime=START),
        name="notify-1",
        uid="run-2",
        parent=PARENT,
        conditions=[RUNNING],
    )
    shown = lines(run(step("notify", "Running", object="notify-1", startTime=START)), below)
    assert shown[1:] == [
        "  > notify: Running (5m)",
        "    notify-1 (outreach): Running (5m)",
        "      > mail: Running (5m)",
    ]


def test_a_run_that_only_has_the_name_of_one_below_is_not_shown() -> None:
    other = run(step("mail"), name="notify-1", uid="run-2", parent={**PARENT, "runUID": "another"})
    assert len(lines(run(step("notify", "Running", object="notify-1")), other)) == 2


def test_a_run_that_says_it_stands_below_itself_ends_the_tree() -> None:
    turned = run(step("notify", "Running", object="outreach-b2c4d"), conditions=[RUNNING], parent=PARENT)
    assert len(lines(turned, turned)) < 20


def test_long_lines_are_folded_to_the_terminal() -> None:
    failed = step("send", "Failed", reason="AgentFailed", message="word " * 40)
    assert max(map(len, lines(run(failed), width=60))) <= 60


def test_what_agents_say_can_not_drive_the_terminal() -> None:
    failed = step("send", "Failed", message="gone\x1b[2J\nstep two")
    assert "\x1b" not in "".join(lines(run(failed)))
    assert len(lines(run(failed))) == 2


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (run(), "not looked at yet by the operator"),
        (run(conditions=[condition("True", "Completed")]), "Succeeded"),
        (run(conditions=[condition("False", "StepFailed", "send")]), "StepFailed: send"),
        (run(conditions=[RUNNING, condition("True", "Suspended", kind="Suspended")]), "Running; suspended"),
        (run(conditions=[RUNNING, condition("False", "NotSuspended", kind="Suspended")]), "Running"),
    ],
)
def test_how_a_run_stands_is_one_phrase(of: WorkflowRun, said: str) -> None:
    assert standing(of) == said


def test_an_ended_run_says_how_long_it_took() -> None:
    ended = run(conditions=[condition("True", "Completed")], completionTime="2026-01-02T03:00:42Z")
    assert headline(ended, NOW) == "outreach-b2c4d (outreach): Succeeded (42s)"


def test_a_small_amount_is_not_shown_as_nothing() -> None:
    assert money(200) == "0.0002 USD"


def test_the_way_that_took_longest_is_one_line() -> None:
    ended = run(criticalPath=["enrich", "send"], criticalPathSeconds=42)
    assert critical_path(ended) == "longest way: enrich > send (42s)"
    assert critical_path(run()) == ""
