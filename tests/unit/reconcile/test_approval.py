from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aos.model.approval_request import ApprovalRequest, RequestState
from aos.model.base import JsonObject
from aos.policy.quorums import tally
from aos.reconcile.approval import (
    LAG_SECONDS,
    REPORT_LAG_SECONDS,
    USE_GRACE_SECONDS,
    reconcile_request,
)
from aos.reconcile.approval_step import CalledAction, CallingAgent, CallingTask, ObservedRequest
from aos.reconcile.guard import Guard
from tests.unit.reconcile.asked import (
    AGENT,
    EXPIRES,
    GUARD,
    LEADS,
    OTHER_DIGEST,
    TWO,
    at_rest,
    condition,
    decided,
    looked_at,
    moment,
    observed,
    request,
    said,
    state,
    written,
)
from tests.unit.reconcile.make import NOW

LATER = NOW + timedelta(minutes=2)
USE: JsonObject = {"call": "c1", "time": moment(LATER)}
ENDS = (RequestState.REJECTED, RequestState.EXPIRED, RequestState.STALE, RequestState.USED)


def approved(item: ApprovalRequest | None = None) -> ApprovalRequest:
    asked = looked_at(item or request())
    return looked_at(decided(asked, said("ada")), LATER)


def used(item: ApprovalRequest, now: datetime) -> ApprovalRequest:
    return looked_at(written(item, reconcile_request(observed(item), now), use=USE), now)


def test_a_new_request_says_how_many_people_it_needs() -> None:
    asked = looked_at(request(quorums=[LEADS, TWO]))
    assert state(asked) is RequestState.PENDING
    assert (asked.status.need, asked.status.have) == (3, 0)
    assert condition(asked, "Approved") == ("False", "Waiting")
    assert condition(asked, "EnforcementActive") == ("True", "Guarded")
    assert {condition(asked, name)[0] for name in ("Rejected", "Expired", "Stale", "Used")} == {"False"}
    assert at_rest(asked, LATER)


def test_an_approval_that_reaches_every_quorum_approves() -> None:
    item = approved()
    assert state(item) is RequestState.APPROVED
    assert condition(item, "Approved") == ("True", "QuorumReached")
    assert [(one.approver, one.time) for one in item.status.counted] == [("ada", LATER)]
    assert at_rest(item, LATER)


def test_two_people_are_two_people() -> None:
    asked = looked_at(request(quorums=[TWO]))
    one = looked_at(decided(asked, said("ada")), LATER)
    assert (state(one), one.status.have) == (RequestState.PENDING, 1)
    both = looked_at(decided(one, said("ben")), LATER + timedelta(minutes=1))
    assert state(both) is RequestState.APPROVED
    assert [one.time for one in both.status.counted] == [LATER, LATER + timedelta(minutes=1)]


def test_one_rejection_ends_it() -> None:
    asked = looked_at(request(quorums=[TWO]))
    item = looked_at(decided(asked, said("ada"), said("ben", "Reject")), LATER)
    assert state(item) is RequestState.REJECTED
    assert condition(item, "Rejected") == ("True", "Rejected")
    assert condition(item, "Approved") == ("False", "Rejected")


def test_who_counts_for_no_quorum_changes_nothing_but_is_seen() -> None:
    asked = looked_at(request())
    found = reconcile_request(observed(decided(asked, said("eve", groups=[]))), LATER)
    item = written(decided(asked, said("eve", groups=[])), found)
    assert (state(item), item.status.have) == (RequestState.PENDING, 0)
    assert [one.rules for one in item.status.counted] == [()]
    assert [one.reason for one in found.plan.events] == ["ApprovalRefused"]


def test_who_asked_for_the_task_does_not_count() -> None:
    item = looked_at(decided(looked_at(request()), said("rita")), LATER)
    assert state(item) is RequestState.PENDING


def test_nobody_decided_in_time() -> None:
    asked = looked_at(request())
    item = looked_at(asked, EXPIRES)
    assert state(item) is RequestState.EXPIRED
    assert condition(item, "Expired") == ("True", "Expired")
    assert condition(item, "Approved") == ("False", "Expired")


def test_a_decision_that_is_seen_after_the_time_does_not_count() -> None:
    late = decided(looked_at(request()), said("ada"))
    assert state(looked_at(late, EXPIRES + timedelta(seconds=1))) is RequestState.EXPIRED
    assert state(looked_at(late, EXPIRES - timedelta(seconds=1))) is RequestState.APPROVED


def test_what_was_approved_and_not_used_expires_once_no_call_can_be_under_way() -> None:
    item = approved()
    assert at_rest(item, EXPIRES)
    gone = looked_at(item, EXPIRES + timedelta(seconds=USE_GRACE_SECONDS))
    assert state(gone) is RequestState.EXPIRED


def test_a_use_ends_it() -> None:
    item = used(approved(), LATER)
    assert state(item) is RequestState.USED
    assert condition(item, "Used") == ("True", "Used")
    assert condition(item, "Approved") == ("True", "QuorumReached")
    assert at_rest(item, LATER)


def test_a_use_that_is_told_after_the_end_is_said_and_the_state_stays() -> None:
    gone = looked_at(approved(), EXPIRES + timedelta(minutes=1))
    late = written(gone, reconcile_request(observed(gone), EXPIRES), use=USE)
    found = reconcile_request(observed(late), EXPIRES + timedelta(minutes=2))
    item = written(late, found)
    assert state(item) is RequestState.EXPIRED
    assert condition(item, "Used") == ("True", "Used")
    assert [one.reason for one in (*found.plan.events, *found.told)] == ["ApprovalUsed"] * 2
    assert at_rest(item, EXPIRES + timedelta(minutes=3))


def counted_and_pending() -> ApprovalRequest:
    """Return a request whose approval was counted, as if its state had not been written."""
    raw = approved().model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["status"]["state"] = "Pending"
    return ApprovalRequest.parse(raw)


def test_what_was_counted_before_is_approved_only_in_time_and_under_the_policies() -> None:
    item = counted_and_pending()
    assert state(looked_at(item, LATER)) is RequestState.APPROVED
    assert state(looked_at(item, LATER, guard=Guard("missing: a policy"))) is RequestState.PENDING
    assert state(looked_at(item, EXPIRES + timedelta(seconds=1))) is RequestState.EXPIRED


STALE: dict[str, dict[str, object]] = {
    "RecordChanged": {},
    "TaskEnded": {"task": CallingTask(is_open=False, ended_at=LATER)},
    "PolicyChanged": {"agent": replace(AGENT, policy_digest=OTHER_DIGEST), "confirmed": True},
    "AgentChanged": {"agent": replace(AGENT, revision="enricher-2"), "confirmed": True},
    "ToolChanged": {"action": CalledAction(OTHER_DIGEST)},
}


@pytest.mark.parametrize("reason", STALE)
@pytest.mark.parametrize("is_approved", [False, True])
def test_what_changed_makes_it_stale(reason: str, is_approved: bool) -> None:  # noqa: FBT001
    item = approved() if is_approved else looked_at(request())
    if reason == "RecordChanged":
        item = written(item, reconcile_request(observed(item), LATER), overtaken=USE)
    found = reconcile_request(observed(item, **STALE[reason]), LATER + timedelta(minutes=1))
    after = written(item, found)
    assert state(after) is RequestState.STALE
    assert condition(after, "Stale") == ("True", reason)
    assert condition(after, "Approved") == ("False", reason)
    assert [one.reason for one in found.plan.events] == ["ApprovalStale"]
    assert at_rest(after, LATER + timedelta(hours=9))


@pytest.mark.parametrize(
    ("reason", "missing"),
    [("TaskEnded", {"task": None}), ("AgentChanged", {"agent": None}), ("ToolChanged", {"action": None})],
)
def test_what_is_gone_makes_it_stale(reason: str, missing: dict[str, None]) -> None:
    item = looked_at(looked_at(request()), LATER, confirmed=True, **missing)
    assert condition(item, "Stale") == ("True", reason)


@pytest.mark.parametrize(
    "unknown",
    [{"agent": CallingAgent()}, {"action": CalledAction()}],
    ids=["an agent that was not looked at", "a tool that can't be reached"],
)
def test_what_is_not_known_makes_nothing_stale(unknown: dict[str, object]) -> None:
    assert at_rest(looked_at(request()), LATER, **unknown)


def test_a_stale_one_is_never_approved_though_the_approval_comes_with_the_change() -> None:
    item = decided(looked_at(request()), said("ada"))
    assert state(looked_at(item, LATER, **STALE["PolicyChanged"])) is RequestState.STALE


def test_an_agents_change_is_believed_only_after_its_policies_were_looked_at() -> None:
    found = reconcile_request(
        observed(looked_at(request()), agent=replace(AGENT, policy_digest=OTHER_DIGEST)), LATER
    )
    assert found.plan.confirm
    assert found.plan.status is None


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(LAG_SECONDS, "PolicyChanged"), (LAG_SECONDS, "AgentChanged"), (REPORT_LAG_SECONDS, "ToolChanged")],
)
def test_a_young_request_is_ahead_of_what_the_operator_knows(seconds: int, reason: str) -> None:
    item = looked_at(request())
    almost = NOW + timedelta(seconds=seconds - 1)
    assert at_rest(item, almost, **STALE[reason])
    found = reconcile_request(observed(item, **STALE[reason]), almost)
    assert found.plan.requeue_after_seconds == 1
    assert state(looked_at(item, NOW + timedelta(seconds=seconds), **STALE[reason])) is RequestState.STALE


def test_an_approved_call_may_be_under_way_when_its_task_ends() -> None:
    item = approved()
    ended = CallingTask(is_open=False, ended_at=LATER)
    grace = LATER + timedelta(seconds=USE_GRACE_SECONDS)
    assert at_rest(item, grace - timedelta(seconds=1), task=ended)
    assert state(looked_at(item, grace, task=ended)) is RequestState.STALE
    assert state(used(item, LATER)) is RequestState.USED


def test_a_request_that_is_being_deleted_is_left_alone() -> None:
    item = request()
    going = item.metadata.model_copy(update={"deletion_timestamp": NOW})
    assert at_rest(item.model_copy(update={"metadata": going}), NOW)


@pytest.mark.parametrize(
    ("verdict", "expected"), [("Approve", RequestState.APPROVED), ("Reject", RequestState.REJECTED)]
)
def test_a_review_is_at_its_end_once_it_is_decided(verdict: str, expected: RequestState) -> None:
    asked = looked_at(request(type="Review", call="c1"))
    everything = {name: value for one in STALE.values() for name, value in one.items()}
    assert at_rest(asked, LATER, **everything)
    item = looked_at(decided(asked, said("ada", verdict)), LATER, **everything)
    assert state(item) is expected
    found = reconcile_request(observed(item, **everything), EXPIRES + timedelta(days=9))
    assert found.plan.status is None
    assert found.plan.requeue_after_seconds is None


def test_a_review_that_nobody_made_expires() -> None:
    asked = looked_at(request(type="Review", call="c1"))
    assert state(looked_at(asked, EXPIRES)) is RequestState.EXPIRED


def test_a_request_is_marked_once_its_agent_counted_it() -> None:
    item = approved()
    marked = looked_at(item, LATER, agent=replace(AGENT, has_counted=True))
    assert marked.status.tallied
    assert at_rest(marked, LATER, agent=replace(AGENT, has_counted=True))
    rejected = looked_at(decided(looked_at(request()), said("ada", "Reject")), LATER)
    after = looked_at(rejected, LATER, agent=replace(AGENT, has_counted=True))
    assert after.status.tallied
    assert state(after) is RequestState.REJECTED
    assert at_rest(after, LATER, agent=replace(AGENT, has_counted=True))
    late = written(marked, reconcile_request(observed(marked, task=None), LATER), use=USE)
    assert looked_at(late, LATER).status.tallied


def test_time_alone_brings_it_back_for_each_reminder_escalation_and_its_end() -> None:
    escalation: JsonObject = {
        "at": moment(NOW + timedelta(hours=2)),
        "approvers": {"groups": ["bosses"]},
    }
    quorum = {**LEADS, "remindAt": moment(NOW + timedelta(hours=1)), "escalation": escalation}
    item = looked_at(request(quorums=[quorum]))
    at = NOW
    seen = []
    while (found := reconcile_request(observed(item), at).plan).requeue_after_seconds is not None:
        at += timedelta(seconds=found.requeue_after_seconds)
        seen.append(at)
        item = looked_at(item, at)
    assert seen == [
        NOW + timedelta(seconds=LAG_SECONDS),
        NOW + timedelta(seconds=REPORT_LAG_SECONDS),
        NOW + timedelta(hours=1),
        NOW + timedelta(hours=2),
        EXPIRES,
    ]


def test_who_is_asked_later_counts_from_then_on() -> None:
    escalation: JsonObject = {
        "at": moment(NOW + timedelta(hours=2)),
        "approvers": {"groups": ["bosses"]},
    }
    asked = looked_at(request(quorums=[{**LEADS, "escalation": escalation}]))
    item = decided(asked, said("zoe", groups=["bosses"]))
    assert state(looked_at(item, NOW + timedelta(hours=2))) is RequestState.APPROVED
    assert state(looked_at(item, NOW + timedelta(hours=1))) is RequestState.PENDING


def test_how_long_people_took_is_told_once() -> None:
    asked = looked_at(request())
    found = reconcile_request(observed(decided(asked, said("ada"))), LATER)
    assert found.decided_after_seconds == 120
    assert reconcile_request(observed(asked), LATER).decided_after_seconds is None
    assert reconcile_request(observed(approved()), LATER).decided_after_seconds is None


_SURROUNDINGS: list[dict[str, object]] = [
    {},
    {"task": None},
    {"task": CallingTask(is_open=False)},
    {"agent": None},
    {"agent": replace(AGENT, policy_digest=OTHER_DIGEST)},
    {"agent": replace(AGENT, has_counted=True)},
    {"action": CalledAction()},
    {"action": CalledAction(OTHER_DIGEST)},
    {"guard": Guard("missing: a policy")},
    {"guard": replace(GUARD, fingerprint="g2", changed_at=NOW, seen_at=NOW)},
]
_EVENTS = st.one_of(
    st.sampled_from(_SURROUNDINGS),
    st.tuples(
        st.sampled_from(["ada", "ben", "rita", "eve"]), st.sampled_from(["Approve", "Approve", "Reject"])
    ),
    st.integers(min_value=0, max_value=9000),
    st.sampled_from(["use", "overtaken", "restart"]),
)


class _Story:
    """A request to which things happen in any order, with a look after each."""

    def __init__(self, quorums: list[JsonObject], kind: str) -> None:
        self.item = request(quorums=quorums, type=kind)
        self.now = NOW
        self.around: dict[str, object] = {}

    def happens(self, event: object) -> None:
        match event:
            case dict():
                self.around = event
            case (str(approver), str(verdict)):
                if state(self.item) is RequestState.PENDING:
                    groups = [] if approver == "eve" else ["leads"]
                    self.item = decided(self.item, said(approver, verdict, groups))
            case int(seconds):
                self.now += timedelta(seconds=seconds)
            case "use" if state(self.item) is RequestState.APPROVED:
                self._gateway_writes(use=USE)
            case "overtaken":
                self._gateway_writes(overtaken=USE)

    def _gateway_writes(self, **parts: JsonObject) -> None:
        status = self.item.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.item = ApprovalRequest.parse({**status, "status": {**status["status"], **parts}})

    def look(self) -> ObservedRequest:
        seen = observed(self.item, **self.around)
        found = reconcile_request(seen, self.now)
        if found.plan.confirm:
            found = reconcile_request(replace(seen, confirmed=True), self.now)
        self.item = written(self.item, found)
        return seen


@settings(max_examples=250, deadline=None)
@given(
    kind=st.sampled_from(["Call", "Review"]),
    quorums=st.sampled_from([[LEADS], [TWO], [LEADS, TWO]]),
    events=st.lists(_EVENTS, max_size=12),
)
def test_no_end_changes_and_nothing_is_approved_that_was_not(
    kind: str, quorums: list[JsonObject], events: list[object]
) -> None:
    story = _Story(quorums, kind)
    for event in events:
        before = state(story.item)
        story.happens(event)
        seen = story.look()
        after = state(story.item)
        if before in ENDS:
            assert after is before
        if after is RequestState.APPROVED:
            reached = tally(story.item.spec, story.item.status.counted)
            assert reached.reached
            assert before in (RequestState.PENDING, RequestState.APPROVED)
        if after is RequestState.APPROVED and before is RequestState.PENDING:
            assert not seen.guard.problem
        if after is RequestState.USED:
            assert before in (RequestState.APPROVED, RequestState.USED)
        # What a restarted operator would do next is what this one would: nothing.
        again = reconcile_request(replace(seen, request=story.item, confirmed=True), story.now)
        assert again.plan.status is None
        assert again.plan.events == ()
        assert again.told == ()
