"""Gates of runs: decided and counted as calls are, withdrawn with their run, and never used."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aos.model.approval_request import ApprovalRequest, RequestState
from aos.model.base import JsonObject
from aos.reconcile.approval import LAG_SECONDS, USE_GRACE_SECONDS, reconcile_request
from aos.reconcile.approval_step import WaitingRun
from aos.reconcile.reliability import judged
from aos.reconcile.waiting import wait_of
from tests.unit.reconcile.asked import (
    EXPIRES,
    GATE_LEADS,
    GUARD,
    at_rest,
    condition,
    decided,
    gate,
    looked_at,
    moment,
    observed,
    said,
    state,
    written,
)
from tests.unit.reconcile.make import NOW

LATER = NOW + timedelta(minutes=2)
LONG_AFTER = EXPIRES + timedelta(days=1)
OVER = WaitingRun("was cancelled")


def approved(item: ApprovalRequest | None = None) -> ApprovalRequest:
    return looked_at(decided(looked_at(item or gate()), said("ada")), LATER)


def test_a_gate_is_open_until_people_agree() -> None:
    asked = looked_at(gate())
    assert state(asked) is RequestState.PENDING
    assert condition(asked, "EnforcementActive") == ("True", "Guarded")
    done = approved()
    assert state(done) is RequestState.APPROVED
    assert condition(done, "Approved") == ("True", "QuorumReached")
    assert condition(done, "EnforcementActive") == ("True", "Guarded")


def test_one_rejection_ends_a_gate() -> None:
    done = looked_at(decided(looked_at(gate()), said("ada", "Reject")), LATER)
    assert state(done) is RequestState.REJECTED


def test_who_asked_for_the_run_does_not_count() -> None:
    asked = looked_at(decided(looked_at(gate()), said("rita")), LATER)
    assert state(asked) is RequestState.PENDING
    assert (asked.status.need, asked.status.have) == (1, 0)


def test_a_trigger_that_asked_is_nobody_and_keeps_nobody_from_deciding() -> None:
    assert state(approved(gate(requestedBy="aos:trigger/nightly"))) is RequestState.APPROVED


def test_nobody_deciding_in_time_ends_a_gate() -> None:
    asked = looked_at(gate())
    assert reconcile_request(observed(asked), NOW).plan.requeue_after_seconds is not None
    assert state(looked_at(asked, EXPIRES)) is RequestState.EXPIRED


def test_what_was_approved_in_time_stays_approved() -> None:
    done = approved()
    assert state(looked_at(done, LONG_AFTER)) is RequestState.APPROVED
    assert at_rest(done, LONG_AFTER)
    assert reconcile_request(observed(done), LATER).plan.requeue_after_seconds is None


def test_a_gate_is_withdrawn_once_its_run_does_not_wait_there() -> None:
    stale = looked_at(looked_at(gate()), LATER, run=OVER)
    assert state(stale) is RequestState.STALE
    assert condition(stale, "Stale") == ("True", "RunEnded")
    assert condition(stale, "Approved") == ("False", "RunEnded")


def test_a_gate_of_a_run_that_is_gone_is_withdrawn_but_not_before_the_run_can_have_been_seen() -> None:
    asked = looked_at(gate(), run=None)
    assert state(asked) is RequestState.PENDING
    again = reconcile_request(observed(asked, run=None), NOW).plan.requeue_after_seconds
    assert again is not None
    assert again <= LAG_SECONDS
    assert state(looked_at(asked, NOW + timedelta(seconds=LAG_SECONDS), run=None)) is RequestState.STALE


@pytest.mark.parametrize("run", [OVER, None])
def test_what_was_approved_stays_so_when_the_run_goes_on_or_ends(run: WaitingRun | None) -> None:
    assert at_rest(approved(), LONG_AFTER, run=run)


def test_no_call_uses_a_gate_whatever_its_status_says() -> None:
    use: JsonObject = {"call": "c1", "time": moment(LATER)}
    done = approved()
    marked = written(done, reconcile_request(observed(done), LATER), use=use)
    later = looked_at(marked, LATER + timedelta(seconds=USE_GRACE_SECONDS))
    assert state(later) is RequestState.APPROVED
    assert condition(later, "Used") == ("False", "NotUsed")
    assert at_rest(later, LONG_AFTER, run=OVER)


def test_attack_20_what_was_approved_while_nobody_guarded_it_is_withdrawn_as_long_as_the_run_waits() -> None:
    done = approved()
    unguarded = replace(GUARD, problem="missing: aos-approval-decisions")
    lapsed = looked_at(done, LATER, guard=unguarded)
    assert state(lapsed) is RequestState.APPROVED
    assert condition(lapsed, "EnforcementActive") == ("False", "PolicyMissing")
    forged = decided(lapsed, said("eve"))
    assert state(looked_at(forged, LATER, guard=unguarded)) is RequestState.STALE
    assert state(looked_at(forged, LATER, guard=unguarded, run=OVER)) is RequestState.APPROVED


def test_attack_20_a_gate_whose_decisions_are_taken_away_again_is_withdrawn() -> None:
    done = approved()
    spec = done.spec.model_copy(update={"decisions": ()})
    assert state(looked_at(done.model_copy(update={"spec": spec}), LATER)) is RequestState.STALE


def test_what_people_say_at_a_gate_judges_no_agent_and_lets_no_task_wait() -> None:
    done = approved()
    assert judged(done) is None
    assert judged(looked_at(decided(looked_at(gate()), said("ada", "Reject")))) is None
    assert wait_of(gate()) is None


def test_the_run_is_told_and_nobody_reads_of_arguments() -> None:
    found = reconcile_request(observed(gate()), NOW)
    notes = [item.note for item in (*found.plan.events, *found.told)]
    assert any("to approve that run r1 goes on after step review" in note for note in notes)
    assert not any("Hello" in note for note in notes)
    assert str(GATE_LEADS["rule"]) in notes[0]
