from aos.cli.run_news import changes
from tests.unit.cli.run_make import condition, run, step

RUNNING = condition("Unknown", "Running")


def test_a_first_look_tells_what_is_not_as_at_the_start() -> None:
    new = run(step("enrich", "Running", agent="enricher", attempt=1), step("send"), conditions=[RUNNING])
    assert changes(None, new) == ["step enrich: Running by enricher"]


def test_the_run_repeats_nothing_that_its_steps_say_and_says_what_they_do_not() -> None:
    waits = condition("Unknown", "WaitingForPeople", "people have to decide on gate-1")
    gate = step("review", "Waiting", waitingFor="gate-1")
    assert changes(run(step("review"), conditions=[RUNNING]), run(gate, conditions=[waits])) == [
        "step review waits for people: `aos show gate-1 -n sales` tells more"
    ]
    assert changes(None, run(step("enrich"), conditions=[RUNNING])) == ["run: Running"]
    queued = condition("Unknown", "Queued", "as many runs are open as may be")
    assert changes(None, run(gate, conditions=[queued]))[1:] == [
        "run: Queued: as many runs are open as may be"
    ]


def test_nothing_is_told_twice() -> None:
    same = run(step("enrich", "Running", agent="enricher"), conditions=[RUNNING])
    assert changes(same, same) == []


def test_each_change_of_a_step_is_one_line() -> None:
    old = run(step("enrich", "Running", attempt=1), step("draft"))
    new = run(
        step("enrich", "Failed", attempt=1, reason="AgentFailed", message="no such lead"),
        step("draft", "Skipped", reason="NotNeeded"),
    )
    assert changes(old, new) == [
        "step enrich: Failed: AgentFailed: no such lead",
        "step draft: Skipped: NotNeeded",
    ]


def test_another_attempt_is_told() -> None:
    old = run(step("draft", "Retrying", attempt=1))
    new = run(step("draft", "Running", attempt=2))
    assert changes(old, new) == ["step draft: Running, attempt 2"]


def test_items_that_are_done_are_counted() -> None:
    old = run(step("score", "Running", items={"total": 3, "states": "SR."}))
    new = run(step("score", "Running", items={"total": 3, "states": "SSR"}))
    assert changes(old, new) == ["step score: 2 of 3 items are done"]
    assert changes(new, run(step("score", "Running", items={"total": 3, "states": "SSR"}))) == []


def test_a_wait_for_people_comes_with_the_way_to_look_at_it() -> None:
    old = run(step("review", "Running"))
    new = run(step("review", "Waiting", waitingFor="gate-1"))
    assert changes(old, new) == [
        "step review waits for people: `aos show gate-1 -n sales` tells more",
    ]


def test_a_suspension_is_told_and_its_end_too() -> None:
    halted = run(conditions=[RUNNING, condition("True", "Suspended", kind="Suspended")])
    going = run(conditions=[RUNNING, condition("False", "NotSuspended", kind="Suspended")])
    assert changes(run(conditions=[RUNNING]), halted) == ["run: Suspended"]
    assert changes(halted, going) == ["run: NotSuspended"]
    assert changes(None, going) == ["run: Running"]


def test_the_end_is_left_to_the_last_line() -> None:
    ended = run(conditions=[condition("True", "Completed")])
    assert changes(run(conditions=[RUNNING]), ended) == []
