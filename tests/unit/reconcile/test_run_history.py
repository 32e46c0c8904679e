"""Which ended runs of a Workflow are kept."""

from dataclasses import replace
from datetime import timedelta

from aos.model.workflow import RunHistory
from aos.reconcile.run_history import KeptRun, expired_runs, seconds_to_look_again
from tests.unit.reconcile.make import NOW


def ended(name: str, minutes: int, *, well: bool = True, needed: bool = False) -> KeptRun:
    return KeptRun(name, name, ended_at=NOW - timedelta(minutes=minutes), succeeded=well, is_needed=needed)


def expired(*runs: KeptRun, succeeded: int = 1, failed: int = 1) -> list[str]:
    return [item.name for item in expired_runs(runs, RunHistory(succeeded=succeeded, failed=failed), NOW)]


def test_the_newest_of_each_end_are_kept_and_the_oldest_go_first() -> None:
    well = [ended("a", 3), ended("b", 2), ended("c", 1)]
    badly = [ended("d", 9, well=False), ended("e", 8, well=False)]
    assert expired(*well, *badly) == ["a", "b", "d"]
    assert expired(*well, *badly, succeeded=0, failed=5) == ["a", "b", "c"]


def test_open_runs_and_those_that_somebody_may_still_ask_for_stay() -> None:
    assert expired(KeptRun("open", "open"), ended("a", 3, needed=True), ended("b", 2), succeeded=0) == ["b"]


def test_a_run_stays_while_the_request_that_started_it_may_come_again() -> None:
    one = replace(ended("a", 3), kept_until=NOW + timedelta(minutes=2))
    assert expired(one, ended("b", 2), succeeded=0) == ["b"]
    assert seconds_to_look_again([one, ended("b", 2)], NOW) == 120
    over = replace(one, kept_until=NOW)
    assert expired(over, succeeded=0) == ["a"]
    assert seconds_to_look_again([over], NOW) is None
